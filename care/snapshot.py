"""`care events snapshot`: writes everything that a team may read into one file, which its subscriber loads.

The command writes beside the target file and renames the result when it is complete. After an interruption, the command
resumes where it stopped. It holds a lock, so that only one command at a time writes a snapshot; the system releases the
lock of a killed command.
"""

from __future__ import annotations

import asyncio
import fcntl
import gzip
import os
from collections.abc import Generator, Iterable
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

from care.events import Bootstrap, reading, until_answered
from care.show import Json, fail, said
from care.subscribers import all_subscribers, over

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

    from shared.contracts.publish.subscribers import Subscriber
    from shared.kit.messages import Place
    from shared.kit.snapshot import Header

BATCH: Final = 5_000
FLUSH_BYTES: Final = 4 * 1024 * 1024
GZIP_LEVEL: Final = 3
TOLD_SECONDS: Final = 10


def snapshot(
    kafka: Bootstrap,
    subscriber: Annotated[str, typer.Option(help="The team: the name of its file.")],
    file: Annotated[
        Path,
        typer.Option(help="The file to write; compressed with gzip when the name ends with .gz."),
    ],
    json: Json = False,
) -> None:
    """Write everything that a team may read, up to now, as one file for its subscriber to load.

    After an interruption, run the command again: it resumes where it stopped.
    """
    team = all_subscribers().get(subscriber)
    if team is None:
        raise typer.BadParameter("no such subscriber; see `care subscribers list`")
    if over(team):
        fail(
            f"The agreement of {team.name} ended on {team.until}.",
            "Renew the agreement in the file first: a snapshot contains everything that the team may read.",
        )
    if not team.direct:
        fail(
            f"{team.name} may not read the services' topics, only {', '.join(team.topics)}.",
            "A snapshot contains whole topics, and this team may read only chosen messages of them.",
        )
    began = monotonic()
    with alone(file):
        done = until_answered(kafka, _write(kafka, team, file))
    seconds = round(monotonic() - began, 1)
    answer: dict[str, Any] = {
        "file": str(file),
        "messages": done.header.messages,
        "bytes": file.stat().st_size,
        "seconds": seconds,
        "went_on": done.went_on,
        "sha256": done.digest,
    }
    how = f"{answer['bytes'] / 1e6:.1f} MB, {seconds} s{', resumed' if done.went_on else ''}"
    said(answer, f"{file}: {done.header.messages} messages, {how}", json=json)


def part_of(file: Path) -> Path:
    """Where a snapshot is while it is being written."""
    return file.with_name(f"{file.name}.part")


@contextmanager
def alone(file: Path) -> Generator[None]:
    """While no other command writes this snapshot; the command ends where one does, or where it is written already."""
    part = part_of(file)
    held = _locked(file, part)
    try:
        if file.exists():
            fail(f"{file} exists.", "Name another file: a snapshot is never changed.")
        yield
    finally:
        if _is_at(held, part) and not os.fstat(held).st_size:
            part.unlink()
        os.close(held)


def _locked(file: Path, part: Path) -> int:
    """Open and lock what is being written.

    A lock may be of a file that its writer has moved away meanwhile: that one is let go, and what is there now locked.
    """
    while True:
        try:
            held = os.open(part, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            _not_writable(file, error)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(held)
            if not isinstance(error, BlockingIOError):
                _not_writable(file, error)
            fail(
                f"Another command is writing {file}.",
                "Wait for it, or name another file. A killed command holds no lock.",
            )
        if _is_at(held, part):
            return held
        os.close(held)


def _is_at(held: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(held), path.stat())
    except FileNotFoundError:
        return False


def _not_writable(file: Path, error: OSError) -> NoReturn:
    fail(
        f"{file} can't be written ({type(error).__name__}: {error.strerror}).",
        "Free disk space, grant the permission, or name another file.",
    )


class Writing:
    """A snapshot in the making. What is on the disk is whole at any moment, up to the last flush."""

    def __init__(self, file: Path, header: Header) -> None:
        self.header = header
        self.next: dict[Place, int] = {}
        """The offset to go on with, of each partition."""
        self.went_on = False
        self.digest = ""
        self._file = file
        self._gzipped = file.suffix == ".gz"
        self._hash = sha256()
        self._waiting = bytearray()
        self._last: dict[Place, bytes] = {}
        self._begin()

    def _begin(self) -> None:
        from shared.kit.snapshot import header_line

        size = self._recovered()
        self.went_on = size > 0
        self.next = {place: begin for place, (begin, _) in self.header.bounds.items()} | self.next
        self._out = self._part.open("r+b")
        self._out.truncate(size)
        self._out.seek(size)
        if not size:
            self._add(header_line(self.header))

    @property
    def _part(self) -> Path:
        return part_of(self._file)

    def _recovered(self) -> int:
        """Go on with what an earlier run has written; returns its size. The command ends when that is another's."""
        from shared.kit.snapshot import recovered

        size, header = 0, self.header
        for lines, end in recovered(self._part, gzipped=self._gzipped):
            if size == 0:
                header = self._same(lines[0])
                self._hash.update(lines.pop(0))
            found = self._places(lines, header)
            if None in found:
                break  # its end, which is written again
            for line, place in zip(lines, found, strict=True):
                self._hash.update(line)
                if place is not None:
                    self.next[place[:2]] = place[2] + 1
                    self._last[place[:2]] = line
            size = end
        self._check_last()
        self.header = header
        return size

    def _same(self, line: bytes) -> Header:
        """The first line of an earlier run for the same; the command ends when it is another's."""
        from shared.kit.errors import Refused
        from shared.kit.snapshot import header_of

        try:
            found = header_of(line)
        except Refused:
            self._is_of_another()
        ends = {place: end for place, (_, end) in self.header.bounds.items()}
        wanted = self.header._replace(made_at=found.made_at, bounds=found.bounds)
        if found != wanted or any(
            end > ends.get(place, 0) for place, (_, end) in found.bounds.items()
        ):
            self._is_of_another()
        return found

    def _places(self, lines: list[bytes], header: Header) -> list[tuple[str, int, int] | None]:
        from shared.kit.snapshot import place_of

        try:
            found = [place_of(line) for line in lines]
        except ValueError:
            self._is_of_another()
        if any(place and place[:2] not in header.bounds for place in found):
            self._is_of_another()
        return found

    def _check_last(self) -> None:
        """The last lines are read again for the end of the file."""
        from shared.kit.snapshot import NOT_A_LINE, message_of

        try:
            for line in self._last.values():
                message_of(line)
        except NOT_A_LINE:
            self._is_of_another()

    def _is_of_another(self) -> NoReturn:
        fail(
            f"{self._part} is the beginning of another snapshot.",
            "Remove it, or name another file.",
        )

    @property
    def left(self) -> dict[Place, int]:
        """How many offsets each unfinished partition still has to its watermark."""
        ends = {place: end for place, (_, end) in self.header.bounds.items()}
        return {place: ends[place] - at for place, at in self.next.items() if at < ends[place]}

    def take(self, place: Place, records: Iterable[ConsumerRecord[bytes, bytes]]) -> None:
        """Add what was read of a partition, up to its watermark."""
        from shared.kit.snapshot import line_of

        types, (_, end) = frozenset(self.header.types), self.header.bounds[place]
        line = b""
        for record in records:
            if self.next[place] <= record.offset < end:
                record.topic = place[0]
                line = line_of(record, types)
                self._add(line)
            self.next[place] = record.offset + 1
        if line:
            self._last[place] = line
        if len(self._waiting) > FLUSH_BYTES:
            self.flush()

    def _add(self, line: bytes) -> None:
        self._hash.update(line)
        self._waiting += line

    def flush(self) -> None:
        """Write what waits as one whole piece."""
        text = bytes(self._waiting)
        self._waiting.clear()
        try:
            self._out.write(gzip.compress(text, GZIP_LEVEL, mtime=0) if self._gzipped else text)
        except OSError as error:
            _not_writable(self._file, error)

    def end(self) -> None:
        """Write the end, and move the file to its place."""
        from shared.kit.snapshot import hash_line, last_line

        self.flush()
        self._add(last_line(self._last.values()))
        self.digest = self._hash.hexdigest()
        self._waiting += hash_line(self.digest)
        self.flush()
        try:
            self._out.flush()
            os.fsync(self._out.fileno())
            self._part.rename(self._file)
        except OSError as error:
            _not_writable(self._file, error)

    def close(self) -> None:
        """Let the file go, as it is."""
        with suppress(OSError):  # said by whoever wrote
            self._out.close()


async def _write(kafka: str, team: Subscriber, file: Path) -> Writing:
    from aiokafka import TopicPartition

    from shared.contracts.topics import TOPICS

    partitions = [TopicPartition(t, n) for t in team.topics for n in range(TOPICS[t].partitions)]
    async with reading(kafka, partitions, beginning=True) as consumer:
        header = await _header(kafka, team, partitions, consumer)
        with closing(Writing(file, header)) as writing:
            progress = asyncio.create_task(_tell(writing))
            try:
                await _read(consumer, partitions, writing)
            finally:
                progress.cancel()
                with suppress(asyncio.CancelledError):
                    await progress
                writing.flush()
            writing.end()
        return writing


async def _header(
    kafka: str, team: Subscriber, partitions: list[TopicPartition], consumer: AIOKafkaConsumer
) -> Header:
    from shared.kit.snapshot import Header
    from shared.runtime.connections import KafkaFromEnvironment
    from shared.runtime.kafka.topic_ids import identity_of
    from shared.runtime.kafka.topics import admin_client

    async with admin_client(KafkaFromEnvironment(kafka_bootstrap=kafka)) as admin:
        identity = await identity_of(admin, team.topics)
    begins = await consumer.beginning_offsets(partitions)
    ends = await consumer.end_offsets(partitions)
    return Header(
        subscriber=team.name,
        cluster=identity.cluster_id,
        topics=identity.topic_ids,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        types=tuple(sorted(team.reads)),
        bounds={(one.topic, one.partition): (begins[one], ends[one]) for one in partitions},
    )


async def _read(
    consumer: AIOKafkaConsumer, partitions: list[TopicPartition], writing: Writing
) -> None:
    """Read every partition to its watermark; a finished one is fetched no more."""
    from shared.kit.to_the_end import read_to

    for one in partitions:
        consumer.seek(one, writing.next[one.topic, one.partition])
    ends = {one: writing.header.bounds[one.topic, one.partition][1] for one in partitions}
    async for one, records in read_to(consumer, ends, records_max=BATCH):
        writing.take((one.topic, one.partition), records)
    for one, end in ends.items():  # a hole at the end has no record
        writing.next[one.topic, one.partition] = end


async def _tell(writing: Writing) -> None:
    total = writing.header.messages
    while True:
        await asyncio.sleep(TOLD_SECONDS)
        done = total - sum(writing.left.values())
        typer.echo(f"{done} of {total} messages", err=True)

"""A snapshot: one file with everything that a team may read of the topics, up to their ends at one moment.

It carries the messages faster than Kafka, and it is no summary. It has JSON lines, compressed with gzip when the name
ends with `.gz`. The first line names the cluster and the ends. Then every message of every partition follows in order,
events as structured CloudEvents. The last lines have the id of each partition's last message, and a hash of everything
before. `care events snapshot` writes a snapshot, and `Subscriber.load` reads it.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast

from .errors import Refused
from .handlers import Handlers
from .messages import Kept, Message, Place, from_json, kept, name_of, packed
from .reading import passed_over

VERSION: Final = 1
"""The form of the file. A higher one is refused."""
LINE_BYTES_MAX: Final = 4 * 1024 * 1024
"""No message of a topic is larger, also not as a line."""
NOT_A_LINE: Final = (ValueError, TypeError, LookupError, AttributeError)
"""What reading a line raises that is not what it should be."""
_PLACE: Final = b'{"kafkaplace":"'
_DATA: Final = b',"data":'
_CONTENT_TYPE: Final = ("content-type", b"application/json")


class Header(NamedTuple):
    """What the file is of."""

    subscriber: str
    cluster: str
    """Kafka's id of the cluster."""
    topics: Mapping[str, str]
    """Kafka's id of each topic."""
    made_at: str
    types: tuple[str, ...]
    """The types whose data is in it. Of others there is only that they were: their numbers count in their streams."""
    bounds: Mapping[Place, tuple[int, int]]
    """Of each partition, the first offset that was there and the watermark: the one after the last in this file."""

    @property
    def messages(self) -> int:
        """How many messages the whole file has at most."""
        return sum(end - begin for begin, end in self.bounds.values())


class Snapshot(NamedTuple):
    """A file that was read as a whole and is as it was written."""

    path: Path
    header: Header
    last: Mapping[Place, tuple[int, str]]
    """The offset of the last message of each partition that has any, and what names it."""

    def messages(self) -> Iterator[Kept]:
        """All of them, each partition in its order. Raises `Refused` for what is none."""
        with _opened(self.path) as file:
            for line in file:
                if line.startswith(_PLACE):
                    yield self._message(line)

    def _message(self, line: bytes) -> Kept:
        try:
            found = message_of(line)
            begin, end = self.header.bounds[found.topic, found.partition]
        except NOT_A_LINE:
            raise _damaged() from None
        if not begin <= found.offset < end:
            raise _damaged()
        return found


# --- lines -----------------------------------------------------------------------------------------


def header_line(header: Header) -> bytes:
    """The first line."""
    bounds = [[*place, *ends] for place, ends in sorted(header.bounds.items())]
    return _line({"throughcare-snapshot": VERSION, **header._asdict(), "bounds": bounds})


def header_of(line: bytes) -> Header:
    """Read the first line. Raises `Refused`."""
    try:
        told: dict[str, Any] = from_json(line)
        version = int(told.pop("throughcare-snapshot"))
    except NOT_A_LINE:
        raise Refused("snapshot-unreadable", "It does not begin as a snapshot does.") from None
    if version > VERSION:
        raise Refused(
            "snapshot-newer",
            f"It has version {version}; this wheel knows {VERSION}.",
            "Install the newer wheel.",
        )
    try:
        bounds = {(t, int(n)): (int(begin), int(end)) for t, n, begin, end in told.pop("bounds")}
        types = tuple(told.pop("types"))
        return Header(**told, types=types, bounds=bounds)
    except (ValueError, TypeError, LookupError):
        raise Refused("snapshot-unreadable", "Its first line can't be used.") from None


def line_of(message: Message, types: Collection[str]) -> bytes:
    """The line of a message: a structured CloudEvent, its place alone if nobody there reads it, or all as it came."""
    place = f"{message.topic}/{message.partition}/{message.offset}"
    given = _attributes(message)
    if given is None:
        return _line({"kafkaplace": place, "raw": packed(message).decode()})
    if given["type"] not in types and passed_over(message, _NOBODY) is not None:
        found = {name: given[name] for name in ("id", "source", "type", "subject", "sequence")}
        return _line({"kafkaplace": place, **found})
    told = {"kafkaplace": place, **given, "datacontenttype": "application/json"}
    return _line(told)[:-2] + _DATA + (message.value or b"") + b"}\n"


def message_of(line: bytes) -> Kept:
    """The message of a line. Raises one of `NOT_A_LINE` for a line that is none."""
    head, found, value = line.rstrip(b"\n").partition(_DATA)
    told: dict[str, Any] = from_json(head + b"}" if found else head)
    topic, partition, offset = told.pop("kafkaplace").split("/")
    where = (topic, int(partition), int(offset))
    if "raw" in told:
        return kept(where, told["raw"].encode())
    told.pop("datacontenttype", None)
    headers = [(f"ce_{name}", cast("str", text).encode()) for name, text in told.items()]
    key = cast("str", told["subject"]).encode()
    return Kept(*where, key, value[:-1] if found else None, [*headers, _CONTENT_TYPE])


def _attributes(message: Message) -> dict[str, str] | None:
    """The CloudEvents attributes of a message; None when it can't be written as a CloudEvent and read back alike."""
    found: dict[str, str] = {}
    typed = False
    try:
        for name, raw in message.headers:
            if (name, raw) == _CONTENT_TYPE and not typed:
                typed = True
                continue
            attribute = name.removeprefix("ce_")
            if raw is None or attribute == name or attribute in found or attribute in _RESERVED:
                return None
            found[attribute] = raw.decode()
        complete = typed and message.key == found["subject"].encode() and found.keys() >= _NEEDED
        return found if complete and _is_one_line(message.value) else None
    except (KeyError, ValueError):
        return None


_NOBODY: Final = Handlers()
_RESERVED: Final = frozenset({"data", "data_base64", "datacontenttype", "kafkaplace", "raw"})
_NEEDED: Final = frozenset({"id", "source", "type", "subject", "sequence"})


def _is_one_line(value: bytes | None) -> bool:
    if value is None or b"\n" in value or b"\r" in value:
        return False
    from_json(value.decode(), parse_constant=float.fromhex)  # NaN is no JSON, and no such number
    return True


def place_of(line: bytes) -> tuple[str, int, int] | None:
    """Where the message of a line was; None for another line. Raises `ValueError` for a place that is none."""
    if not line.startswith(_PLACE):
        return None
    topic, partition, offset = line[len(_PLACE) : line.index(b'"', len(_PLACE))].split(b"/")
    return topic.decode(), int(partition), int(offset)


def last_line(lines: Iterable[bytes]) -> bytes:
    """The line before the hash: where each partition's last message was, and what names it."""
    found = sorted(map(message_of, lines), key=lambda one: one[:3])
    return _line({"last": [[*one[:3], name_of(one)] for one in found]})


def hash_line(digest: str) -> bytes:
    """The line that ends the file."""
    return _line({"sha256": digest})


def _line(told: Mapping[str, Any]) -> bytes:
    return json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


# --- the file --------------------------------------------------------------------------------------


def _opened(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb"))


def verified(path: str | Path) -> Snapshot:
    """Read a whole file before anything of it is used. Raises `Refused` for one that is cut off, edited or none."""
    path = Path(path)
    try:
        with _opened(path) as file:
            first = file.readline(LINE_BYTES_MAX)
            header = header_of(first)
            last = _rest(file, first)
    except (OSError, EOFError, zlib.error) as error:
        if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
            raise Refused("snapshot-unreadable", f"{path.name} can't be opened.") from error
        raise _damaged() from error
    return Snapshot(path, header, last)


def _rest(file: Iterable[bytes], first: bytes) -> dict[Place, tuple[int, str]]:
    """Everything after the first line; returns what ends each partition. The last line is the hash of the others."""
    hashed, before = sha256(), first
    held = b""
    for line in file:
        hashed.update(before)
        held, before = before, line
    if before != hash_line(hashed.hexdigest()):
        raise _damaged()
    try:
        return {(t, int(n)): (int(at), str(name)) for t, n, at, name in from_json(held)["last"]}
    except (ValueError, TypeError, LookupError):
        raise _damaged() from None


def check_team(header: Header, name: str, outlet: str) -> None:
    """Raises `Refused` for a subscriber of another team, and for one that reads an outlet and not whole topics."""
    if outlet:
        raise Refused(
            "snapshot-of-other-topics",
            f"It is of the services' own topics, and this subscriber reads {outlet}.",
            "Read the outlet from its beginning, without a file: it begins with the first event that you may read.",
        )
    if name != header.subscriber and not name.startswith(f"{header.subscriber}."):
        raise Refused(
            "snapshot-of-another-team",
            f"It was made for {header.subscriber}, and this subscriber is {name}.",
            "Have one made for your team; or name the subscriber as the team, or that and a dot and more.",
        )


def check_types(header: Header, wanted: Iterable[str]) -> None:
    """Raises `Refused` when handlers want what is not in the file: they would never hear of it."""
    if missing := sorted(set(wanted) - set(header.types)):
        raise Refused(
            "snapshot-lacks-types",
            f"It was made for {header.subscriber}, who does not read {', '.join(missing)}.",
            "Have the types added to the team's file and a snapshot made anew; or read the topics themselves.",
        )


def check_history(
    snapshot: Snapshot,
    cluster: str,
    ends: Mapping[Place, int],
    there: Mapping[Place, str] | None = None,
) -> None:
    """Raises `Refused` unless the topics go on where the file ends. `there` names the messages that are its last."""
    bounds = snapshot.header.bounds
    shorter = [place for place, (_, end) in bounds.items() if ends[place] < end]
    others = [place for place in there or () if there and there[place] != snapshot.last[place][1]]
    if cluster != snapshot.header.cluster or shorter or others:
        raise Refused(
            "snapshot-of-another-history",
            "It was made of another cluster, or its topics were made again: they do not go on where it ends.",
            "Have one made of this cluster. Nothing of this one has been used.",
        )


def batches(snapshot: Snapshot, size: int) -> Iterator[list[Kept]]:
    """The messages in lists of this size."""
    found = snapshot.messages()
    while batch := list(islice(found, size)):
        yield batch


def _damaged() -> Refused:
    return Refused(
        "snapshot-damaged",
        "It is cut off or was edited: its hash is not that of its lines.",
        "Copy it again, or have it made again. Nothing of it has been used.",
    )


def recovered(path: Path, *, gzipped: bool) -> Iterator[tuple[list[bytes], int]]:
    """What of a file that was being written is whole: lines, and the size of the file up to their end."""
    return _whole_members(path) if gzipped else _whole_lines(path)


def _whole_lines(path: Path) -> Iterator[tuple[list[bytes], int]]:
    size = 0
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            size += len(line)
            yield [line], size


def _whole_members(path: Path) -> Iterator[tuple[list[bytes], int]]:
    """A gzipped file is written as members that each end with a line; one that is torn counts for nothing."""
    size, text, member = 0, bytearray(), zlib.decompressobj(31)
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            while data:
                try:
                    text += member.decompress(data)
                except zlib.error:
                    return
                size += len(data) - len(member.unused_data)
                data = member.unused_data
                if member.eof:
                    yield [line + b"\n" for line in bytes(text).split(b"\n")[:-1]], size
                    text, member = bytearray(), zlib.decompressobj(31)

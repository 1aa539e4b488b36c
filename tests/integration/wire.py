"""What stands between a service and MongoDB: a server on loopback that speaks its protocol and can be ill.

Everything goes to the real store but for what the mood forbids: writes that the store has no room for, bulks that it
carries out half, writes that it carries out and can't confirm, answers that come late, connections it has no
room for.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, cast

import bson

OP_MSG: Final = 2013
OUT_OF_DISK_SPACE: Final = 14031
WRITE_CONCERN_FAILED: Final = 64
WRITES: Final = frozenset({"insert", "update", "delete", "findAndModify"})
Edit = Callable[[dict[str, Any]], None]


class Mood(StrEnum):
    """How the store is."""

    FINE = "fine"
    FULL = "full"
    """The disk is full: every write is refused, reads are answered."""
    FILLS_UP = "fills up"
    """The disk fills up in the middle of a bulk: its first half is written, the rest refused."""
    UNSURE = "unsure"
    """Writes are carried out, but not confirmed."""
    SLOW = "slow"
    """Writes are answered late."""


@dataclass
class _Message:
    """One OP_MSG: the command, and the documents that came beside it in sections of their own."""

    number: int
    flags: int
    command: dict[str, Any]
    beside: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])

    @classmethod
    def read(cls, frame: bytes) -> _Message | None:
        """None: not a message that this reads; it is passed on as it is."""
        _, number, _, code = struct.unpack_from("<iiii", frame)
        if code != OP_MSG:
            return None
        [flags] = struct.unpack_from("<I", frame, 16)
        message, at = cls(number, flags, {}), 20
        end = len(frame) - (4 if flags & 1 else 0)
        while at < end:
            kind, at = frame[at], at + 1
            [size] = struct.unpack_from("<i", frame, at)
            if kind == 0:
                message.command = bson.decode(frame[at : at + size])
            else:
                name_end = frame.index(0, at + 4)
                documents = bson.decode_all(frame[name_end + 1 : at + size])
                message.beside[frame[at + 4 : name_end].decode()] = documents
            at += size
        return message

    def frame(self, answers: int = 0) -> bytes:
        body = struct.pack("<I", self.flags & ~1) + b"\0" + bson.encode(self.command)
        for name, documents in self.beside.items():
            inner = name.encode() + b"\0" + b"".join(bson.encode(one) for one in documents)
            body += b"\1" + struct.pack("<i", len(inner) + 4) + inner
        return struct.pack("<iiii", len(body) + 16, self.number, answers, OP_MSG) + body


class Wire:
    """One listening port that leads to the store."""

    DELAY_SECONDS: Final = 0.3

    def __init__(self, upstream_port: int) -> None:
        self.mood = Mood.FINE
        self.refused = 0
        self.turned_away = 0
        self.connections_max: int | None = None
        self.port = 0
        self._upstream = upstream_port
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    @property
    def uri(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/?directConnection=true"

    @property
    def connections(self) -> int:
        return len(self._open)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()

    def cut(self) -> None:
        """Reset whatever is connected."""
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.connections_max is not None and self.connections >= self.connections_max:
            self.turned_away += 1
            writer.transport.abort()
            return
        self._open.add(writer)
        edits: dict[int, Edit] = {}
        far: asyncio.StreamWriter | None = None
        try:
            far_reader, far = await asyncio.open_connection("127.0.0.1", self._upstream)
            await asyncio.gather(
                self._asked(reader, writer, far, edits), self._answered(far_reader, writer, edits)
            )
        except (OSError, asyncio.CancelledError):
            pass  # cut, or the end of the test
        finally:
            self._open.discard(writer)
            for end in (writer, far):
                if end is not None:
                    end.transport.abort()

    async def _asked(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far: asyncio.StreamWriter,
        edits: dict[int, Edit],
    ) -> None:
        async for frame in _frames(reader):
            message = _Message.read(frame)
            if message is None or next(iter(message.command), "") not in WRITES:
                far.write(frame)
            else:
                passed = self._changed(message, edits)
                if passed is None:
                    writer.write(_refusal(message))
                else:
                    far.write(passed)
            await far.drain()
        far.transport.abort()

    def _changed(self, message: _Message, edits: dict[int, Edit]) -> bytes | None:
        """A write as it is passed on; None: it is refused as a whole."""
        if self.mood is Mood.FULL:
            self.refused += 1
            return None
        if self.mood is Mood.UNSURE:
            edits[message.number] = _unsure
        elif self.mood is Mood.FILLS_UP:
            self.refused += 1
            updates = message.beside.get("updates", [])
            kept = len(updates) // 2
            if not kept:
                return None
            edits[message.number] = lambda answer: _filled(answer, kept, len(updates))
            message.beside["updates"] = updates[:kept]
        return message.frame()

    async def _answered(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, edits: dict[int, Edit]
    ) -> None:
        async for frame in _frames(reader):
            [answers] = struct.unpack_from("<i", frame, 8)
            message = _Message.read(frame)
            edit = edits.pop(answers, None)
            if message is not None and edit is not None:
                edit(message.command)
            if self.mood is Mood.SLOW:
                await asyncio.sleep(self.DELAY_SECONDS)
            writer.write(frame if message is None or edit is None else message.frame(answers))
            await writer.drain()
        writer.transport.abort()


async def _frames(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    with suppress(asyncio.IncompleteReadError, OSError):
        while True:
            head = await reader.readexactly(4)
            yield head + await reader.readexactly(struct.unpack("<i", head)[0] - 4)


def _refusal(message: _Message) -> bytes:
    words = {"ok": 0.0, "code": OUT_OF_DISK_SPACE, "codeName": "OutOfDiskSpace", "errmsg": "full"}
    return _Message(message.number + 1, 0, dict(words)).frame(message.number)


def _filled(answer: dict[str, Any], kept: int, count: int) -> None:
    errors = cast("list[Any]", answer.setdefault("writeErrors", []))
    errors += [
        {"index": index, "code": OUT_OF_DISK_SPACE, "errmsg": "full"}
        for index in range(kept, count)
    ]


def _unsure(answer: dict[str, Any]) -> None:
    answer["writeConcernError"] = {"code": WRITE_CONCERN_FAILED, "errmsg": "timed out"}


@asynccontextmanager
async def wire_to(mongo_uri: str) -> AsyncIterator[Wire]:
    """A wire to the store at this address."""
    port = int(mongo_uri.partition("://")[2].partition("/")[0].rpartition(":")[2])
    wire = Wire(port)
    await wire.start()
    try:
        yield wire
    finally:
        await wire.stop()

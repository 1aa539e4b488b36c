"""A TCP proxy on loopback that can cut, delay or swallow what passes through it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from enum import StrEnum
from typing import Final

CHUNK_BYTES: Final = 64 * 1024


class Mood(StrEnum):
    """How the network is."""

    FINE = "fine"
    CUT = "cut"
    """Connections are reset, new ones are refused."""
    SLOW = "slow"
    """Every chunk comes late."""
    HALF_OPEN = "half_open"
    """Connections stay open and nothing arrives."""
    DEAF = "deaf"
    """What is asked arrives; the answer is lost, and the connection with it."""


class Proxy:
    """One listening port that leads to one server."""

    DELAY_SECONDS: Final = 0.25

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self.port = port
        self.upstream = 0
        self._mood = Mood.FINE
        self._fine = asyncio.Event()
        self._fine.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Listen no more, and close what is open."""
        if self._server is not None:
            self._server.close()
        self._reset()

    def set(self, mood: Mood) -> None:
        """Change the network's mood, for connections that are open as well."""
        self._mood = mood
        if mood is Mood.HALF_OPEN:
            self._fine.clear()
        else:
            self._fine.set()
        if mood is Mood.CUT:
            self._reset()

    def _reset(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mood is Mood.CUT:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        try:
            await asyncio.gather(
                self._pump(reader, far_writer), self._pump(far_reader, writer, answers=True)
            )
        finally:
            for end in (writer, far_writer):
                self._writers.discard(end)
                end.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False
    ) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while chunk := await reader.read(CHUNK_BYTES):
                await self._fine.wait()
                if self._mood is Mood.DEAF and answers:
                    break
                if self._mood is Mood.SLOW:
                    await asyncio.sleep(self.DELAY_SECONDS)
                writer.write(chunk)
                await writer.drain()
        with suppress(OSError, RuntimeError):
            writer.transport.abort()

"""Unpack a batch of messages as a stream, and never beyond a bound.

A few kilobytes on the wire can unpack to gigabytes, and aiokafka unpacks whatever comes: one batch of anybody who may
write to a topic would end every consumer of its partition, again after each start.
"""

from __future__ import annotations

import zlib
from hashlib import sha256
from typing import Any, Final, cast

from aiokafka import codec

UNPACKED_BYTES_MAX: Final = 10 * 1024 * 1024
"""How large the messages of one batch may be: an event is below a megabyte, a copy in a journal below eight."""
HEAD_KEPT_BYTES: Final = 1_024
BATCH_HEAD: Final = 61
"""What stands before the messages of a batch of format 2."""
_LENGTH_AT: Final = slice(8, 12)
_ATTRIBUTES_AT: Final = slice(21, 23)
_CODEC_BITS: Final = 0x07
_GZIP, _SNAPPY, _LZ4, _ZSTD = 1, 2, 3, 4
_FIRST_GUESS_BYTES: Final = 64 * 1024
_USUAL_RATIO: Final = 16
_GZIP_WINDOW: Final = 31
_XERIAL: Final = b"\x82SNAPPY\x00"
_XERIAL_HEAD: Final = 16
_BLOCK_LENGTH_BYTES: Final = 4


class Packed(bytes):
    """The value that stands for a batch which may not be unpacked: the head of it, as it came.

    Only this module makes one, so no message on a topic can pretend to be one.
    """

    length: int
    """How long the batch is on the wire."""
    sha256: str
    """Of the batch on the wire."""

    @classmethod
    def of(cls, raw: bytes) -> Packed:
        """Stand for this batch."""
        packed = cls(raw[:HEAD_KEPT_BYTES])
        packed.length, packed.sha256 = len(raw), sha256(raw).hexdigest()
        return packed


def codec_of(raw: bytes) -> int:
    """By which codec the messages of a batch are packed; 0 for none."""
    return int.from_bytes(raw[_ATTRIBUTES_AT]) & _CODEC_BITS


def unpacked(raw: bytes) -> bytes | None:
    """The batch as it would be if it had never been packed; None if it does not unpack within the bound.

    Its sum is not made anew: check the one that came.
    """
    kind, body = codec_of(raw), raw[BATCH_HEAD:]
    if kind == _GZIP:
        data = _gunzip(body)
    elif kind == _SNAPPY:
        data = _unsnap(body)
    elif kind in (_LZ4, _ZSTD):
        data = _stream(_library().lz4 if kind == _LZ4 else _library().zstd, body)
    else:
        data = None
    if data is None:
        return None
    head = bytearray(raw[:BATCH_HEAD])
    head[_LENGTH_AT] = (BATCH_HEAD - _LENGTH_AT.stop + len(data)).to_bytes(4)
    head[_ATTRIBUTES_AT] = (int.from_bytes(head[_ATTRIBUTES_AT]) & ~_CODEC_BITS).to_bytes(2)
    return b"".join((head, data))


def _library() -> Any:
    return cast("Any", codec).cramjam


def _gunzip(body: bytes) -> bytes | None:
    """A file of gzip has one or more members."""
    parts: list[bytes] = []
    room = UNPACKED_BYTES_MAX
    try:
        while body:
            member = zlib.decompressobj(_GZIP_WINDOW)
            parts.append(member.decompress(body, room + 1))
            room -= len(parts[-1])
            if room < 0 or not member.eof:
                return None
            body = member.unused_data
    except zlib.error:
        return None
    return b"".join(parts)


def _unsnap(body: bytes) -> bytes | None:
    """Snappy says before each block how long it is unpacked; Java's clients write many blocks, others one."""
    blocks = _blocks(body) if body.startswith(_XERIAL) else [body]
    snappy = _library().snappy
    parts: list[bytes] = []
    room = UNPACKED_BYTES_MAX
    try:
        for block in blocks:
            room -= snappy.decompress_raw_len(block)
            if room < 0:
                return None
            parts.append(bytes(snappy.decompress_raw(block)))
    except _library().DecompressionError:
        return None
    return b"".join(parts)


def _blocks(body: bytes) -> list[bytes]:
    blocks: list[bytes] = []
    at = _XERIAL_HEAD
    while at < len(body):
        begin = at + _BLOCK_LENGTH_BYTES
        at = begin + int.from_bytes(body[at:begin])
        blocks.append(body[begin:at])
    return blocks


def _stream(library: Any, body: bytes) -> bytes | None:
    """Unpack into a buffer that can't grow: one of the usual size, then one of all that is allowed."""
    usual = min(max(_FIRST_GUESS_BYTES, _USUAL_RATIO * len(body)), UNPACKED_BYTES_MAX)
    for size in sorted({usual, UNPACKED_BYTES_MAX}):
        buffer = bytearray(size)
        try:
            length = library.decompress_into(body, buffer)
        except _library().DecompressionError:
            continue
        return bytes(memoryview(buffer)[:length])
    return None

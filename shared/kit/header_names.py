"""A patch for aiokafka 0.14: read a message although the name of a header is not UTF-8.

Kafka accepts such a message, and aiokafka's fetcher raises on it. So one message from anybody who may write to a topic
stops every consumer of its partition for good. The patch reads the name with its bytes escaped. The kit then ignores
it, like every header name that it does not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, cast

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import (
    _DefaultRecordBatchPy,  # pyright: ignore[reportPrivateUsage] - there is no public one
)
from aiokafka.record.memory_records import MemoryRecords

LENGTH_AT: Final = 8
HEAD_BYTES: Final = 12
"""What stands before a batch's length counts: its base offset and the length itself."""


def patch_header_names() -> None:
    """Have the fetcher read by `Records`."""
    cast("Any", fetcher).MemoryRecords = Records


class Records:
    """The batches of one fetch, as the fetcher asks for them."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0
        self._records = MemoryRecords(raw)

    def size_in_bytes(self) -> int:
        return self._records.size_in_bytes()

    def has_next(self) -> bool:
        return self._records.has_next()

    def next_batch(self) -> Any:
        begin = self._at
        length = int.from_bytes(self._raw[begin + LENGTH_AT : begin + HEAD_BYTES])
        self._at += HEAD_BYTES + length
        return _Batch(self._records.next_batch(), self._raw, begin, self._at)


class _Batch:
    """One batch; everything but its messages is the client's own."""

    def __init__(self, batch: Any, raw: bytes, begin: int, end: int) -> None:
        self._batch = batch
        self._raw, self._begin, self._end = raw, begin, end

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        read = 0
        try:
            for record in self._batch:
                read += 1
                yield record
        except (UnicodeDecodeError, CorruptRecordException):
            # The second is how the client without its extension reports the first. What is corrupt is so again.
            yield from islice(_Lenient(self._raw[self._begin : self._end]), read, None)


class _Text(bytearray):
    """Bytes of which every part decodes."""

    def __getitem__(self, key: Any) -> Any:
        part = cast("Any", bytearray).__getitem__(self, key)
        return _Text(part) if isinstance(key, slice) else part

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, errors)


class _Lenient(_DefaultRecordBatchPy):
    """The client's own reading in Python, with names that need not be UTF-8."""

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _Text(self._buffer)

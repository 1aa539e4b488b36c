"""A patch for aiokafka 0.14: read whatever batch a broker gives, in a bounded space.

- Kafka takes a message although the name of a header is not UTF-8, and aiokafka's fetcher raises on it. Here the name
  is read with its bytes escaped: like every name that is not ours, it is then ignored.
- aiokafka unpacks a batch whatever its size, and gives out as many messages as are asked for, whatever theirs. Here a
  batch that does not unpack within the bound becomes one message that stands for it (`unpacking.Packed`), at the last
  of its offsets, and one answer holds little more than the bound.

Otherwise one message of anybody who may write to a topic would stop every consumer of its partition for good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, NamedTuple, cast

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import (
    DefaultRecordBatch,
    _DefaultRecordBatchBuilderPy,  # pyright: ignore[reportPrivateUsage]
    _DefaultRecordBatchPy,  # pyright: ignore[reportPrivateUsage] - there is no public one
)
from aiokafka.record.memory_records import MemoryRecords

from .unpacking import UNPACKED_BYTES_MAX, Packed, codec_of, unpacked

LENGTH_AT: Final = 8
HEAD_BYTES: Final = 12
"""What stands before a batch's length counts: its base offset and the length itself."""
FORMAT: Final = 2
"""The format of batches that brokers have stored since Kafka 0.11."""


def patch_fetcher() -> None:
    """Have the fetcher read by `Records`, and give out no more at once than the bound."""
    client = cast("Any", fetcher)
    client.MemoryRecords = Records
    client.FetchResult.getall = _getall


class Records:
    """The batches of one fetch, as the fetcher asks for them."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0
        self._records = MemoryRecords(raw)
        self.begun_bytes = 0
        """How large the batches are, unpacked, whose messages have been asked for."""

    def size_in_bytes(self) -> int:
        return self._records.size_in_bytes()

    def has_next(self) -> bool:
        return self._records.has_next()

    def next_batch(self) -> Any:
        begin = self._at
        length = int.from_bytes(self._raw[begin + LENGTH_AT : begin + HEAD_BYTES])
        self._at += HEAD_BYTES + length
        return _Batch(self._records.next_batch(), self, bytes(self._raw[begin : self._at]))


class _StandIn(NamedTuple):
    """The one message of a batch that may not be unpacked."""

    offset: int
    timestamp: int
    timestamp_type: int
    value: Packed
    key: None = None
    headers: tuple[()] = ()
    checksum: None = None


class _Batch:
    """One batch; everything but its messages is the client's own."""

    def __init__(self, batch: Any, records: Records, raw: bytes) -> None:
        self._batch = batch
        self._records, self._raw = records, raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        """The fetcher looks at a transaction's marker in this way."""
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        batch, raw = self._batch, self._raw
        if getattr(batch, "magic", 0) == FORMAT and codec_of(raw):
            plain = unpacked(raw)
            if plain is None:
                self._records.begun_bytes += len(raw)
                yield self._stand_in()
                return
            raw, batch = plain, DefaultRecordBatch(plain)
        self._records.begun_bytes += len(raw)
        read = 0
        try:
            for record in batch:
                read += 1
                yield record
        except (UnicodeDecodeError, CorruptRecordException):
            # The second is how the client without its extension reports the first. What is corrupt is so again.
            yield from islice(_Lenient(raw), read, None)

    def _stand_in(self) -> _StandIn:
        batch = self._batch
        return _StandIn(
            batch.next_offset - 1,
            batch.max_timestamp,
            batch.timestamp_type,
            Packed.of(self._raw),
        )


class EscapedName(str):
    """The name of a header that is not UTF-8, as text. Who copies the message writes the bytes that it had."""

    __slots__ = ("raw",)
    raw: bytes

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        del encoding, errors
        return self.raw


def accept_any_name(batch: Any) -> Any:
    """Have a producer's new batch write the names of headers as they were: aiokafka's own knows text alone."""
    batch._builder = _DefaultRecordBatchBuilderPy(
        FORMAT,
        0,
        is_transactional=False,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=0,
        batch_size=UNPACKED_BYTES_MAX,
    )
    # The batch's own asks for the builder that it was made with.
    batch._set_producer_state = batch._builder.set_producer_state
    return batch


class _Text(bytearray):
    """Bytes of which every part decodes."""

    def __getitem__(self, key: Any) -> Any:
        part = cast("Any", bytearray).__getitem__(self, key)
        return _Text(part) if isinstance(key, slice) else part

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        try:
            return super().decode(encoding, errors)
        except UnicodeDecodeError:
            name = EscapedName(super().decode(encoding, "backslashreplace"))
            name.raw = bytes(self)
            return name


class _Lenient(_DefaultRecordBatchPy):
    """The client's own reading in Python, with names that need not be UTF-8."""

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _Text(self._buffer)


def _getall(result: Any, max_records: int | None = None) -> list[Any]:
    """`FetchResult.getall`, in bounded pieces.

    All that one answer takes of a consumer's partitions comes in one step of the event loop; what has begun within it
    counts against the bound. The rest stays packed, for the next answer.
    """
    if not result.check_assignment(result._topic_partition) or not result.has_more():
        return []
    spent = _spent_in_this_step(result._assignment)
    if spent[0] >= UNPACKED_BYTES_MAX:
        return []
    batches = result._partition_records._records
    before, room = _begun(batches), UNPACKED_BYTES_MAX - spent[0]
    given: list[Any] = []
    for message in result._partition_records:
        given.append(message)
        enough = max_records is not None and len(given) >= max_records
        if enough or _begun(batches) - before >= room:
            result._update_position()
            break
    else:
        result._update_position()
        result._partition_records = None
    spent[0] += _begun(batches) - before
    return given


def _begun(batches: Any) -> int:
    return getattr(batches, "begun_bytes", 0)  # what was fetched before the patch has none


def _spent_in_this_step(assignment: Any) -> list[int]:
    """How many bytes of one consumer's batches have begun in this step of the event loop."""
    spent: list[int] | None = getattr(assignment, "begun_bytes", None)
    if spent is None:
        spent = assignment.begun_bytes = [0]
        asyncio.get_running_loop().call_soon(delattr, assignment, "begun_bytes")
    return spent

"""Row 2: the name of a header is bytes as well, and Kafka takes any; the client raises on those that are not UTF-8."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from shared.kit.batches import Records

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
ENCODERS = {1: gzip_encode, 2: snappy_encode, 3: lz4_encode, 4: zstd_encode}
NAMES = {
    "no UTF-8 at all": b"\xff\xfe\xfd\xfc",
    "the end of a character": b"ab\x80\x80",
    "the beginning of one": b"abc\xc3",
    "an overlong slash": b"a\xc0\xafb",
    "half of a pair": b"\xed\xa0\x80b",
    "beyond the last character": b"\xf5\x80\x80\x80",
    "one of ours, spoilt": b"ce_\xff",
}
PLACE = "QQQQ"


def batch(codec: int, name: bytes, *, at: int = 1) -> bytes:
    """Three messages, of which one has a header of this name."""
    builder: Any = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1_000_000)
    for offset in range(3):
        headers = [("ce_id", b"7"), (PLACE, b"x")] if offset == at else [("ce_id", b"7")]
        builder.append(offset, 1_000, b"key", b"value %d" % offset, headers)
    return _named(builder, codec, name)


def _named(builder: Any, codec: int, name: bytes) -> bytes:
    """The batch with the name in its place, compressed, with the sum that makes a broker believe it."""
    plain = bytearray(builder.build())
    plain = bytearray(bytes(plain).replace(PLACE.encode(), name))
    if codec:
        packed = ENCODERS[codec](bytes(plain[61:]))
        plain = plain[:61] + bytearray(packed)
        plain[21:23] = codec.to_bytes(2)
        plain[8:12] = (len(plain) - 12).to_bytes(4)
    plain[17:21] = calc_crc32c(bytes(plain[21:])).to_bytes(4)
    return bytes(plain)


def read(raw: bytes) -> Iterator[Any]:
    records = Records(raw)
    assert records.size_in_bytes() == len(raw)
    while records.has_next():
        one = records.next_batch()
        assert one.validate_crc()
        assert one.is_control_batch is False
        yield from one


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("name", NAMES)
def test_every_message_of_the_batch_is_read(name: str, codec: str) -> None:
    raw = batch(CODECS[codec], NAMES[name])
    with pytest.raises((UnicodeDecodeError, ValueError)):
        list(DefaultRecordBatch(raw))
    after = batch(0, b"good", at=0)
    found = list(read(raw + after))
    assert [record.value for record in found] == [b"value 0", b"value 1", b"value 2"] * 2
    assert [record.offset for record in found] == [0, 1, 2] * 2
    assert [len(record.headers) for record in found] == [1, 2, 1, 2, 1, 1]
    [ours, other] = found[1].headers
    assert ours == ("ce_id", b"7")
    assert other == (NAMES[name].decode("utf-8", "backslashreplace"), b"x")

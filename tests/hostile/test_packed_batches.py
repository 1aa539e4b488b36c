"""Row 2: a few kilobytes on the wire can unpack to gigabytes; nothing is unpacked beyond a bound."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import random
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cramjam
import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from services.followup.app import SERVICE as FOLLOWUP
from services.plans.app import SERVICE as PLANS
from shared.contracts.intake import PatientAdmitted
from shared.kit.batches import Records, patch_fetcher
from shared.kit.unpacking import UNPACKED_BYTES_MAX, Packed, codec_of, unpacked
from shared.runtime.core.dead_letter import REASONS
from shared.runtime.service import Service
from tests.hostile.listening import Hearing
from tests.hostile.test_header_names import CODECS, ENCODERS

MB = 1_000_000
PEAK_MB_MAX = 70
PACKERS: dict[str, tuple[int, Any]] = {
    name: (kind, ENCODERS[kind]) for name, kind in CODECS.items() if kind
} | {
    "snappy in one block": (2, lambda data: bytes(cramjam.snappy.compress_raw(data))),
    "gzip in two members": (1, lambda data: gzip.compress(data[:50]) + gzip.compress(data[50:])),
}
BOMBS = {
    "one message of 100 MB": [100 * MB],
    "a hundred messages of 1 MB": [MB] * 100,
    "a small one before and behind it": [10, 30 * MB, 10],
    "forty thousand of next to nothing": [300] * 40_000,
    "just above the bound": [UNPACKED_BYTES_MAX],
}


@lru_cache(maxsize=1)
def plain_batch(*sizes: int) -> bytes:
    """A batch of messages of blanks."""
    builder: Any = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, sum(sizes) + 100 * len(sizes))
    for offset, size in enumerate(sizes):
        assert builder.append(offset, 1_000, b"key", b" " * size, []) is not None
    return bytes(builder.build())


def batch(sizes: list[int], packer: str, base: int = 0) -> bytes:
    """The same, packed."""
    kind, pack = PACKERS[packer]
    plain = plain_batch(*sizes)
    raw = bytearray(plain[:61] + pack(plain[61:]))
    raw[0:8] = base.to_bytes(8)
    raw[8:12] = (len(raw) - 12).to_bytes(4)
    raw[21:23] = kind.to_bytes(2)
    raw[17:21] = calc_crc32c(bytes(raw[21:])).to_bytes(4)
    return bytes(raw)


def read(raw: bytes) -> list[Any]:
    records = Records(raw)
    found: list[Any] = []
    while records.has_next():
        one = records.next_batch()
        assert one.validate_crc()
        found += one
    return found


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("name", BOMBS)
def test_a_message_stands_for_a_batch_that_is_too_large(name: str, packer: str) -> None:
    sizes = BOMBS[name]
    bomb = batch(sizes, packer)
    stand_in, *behind = read(bomb + batch([5, 5], packer, base=len(sizes)))
    assert isinstance(stand_in.value, Packed)
    assert stand_in.offset == len(sizes) - 1
    assert (stand_in.value.length, len(stand_in.value)) == (len(bomb), min(len(bomb), 1_024))
    assert stand_in.value.sha256 == hashlib.sha256(bomb).hexdigest()
    assert [one.value for one in behind] == [b" " * 5] * 2


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize(
    "sizes", [[1], [5 * MB], [MB] * 9, [0] * 5_000], ids=["one", "large", "many", "empty"]
)
def test_what_is_within_the_bound_is_read_whole(sizes: list[int], packer: str) -> None:
    assert [one.value for one in read(batch(sizes, packer))] == [b" " * size for size in sizes]


@pytest.mark.parametrize("packer", PACKERS)
def test_what_does_not_unpack_at_all_is_no_exception(packer: str) -> None:
    draw = random.Random(7)
    raw = batch([200, 3_000], packer)
    for _ in range(300):
        spoilt = bytearray(raw[: draw.randrange(62, len(raw) + 1)])
        for _ in range(draw.randrange(4)):
            spoilt[draw.randrange(61, len(spoilt))] = draw.randrange(256)
        assert unpacked(bytes(spoilt)) is None or codec_of(unpacked(bytes(spoilt)) or b"") == 0


MEASURED = """
import resource, sys
from functools import lru_cache
from pathlib import Path
from tests.hostile.test_packed_batches import batch, read
raws = [Path(name).read_bytes() for name in sys.argv[1:]]
read(batch([10], "zstd"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for raw in raws:
    read(raw)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_the_space_is_bounded(tmp_path: Path) -> None:
    """Measured from outside, for Python does not see what the libraries take."""
    bombs = [batch([100 * MB], packer) for packer in PACKERS]
    bombs += [batch([MB] * 9, packer) for packer in PACKERS]
    files = [tmp_path / str(n) for n in range(len(bombs))]
    for file, bomb in zip(files, bombs, strict=True):
        file.write_bytes(bomb)
    run = [sys.executable, "-c", MEASURED, *map(str, files)]
    found = subprocess.run(run, check=True, capture_output=True, text=True)
    assert int(found.stdout) < PEAK_MB_MAX


async def test_one_answer_holds_little_more_than_the_bound() -> None:
    patch_fetcher()
    held = {TopicPartition("care.intake", n): SimpleNamespace() for n in range(12)}
    for state in held.values():
        state.paused, state.position = False, 0
        state.consumed_to = lambda offset, state=state: setattr(state, "position", offset)
    assignment: Any = SimpleNamespace(active=True, state_value=held.__getitem__)
    raw = b"".join(batch([MB] * 5, "zstd", base=5 * n) for n in range(3))
    make: Any = fetcher
    results = [
        make.FetchResult(
            tp,
            assignment=assignment,
            partition_records=make.PartitionRecords(tp, Records(raw), [], 0, None, None, True, 0),
            backoff=0,
        )
        for tp in held
    ]
    rounds, offsets = 0, {tp: list[int]() for tp in held}
    while any(result.has_more() for result in results):
        given = [one for result in results if result.has_more() for one in result.getall(500)]
        for one in given:
            offsets[TopicPartition(one.topic, one.partition)].append(one.offset)
        assert 0 < sum(len(one.value) for one in given) <= 2 * UNPACKED_BYTES_MAX
        await asyncio.sleep(0)  # the next answer comes in a later step of the loop
        rounds += 1
    assert rounds > 12
    assert all(found == list(range(15)) for found in offsets.values())


@pytest.mark.parametrize("service", [PLANS, FOLLOWUP], ids=lambda service: service.name)
async def test_it_becomes_a_dead_letter_and_the_partition_moves_on(service: Service) -> None:
    hearing = Hearing(service)
    raw = batch([100 * MB], "zstd")
    [stand_in] = read(raw)
    hearing.send(PatientAdmitted, [], value=stand_in.value)
    hearing.send(PatientAdmitted, hearing.headers(PatientAdmitted, "ordinary"))
    await hearing.hear()
    [row] = hearing.dead_letters()
    assert row["reason"] == "batch-too-large"
    assert row["reason"] in REASONS
    assert row["position"]["offset"] == 0
    assert row["digest"] == {"sha256": hashlib.sha256(raw).hexdigest(), "length": len(raw)}
    assert bytes(row["data"]) == raw[:1_024]
    subject = hearing.headers(PatientAdmitted, "ordinary")["ce_subject"].decode()
    assert subject in hearing.served.disk.records

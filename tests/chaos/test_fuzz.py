"""Malformed records and malformed bodies: nothing crashes, nothing answers 5xx, and every one is accounted for.

`make fuzz` sends 100,000 of each; an ordinary run of the tests sends a few thousand. The limit on dead letters is off
here; that it halts and resumes is shown in tests/unit/runtime and tests/integration.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any
from uuid import UUID

import pytest
from aiokafka import TopicPartition
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from httpx2 import ASGITransport, AsyncClient

from services.attendance.app import SERVICE as ATTENDANCE
from services.followup.app import SERVICE as FOLLOWUP
from services.intake.app import SERVICE as INTAKE
from services.plans.app import SERVICE as PLANS
from shared.contracts.event import CATALOGUE
from shared.contracts.publish.examples import example_of
from shared.contracts.topics import PARTITIONS
from shared.runtime.service import Service
from tests.hostile.listening import listening, message
from tests.unit.served import Served

EACH = int(os.environ.get("FUZZ") or 4_000)
SERVICES = [INTAKE, PLANS, ATTENDANCE, FOLLOWUP]
BATCH = 200
CODECS = [0, 1, 2, 3, 4]
"""None, gzip, snappy, lz4 and zstd, by their numbers in a batch."""
Parts = tuple[bytes | None, list[tuple[str, bytes]], bytes | None]
"""Key, headers and value of a record."""


# --- what is wrong with it --------------------------------------------------------------------------------


def noise(chance: Random, most: int = 200) -> bytes:
    return chance.randbytes(chance.randrange(most))


def junk(chance: Random, depth: int = 0) -> Any:  # noqa: C901, PLR0911 - a table of cases
    """A JSON value that nobody expects."""
    match chance.randrange(11 if depth < 3 else 8):
        case 0:
            return None
        case 1:
            return chance.choice((True, False))
        case 2:
            return chance.choice((0, -1, 10**30, -(10**400), 2**63, 1e308))
        case 3:
            return chance.random() * 10 ** chance.randrange(-300, 300)
        case 4:
            return chance.choice(
                ("", "\u0000", "\ud83d\ude00" * 50, "2026-99-99", "NaN", "x" * 5000)
            )
        case 5:
            return str(UUID(int=chance.getrandbits(128)))
        case 6:
            return "9999-12-31T23:59:59-14:00"
        case 7:
            return noise(chance, 40).decode("latin-1")
        case 8:
            return [junk(chance, depth + 1) for _ in range(chance.randrange(5))]
        case 9:
            return {str(n): junk(chance, depth + 1) for n in range(chance.randrange(5))}
        case _:
            return {"episode_id": junk(chance, 3), "edition": junk(chance, 3)}


def nested(chance: Random) -> bytes:
    depth = chance.choice((50, 2_000, 60_000))
    return chance.choice((b"[" * depth, b'{"a":' * depth, b"[" * depth + b"]" * depth))


def numbers(chance: Random) -> bytes:
    huge = chance.choice(("1e999", "-1e999", "9" * 5_000, "0." + "3" * 5_000, "NaN", "Infinity"))
    return f'{{"minutes_credited": {huge}, "step": {huge}}}'.encode()


def truncated(chance: Random, value: bytes) -> bytes:
    return value[: chance.randrange(len(value) or 1)]


def retyped(chance: Random, value: bytes) -> bytes:
    """The same fields, with values of another sort; or fields that are missing."""
    data = json.loads(value)
    for name in list(data):
        if chance.random() < 0.4:
            data[name] = junk(chance)
        elif chance.random() < 0.2:
            del data[name]
    return json.dumps(data).encode("utf-8", "replace")


def bad_text(chance: Random, value: bytes) -> bytes:
    at = chance.randrange(len(value) or 1)
    return value[:at] + chance.choice((b"\xff", b"\xed\xa0\x80", b"\x00", b"\xc0\xaf")) + value[at:]


VALUES: list[Callable[[Random, bytes], bytes | None]] = [
    lambda chance, _: noise(chance, 2_000),
    truncated,
    lambda chance, _: nested(chance),
    lambda chance, _: numbers(chance),
    retyped,
    bad_text,
    lambda _, __: None,
    lambda _, __: b"",
    lambda chance, _: json.dumps(junk(chance)).encode("utf-8", "replace"),
    lambda _, value: value[:-1] + b" " * 600_000 + value[-1:],
    lambda chance, value: value + b" " * chance.choice((523_000, 524_288, 2_000_000)),
]


def bad_headers(  # noqa: C901 - a table of cases
    chance: Random, headers: list[tuple[str, bytes]]
) -> list[tuple[str, bytes]]:
    changed = list(headers)
    at = chance.randrange(len(changed))
    name, value = changed[at]
    match chance.randrange(11):
        case 7:  # too large as a whole, though its data is not
            changed.append(("note", b"x" * chance.choice((15_000, 20_000, 600_000))))
        case 8:
            changed.append((chance.choice(("x" * 20_000, "", "\u0000", "ce_\u202e")), b"1"))
        case 9:
            changed = [(n, v) for n, v in changed if n != "ce_traceparent"]
            changed.append(("ce_traceparent", chance.choice((b"ZZ", b"\xff", b"0" * 55, value))))
        case 10:
            changed[at] = (name, value + chance.choice((b"\n", b" ", b"\x00", "\u0301".encode())))
        case 0:
            del changed[at]
        case 1:
            changed[at] = (name, noise(chance))
        case 2:
            changed[at] = (name, b"\xff\xfe" + value)
        case 3:
            changed.append((name, noise(chance)))
        case 4:
            changed += [(f"ce_bomb{n}", b"x" * 50) for n in range(2_000)]
        case 5:
            changed[at] = (name, value * 2_000)
        case _:
            changed[at] = (
                name,
                chance.choice((b"0", b"-1", b"9" * 40, "१".encode(), b"care.x.y.v9")),
            )
    return changed


def malformed(chance: Random, event_type: str) -> Parts:
    """A record that was one of ours once. A few are left whole: they have to be applied among all the rest."""
    example = example_of(CATALOGUE[event_type])
    subject = f"{CATALOGUE[event_type].SUBJECT}/{UUID(int=chance.randrange(1, 500))}"
    number = chance.choice((1, 1, 1, 2, 3))
    attributes = example["headers"] | {
        "ce_subject": subject,
        "ce_sequence": str(number),
        "ce_id": str(UUID(int=chance.getrandbits(128))),
    }
    headers = [(name, str(value).encode()) for name, value in attributes.items()]
    value: bytes | None = json.dumps(example["data"]).encode()
    key: bytes | None = subject.encode()
    what = chance.random()
    if what < 0.45:
        value = chance.choice(VALUES)(chance, value)
    elif what < 0.85:
        headers = bad_headers(chance, headers)
    elif what < 0.95:
        key = chance.choice((None, b"", noise(chance), subject.encode()[:-1]))
    return key, headers, value


def carried(chance: Random, parts: Parts) -> Parts:
    """The same record, packed into a batch as a producer packs it, with any codec, and unpacked as a consumer does."""
    key, headers, value = parts
    build: Any = DefaultRecordBatchBuilder  # of an extension module without types
    batch = build(
        magic=2,
        compression_type=chance.choice(CODECS),
        is_transactional=False,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=64 * 1024 * 1024,
    )
    assert batch.append(0, timestamp=1, key=key, value=value, headers=headers) is not None
    records = MemoryRecords(bytes(batch.build()))
    unpacked: Any = next(iter(records.next_batch() or ()))
    assert (unpacked.key, unpacked.value) == (key, value)
    return unpacked.key, list(unpacked.headers), unpacked.value


# --- records ----------------------------------------------------------------------------------------------


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
async def test_every_malformed_record_is_accounted_for(service: Service) -> None:
    chance = Random(f"records for {service.name}")
    served, consumer, member, log = listening(service)
    types = sorted(t for t, e in CATALOGUE.items() if e.SOURCE in service.reactions.topics)
    total = EACH // len(SERVICES)
    told = 0
    while told < total:
        for _ in range(min(BATCH, total - told)):
            event_type = chance.choice(types)
            key, headers, value = carried(chance, malformed(chance, event_type))
            tp = TopicPartition(CATALOGUE[event_type].SOURCE, chance.randrange(PARTITIONS))
            partition = log.partitions[tp]
            partition.append(message(tp, len(partition), key, headers, value))
            told += 1
        while batch := member.fetch(BATCH):
            await consumer.on_batch(batch)
            assert consumer.healthy, "a batch that can't be processed is fetched for ever"
    await served.quiet()
    committed = sum(member._group.committed.values())
    assert committed == told
    count = served.metrics.registry.get_sample_value
    dead_letters = Counter(row["reason"] for row in served.disk.dead_letter_documents())
    settled = {
        status: int(count("care_work_total", {"kind": "event", "status": status}) or 0)
        for status in ("applied", "duplicate")
    }
    skipped = sum(
        int(count("care_events_skipped_total", {"source": topic}) or 0)
        for topic in service.reactions.topics
    )
    assert sum(dead_letters.values()) + sum(settled.values()) + skipped == told, (
        dead_letters,
        settled,
    )
    assert settled["applied"] > 0
    assert dead_letters["headers-undecodable"] > 0
    assert dead_letters["data-invalid"] > 0


# --- bodies -----------------------------------------------------------------------------------------------


def body(chance: Random) -> bytes:  # noqa: PLR0911 - a table of cases
    match chance.randrange(7):
        case 0:
            return noise(chance, 2_000)
        case 1:
            return nested(chance)
        case 2:
            return numbers(chance)
        case 3:
            return truncated(chance, json.dumps(junk(chance)).encode("utf-8", "replace"))
        case 4:
            return bad_text(chance, b'{"episode_id": "x", "reason": "y"}')
        case 5:
            return b""
        case _:
            fields = ("episode_id", "person_id", "kind", "reason", "starts_at", "entries", "roster")
            made = {chance.choice(fields): junk(chance) for _ in range(chance.randrange(6))}
            return json.dumps(made).encode("utf-8", "replace")


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
async def test_no_malformed_body_is_answered_with_5xx(service: Service) -> None:
    chance = Random(f"bodies for {service.name}")
    served = Served(service)
    app = served.app
    routes = [
        (method.upper(), path)
        for path, operations in app.openapi()["paths"].items()
        for method in operations
        if method in ("post", "put", "patch") and not path.startswith("/ops")
    ]
    assert len(routes) > 5
    statuses: Counter[int] = Counter()
    async with AsyncClient(transport=ASGITransport(app), base_url="http://care") as client:
        for n in range(EACH // len(SERVICES)):
            method, path = chance.choice(routes)
            filled = "/".join(
                str(UUID(int=chance.getrandbits(128))) if part.startswith("{") else part
                for part in path.split("/")
            )
            served.acting_as(chance.choice(ROLES))
            headers = {"Idempotency-Key": f"fuzz {n}", "Content-Type": "application/json"}
            answer = await client.request(method, filled, content=body(chance), headers=headers)
            statuses[answer.status_code] += 1
            assert answer.status_code < 500, (method, path, answer.text)
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json", (method, path)
                assert answer.json()["code"]
    await asyncio.sleep(0)
    assert statuses[422] > 0


ROLES = [
    *("clinician", "counselor", "case_manager", "nurse", "intake_coordinator"),
    *("clinical_supervisor", "program_director", "privacy_officer", "operator", "partner"),
]

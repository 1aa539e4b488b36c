"""Row 2: what is larger than an event may be is kept in part, and the partition moves on."""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple

import pytest

from services.followup.app import SERVICE as FOLLOWUP
from services.plans.app import SERVICE as PLANS
from shared.contracts.event import HEADERS_BYTES_MAX, HEADERS_MAX, MAX_EVENT_BYTES
from shared.contracts.intake import EpisodeEnteredInError, PatientAdmitted
from shared.contracts.publish.examples import example_of
from shared.runtime.core.dead_letter import HEADER_KEPT_BYTES, KEPT_BYTES, DeadLetter, message_of
from shared.runtime.core.original import MessageOriginal
from shared.runtime.kafka.reading import Reader
from shared.runtime.service import Service
from tests.hostile.listening import Hearing

DATA = json.dumps(example_of(PatientAdmitted)["data"]).encode()
LARGE = 3_000_000
DOCUMENT_BYTES_MAX = MAX_EVENT_BYTES + HEADERS_BYTES_MAX + 8_192


class Bomb(NamedTuple):
    reason: str
    value: bytes = DATA
    more: tuple[tuple[str, bytes | None], ...] = ()
    key: bytes | None = None


BOMBS = {
    "twenty megabytes of blanks behind the data": Bomb("too-large", DATA + b" " * 20_000_000),
    "blanks within it": Bomb("too-large", DATA[:-1] + b" " * LARGE + DATA[-1:]),
    "blanks before it": Bomb("too-large", b" " * LARGE + DATA),
    "a long text in a known field": Bomb(
        "too-large", json.dumps({**json.loads(DATA), "program": "x" * LARGE}).encode()
    ),
    "an unknown field": Bomb(
        "too-large", json.dumps({**json.loads(DATA), "note": "x" * LARGE}).encode()
    ),
    "a deep nest": Bomb("too-large", b"[" * LARGE),
    "zero bytes": Bomb("too-large", bytes(LARGE)),
    "no UTF-8": Bomb("too-large", b"\xff" * LARGE),
    "one byte too many": Bomb("too-large", DATA + b" " * MAX_EVENT_BYTES),
    "data and headers together": Bomb(
        "too-large", DATA + b" " * (MAX_EVENT_BYTES - len(DATA) - 500)
    ),
    "a thousand headers": Bomb(
        "headers-too-large", more=tuple((f"ce_bomb{n}", b"x" * 50) for n in range(1_000))
    ),
    "one long header": Bomb("headers-too-large", more=(("note", b"x" * LARGE),)),
    "one long name": Bomb("headers-too-large", more=(("n" * LARGE, b"x"),)),
    "headers without a value": Bomb(
        "headers-too-large", more=tuple((f"h{n}", None) for n in range(HEADERS_MAX))
    ),
    "the same header again and again": Bomb("headers-too-large", more=(("h", b""),) * 500),
    "a long key": Bomb("subject-mismatch", key=b"k" * 900_000),
}


@pytest.mark.parametrize("service", [PLANS, FOLLOWUP], ids=lambda service: service.name)
@pytest.mark.parametrize("name", BOMBS)
async def test_it_is_kept_in_part_and_the_partition_moves_on(service: Service, name: str) -> None:
    bomb = BOMBS[name]
    hearing = Hearing(service)
    headers = [*hearing.headers(PatientAdmitted, "hostile").items(), *bomb.more]
    hearing.send(PatientAdmitted, headers, value=bomb.value, key=bomb.key)
    hearing.send(PatientAdmitted, hearing.headers(PatientAdmitted, "ordinary"))
    await hearing.hear()
    [row] = hearing.dead_letters()
    assert row["reason"] == bomb.reason
    assert row["position"]["offset"] == 0
    assert len(hearing.served.disk.dead_letters[row["_id"]]) < DOCUMENT_BYTES_MAX
    assert len(row["headers"]) <= HEADERS_MAX
    assert len(row["key"]) <= KEPT_BYTES
    if len(bomb.value) > MAX_EVENT_BYTES:
        assert bytes(row["data"]) == bomb.value[:KEPT_BYTES]
        digest = hashlib.sha256(bomb.value).hexdigest()
        assert row["digest"] == {"sha256": digest, "length": len(bomb.value)}
    if bomb.more:
        assert all(len(name) <= HEADER_KEPT_BYTES for name, _ in row["headers"])
    assert f"episode/{hearing.headers(PatientAdmitted, 'ordinary')['ce_subject'].decode()[8:]}" in (
        hearing.served.disk.records
    ), "the ordinary event behind it was applied"


async def test_the_beginning_of_a_large_message_is_never_taken_for_the_whole() -> None:
    """Cut after a kilobyte, this one would be a valid event."""
    hearing = Hearing(PLANS)
    data = example_of(EpisodeEnteredInError)["data"]
    value = json.dumps(data).encode() + b" " * LARGE
    hearing.send(
        EpisodeEnteredInError, hearing.headers(EpisodeEnteredInError, "hostile"), value=value
    )
    await hearing.hear()
    [row] = hearing.dead_letters()
    assert EpisodeEnteredInError.parse(bytes(row["data"]))
    original = DeadLetter.from_document(row).original
    assert isinstance(original, MessageOriginal)
    read = Reader(PLANS.reactions).read(message_of(original), hearing.served.now())
    assert read.work is not None
    assert read.work.unreadable == "too-large"


async def test_a_message_at_the_limit_is_kept_whole_and_applied() -> None:
    hearing = Hearing(PLANS)
    headers = hearing.headers(PatientAdmitted, "large")
    size = sum(len(name) + len(value) for name, value in headers.items())
    room = MAX_EVENT_BYTES - size - len(headers["ce_subject"]) - len(DATA)
    hearing.send(PatientAdmitted, headers, value=DATA + b" " * room)
    await hearing.hear()
    assert hearing.dead_letters() == []

"""What poisons or silences: forged numbers, foreign facilities, another's records on our topic, wrong clocks, markers.

After each of them the consumer runs, everyone else's event is applied, and the thing is accounted for.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest
from aiokafka import TopicPartition

from shared.errors import SequenceConflict
from shared.runtime.kafka.positions import Positions
from shared.runtime.wall_clock import WallClock
from shared.testing.fakes import MemoryStore
from tests.unit.runtime.redriving import FEED, Noted, Rules, event_id, subject
from tests.unit.runtime.test_circuit_breaker import Running
from tests.unit.runtime.test_own_topic import STRANGER, checked, headers_of, message, said
from tests.unit.runtime.test_wall_clock import RIGHT, Keeper
from tests.unit.runtime.toy import EPISODES, KINDS

ABOUT, BYSTANDER = subject("forged"), subject("somebody else")

# --- numbers ------------------------------------------------------------------------------------------------

NUMBERS: Final[dict[str, tuple[str, set[str]]]] = {
    "one above its place": ("4", {"sequence-impossible"}),
    "far above its place": (str(10**17), {"sequence-impossible"}),
    "the highest of eighteen digits": ("9" * 18, {"sequence-impossible"}),
    "more digits than there are": ("9" * 19, {"envelope-invalid"}),
    "the last one's, with another id": ("2", {"sequence-conflict"}),
    "an earlier one's, with another id": ("1", {"sequence-conflict"}),
    "nought": ("0", {"envelope-invalid"}),
    "below nought": ("-1", {"envelope-invalid"}),
    "with a sign": ("+3", {"envelope-invalid"}),
    "with a fraction": ("3.0", {"envelope-invalid"}),
    "with an exponent": ("1e17", {"envelope-invalid"}),
    "in base 16": ("0x3", {"envelope-invalid"}),
    "with a separator": ("1_000", {"envelope-invalid"}),
    "with a blank before it": (" 3", {"envelope-invalid"}),
    "with a line feed behind it": ("3\n", {"envelope-invalid"}),
    "in digits of another script": ("٣", {"envelope-invalid"}),
    "infinite": ("Infinity", {"envelope-invalid"}),
    "nothing": ("", {"envelope-incomplete"}),
}


@pytest.mark.parametrize("name", NUMBERS)
async def test_a_number_that_cannot_be_is_set_aside_and_nothing_is_taken_for_a_repeat(
    name: str,
) -> None:
    number, reasons = NUMBERS[name]
    it = Running(Rules())
    for _ in range(2):
        it.kafka.append(it.topics.say(Noted(amount=1), ABOUT))
    forged = it.topics.say(Noted(amount=1), ABOUT, sequence=number, id=event_id("forged"))
    it.kafka.append(forged)
    it.kafka.append(it.topics.say(Noted(amount=1), BYSTANDER))
    await it.hear(1)
    [row] = it.store.disk.dead_letter_documents()
    assert {row["reason"]} == reasons
    assert stored(it, ABOUT)["inbox"]["feed"][0] == 2
    assert stored(it, BYSTANDER)["state"]["total"] == 1
    at_work(it)


def stored(it: Running, about: str) -> dict[str, Any]:
    [document] = [d for d in it.store.disk.documents() if d["_id"] == about]
    return document


def at_work(it: Running) -> None:
    """The consumer runs, and every message is behind it."""
    assert it.consumer.healthy
    assert it.consumer.halted is None
    assert it.committed == sum(len(log) for log in it.kafka.logs.values())


# --- facilities -----------------------------------------------------------------------------------------------

FACILITIES: Final = {
    "another one": ("northside-iop", "other-facility"),
    "one whose name begins alike": ("harbor-iop-2", "other-facility"),
    "one whose name is cut off": ("harbor", "other-facility"),
    "digits alone": ("000", "other-facility"),
    "a UUID": (event_id("a facility"), "other-facility"),
    "the partner's": ("harbor-detox", "other-facility"),
    "in capitals": ("Harbor-IOP", "envelope-invalid"),
    "everything": ("*", "envelope-invalid"),
    "nothing": ("", "envelope-incomplete"),
    "two of them": ("harbor-iop, northside-iop", "envelope-invalid"),
    "with a blank behind it": ("harbor-iop ", "envelope-invalid"),
    "with a zero byte": ("harbor-iop\x00", "envelope-invalid"),
    "with a letter that looks alike": ("hаrbor-iop", "envelope-invalid"),
    "an operator of the store": ('{"$ne": ""}', "envelope-invalid"),
}


@pytest.mark.parametrize("name", FACILITIES)
async def test_an_event_of_another_facility_changes_no_record(name: str) -> None:
    """An `episode-entered-in-error` of another facility voided an episode in three services."""
    facility, reason = FACILITIES[name]
    it = Running(Rules())
    it.kafka.append(it.topics.say(Noted(amount=1), ABOUT))
    it.kafka.append(it.topics.say(Noted(amount=50), ABOUT, facilityid=facility))
    it.kafka.append(it.topics.say(Noted(amount=1), BYSTANDER))
    await it.hear(1)
    [row] = it.store.disk.dead_letter_documents()
    assert row["reason"] == reason
    assert stored(it, ABOUT)["facility_id"] == "harbor-iop"
    assert stored(it, ABOUT)["state"]["total"] == 1
    assert stored(it, BYSTANDER)["state"]["total"] == 1
    at_work(it)


# --- another's records on our own topic --------------------------------------------------------------------------

FOREIGN: Final[dict[str, dict[str, str]]] = {
    "an id that follows from nothing": {"id": STRANGER},
    "an id that is none": {"id": "x"},
    "an id in capitals": {"id": STRANGER.upper()},
    "another number": {"sequence": "9"},
    "a number that cannot be": {"sequence": str(10**17)},
    "a number that is none": {"sequence": "one"},
    "another cause": {"causationid": STRANGER},
    "another source": {"source": "care.other"},
    "a source that is none": {"source": "https://elsewhere.example"},
    "another record": {"subject": EPISODES[1]},
    "a record of another kind": {"subject": EPISODES[0].replace("episode", "staff")},
    "a record that is none": {"subject": "episode/1"},
    "no version of CloudEvents": {"specversion": "2.0"},
    "a type that is none": {"type": "x"},
    "a time that is none": {"time": "yesterday"},
}


@pytest.mark.parametrize("name", FOREIGN)
async def test_anothers_record_on_our_own_topic_keeps_no_start_from_happening(name: str) -> None:
    [one] = said(1)
    foreign = message(headers_of(one, **FOREIGN[name]))
    store = MemoryStore(KINDS)
    assert await checked(store, foreign) == 1
    with pytest.raises(SequenceConflict):  # and it hides none of our own
        await checked(store, foreign, one, foreign)


@pytest.mark.parametrize(
    "changes", [{"key": None}, {"key": b""}, {"key": b"\xff"}, {"headers": ()}], ids=str
)
async def test_a_record_without_key_or_headers_is_foreign(changes: dict[str, Any]) -> None:
    [one] = said(1)
    assert await checked(MemoryStore(KINDS), replace(one, **changes)) == 1


# --- clocks ------------------------------------------------------------------------------------------------------

CLOCKS: Final = {
    "a second beyond the bound": timedelta(seconds=61),
    "a second beyond it, slow": timedelta(seconds=-61),
    "summer time": timedelta(hours=1),
    "winter time": timedelta(hours=-1),
    "another zone": timedelta(hours=-5),
    "the zone of Kiritimati": timedelta(hours=14),
    "two days fast": timedelta(days=2),
    "a week slow": timedelta(days=-7),
    "the wrong year": timedelta(days=365),
    "a leap year": timedelta(days=-366),
    "a battery that was empty": -(RIGHT - RIGHT.replace(year=1970, month=1, day=1)),
    "GPS weeks rolled over": timedelta(weeks=-1024),
    "the end of 32 bits": timedelta(seconds=2**31),
}


@pytest.mark.parametrize("name", CLOCKS)
async def test_no_deadline_may_fire_on_a_clock_that_is_wrong(name: str) -> None:
    ours = [RIGHT + CLOCKS[name]]
    wall = WallClock(Keeper(), 60, lambda: ours[0])
    assert not await wall.agrees()
    assert wall.differs  # readiness says so
    ours[0] = RIGHT
    assert await wall.agrees()


# --- what no application sees ---------------------------------------------------------------------------------------

MARKED: Final[dict[str, tuple[list[int], int]]] = {
    "a marker at the end": ([0, 1, 2], 4),
    "two markers at the end": ([0, 1, 2], 5),
    "a marker at the beginning": ([1, 2, 3], 4),
    "markers alone": ([], 3),
    "one marker alone": ([], 1),
    "a marker in the middle": ([0, 2, 3], 4),
    "a marker behind each": ([0, 2, 4], 6),
    "a marker before each": ([1, 3, 5], 6),
    "a long transaction that was given up": ([0, 40], 41),
    "one message between markers": ([7], 20),
    "compacted to the last": ([99], 100),
    "compacted, and a marker at the end": ([99], 101),
}


@pytest.mark.parametrize("name", MARKED)
async def test_a_partition_with_gaps_is_caught_up_with(name: str) -> None:
    """A marker at the end of a partition kept a replica from firing any deadline, and it was ready."""
    offsets, end = MARKED[name]
    tp = TopicPartition(FEED, 0)
    it = Running(Rules())
    template = it.topics.say(Noted(amount=1), ABOUT)
    log = [replace(template, partition=0, offset=offset) for offset in offsets]
    client: Any = _Sparse(tp, end)
    positions = Positions([FEED], _nothing_noted)
    await positions.take_target(client)
    client.at = end  # the client has come to the end of the partition
    if log:
        positions.take(log)
        assert not await positions.caught_up(client)
        kept, gaps = await positions.without_gaps(client, log)
        if gaps:  # fetched once more, it is still there
            kept, gaps = await positions.without_gaps(client, log)
        assert (list(kept), gaps) == (log, [])
        positions.advance({tp: offsets[-1] + 1})
    assert await positions.caught_up(client)


async def _nothing_noted() -> dict[str, int]:
    return {}


class _Sparse:
    """A client of one partition, in which some offsets hold nothing that an application sees."""

    def __init__(self, tp: TopicPartition, end: int) -> None:
        self.tp, self.end, self.at = tp, end, 0

    def assignment(self) -> set[TopicPartition]:
        return {self.tp}

    async def committed(self, _tp: TopicPartition) -> int | None:
        return None

    async def position(self, _tp: TopicPartition) -> int:
        return self.at

    async def beginning_offsets(self, _tps: object) -> dict[TopicPartition, int]:
        return {self.tp: 0}

    async def end_offsets(self, _tps: object) -> dict[TopicPartition, int]:
        return {self.tp: self.end}

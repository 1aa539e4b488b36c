"""Numbers against places: a message whose number its partition can't hold is not believed, and blinds no alarm."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.runtime.redriving import Noted, Rules, event_id, subject
from tests.unit.runtime.test_circuit_breaker import FEED, Running

GOOD = Rules()
ABOUT = subject("forged")


def gaps(it: Running) -> float:
    return it.metrics.registry.get_sample_value("care_sequence_gaps_total", {"source": FEED}) or 0


def kept(it: Running) -> dict[str, Any]:
    [document] = [d for d in it.store.disk.documents() if d["_id"] == ABOUT]
    return document


def say(it: Running, **changes: Any) -> None:
    it.kafka.append(it.topics.say(Noted(amount=1), ABOUT, **changes))


@pytest.mark.parametrize("number", [3, 4, 100, 10**17, 10**18 - 1])
async def test_a_forged_number_blocks_its_stream_and_poisons_nothing(number: int) -> None:
    it = Running(GOOD)
    say(it)
    say(it, sequence=str(number), id=event_id("forged"))
    await it.hear()
    document = kept(it)
    assert document["blocked"] == {"feed": "sequence-impossible"}
    assert document["inbox"]["feed"][0] == 1
    [row] = it.store.disk.dead_letter_documents()
    assert (row["reason"], row["stream"]) == ("sequence-impossible", "feed")
    assert gaps(it) == 0


@pytest.mark.parametrize("before", [0, 1, 7, 500])
async def test_a_topic_that_was_made_again_has_its_numbers_before(before: int) -> None:
    it = Running(GOOD)
    say(it, sequence="1")
    [tp] = [tp for tp, log in it.kafka.logs.items() if log]
    it.consumer.reader.numbers_before = {(tp.topic, tp.partition): before}
    say(it, sequence=str(before + 2))
    await it.hear()
    assert kept(it)["inbox"]["feed"][0] == before + 2
    assert kept(it)["blocked"] == {}
    say(it, sequence=str(before + 4))
    await it.hear()
    assert kept(it)["blocked"] == {"feed": "sequence-impossible"}


async def test_a_forged_number_does_not_blind_the_alarm_for_lost_events() -> None:
    it = Running(GOOD)
    for number in ("1", "1", "1", str(10**17), "4"):
        say(it, sequence=number)
    await it.hear()
    assert gaps(it) == 1


async def test_what_a_plausible_number_overtook_is_set_aside_and_the_stream_goes_on() -> None:
    it = Running(GOOD)
    say(it, sequence="1", id=event_id("one"))
    say(it, sequence="1", id=event_id("one"))
    say(it, sequence="3", id=event_id("forged"))
    say(it, sequence="2", id=event_id("two"))
    say(it, sequence="4", id=event_id("four"))
    await it.hear()
    assert kept(it)["inbox"]["feed"][0] == 4
    assert kept(it)["blocked"] == {}
    [row] = it.store.disk.dead_letter_documents()
    assert (row["reason"], row["stream"], row["sequence"]) == ("sequence-missed", None, 2)

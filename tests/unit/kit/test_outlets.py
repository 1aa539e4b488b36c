"""An outlet in place of the services' topics: gaps by its own count, and the next topic where it ends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.outlets import OUT_EARLIER, OUT_SEQUENCE, TOPIC_ENDED, outlet_topic
from shared.kit.errors import Refused
from shared.kit.inboxes.sqlite import SQLiteInbox
from shared.kit.messages import Kept
from shared.kit.notices import Conflict, Gap, SetAside
from shared.kit.outlets import Ends, followed, successor_of
from tests.unit.kit.subscribed import ATTENDED, History, Subscribed, file_of

FIRST, SECOND = outlet_topic("billing"), outlet_topic("billing", 2)


class Outlet:
    """A topic that passes on what a history has said."""

    def __init__(self, topic: str, history: History) -> None:
        self.topic = topic
        self._history = history
        self._offset = -1

    def passes(self, subject: str, number: int, out: int, *, earlier: str = "") -> Kept:
        """Event `number` of a subject as event `out` of this topic."""
        said = self._history.say(ATTENDED, subject, sequence=number)
        added = [(OUT_SEQUENCE, f"{out:018}".encode())]
        added += [(OUT_EARLIER, earlier.encode())] if earlier else []
        return self.has(said.key, said.value, [*said.headers, *added])

    def ends(self, successor: str | None) -> Kept:
        data = {} if successor is None else {"successor": successor}
        headers = [("ce_type", TOPIC_ENDED.encode()), (OUT_SEQUENCE, b"1")]
        return self.has(b"topic/1", json.dumps(data).encode(), headers)

    def has(self, key: bytes | None, value: bytes | None, headers: object) -> Kept:
        self._offset += 1
        return Kept(self.topic, 0, self._offset, key, value, headers)  # type: ignore[arg-type]


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Subscribed]:
    subscribed = Subscribed(SQLiteInbox(file_of(tmp_path)))
    await subscribed.open()
    yield subscribed
    await subscribed.inbox.close()


async def test_numbers_that_a_team_may_not_read_are_no_gap(
    it: Subscribed, history: History, subject: str
) -> None:
    outlet = Outlet(FIRST, history)
    await it.hear([outlet.passes(subject, n, out) for out, n in enumerate((2, 5, 9), 1)])
    assert it.numbers == [2, 5, 9]
    assert it.told == []


async def test_a_missing_count_is_a_gap(it: Subscribed, history: History, subject: str) -> None:
    outlet = Outlet(FIRST, history)
    await it.hear([outlet.passes(subject, 1, 1), outlet.passes(subject, 2, 3)])
    assert it.numbers == [1, 2]
    assert it.told == [Gap(f"{FIRST}/care.attendance", subject, 2, 2)]


async def test_a_repeat_is_handled_once_and_another_event_under_its_number_waits(
    it: Subscribed, history: History, subject: str
) -> None:
    outlet = Outlet(FIRST, history)
    one = outlet.passes(subject, 1, 1)
    again = outlet.has(one.key, one.value, one.headers)
    await it.hear([one, again, outlet.passes(subject, 2, 1)])
    assert it.numbers == [1]
    assert it.delivery.metrics.duplicates == 1
    assert {type(notice) for notice in it.told} == {Conflict, SetAside}


@pytest.mark.parametrize("text", [b"", b"0", b"-1", b"1.5", b"x", b"1" * 19])
async def test_without_a_count_an_event_is_set_aside(
    it: Subscribed, history: History, subject: str, text: bytes
) -> None:
    outlet = Outlet(FIRST, history)
    one = outlet.passes(subject, 1, 1)
    headers = [(n, text if n == OUT_SEQUENCE else raw) for n, raw in one.headers]
    await it.hear([one._replace(headers=headers)])
    assert it.numbers == []
    assert [one.reason for one in it.delivery.aside] == ["unreadable"]


async def test_the_next_topic_brings_what_is_new_and_nothing_twice(
    it: Subscribed, history: History, subject: str
) -> None:
    first, second = Outlet(FIRST, history), Outlet(SECOND, history)
    await it.hear([first.passes(subject, 1, 1), first.passes(subject, 3, 2)])
    it.handlers.followed = followed([topic for topic, _ in await it.inbox.offsets()], SECOND)
    await it.hear(
        [
            second.passes(subject, 1, 1, earlier="1"),
            second.passes(subject, 2, 2),
            second.passes(subject, 3, 3, earlier="1"),
            second.passes(subject, 4, 4),
        ]
    )
    assert it.numbers == [1, 3, 2, 4]
    assert it.told == []


async def test_who_begins_with_the_second_topic_handles_all_of_it(
    it: Subscribed, history: History, subject: str
) -> None:
    second = Outlet(SECOND, history)
    it.handlers.followed = followed([topic for topic, _ in await it.inbox.offsets()], SECOND)
    await it.hear([second.passes(subject, 1, 1, earlier="1"), second.passes(subject, 2, 2)])
    assert it.numbers == [1, 2]


@given(st.sets(st.integers(1, 20)), st.integers(1, 20))
def test_only_earlier_topics_of_the_same_team_were_followed(read: set[int], here: int) -> None:
    topics = [outlet_topic("billing", n) for n in read]
    others = ["care.intake", outlet_topic("billing-2"), outlet_topic("bill")]
    found = followed([*topics, *others], outlet_topic("billing", here))
    assert found == {n for n in read if n < here}


def test_it_goes_on_when_every_partition_held_has_ended(history: History, subject: str) -> None:
    outlet, ends = Outlet(FIRST, history), Ends()
    event, last = outlet.passes(subject, 1, 1), outlet.ends(SECOND)
    assert ends.take([event, last]) == [event]
    assert ends.lead_to({(FIRST, 0): 1, (FIRST, 1): 0}) == ""
    assert ends.take([last._replace(partition=1, offset=0)]) == []
    assert ends.lead_to({(FIRST, 0): 1, (FIRST, 1): 0}) == SECOND
    assert ends.lead_to({(FIRST, 0): 0, (FIRST, 1): 0}) == "", (
        "an event before the end is not handled"
    )
    assert ends.lead_to({}) == ""


@pytest.mark.parametrize("successor", [None, "care.out.quality.2", FIRST, "care.intake", ""])
def test_a_topic_that_nothing_follows_is_an_end(history: History, successor: str | None) -> None:
    ends = Ends()
    assert ends.take([Outlet(FIRST, history).ends(successor)]) == []
    with pytest.raises(Refused, match="outlet-ended"):
        ends.lead_to({(FIRST, 0): 0})


@pytest.mark.parametrize(
    "said", [[SECOND, SECOND], [None, SECOND], [SECOND, None], [None, None, SECOND]]
)
@pytest.mark.parametrize("together", [True, False])
def test_a_topic_may_have_more_than_one_last_record(
    history: History, said: list[str | None], together: bool
) -> None:
    """Published again after a crash, or named later: it waited for ever for the second one's place."""
    outlet, ends = Outlet(FIRST, history), Ends()
    records = [outlet.ends(one) for one in said]
    for found in [records] if together else [[one] for one in records]:
        assert ends.take(found) == []
    assert ends.lead_to({(FIRST, 0): records[0].offset}) == SECOND


@pytest.mark.parametrize("value", [None, b"", b"x", b"[]", b"5", b'{"successor": 5}', b"[" * 5_000])
def test_a_last_record_that_can_not_be_read_names_nothing(history: History, value: bytes) -> None:
    assert successor_of(Outlet(FIRST, history).ends(SECOND)._replace(value=value)) == ""

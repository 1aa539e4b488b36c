"""Each event to its handler once and in its order, over every inbox that needs no server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.attendance import SessionAttended, SessionMissed
from shared.kit.errors import KitError, NotNow
from shared.kit.inboxes.memory import MemoryInbox
from shared.kit.inboxes.protocol import Inbox
from shared.kit.inboxes.sqlite import SQLiteInbox
from shared.kit.notices import Conflict, Gap, SetAside
from tests.unit.kit.subscribed import ATTENDED, MISSED, History, Subscribed, file_of

INBOXES: dict[str, Callable[[Path], Inbox]] = {
    "memory": lambda _: MemoryInbox(),
    "sqlite": lambda directory: SQLiteInbox(file_of(directory)),
}


@pytest.fixture(params=INBOXES)
async def it(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subscribed]:
    subscribed = Subscribed(INBOXES[request.param](tmp_path))
    await subscribed.open()
    yield subscribed
    await subscribed.inbox.close()


async def test_each_event_comes_once_and_in_order(
    it: Subscribed, history: History, subject: str
) -> None:
    first = [history.say(ATTENDED, subject) for _ in range(3)]
    await it.hear(first)
    again = [history.again(one) for one in first]
    await it.hear([*again, history.say(ATTENDED, subject)])
    assert it.numbers == [1, 2, 3, 4]
    assert it.delivery.metrics.duplicates == 3


async def test_what_no_handler_wants_is_skipped_and_counted(
    it: Subscribed, history: History, subject: str
) -> None:
    future = ATTENDED.TYPE.replace(".v1", ".v2")
    unheard = "care.attendance.person-teleported.v1"
    await it.hear(
        [
            history.say(MISSED, subject),
            history.say(ATTENDED, subject, type=future),
            history.say(ATTENDED, subject, type=unheard),
            history.say(ATTENDED, subject),
        ]
    )
    assert it.numbers == [4]
    skipped = {"not-subscribed": 1, "major-unknown": 1, "type-unknown": 1}
    assert it.delivery.metrics.skipped == skipped
    assert it.told == []


async def test_a_kind_of_subject_that_is_not_known_stops_nothing(
    it: Subscribed, history: History, subject: str
) -> None:
    """Of a type that is not known it is skipped, as the type is; of one that has a handler it is kept aside."""
    newer = history.subject("household", 1)
    unheard = "care.attendance.household-visited.v1"
    unheard_read_whole = history.say(ATTENDED, newer, type=unheard)
    headers = [*unheard_read_whole.headers, ("other", b"1"), ("other", b"2")]
    await it.hear(
        [
            history.say(ATTENDED, newer, type=unheard),
            unheard_read_whole._replace(headers=headers),
            history.say(ATTENDED, newer),
            history.say(ATTENDED, subject),
        ]
    )
    assert it.taken == [(subject, 1)]
    assert it.delivery.metrics.skipped == {"type-unknown": 2}
    assert [one.error for one in it.delivery.aside] == ["subject-kind-wrong"]


async def test_what_is_only_passed_over_is_saved_with_what_comes(
    it: Subscribed, history: History, subject: str
) -> None:
    passed = [history.say(MISSED, subject) for _ in range(3)]
    place = (passed[0].topic, passed[0].partition)
    await it.delivery.hold([place])
    assert await it.delivery.take(passed) == {place: 3}
    assert await it.inbox.offsets() in ({}, {place: 0})
    await it.delivery.take([history.say(ATTENDED, subject)])
    assert await it.inbox.offsets() == {place: 4}
    assert it.numbers == [4]
    assert it.told == []


@pytest.mark.parametrize("kept", [True, False])
async def test_what_is_only_passed_over_can_be_passed_over_again(
    it: Subscribed, history: History, subject: str, kept: bool
) -> None:
    passed = [history.say(MISSED, subject) for _ in range(3)]
    place = (passed[0].topic, passed[0].partition)
    await it.delivery.hold([place])
    await it.delivery.take(passed)
    if kept:
        await it.delivery.flush()
    back = it.delivery.go_back()[place]
    assert back == (3 if kept else 0)
    await it.delivery.take([*passed[back:], history.say(ATTENDED, subject)])
    assert it.numbers == [4]
    assert it.told == []
    assert it.delivery.metrics.duplicates == 0


@pytest.mark.parametrize("why", ["stop", "time"])
async def test_a_batch_that_is_cut_short_goes_on_where_it_ended(
    history: History, subject: str, why: str
) -> None:
    limits = {} if why == "stop" else {"unit_seconds": 0, "round_seconds": 0}
    it = Subscribed(MemoryInbox(), **limits)

    @it.handlers.on(SessionMissed)
    async def _stop(_event: object, _envelope: object) -> None:
        it.delivery.stopping = why == "stop"

    events = (MISSED, ATTENDED, ATTENDED)
    messages = [history.say(event, subject) for event in events]
    place = (messages[0].topic, messages[0].partition)
    await it.hear(messages)
    assert it.delivery.cut_short
    it.delivery.stopping = False
    while it.delivery.cut_short:
        await it.delivery.take(messages[it.delivery.go_back()[place] :])
    assert it.numbers == [2, 3]
    assert it.delivery.metrics.duplicates == 0


async def test_a_missing_number_is_said_and_stops_nothing(
    it: Subscribed, history: History, subject: str
) -> None:
    said = [history.say(ATTENDED, subject) for _ in range(5)]
    await it.hear([said[0], said[4]])
    assert it.numbers == [1, 5]
    assert it.told == [Gap("care.attendance", subject, 2, 4)]
    await it.hear([history.again(said[2])])
    assert it.numbers == [1, 5], "nothing is handled out of order"
    [aside] = it.delivery.aside
    assert aside.reason == "missed"
    await it.hear([history.say(ATTENDED, subject)])
    assert it.numbers == [1, 5, 6], "the stream goes on"


async def test_a_number_with_two_ids_stops_its_stream_until_a_person_decides(
    it: Subscribed, history: History, subject: str
) -> None:
    other = history.subject("episode", 2)
    await it.hear([history.say(ATTENDED, subject)])
    forged = history.say(ATTENDED, subject, sequence=1, id=history.id("another"))
    await it.hear(
        [forged, history.say(ATTENDED, subject, sequence=2), history.say(ATTENDED, other)]
    )
    assert it.taken == [(subject, 1), (other, 1)]
    assert Conflict("care.attendance", subject, 1, history.id("another")) in it.told
    assert [one.reason for one in it.delivery.aside] == ["conflict", "waiting"]
    await it.delivery.again()
    assert (subject, 2) not in it.taken
    await it.delivery.discard_aside(it.delivery.aside[0].place)
    await it.delivery.again()
    assert (subject, 2) in it.taken
    assert it.delivery.aside == []


async def test_a_handler_that_fails_holds_its_own_stream_and_no_other(
    it: Subscribed, history: History, subject: str
) -> None:
    other = history.subject("episode", 2)
    it.fails[subject] = RuntimeError("broken for Maria")
    await it.hear([history.say(ATTENDED, one) for one in (subject, other, subject, other)])
    assert it.taken == [(other, 1), (other, 2)]
    assert [one.reason for one in it.delivery.aside] == ["handler-failed", "waiting"]
    assert [one.error for one in it.told if isinstance(one, SetAside)] == ["RuntimeError"]
    it.fails.clear()
    await it.delivery.again()
    assert (subject, 1) not in it.taken, "it is not due yet"
    it.clock.now += 1
    await it.delivery.again()
    assert it.taken[2:] == [(subject, 1), (subject, 2)]
    assert it.delivery.aside == []


async def test_it_is_tried_later_and_later(it: Subscribed, history: History, subject: str) -> None:
    it.fails[subject] = RuntimeError()
    await it.hear([history.say(ATTENDED, subject)])
    waits = list[float]()
    for _ in range(12):
        [aside] = it.delivery.aside
        waits.append(aside.next_at - it.clock.now)
        it.clock.now = aside.next_at
        await it.delivery.again()
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == 600


async def test_data_that_its_class_refuses_is_set_aside(
    it: Subscribed, history: History, subject: str
) -> None:
    message = history.say(ATTENDED, subject)
    await it.hear([message._replace(value=b"{}"), history.say(ATTENDED, subject)])
    assert it.taken == []
    assert [one.reason for one in it.delivery.aside] == ["data-invalid", "waiting"]


@pytest.mark.parametrize(
    "spoilt",
    [
        {"headers": []},
        {"key": b"episode/none"},
        {"key": None},
        {"headers": [("ce_type", b"\xff")]},
        {"topic": "care.plans"},
    ],
)
async def test_an_envelope_that_cant_be_trusted_is_kept_and_stops_nothing(
    it: Subscribed, history: History, subject: str, spoilt: dict[str, object]
) -> None:
    bad = history.say(ATTENDED, subject)._replace(**spoilt)  # type: ignore[arg-type]
    await it.hear([bad])
    assert [one.reason for one in it.delivery.aside] == ["unreadable"]
    assert it.delivery.aside[0].error
    good = history.say(ATTENDED, history.subject("episode", 2))
    await it.hear([good])
    assert it.taken == [(history.subject("episode", 2), 1)]


async def test_a_handler_that_has_to_wait_stops_everything_and_loses_nothing(
    it: Subscribed, history: History, subject: str
) -> None:
    said = [history.say(ATTENDED, subject) for _ in range(3)]
    await it.hear(said[:1])
    it.fails[subject] = NotNow("the bank is closed")
    with pytest.raises(NotNow):
        await it.hear(said[1:])
    assert it.delivery.aside == []
    it.fails.clear()
    await it.hear(said[1:])
    assert it.numbers == [1, 2, 3]


async def test_many_failures_in_a_row_are_taken_for_something_that_is_away(
    history: History,
) -> None:
    it = Subscribed(MemoryInbox(), failures_max=3)
    subjects = [history.subject("episode", n) for n in range(6)]
    it.fails |= dict.fromkeys(subjects, ConnectionError())
    messages = [history.say(ATTENDED, one) for one in subjects]
    with pytest.raises(NotNow):
        await it.hear(messages)
    assert len(it.delivery.aside) == 2
    it.fails.clear()
    reached = await it.inbox.offsets()
    rest = [one for one in messages if one.offset >= reached.get((one.topic, one.partition), 0)]
    await it.hear(rest)
    assert len(it.taken) == 4


async def test_what_is_aside_outlives_the_process(
    history: History, subject: str, tmp_path: Path
) -> None:
    first = Subscribed(SQLiteInbox(file_of(tmp_path)))
    await first.open()
    first.fails[subject] = RuntimeError()
    await first.hear([history.say(ATTENDED, subject), history.say(ATTENDED, subject)])
    await first.inbox.close()
    second = Subscribed(SQLiteInbox(file_of(tmp_path)))
    await second.open()
    await second.hear([history.say(ATTENDED, subject)])
    assert second.taken == []
    second.clock.now += 1
    await second.delivery.again()
    assert second.numbers == [1, 2, 3]
    await second.inbox.close()


async def test_released_by_a_person_what_is_missed_is_handled(
    it: Subscribed, history: History, subject: str
) -> None:
    one, two, three = (history.say(ATTENDED, subject) for _ in range(3))
    await it.hear([one, three])
    await it.hear([history.again(two)])
    await it.delivery.release_aside(it.delivery.aside[0].place)
    assert it.numbers == [1, 3, 2]
    assert it.delivery.aside == []
    with pytest.raises(KitError, match="aside-unknown"):
        await it.delivery.release_aside(("care.attendance", 0, 99))


@given(
    order=st.lists(st.integers(0, 2), min_size=1, max_size=30),
    cuts=st.lists(st.integers(0, 29), max_size=4),
    failing=st.sets(st.integers(0, 2), max_size=2),
)
async def test_however_it_comes_it_is_handled_once_in_order(
    order: list[int], cuts: list[int], failing: set[int]
) -> None:
    """Streams interleaved, batches cut anywhere and delivered again from there, handlers that fail for a while."""
    history = History()
    subjects = [history.subject("episode", n) for n in range(3)]
    messages = [history.say(ATTENDED, subjects[n]) for n in order]
    it = Subscribed(MemoryInbox())
    it.fails |= {subjects[n]: RuntimeError() for n in failing}
    await it.hear(messages[: len(messages) // 2])
    for cut in sorted(cuts):
        await it.hear([history.again(one) for one in messages[:cut] if cut < len(messages) // 2])
    await it.hear(messages[len(messages) // 2 :])
    it.fails.clear()
    it.clock.now += 1
    await it.delivery.again()
    for n, subject in enumerate(subjects):
        numbers = [number for one, number in it.taken if one == subject]
        assert numbers == list(range(1, order.count(n) + 1))


def test_a_handler_is_what_its_event_needs() -> None:
    handlers = Subscribed(MemoryInbox()).handlers

    async def too_few(_event: object) -> None: ...
    async def twice(_event: object, _envelope: object) -> None: ...
    def plain(_event: object, _envelope: object) -> None: ...

    for function in (too_few, twice, plain):
        with pytest.raises(TypeError):
            handlers.on(SessionAttended)(function)  # type: ignore[arg-type]

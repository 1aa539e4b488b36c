"""What is aside: nothing leaves it unhandled without a person's word, and whoever listens hears of each failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.contracts.attendance import SessionMissed
from shared.contracts.event import Envelope, Event
from shared.kit.command import Work, drop, retry
from shared.kit.delivery import LOOK_SECONDS
from shared.kit.errors import KitError, Refused
from shared.kit.inboxes.memory import MemoryInbox
from shared.kit.inboxes.protocol import Changes
from shared.kit.inboxes.sqlite import SQLiteInbox
from shared.kit.notices import SetAside
from tests.unit.kit import test_delivery as suite
from tests.unit.kit.subscribed import ATTENDED, MISSED, History, Subscribed, file_of

it = suite.it


def _told(it: Subscribed) -> list[tuple[int, str]]:
    """Offset and reason of each that was said to be set aside."""
    return [(one.offset, one.reason) for one in it.told if isinstance(one, SetAside)]


async def test_one_that_waited_and_then_fails_itself_is_said_too(
    it: Subscribed, history: History, subject: str
) -> None:
    first, second = (history.say(ATTENDED, subject) for _ in range(2))
    it.fails[subject] = RuntimeError()
    await it.hear([first, second._replace(value=b"{}")])
    assert _told(it) == [(0, "handler-failed")]
    it.fails.clear()
    it.clock.now += 1
    await it.delivery.again()
    assert it.numbers == [1]
    assert _told(it) == [(0, "handler-failed"), (1, "data-invalid")]
    assert it.delivery.metrics.set_aside == {"handler-failed": 1, "waiting": 1, "data-invalid": 1}


@pytest.mark.parametrize("error", [KitError("bank-shut", ""), Refused("bank-shut", ""), OSError()])
async def test_whatever_a_handler_raises_at_a_retry_its_event_stays_aside(
    it: Subscribed, history: History, subject: str, error: Exception
) -> None:
    it.fails[subject] = error
    await it.hear([history.say(ATTENDED, subject)])
    it.clock.now += 1
    await it.delivery.again()
    [aside] = it.delivery.aside
    assert (aside.reason, aside.error, aside.tries) == ("handler-failed", type(error).__name__, 2)


async def test_what_can_still_not_be_read_is_not_released(
    it: Subscribed, history: History, subject: str
) -> None:
    await it.hear([history.say(ATTENDED, subject)._replace(key=None)])
    [aside] = it.delivery.aside
    with pytest.raises(KitError, match="aside-unreadable"):
        await it.delivery.release_aside(aside.place)
    assert it.delivery.aside == [aside]
    await it.delivery.discard_aside(aside.place)
    assert it.delivery.aside == []


@pytest.mark.parametrize("settle", ["release_aside", "discard_aside"])
async def test_a_handler_of_notices_may_settle_what_it_is_told_of(
    it: Subscribed, history: History, settle: str
) -> None:
    subjects = [history.subject("episode", n) for n in range(3)]

    @it.handlers.on(SetAside)
    async def _settle(notice: SetAside) -> None:
        it.fails.clear()
        for one in it.delivery.aside:
            await getattr(it.delivery, settle)(one.place)

    it.fails |= dict.fromkeys(subjects, RuntimeError())
    await it.hear([history.say(ATTENDED, one) for one in subjects])
    await it.hear([history.say(ATTENDED, one) for one in subjects])
    assert it.delivery.aside == []
    assert it.numbers.count(1) == (3 if settle == "release_aside" else 0)
    assert it.numbers.count(2) == 3


async def test_what_is_settled_meanwhile_is_not_handled_again(
    it: Subscribed, history: History
) -> None:
    """While what is due is tried, a handler of notices releases the rest of it."""
    subjects = [history.subject("episode", n) for n in range(3)]
    it.fails |= dict.fromkeys(subjects, RuntimeError())
    messages = [history.say(ATTENDED, one) for one in subjects for _ in range(2)]
    messages[1] = messages[1]._replace(value=b"{}")
    await it.hear(messages)

    @it.handlers.on(SetAside)
    async def _release(_notice: SetAside) -> None:
        for other in subjects[1:]:
            await it.delivery.release_aside(
                next(one.place for one in it.delivery.aside if one.subject == other)
            )

    it.fails.clear()
    it.clock.now += 1
    await it.delivery.again()
    assert len(it.taken) == len(set(it.taken)) == 5
    assert [one.reason for one in it.delivery.aside] == ["data-invalid"]


async def test_a_handler_of_an_event_settles_nothing(history: History, subject: str) -> None:
    it, refused = Subscribed(MemoryInbox()), list[str]()
    await it.hear([history.say(ATTENDED, subject)._replace(key=None)])
    place = it.delivery.aside[0].place

    @it.handlers.on(SessionMissed)
    async def _settle(_event: Event, _envelope: Envelope) -> None:
        try:
            await it.delivery.discard_aside(place)
        except KitError as error:
            refused.append(error.code)

    await it.hear([history.say(MISSED, subject)])
    assert refused == ["inbox-in-use"]
    assert [one.place for one in it.delivery.aside] == [place]


async def test_what_is_aside_is_counted_from_the_start(
    history: History, subject: str, tmp_path: Path
) -> None:
    first = Subscribed(SQLiteInbox(file_of(tmp_path)))
    await first.open()
    await first.hear([history.say(ATTENDED, subject)._replace(key=None)])
    await first.inbox.close()
    second = Subscribed(SQLiteInbox(file_of(tmp_path)))
    await second.open()
    places = [one.place[:2] for one in first.delivery.aside]
    await second.delivery.hold(places)
    assert second.delivery.metrics.aside == 1
    second.delivery.release(places)
    assert second.delivery.metrics.aside == 0
    await second.inbox.close()


async def _said_elsewhere(it: Subscribed, work: Work) -> None:
    """Another process settles everything that is aside, in the inbox alone."""
    changes = Changes()
    work(await it.inbox.aside(), changes)
    async with it.inbox.unit({}) as unit:
        await unit.save(changes)


@pytest.mark.parametrize(("work", "taken"), [(retry, [1, 2, 3]), (drop, [3])])
async def test_what_another_process_says_of_the_shelf_is_seen(
    it: Subscribed, history: History, subject: str, work: Work, taken: list[int]
) -> None:
    it.fails[subject] = RuntimeError()
    await it.hear([history.say(ATTENDED, subject) for _ in range(2)])
    for _ in range(8):
        it.clock.now += 600
        await it.delivery.again()
    it.fails.clear()
    await _said_elsewhere(it, work)
    it.clock.now += LOOK_SECONDS
    await it.delivery.again()
    await it.hear([history.say(ATTENDED, subject)])
    assert it.numbers == taken
    assert it.delivery.aside == await it.inbox.aside() == []


async def test_what_a_person_has_released_elsewhere_is_handled(
    it: Subscribed, history: History, subject: str
) -> None:
    """Of its own, the kit never tries what came too late, or is another event under a number that was handled."""
    first, missed, third = (history.say(ATTENDED, subject) for _ in range(3))
    other = history.again(first)
    another = history.id("another").encode()
    other = other._replace(
        headers=[(name, another if name == "ce_id" else raw) for name, raw in other.headers]
    )
    late = history.again(missed)
    await it.hear([first, third, other, late])
    assert [one.reason for one in it.delivery.aside] == ["conflict", "missed"]
    await _said_elsewhere(it, retry)
    it.clock.now += LOOK_SECONDS
    await it.delivery.again()
    assert it.numbers == [1, 3, 1, 2]
    assert it.delivery.aside == []


async def test_an_inbox_that_is_not_there_is_not_made(it: Subscribed) -> None:
    await it.inbox.close()
    for name in ("tests", "nobody"):
        if name == "tests" or isinstance(it.inbox, MemoryInbox):
            await it.inbox.open(name, make=False)
            continue
        await it.inbox.close()
        with pytest.raises(Refused, match="inbox-unknown"):
            await it.inbox.open(name, make=False)
    await it.inbox.open("tests")

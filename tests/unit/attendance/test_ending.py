"""An end that is taken back: seats, sessions, weeks, silence and screens as if it had not been."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.attendance.episode.handoffs import BackOnRoster, Dropped, LeftRoster, OffRoll
from services.attendance.episode.seats import SeatFreed, SeatGiven, TakeSeat
from shared.contracts import attendance, intake, plans
from shared.contracts.attendance import CancelledBy, SeatReleaseReason
from shared.contracts.codes import AttendanceLoop
from shared.contracts.event import Event
from shared.contracts.plans import DischargeKind
from shared.decision import Handoff
from tests.unit.attendance.clinic import Clinic
from tests.unit.attendance.screened import Screened
from tests.unit.attendance.test_replay import LEVEL_DOWN, fresh
from tests.unit.attendance.world import (
    ATTENDED,
    DAY,
    NO_SHOW,
    Episode,
    Session,
    admission,
    local,
)
from tests.unit.support import EPISODE_ID, fact, interleaved, uid

START = local("2026-03-02 09:00")


def discharged(at: Any, kind: DischargeKind = DischargeKind.DECEASED) -> plans.EpisodeDischarged:
    return fact(plans.EpisodeDischarged, discharged_at=at, kind=kind)


def undone(at: Any, kind: DischargeKind = DischargeKind.DECEASED) -> plans.DischargeUndone:
    return fact(plans.DischargeUndone, discharged_at=at, kind=kind)


def ends(what: str, at: Any) -> list[Event]:
    """How an episode ends, and how that is taken back."""
    graduated, transferred = DischargeKind.GRADUATED, DischargeKind.TRANSFERRED
    return {
        "discharge": [discharged(at), undone(at)],
        "graduation": [
            fact(plans.ProgramGraduated, graduated_at=at),
            discharged(at, graduated),
            fact(plans.GraduationUndone, graduated_at=at),
            undone(at, graduated),
        ],
        "first contact": [
            fact(plans.TransferCompleted, first_contact_at=at),
            discharged(at, transferred),
            fact(plans.FirstContactUndone, first_contact_at=at),
            undone(at, transferred),
        ],
    }[what]


ENDS = ("discharge", "graduation", "first contact")


def shown(history: Any) -> Any:
    """The state without what is only remembered."""
    return history.state.replace(ending=None, aside=None, gaps=())


days = st.lists(
    st.tuples(st.sampled_from([ATTENDED, NO_SHOW]), st.integers(0, 6)), min_size=1, max_size=10
)


@given(days, st.integers(0, 12), st.integers(0, 12))
def test_rolls_and_weeks_are_as_if_it_had_not_been(
    told: list[tuple[Any, int]], ended: int, lasted: int
) -> None:
    """A session a day; the end comes on some day, and is taken back on another; rolls may come late."""
    mistaken, other = both = Episode(START), Episode(START)
    at = START + ended * DAY + timedelta(hours=1)
    rolls: list[tuple[int, Any, Any]] = []
    for n, (status, late) in enumerate(told):
        _, booked = (one.book(local("2026-03-02 18:00") + n * DAY) for one in both)
        rolls.append((n + late, booked, status))
    for day in range(30):
        mistaken.at(START + day * DAY + timedelta(hours=1))
        if day == ended:
            mistaken.hear(discharged(at))
        if day == ended + lasted:
            mistaken.hear(undone(at))
        for one in both:
            one.at(START + day * DAY + timedelta(hours=13))
            _ = [one.roll(booked, status) for when, booked, status in rolls if when == day]
    for one in both:
        one.at(START + 60 * DAY)
    assert shown(mistaken).model_dump() == shown(other).model_dump()
    latest = [{w.week_starts_on: w for w in one.weeks()} for one in (mistaken, other)]
    assert latest[0] == latest[1]
    names = [
        [s.session_id for s in one.of(attendance.SessionAttended)] for one in (mistaken, other)
    ]
    assert sorted(names[0]) == sorted(names[1])


@pytest.mark.parametrize("what", ENDS)
@given(data=st.data())
def test_in_any_order_of_the_sources(what: str, data: st.DataObject) -> None:
    at = START + 10 * DAY
    intakes: Sequence[Event] = [admission(START), fact(intake.OrientationCompleted)]
    down = fact(plans.LevelOfCareChanged, to_level=LEVEL_DOWN, effective_at=START + 3 * DAY)
    before: list[Event] = [fact(plans.TransferInitiated)] if what == "first contact" else []
    planned: list[Event] = [down, *before, *ends(what, at)]
    mixed, never = fresh(), fresh()
    never.hear_all([*intakes, down, *before])
    mixed.hear_all(data.draw(interleaved(intakes, planned)))
    assert shown(mixed) == shown(never)
    later = START + timedelta(days=40)
    assert shown(mixed.at(later)) == shown(never.at(later))


def test_two_years_later_it_is_as_at_once() -> None:
    at_once, late = Episode(START), Episode(START)
    at = START + DAY
    for one in (at_once, late):
        booked = one.book(local("2026-03-02 18:00"))
        one.at(at).hear(discharged(at))
        one.roll(booked, ATTENDED)
    at_once.hear(undone(at))
    for one in (at_once, late):
        one.after(days=730)
    late.hear(undone(at))
    late.at(late.now)
    assert shown(late) == shown(at_once)
    weeks = [{w.week_starts_on: w for w in one.weeks()} for one in (at_once, late)]
    assert weeks[0] == weeks[1]


@pytest.mark.parametrize("what", ENDS)
async def test_the_seat_is_asked_for_again(what: str) -> None:
    clinic = Clinic(START)
    ann = await clinic.admit("ann")
    group = await clinic.group()
    await clinic.reserve(group, ann)
    before = await clinic.state(f"episode/{ann}")
    *ended, last, end_undone = ends(what, START + DAY)
    await clinic.after(days=1)
    for event in ended:
        await clinic.hear(ann, event)
    if what == "discharge":
        assert ended == []
        await clinic.hear(ann, last)
    assert (await clinic.state(f"group/{group}")).seats == {}
    if what != "discharge":
        await clinic.hear(ann, last)
    await clinic.hear(ann, end_undone)
    after = await clinic.state(f"episode/{ann}")
    assert after.seats == before.seats
    assert list((await clinic.state(f"group/{group}")).seats) == [ann]
    assert after.loops == {}


async def test_a_seat_that_is_gone_is_somebodys_to_find() -> None:
    clinic = Clinic(START)
    ann, bob, cid = [await clinic.admit(name) for name in ("ann", "bob", "cid")]
    group = await clinic.group(seats_max=2)
    for one in (ann, cid):
        await clinic.reserve(group, one)
    at = START + DAY
    await clinic.at(at)
    await clinic.hear(ann, discharged(at))
    await clinic.reserve(group, bob)
    await clinic.hear(ann, undone(at))
    state = await clinic.state(f"episode/{ann}")
    assert [loop.kind for loop in state.loops.values()] == [AttendanceLoop.SEAT]
    other = await clinic.group()
    await clinic.reserve(other, ann)
    assert (await clinic.state(f"episode/{ann}")).loops == {}


async def test_a_session_to_come_has_the_person_back() -> None:
    clinic = Clinic(START)
    ann = await clinic.admit("ann")
    said = {
        "modality": "individual",
        "starts_at": (START + 3 * DAY).isoformat(),
        "minutes_planned": 60,
        "roster": [ann],
    }
    session = (await clinic.post("/sessions", said)).json()["session_id"]
    before = await clinic.state(f"session/{session}")
    at = START + DAY
    await clinic.at(at)
    await clinic.hear(ann, discharged(at))
    assert (await clinic.state(f"session/{session}")).expected == ()
    await clinic.hear(ann, undone(at))
    assert await clinic.state(f"session/{session}") == before
    assert list((await clinic.state(f"episode/{ann}")).bookings) == [session]


@pytest.mark.parametrize("over", ["called", "cancelled"])
def test_a_session_that_is_over_was_not_offered(over: str) -> None:
    session = Session()
    session.schedule(EPISODE_ID, uid("other"))
    session.handed(LeftRoster(episode_id=EPISODE_ID))
    if over == "called":
        session.after(hours=1)
        session.handed(LeftRoster(episode_id=EPISODE_ID))
        session.after(hours=3)
        session.call(**{uid("other"): ATTENDED})
    else:
        session.cancel(CancelledBy.WEATHER)
    told = [h.body for h in session.handing if h.subject == f"episode/{EPISODE_ID}"]
    assert isinstance(told[-1], OffRoll if over == "called" else Dropped)
    before = session.state
    session.handed(BackOnRoster(episode_id=EPISODE_ID))
    assert session.state == before, "they were told so then"


def test_a_result_that_came_meanwhile_waits_to_be_interpreted() -> None:
    history = Screened()
    history.collect()
    at = history.now
    history.hear(discharged(at))
    history.result("cocaine")
    assert history.open == []
    history.hear(undone(at))
    assert history.open == ["screen_interpretation"]


@pytest.mark.fault("F44")
@pytest.mark.parametrize("off", [plans.TransferUndone, plans.TransferFellThrough])
def test_a_hand_over_that_is_off(off: type[Event]) -> None:
    history, never = Episode(START), Episode(START)
    history.hear_all([fact(plans.TransferInitiated), fact(off)])
    assert history.state == never.state


@pytest.mark.parametrize("days", [0, 20])
def test_an_episode_that_was_no_error_has_its_sessions_and_seats_again(days: int) -> None:
    """Whoever should have been here all the time is expected at what is ahead, and asks for the seat anew."""
    episode = Episode(START)
    ahead = episode.book(START + timedelta(days=days + 3))
    episode.handed(
        SeatGiven(group_id=uid("group"), seats_left=3, level_code="2.1", track="evening")
    )
    before = shown(episode)
    episode.hear(fact(intake.EpisodeEnteredInError))
    episode.handed(
        SeatFreed(
            group_id=uid("group"),
            seats_left=4,
            reason=SeatReleaseReason.MOVED,
            freed_at=episode.now,
        )
    )
    episode.after(days=days)
    known = len(episode.handing)
    episode.hear(fact(intake.EpisodeEnteredInErrorUndone))
    asked = list(episode.handing)[known:]
    back, seat = BackOnRoster(episode_id=EPISODE_ID), TakeSeat(episode_id=EPISODE_ID)
    assert Handoff(f"session/{ahead.session_id}", back) in asked
    assert Handoff(f"group/{uid('group')}", seat) in asked
    assert episode.state.bookings == before.bookings
    assert not episode.state.seats

"""Rolls beside the facts of other services: whichever is heard first, nothing that a roll said is lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.attendance.episode import handoffs, hours
from shared.contracts import attendance, intake, plans
from shared.contracts.attendance import AttendanceStatus, CorrectionReason, Participation
from shared.contracts.codes import Modality
from shared.contracts.event import Event
from shared.decision import HandoffBody
from tests.unit.attendance.clinic import Clinic
from tests.unit.attendance.test_replay import fresh
from tests.unit.attendance.world import ATTENDED, DAY, NO_SHOW, Episode, admission, local
from tests.unit.support import History, fact, interleaved, uid

START = local("2026-03-02 09:00")
EVENING = local("2026-03-02 18:00")
ENTERED_IN_ERROR = CorrectionReason.ENTERED_IN_ERROR
Word = Event | HandoffBody


def booked(n: int, modality: Modality = Modality.GROUP, **more: Any) -> handoffs.Booked:
    return handoffs.Booked(
        session_id=uid(f"session {n}"),
        starts_at=EVENING + n * DAY,
        minutes_planned=180,
        modality=modality,
        **more,
    )


def roll(n: int, status: AttendanceStatus, **more: Any) -> handoffs.RollCalled:
    return handoffs.RollCalled(
        session_id=uid(f"session {n}"),
        booked=booked(n),
        status=status,
        minutes_present=180,
        participation=Participation.ACTIVE,
        **more,
    )


def corrected(n: int, status: AttendanceStatus, minutes: int) -> handoffs.Corrected:
    return handoffs.Corrected(
        session_id=uid(f"session {n}"),
        booked=booked(n),
        status_after=status,
        minutes_after=minutes,
        reason=ENTERED_IN_ERROR,
    )


def off_roll(n: int, reason: CorrectionReason | None = ENTERED_IN_ERROR) -> handoffs.OffRoll:
    return handoffs.OffRoll(session_id=uid(f"session {n}"), reason=reason)


ADMITTED: list[Event] = [admission(START), fact(intake.OrientationCompleted, completed_at=START)]
GONE = fact(plans.EpisodeDischarged, discharged_at=START + DAY)
INTAKES: dict[str, list[Event]] = {
    "admitted": ADMITTED,
    "admitted, undone, and admitted again": [
        *ADMITTED,
        fact(intake.AdmissionUndone),
        *ADMITTED,
    ],
    "admitted a day late, undone, and admitted on the day": [
        admission(START + DAY),
        fact(intake.AdmissionUndone),
        *ADMITTED,
    ],
}
PLANS: dict[str, list[Event]] = {
    "in care": [],
    "discharged": [GONE],
    "discharged by mistake": [GONE, fact(plans.DischargeUndone, discharged_at=START + DAY)],
}
ROLLS: dict[str, list[HandoffBody]] = {
    "there": [roll(0, ATTENDED), roll(2, ATTENDED)],
    "missed": [roll(n, NO_SHOW) for n in range(3)],
    "corrected": [
        roll(0, NO_SHOW),
        roll(2, ATTENDED),
        corrected(0, ATTENDED, 90),
        corrected(2, NO_SHOW, 0),
    ],
    "taken off": [roll(0, ATTENDED), off_roll(0), roll(2, ATTENDED, walk_in=True), off_roll(2)],
    "booked": [booked(0), roll(0, ATTENDED), booked(2), off_roll(2, None)],
}


def told(history: History, words: Sequence[Any]) -> History:
    for word in words:
        if isinstance(word, Event):
            history.hear(word)
        else:
            history.handed(word)
    return history


def holds(history: History) -> dict[str, tuple[Any, int]]:
    """What the events say of each session, after every correction; excused is as if nothing had been said."""
    found: dict[str, tuple[Any, int]] = {}
    for event in history.said:
        if isinstance(event, attendance.SessionAttended):
            found[event.session_id] = (event.arrival.value, event.minutes_credited)
        elif isinstance(event, attendance.SessionMissed):
            found[event.session_id] = (event.absence.value, 0)
        elif isinstance(event, attendance.AttendanceCorrected):
            found[event.session_id] = (event.status_after.value, event.minutes_after)
    return {key: held for key, held in found.items() if held != ("excused", 0)}


def doubts(history: History) -> dict[str, bool]:
    """The sessions that were told of a doubt, and whether it stands."""
    stands: dict[str, bool] = {}
    for handoff in history.handing:
        if isinstance(handoff.body, handoffs.WalkInDoubted):
            stands[handoff.subject] = True
        elif isinstance(handoff.body, handoffs.WalkInAgreed):
            stands[handoff.subject] = False
    return stands


def counted(history: History) -> dict[str, hours.Booking]:
    """The bookings, without what is remembered of publishing them."""
    plain = {"said": None, "unsaid_since": None, "correction": None}
    return {key: one.replace(**plain) for key, one in history.state.bookings.items()}


@given(st.data())
def test_a_roll_counts_in_whichever_order_it_is_heard(data: st.DataObject) -> None:
    """The admission, the end and the rolls come from three records; each one's own order is kept.

    What was published of a session before an end was known that lies before it stays published.
    """
    intakes, planned, rolls = (
        cast("list[Any]", table[data.draw(st.sampled_from(sorted(table)))])
        for table in (INTAKES, PLANS, ROLLS)
    )
    now = START + 4 * DAY
    straight = told(fresh().at(now), [*intakes, *rolls, *planned])
    mixed = told(fresh().at(now), data.draw(interleaved(intakes, planned, rolls)))
    for one in (straight, mixed):
        one.at(START + 10 * DAY)
    assert counted(mixed) == counted(straight)
    assert mixed.state.weeks == straight.state.weeks
    assert mixed.state.doubted == straight.state.doubted
    stand = [{key for key, stands in doubts(one).items() if stands} for one in (straight, mixed)]
    assert stand[0] == stand[1]
    if len(planned) != 1:
        assert holds(mixed) == holds(straight)
        assert mixed.state.seen == straight.state.seen
        assert mixed.state.absences_consecutive == straight.state.absences_consecutive


def test_a_roll_that_is_heard_before_the_admission_is_published_with_it() -> None:
    history = told(fresh().at(START + DAY), [roll(0, ATTENDED)])
    assert history.said == []
    assert doubts(history) == {f"session/{uid('session 0')}": True}
    told(history, ADMITTED)
    [event] = history.of(attendance.SessionAttended)
    assert (event.minutes_credited, event.participation) == (180, Participation.ACTIVE)
    assert doubts(history) == {f"session/{uid('session 0')}": False}
    assert (
        history.at(START + 8 * DAY).of(attendance.WeeklyHoursEvaluated)[0].minutes_credited == 180
    )


def test_an_admission_that_is_undone_leaves_its_rolls_to_the_next_and_somebody_looks() -> None:
    history = told(fresh().at(START + DAY), [*ADMITTED, roll(0, ATTENDED)])
    told(history, [fact(intake.AdmissionUndone)])
    assert list(history.state.bookings) == [uid("session 0")]
    assert doubts(history) == {f"session/{uid('session 0')}": True}
    told(history, ADMITTED)
    assert len(history.of(attendance.SessionAttended)) == 2, "whoever forgot the first hears of it"
    assert doubts(history) == {f"session/{uid('session 0')}": False}


@pytest.mark.parametrize("of", [intake.EpisodeEnteredInError, intake.ReferralMerged])
def test_of_an_episode_that_never_was_somebody_looks_at_the_rolls(of: type[Event]) -> None:
    first = told(
        fresh().at(START + DAY), [*ADMITTED, roll(0, ATTENDED), roll(1, NO_SHOW), fact(of)]
    )
    then = told(fresh().at(START + DAY), [*ADMITTED, fact(of), roll(0, ATTENDED), roll(1, NO_SHOW)])
    assert doubts(first) == doubts(then) == {f"session/{uid('session 0')}": True}


def test_a_miss_that_is_heard_before_the_orientation_counts_after_it() -> None:
    history = told(fresh().at(START + DAY), [ADMITTED[0], roll(0, NO_SHOW)])
    assert not history.of(attendance.SessionMissed)
    told(history, ADMITTED[1:])
    assert len(history.of(attendance.SessionMissed)) == 1


def test_who_is_off_the_roll_stays_off_it_when_the_group_tells_late() -> None:
    """The session and its group are two records: the word of either may come last."""
    episode = Episode(START)
    episode.hear(fact(plans.EpisodeDischarged, discharged_at=START))
    episode.handed(booked(0, begins=True))
    assert episode.state.bookings[uid("session 0")].off_roll
    episode.handed(booked(0))
    assert episode.state.bookings[uid("session 0")].off_roll


@pytest.mark.parametrize("family_only", [True, False])
def test_a_service_that_counts_gives_no_hours_for_the_family_alone(family_only: bool) -> None:
    counts = fact(plans.AncillaryServiceAdded, counts_toward_hours=True)
    first, then = Episode(START), Episode(START)
    session = booked(
        0, Modality.CASE_MANAGEMENT, service=counts.kind.value, family_only=family_only
    )
    first.hear(counts)
    for one in (first, then):
        one.handed(session)
    then.hear(counts)
    assert first.state.bookings == then.state.bookings
    assert first.state.bookings[session.session_id].counts is not family_only


async def test_somebody_looks_at_a_roll_that_has_who_had_left_by_then(clinic: Clinic) -> None:
    """A discharge that is entered days later ends the episode before a session that the person attended."""
    ann = await clinic.admit("ann")
    group = await clinic.seated(ann)
    session = await clinic.meets(group, hours=24)
    left_at = clinic.clock.now()
    await clinic.after(hours=28)
    lines = [{"episode_id": ann, "status": "attended"}]
    assert (
        await clinic.post(f"/sessions/{session}/attendance", {"entries": lines})
    ).status_code == 200
    await clinic.hear(ann, fact(plans.EpisodeDischarged, discharged_at=left_at))
    loops = (await clinic.state(f"session/{session}")).loops.values()
    assert [loop.kind for loop in loops] == ["walk_in"]
    await clinic.hear(ann, fact(plans.DischargeUndone, discharged_at=left_at))
    assert not (await clinic.state(f"session/{session}")).loops

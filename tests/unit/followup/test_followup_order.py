"""However often and in whatever order the sources are heard, and whatever staff do: one outcome, and nothing stuck."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.followup.episode.episode_state import NO_CONTACT
from shared.contracts import attendance, followup, intake, plans
from shared.contracts.codes import FollowupLoop
from shared.contracts.event import Event
from shared.contracts.followup import AttemptResult, ReengagementOutcome, ReportedBy, RiskFlag
from shared.contracts.plans import DischargeKind
from shared.errors import Refused
from shared.runtime.core.work import OutcomeStatus
from tests.unit.followup.world import (
    DAY,
    HOUR,
    Followup,
    admitted,
    attended,
    discharged,
    drafted,
    in_aftercare,
    in_program,
    missed,
    threshold,
)
from tests.unit.support import START, fact, interleaved, uid

HEARD_AT = START + 20 * DAY
"""When everything is heard, long after it happened: what counts is when it happened."""

moments = st.integers(0, 18 * 24).map(lambda hours: START + hours * HOUR)
from_attendance = st.lists(
    st.one_of(
        moments.map(attended),
        moments.map(missed),
        st.tuples(st.integers(0, 4), st.integers(0, 9)).map(lambda pair: threshold(*pair)),
        st.sampled_from(list(attendance.ScreenClass)[:-1]).map(
            lambda found: fact(attendance.ScreenInterpreted, classification=found)
        ),
        st.just(fact(attendance.WeeklyHoursShortfallDetected)),
        st.tuples(moments, st.sampled_from(list(attendance.AttendanceStatus)[:-1])).map(
            lambda pair: fact(
                attendance.AttendanceCorrected,
                session_id=attended(pair[0]).session_id,
                status_after=pair[1],
            )
        ),
    ),
    max_size=8,
)
from_intake = st.sampled_from(
    [
        [admitted()],
        [admitted(), fact(intake.ReferralSent)],
        [fact(intake.ReferralSent), admitted(), fact(intake.ReferralLoopClosed)],
        [
            fact(intake.ReferralReceived, source_kind=intake.PartnerKind.RESIDENTIAL),
            fact(intake.AssessmentScheduled, starts_at=START - 2 * DAY),
            fact(intake.EligibilityDetermined, eligible=True),
            fact(intake.WaitlistJoined),
            fact(intake.WaitlistLeft),
            admitted(),
        ],
        [
            admitted(),
            fact(intake.ReferralSent),
            fact(intake.PartnerReferralRejected),
            fact(intake.EpisodePersonCorrected),
        ],
    ]
)
reviews = [
    fact(plans.ClinicalReviewRequested, review_id=uid("a")),
    fact(plans.ClinicalReviewRequested, review_id=uid("b")),
    fact(plans.ClinicalReviewCompleted, review_id=uid("a")),
]
endings = st.one_of(
    st.just([]),
    st.just([fact(plans.ProgramGraduated, graduated_at=HEARD_AT), discharged(HEARD_AT)]),
    st.sampled_from(list(DischargeKind)).map(lambda kind: [discharged(HEARD_AT, kind)]),
)
courses: list[list[Event]] = [
    [],
    [drafted()],
    [fact(plans.TreatmentPlanActivated), drafted(), fact(plans.GraduationApproved)],
    [fact(plans.LevelOfCareChanged, effective_at=START + 5 * DAY)],
    [fact(plans.TransferInitiated), fact(plans.TransferCompleted, first_contact_at=START + DAY)],
]
from_plans = st.tuples(st.sampled_from(courses), endings).map(
    lambda parts: [*parts[0], *reviews, *parts[1]]
)


@st.composite
def two_arrivals(draw: st.DrawFn) -> tuple[list[Event], list[Event]]:
    lines: list[Sequence[Event]] = [draw(from_intake), draw(from_plans), draw(from_attendance)]
    return draw(interleaved(*lines)), draw(interleaved(*lines))


def heard(events: Sequence[Event], *, again: int = 0) -> Followup:
    history = Followup(HEARD_AT)
    for event in events:
        outcome = history.hear(event, again=again)
        assert outcome.status is (OutcomeStatus.DUPLICATE if again else OutcomeStatus.APPLIED)
    return history


def later(history: Followup) -> list[tuple[str, datetime | None]]:
    """What is said of the year that follows, which must not depend on the order of what came before."""
    before = len(history.said)
    history.at(HEARD_AT + 500 * DAY)
    return [
        (event.NAME, getattr(event, "due_at", None))
        for event in history.said[before:]
        if not isinstance(event, followup.EscalationCleared)
    ]


def _but_for_what_is_put_aside(history: Followup) -> Any:
    """What came after the end is remembered as that: what it leads to is looked at in `test_followup_going_on.py`."""
    return history.state.replace(aside=None, ending=None, ended=())


@given(two_arrivals())
def test_the_order_between_sources_changes_nothing(
    arrivals: tuple[list[Event], list[Event]],
) -> None:
    one, other = (heard(events) for events in arrivals)
    assert _but_for_what_is_put_aside(one) == _but_for_what_is_put_aside(other)
    assert later(one) == later(other)


@given(two_arrivals())
def test_hearing_everything_twice_changes_nothing(
    arrivals: tuple[list[Event], list[Event]],
) -> None:
    once, twice = heard(arrivals[0]), heard(arrivals[0], again=1)
    assert once.state == twice.state
    assert once.said == twice.said
    assert once.record.next_sequence == twice.record.next_sequence


@given(two_arrivals())
def test_a_state_survives_the_store(arrivals: tuple[list[Event], list[Event]]) -> None:
    state = heard(arrivals[0]).state
    assert type(state).model_validate(state.model_dump(mode="json")) == state


@given(
    st.lists(st.one_of(moments.map(attended), moments.map(missed)), max_size=6).flatmap(
        lambda rolls: st.tuples(st.just(rolls), st.permutations(rolls))
    )
)
def test_rolls_called_in_any_order_leave_the_same_behind(
    orders: tuple[list[Event], list[Event]],
) -> None:
    one, other = (in_program(HEARD_AT).hear_all(rolls).state for rolls in orders)
    assert one.contact_at == other.contact_at
    assert (one.outreach and one.outreach.since) == (other.outreach and other.outreach.since)
    assert one.deadlines == other.deadlines


Act = Callable[[Followup], Any]

acts: st.SearchStrategy[Act] = st.one_of(
    st.sampled_from(list(AttemptResult)).map(lambda result: lambda h: h.outreach(result)),
    st.tuples(st.integers(0, 7), st.sampled_from(list(AttemptResult))).map(
        lambda pair: lambda h: h.attempt(h.check_in_ids[pair[0]], pair[1])
    ),
    st.tuples(st.integers(0, 7), st.lists(st.sampled_from(list(RiskFlag)), max_size=2)).map(
        lambda pair: lambda h: h.complete(h.check_in_ids[pair[0]], *pair[1])
    ),
    st.sampled_from([False, True]).map(
        lambda overdose: lambda h: h.return_to_use(overdose=overdose)
    ),
    st.sampled_from(list(ReportedBy)).map(lambda by: lambda h: h.return_to_use(reported_by=by)),
    st.sampled_from(list(ReengagementOutcome)[:-1]).map(lambda led: lambda h: h.reengage(led)),
    moments.map(lambda at: lambda h: h.hear(attended(at))),
)
days = st.lists(st.tuples(st.integers(0, 40 * 24), acts), max_size=25)


@given(days)
def test_whatever_staff_do_a_year_ends_once_with_eight_settled(
    course: list[tuple[int, Act]],
) -> None:
    history = in_aftercare()
    refusals: list[Refused] = []
    for hours, act in course:
        history.after(hours=hours)
        try:
            act(history)
        except Refused as refused:
            refusals.append(refused)
    assert all(refused.hint for refused in refusals)
    history.after(days=500)
    [completed] = history.of(followup.AftercareCompleted)
    done = len(history.of(followup.CheckInCompleted))
    assert completed.check_ins_done == done
    assert completed.check_ins_due == done + len(history.of(followup.CheckInMissed)) == 8
    assert history.state.deadlines == {}
    assert history.record.blocked == {}
    losses_and_finds(history)
    escalations_end_once(history)


def losses_and_finds(history: Followup) -> None:
    """Contact is lost, found, lost: never twice in a row."""
    turns = [
        isinstance(event, followup.ContactLost)
        for event in history.said
        if isinstance(event, followup.ContactLost)
        or (isinstance(event, followup.EscalationCleared) and event.loop == "lost_contact")
    ]
    assert turns == [index % 2 == 0 for index in range(len(turns))]
    assert bool(history.loops(FollowupLoop.LOST_CONTACT)) is (len(turns) % 2 == 1)


def escalations_end_once(history: Followup) -> None:
    """A clearance names the step that was announced, and every loop is cleared at most once."""
    steps: dict[str, int] = {}
    for event in history.said:
        if isinstance(event, followup.LoopEscalated):
            first = 1 if event.loop is FollowupLoop.LOST_CONTACT else 0  # which `contact-lost` said
            assert event.step == steps.get(event.loop_id, first) + 1
            steps[event.loop_id] = event.step
        elif isinstance(event, followup.EscalationCleared):
            assert event.step_reached == steps.pop(event.loop_id, event.step_reached)
            steps[event.loop_id] = -99
    for loop in history.state.loops.values():
        if loop.kind not in (FollowupLoop.OUTREACH, FollowupLoop.LOST_CONTACT):
            assert steps.get(loop.id, 0) == loop.step


programs = st.lists(
    st.tuples(
        st.integers(0, 60),
        st.one_of(
            st.integers(0, 48).map(lambda ago: lambda h: h.hear(attended(h.now - ago * HOUR))),
            st.integers(0, 48).map(lambda ago: lambda h: h.hear(missed(h.now - ago * HOUR))),
            st.tuples(st.integers(0, 4), st.integers(0, 9)).map(
                lambda pair: lambda h: h.hear(threshold(*pair))
            ),
            st.sampled_from(list(AttemptResult)).map(lambda result: lambda h: h.outreach(result)),
        ),
    ),
    max_size=25,
)


@given(programs, st.sampled_from(list(DischargeKind)))
def test_whatever_happens_in_the_program_outreach_holds_together(
    course: list[tuple[int, Act]], kind: DischargeKind
) -> None:
    history = in_program(START)
    for hours, act in course:
        history.after(hours=hours)
        act(history)
        state = history.state
        if state.outreach is None:
            assert history.loops(FollowupLoop.OUTREACH) == []
        else:
            assert state.contact_at is None or state.contact_at < state.outreach.since
            [loop] = history.loops(FollowupLoop.OUTREACH)
            assert (f"loop:{loop.key}" in state.deadlines) is (state.tier < 3)
    tiers = [e.tier for e in history.said if isinstance(e, followup.OutreachEscalated)]
    assert all(1 <= tier <= 3 for tier in tiers)
    history.hear(discharged(history.now, kind))
    assert history.state.outreach is None
    history.after(days=500)
    assert history.state.running == {}
    assert (history.state.aftercare is None) is (kind in NO_CONTACT)
    losses_and_finds(history)
    escalations_end_once(history)


def test_a_deadline_told_late_decides_as_at_its_own_time() -> None:
    prompt, late = in_aftercare(), in_aftercare()
    for hour in range(0, 40 * 24, 6):
        prompt.at(START + timedelta(hours=hour))
    late.at(prompt.now)
    assert prompt.state == late.state
    assert prompt.said == late.said

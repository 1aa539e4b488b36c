"""The episode's way as a whole, what is taken back of it, and loops that are opened because of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.followup import journey
from services.followup.episode.episode_state import EpisodeState, ReadmissionUndone, Readmitted
from services.followup.episode.upcoming_sessions import SessionState
from services.followup.reactions import HANDOFFS, REACTIONS
from shared.contracts import attendance, followup, intake, plans
from shared.contracts.attendance import AttendanceStatus
from shared.contracts.codes import ClearedReason, FollowupLoop, LevelOfCare, Role
from shared.contracts.event import Event
from shared.contracts.followup import OutreachCause
from shared.contracts.intake import DeclineReason, ReferralOutcome
from shared.decision import Handoff
from shared.errors import Refused
from shared.runtime.core.record_kind import RecordKind
from tests.unit.followup.world import (
    DAY,
    HOUR,
    Followup,
    admitted,
    attended,
    cleared,
    discharged,
    in_aftercare,
    in_program,
    missed,
)
from tests.unit.support import EPISODE_ID, START, History, fact, interleaved, uid


def stage(history: Followup) -> str:
    return journey.place(history.state).stage


received = fact(intake.ReferralReceived, received_at=START)
planned = fact(plans.TreatmentPlanActivated, patient_signed_at=START, clinician_signed_at=START)


@pytest.mark.fact("3.6", "4.9")
@pytest.mark.parametrize(
    ("events", "expected", "service"),
    [
        ([], "unknown", None),
        ([received], "referred", "intake"),
        ([received, fact(intake.AssessmentScheduled)], "assessment", "intake"),
        ([received, fact(intake.ImminentDangerIdentified)], "danger", "intake"),
        ([received, fact(intake.EligibilityDetermined, eligible=True)], "eligible", "intake"),
        ([received, fact(intake.EligibilityDetermined, eligible=False)], "ineligible", "intake"),
        ([received, fact(intake.WaitlistJoined)], "waitlisted", "intake"),
        (
            [received, fact(intake.WaitlistJoined), fact(intake.WaitlistOffered)],
            "offered",
            "intake",
        ),
        ([received, fact(intake.WaitlistJoined), fact(intake.WaitlistLeft)], "referred", "intake"),
        ([received, fact(intake.ReferralDeclined)], "declined", "followup"),
        ([received, admitted()], "admitted", "plans"),
        ([admitted(), planned], "planned", "attendance"),
        ([admitted(), planned, attended(START)], "active", None),
        ([admitted(), planned, missed(START)], "at_risk", "followup"),
        (
            [admitted(), planned, fact(plans.LevelOfCareChangeRecommended)],
            "change_recommended",
            "plans",
        ),
        ([admitted(), planned, fact(plans.TransferInitiated)], "transferring", "plans"),
        ([admitted(), planned, fact(plans.GraduationApproved)], "approved", "plans"),
        ([admitted(), planned, discharged()], "aftercare", "followup"),
        ([discharged()], "discharged", "followup"),
        ([admitted(), discharged(START, plans.DischargeKind.DECEASED)], "ended", None),
        ([admitted(), fact(intake.EpisodeEnteredInError)], "entered_in_error", None),
    ],
)
def test_where_an_episode_is_and_who_owns_what_is_next(
    events: list[Event], expected: str, service: str | None
) -> None:
    place = journey.place(Followup().hear_all(events).state)
    assert (place.stage, place.service) == (expected, service)
    assert (place.awaiting is None) is (service is None)


def test_an_episode_that_stays_in_one_step_is_found_by_when_it_should_have_gone_on() -> None:
    history = Followup()
    history.hear(received)
    assert history.state.index_entries()["awaited"] == START + 3 * DAY
    history.hear(admitted())
    assert history.state.index_entries()["awaited"] == START + 7 * DAY


class TestTurnedAway:
    """Nobody is turned away without somebody who sees where they went."""

    def test_who_is_declined_is_asked_after(self) -> None:
        history = Followup()
        history.hear_all([received, fact(intake.ReferralDeclined)])
        assert history.state.outreach.cause is OutreachCause.REFERRAL
        history.after(days=6)
        assert history.names == []
        history.after(days=1)
        [escalated] = history.of(followup.OutreachEscalated)
        assert (escalated.cause, escalated.tier) == (OutreachCause.REFERRAL, 1)
        history.outreach()
        assert cleared(history) == [(FollowupLoop.OUTREACH, 1, ClearedReason.RESOLVED)]

    def test_a_duplicate_is_not(self) -> None:
        history = Followup()
        history.hear_all([received, fact(intake.ReferralDeclined, reason=DeclineReason.DUPLICATE)])
        assert history.state.outreach is None

    @pytest.mark.parametrize(
        ("outcome", "asked"),
        [
            (ReferralOutcome.NO_SHOW, True),
            (ReferralOutcome.LOST, True),
            (ReferralOutcome.ADMITTED, False),
        ],
    )
    def test_who_was_sent_on_and_did_not_arrive_is_looked_for(
        self, outcome: ReferralOutcome, asked: bool
    ) -> None:
        history = Followup()
        sent = fact(intake.ReferralSent, referral_id=uid("out"))
        closed = fact(intake.ReferralLoopClosed, referral_id=uid("out"), outcome=outcome)
        history.hear_all([received, sent, fact(intake.ReferralLoopOverdue, referral_id=uid("out"))])
        assert history.state.referrals[uid("out")].overdue
        history.hear(closed)
        assert (history.state.outreach is not None) is asked

    def test_an_admission_ends_it(self) -> None:
        history = Followup()
        history.hear_all([received, fact(intake.ReferralDeclined), admitted()])
        assert history.state.outreach is None


class TestCorrected:
    def correction(self, at: datetime, before: str, after: AttendanceStatus) -> Event:
        return fact(
            attendance.AttendanceCorrected,
            session_id=uid(f"{before} {at}"),
            status_after=after,
        )

    @pytest.mark.scenario(17)
    def test_a_miss_that_was_none_is_no_longer_chased(self) -> None:
        history = in_program()
        history.hear(missed(START + HOUR))
        history.after(days=2)
        history.hear(self.correction(START + HOUR, "missed", AttendanceStatus.EXCUSED))
        assert history.state.outreach is None
        assert cleared(history) == [(FollowupLoop.OUTREACH, 2, ClearedReason.WITHDRAWN)]

    def test_an_earlier_miss_stays(self) -> None:
        history = in_program()
        history.hear_all([missed(START + HOUR), missed(START + 2 * HOUR)])
        history.hear(self.correction(START + 2 * HOUR, "missed", AttendanceStatus.EXCUSED))
        assert history.state.outreach.since == START + HOUR

    def test_a_presence_that_was_none_is_chased(self) -> None:
        history = in_program()
        history.hear(attended(START + HOUR))
        history.hear(self.correction(START + HOUR, "session", AttendanceStatus.NO_SHOW))
        assert history.state.contact_at is None
        assert history.state.outreach.since == START + HOUR

    def test_a_presence_shown_later_is_contact(self) -> None:
        history = in_program()
        history.hear(missed(START + HOUR))
        history.hear(self.correction(START + HOUR, "missed", AttendanceStatus.LATE))
        assert history.state.outreach is None
        assert history.state.contact_at == START + HOUR


class TestStepDown:
    def change(self, down: bool = True, at: datetime = START) -> Event:
        levels = [LevelOfCare(edition="4", system="asam", code=code) for code in ("2.5", "2.1")]
        before, after = levels if down else levels[::-1]
        return fact(plans.LevelOfCareChanged, from_level=before, to_level=after, effective_at=at)

    @pytest.mark.scenario(6)
    def test_a_session_is_due_within_a_week(self) -> None:
        history = in_program()
        history.hear(self.change())
        [loop] = history.loops(FollowupLoop.FIRST_APPOINTMENT)
        assert loop.deadline_at == START + 7 * DAY
        history.after(days=7)
        [late] = [e for e in history.of(followup.LoopEscalated) if e.loop_id == loop.id]
        assert late.owner_role is Role.CLINICIAN
        history.hear(attended(history.now))
        assert history.loops(FollowupLoop.FIRST_APPOINTMENT) == []
        assert (FollowupLoop.FIRST_APPOINTMENT, 1, ClearedReason.RESOLVED) in cleared(history)

    def test_a_step_up_asks_for_none(self) -> None:
        history = in_program()
        history.hear(self.change(down=False))
        assert history.loops(FollowupLoop.FIRST_APPOINTMENT) == []

    @given(
        interleaved(
            [fact(plans.LevelOfCareChanged, effective_at=START)],
            [attended(START - DAY), attended(START + DAY)],
        )
    )
    def test_in_any_order(self, events: list[Event]) -> None:
        history = in_program(START + 2 * DAY)
        history.hear_all(events)
        assert history.loops(FollowupLoop.FIRST_APPOINTMENT) == []


# --- mistakes -------------------------------------------------------------------------------------------

everything: list[list[Event]] = [
    [received, admitted(), fact(intake.ReferralSent)],
    [planned, fact(plans.GraduationApproved), discharged(START + DAY)],
    [missed(START + HOUR), attended(START + 2 * HOUR), missed(START + 3 * HOUR)],
]


class TestVoid:
    @pytest.mark.parametrize(
        ("event", "reason"),
        [
            (fact(intake.EpisodeEnteredInError), ClearedReason.ENTERED_IN_ERROR),
            (fact(intake.ReferralMerged), ClearedReason.SUPERSEDED),
        ],
    )
    def test_nothing_is_waited_for_any_more(self, event: Event, reason: ClearedReason) -> None:
        history = in_aftercare().after(days=8)
        history.return_to_use(overdose=True)
        history.after(days=2)
        open_before = [loop for loop in history.state.loops.values() if loop.step]
        assert open_before
        said = len(history.said)
        history.hear(event)
        assert history.state.replace(voided=None) == EpisodeState(void=True)
        taken_back = history.of(followup.EscalationCleared)[-len(open_before) :]
        assert len(history.said) == said + len(open_before)
        assert [e.reason for e in taken_back] == [reason] * len(open_before)
        assert len(history.after(days=400).said) == said + len(open_before)
        with pytest.raises(Refused) as refused:
            history.outreach()
        assert refused.value.code == "entered-in-error"

    @given(
        st.one_of(
            [
                interleaved([*everything[0], event], *everything[1:])
                for event in (fact(intake.EpisodeEnteredInError), fact(intake.ReferralMerged))
            ]
        )
    )
    def test_in_any_order_nothing_is_left(self, events: list[Event]) -> None:
        history = Followup(START + 2 * DAY).hear_all(events)
        assert history.state.replace(voided=None) == EpisodeState(void=True)


class TestUndone:
    @given(interleaved([received, admitted(), fact(intake.AdmissionUndone)], everything[2]))
    def test_what_the_admission_began_is_forgotten(self, events: list[Event]) -> None:
        history = Followup(START + DAY).hear_all(events)
        assert history.state.admission is None
        assert history.state.outreach is None
        assert history.after(days=60).of(followup.ContactLost) == []
        assert history.of(followup.OutreachEscalated) == []

    @given(
        interleaved(
            [received, admitted(), fact(intake.AdmissionUndone), admitted(START + 5 * DAY)],
            [discharged(START + 9 * DAY)],
        )
    )
    def test_a_second_admission_counts_like_the_first(self, events: list[Event]) -> None:
        history = Followup(START + 10 * DAY).hear_all(events)
        assert len(history.check_ins) == 8
        assert history.state.undone is False
        assert history.loops(FollowupLoop.MISSING_FACT) == []

    def test_the_episode_before_goes_on(self) -> None:
        later = Followup()
        later.hear_all([admitted(prior=EPISODE_ID), fact(intake.AdmissionUndone)])
        body = ReadmissionUndone(episode_id=EPISODE_ID)
        assert Handoff(f"episode/{EPISODE_ID}", body) in later.handing
        prior = in_aftercare().after(days=20)
        prior.handed(Readmitted(episode_id=uid("later"), admitted_at=prior.now))
        prior.after(days=20).handed(ReadmissionUndone(episode_id=uid("other")))
        assert prior.state.readmitted
        prior.handed(ReadmissionUndone(episode_id=uid("later")))
        prior.after(days=400)
        assert len(prior.of(followup.AftercareCompleted)) == 1
        assert prior.state.deadlines == {}


def test_a_person_corrected_changes_whose_it_is() -> None:
    history = in_program()
    before = history.state
    history.hear(fact(intake.EpisodePersonCorrected, person_id=uid("other person")))
    assert history.state == before.replace(person_id=uid("other person"))


class Other(History):
    """A session's record."""

    def __init__(self, subject: str, state: type[Any]) -> None:
        kind = RecordKind(state)
        super().__init__("care.followup", kind, REACTIONS, HANDOFFS, subject=subject)


def test_a_session_that_is_cancelled_is_not_coming() -> None:
    session = Other(f"session/{uid('s')}", SessionState)
    session.hear(fact(attendance.SessionScheduled, starts_at=START + timedelta(days=1)))
    assert session.state.index_entries() == {"coming": START + timedelta(days=1)}
    session.hear(fact(attendance.SessionCancelled))
    assert session.state.index_entries() == {}


def test_what_is_only_remembered_shows() -> None:
    history = in_program()
    week = fact(attendance.WeeklyHoursShortfallDetected)
    screen = fact(attendance.ScreenOrdered)
    history.hear_all([week, screen, fact(plans.CoOccurringNeedIdentified)])
    assert history.state.hours_short["minutes_short"] == week.minutes_short
    assert list(history.state.screens_due) == [screen.screen_id]
    assert len(history.state.co_occurring) == 1
    history.hear(fact(attendance.ScreenInterpreted, screen_id=screen.screen_id))
    assert history.state.screens_due == {}
    goal = plans.GoalAdded.example().goal.replace(goal_id=uid("g"))
    history.hear_all([planned, plans.GoalAdded(goal=goal, added_at=history.now)])
    assert history.state.goals[uid("g")] is False
    history.hear_all(
        [
            fact(plans.GoalAchieved, goal_id=uid("g")),
            fact(plans.GoalUpdated, goal_id=uid("g"), achieved=None),
        ]
    )
    assert history.state.goals[uid("g")] is True
    history.hear(fact(plans.GoalWithdrawn, goal_id=uid("g")))
    assert uid("g") not in history.state.goals
    history.hear(fact(plans.TreatmentPlanReviewOverdue))
    assert history.state.plan_review["overdue"] is True
    history.hear(fact(plans.TreatmentPlanReviewed, next_review_on=None))
    assert history.state.plan_review == {}
    history.hear(fact(plans.ClinicalReviewRequested, review_id=uid("r")))
    history.hear(fact(plans.ClinicalReviewOverdue, review_id=uid("r")))
    assert history.state.reviews == {uid("r"): True}

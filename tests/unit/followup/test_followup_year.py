"""The year by the pinned terms, attempts over channels, the plan that is agreed, and whatever else may happen in it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.followup.aftercare import check_ins
from services.followup.episode.check_in_calendar import within
from services.followup.episode.episode_state import Readmitted
from shared.contracts import followup, intake, plans
from shared.contracts.codes import ClearedReason, FollowupLoop, Milestone, Role
from shared.contracts.followup import (
    AttemptResult,
    Channel,
    OutreachCause,
    ReengagementCause,
    ReengagementOutcome,
    RiskFlag,
    TransitionKind,
)
from shared.contracts.plans import DischargeKind
from shared.contracts.terms import ProgramTerms
from shared.errors import CareError, Invalid, Refused
from tests.unit.followup.world import (
    DAY,
    HOUR,
    Followup,
    attended,
    discharged,
    drafted,
    in_aftercare,
    in_program,
    missed,
    threshold,
)
from tests.unit.support import START, fact, uid

M = Milestone


def on_terms(**terms: Any) -> Followup:
    history = Followup()
    admission = fact(
        intake.PatientAdmitted,
        admitted_at=START,
        time_zone="America/Chicago",
        prior_episode_id=None,
        terms=ProgramTerms(version="t-1", **terms),
    )
    history.hear(admission)
    return history


class TestTerms:
    @pytest.mark.fact("2.6", "3.10", "4.9")
    @pytest.mark.parametrize(
        ("terms", "expected", "days"),
        [
            ({}, 8, 365),
            ({"check_ins": (*ProgramTerms().check_ins, M.MONTHS_9)}, 9, 365),
            ({"aftercare_days": 90}, 6, 90),
            ({"aftercare_days": 30, "check_ins": (M.DAYS_30, M.DAYS_7, M.DAYS_7)}, 2, 30),
            ({"aftercare_days": 2000}, 8, 2000),
        ],
    )
    def test_say_which_check_ins_there_are_and_for_how_long(
        self, terms: dict[str, Any], expected: int, days: int
    ) -> None:
        history = on_terms(**terms)
        history.hear(discharged())
        scheduled = history.of(followup.CheckInScheduled)
        assert len(scheduled) == expected
        assert [e.due_at for e in scheduled] == sorted(e.due_at for e in scheduled)
        assert history.of(followup.AftercarePlanActivated)[0].aftercare_days == days
        history.after(days=500)
        [completed] = history.of(followup.AftercareCompleted)
        assert completed.check_ins_due == expected

    def test_a_year_without_check_ins_ends_with_its_days(self) -> None:
        history = on_terms(check_ins=(), aftercare_days=100)
        history.hear(discharged())
        assert history.after(days=99).of(followup.AftercareCompleted) == []
        [completed] = history.after(days=1).of(followup.AftercareCompleted)
        assert completed.check_ins_due == 0

    def test_a_milestone_of_the_future_is_left_out(self) -> None:
        assert within((M.UNKNOWN, M.DAYS_7), 365) == (M.DAYS_7,)

    @pytest.mark.parametrize("days", [10, 30, 45])
    def test_say_when_contact_counts_as_lost(self, days: int) -> None:
        history = on_terms(silent_days_lost=days)
        assert history.after(days=days - 1).of(followup.ContactLost) == []
        assert [e.days_silent for e in history.after(days=1).of(followup.ContactLost)] == [days]

    @pytest.mark.parametrize(
        ("absences", "silent", "tier"),
        [(2, 0, 0), (3, 0, 2), (4, 0, 2), (5, 0, 3), (2, 9, 0), (2, 10, 3)],
    )
    def test_say_which_absences_raise_an_outreach(
        self, absences: int, silent: int, tier: int
    ) -> None:
        history = on_terms(absences_review=3, absences_conference=5, silent_days_conference=10)
        history.hear_all([missed(START), threshold(absences, silent)])
        assert history.state.tier == tier

    def test_what_attendance_says_first_waits_for_them(self) -> None:
        history = Followup()
        history.hear_all([missed(START), threshold(3)])
        assert history.state.outreach is None
        assert history.names == []
        admission = fact(
            intake.PatientAdmitted,
            admitted_at=START,
            prior_episode_id=None,
            terms=ProgramTerms(absences_review=3, absences_conference=9),
        )
        history.hear(admission)
        assert history.state.tier == 2
        assert history.state.held == ()


class TestTried:
    def escalations(self, history: Followup) -> list[tuple[str, int]]:
        return [
            (e.owner_role.value, e.step)
            for e in history.of(followup.LoopEscalated)
            if e.loop is FollowupLoop.CHECK_IN
        ]

    def test_is_somebodys_from_its_opening_on(self) -> None:
        history = in_aftercare()
        key = history.check_in_ids[0]
        window = history.check_ins[key].window
        history.at(window.opens_at - timedelta(seconds=1))
        assert history.loops(FollowupLoop.CHECK_IN) == []
        history.at(window.opens_at)
        [loop] = history.loops(FollowupLoop.CHECK_IN)
        assert (loop.id, loop.owner_role) == (key, Role.CASE_MANAGER)

    @pytest.mark.parametrize(
        ("channels", "enough"),
        [
            ((), False),
            ((Channel.CALL,) * 3, False),
            ((Channel.CALL, Channel.SMS), False),
            ((Channel.CALL, Channel.CALL, Channel.SMS), True),
            ((Channel.CALL, Channel.SMS, Channel.PEER, Channel.VISIT), True),
        ],
    )
    @pytest.mark.scenario(16)
    def test_three_attempts_over_two_channels_or_it_goes_to_a_clinician(
        self, channels: tuple[Channel, ...], enough: bool
    ) -> None:
        history = in_aftercare()
        key = history.open_check_in(0)
        for channel in channels:
            history.attempt(key, AttemptResult.NO_ANSWER, channel)
        history.at(history.check_ins[key].window.closes_at - check_ins.LOOKED_AT_BEFORE)
        assert self.escalations(history) == ([] if enough else [("clinician", 1)])
        history.at(history.check_ins[key].window.closes_at)
        [closed] = history.of(followup.CheckInMissed)
        assert (closed.attempts, closed.channels_tried) == (len(channels), len(set(channels)))
        [raised] = history.of(followup.OutreachEscalated)
        assert (raised.cause, raised.tier) == (OutreachCause.CHECK_IN_MISSED, 1)
        back = [
            e for e in history.of(followup.EscalationCleared) if e.loop is FollowupLoop.CHECK_IN
        ]
        assert [e.reason for e in back] == ([] if enough else [ClearedReason.SUPERSEDED])

    def test_completed_after_an_escalation_takes_it_back(self) -> None:
        history = in_aftercare()
        key = history.open_check_in(0)
        history.after(hours=61)
        assert self.escalations(history) == [("clinician", 1)]
        history.complete(key)
        [back] = [e for e in history.of(followup.EscalationCleared) if e.loop_id == key]
        assert back.reason is ClearedReason.RESOLVED

    def test_a_week_without_contact_after_a_miss_is_a_tier_up(self) -> None:
        history = on_terms(check_ins=(M.DAYS_7, M.MONTHS_6))
        history.hear(discharged())
        history.after(days=10)
        assert [e.tier for e in history.of(followup.OutreachEscalated)] == [1]
        history.after(days=14)
        assert [e.tier for e in history.of(followup.OutreachEscalated)] == [1, 2, 3]
        history.after(days=30)
        assert [e.tier for e in history.of(followup.OutreachEscalated)] == [1, 2, 3]


class TestPlan:
    @pytest.mark.fact("3.12", "4.8")
    def test_a_weak_plan_is_somebodys_until_it_is_agreed(self) -> None:
        history = in_program()
        history.hear(discharged())
        [loop] = history.loops(FollowupLoop.AFTERCARE_PLAN)
        assert loop.deadline_at == START + 72 * HOUR
        history.after(days=3)
        [late] = [e for e in history.of(followup.LoopEscalated) if e.loop_id == loop.id]
        assert late.owner_role is Role.CLINICIAN
        told = history.agree("support-meetings")
        assert told.answer["missing"] == ["crisis-contacts"]
        assert history.loops(FollowupLoop.AFTERCARE_PLAN) != []
        told = history.agree("support-meetings", "crisis-contacts")
        assert told.answer["missing"] == []
        assert history.loops(FollowupLoop.AFTERCARE_PLAN) == []
        assert told.answer["aftercare_plan_id"] == history.state.aftercare.aftercare_plan_id

    @pytest.mark.fact("4.8")
    def test_is_completed_before_the_last_day(self) -> None:
        history = in_program()
        history.hear(fact(plans.GraduationApproved))
        assert len(history.loops(FollowupLoop.AFTERCARE_PLAN)) == 1
        history.agree("crisis-contacts", "individual-therapy", channel=Channel.SMS)
        assert history.loops(FollowupLoop.AFTERCARE_PLAN) == []
        history.hear(discharged())
        [activated] = history.of(followup.AftercarePlanActivated)
        assert activated.elements == ("crisis-contacts", "individual-therapy")
        assert {e.channel for e in history.of(followup.CheckInScheduled)} == {Channel.SMS}

    def test_a_draft_with_what_is_essential_opens_no_loop(self) -> None:
        history = in_program()
        history.hear_all([drafted(), fact(plans.GraduationApproved), discharged()])
        assert history.loops(FollowupLoop.AFTERCARE_PLAN) == []

    @pytest.mark.fact("3.12")
    def test_the_first_appointment_is_asked_after(self) -> None:
        history = in_aftercare()
        history.agree("crisis-contacts", first_appointment_at=START + 5 * DAY)
        with pytest.raises(Refused) as refused:
            history.appointment("kept")
        assert refused.value.code == "appointment-to-come"
        history.after(days=6)
        [loop] = history.loops(FollowupLoop.FIRST_APPOINTMENT)
        assert loop.step == 1
        history.appointment("missed")
        history.agree("crisis-contacts", first_appointment_at=history.now + 2 * DAY)
        history.after(days=2).appointment("kept")
        assert history.loops(FollowupLoop.FIRST_APPOINTMENT) == []
        [back] = [e for e in history.of(followup.EscalationCleared) if e.loop_id == loop.id]
        assert (back.step_reached, back.reason) == (2, ClearedReason.RESOLVED)
        with pytest.raises(Refused):
            history.appointment("kept")

    def test_an_appointment_in_the_past_is_refused(self) -> None:
        with pytest.raises(Invalid) as refused:
            in_aftercare().agree("crisis-contacts", first_appointment_at=START)
        assert refused.value.code == "appointment-in-past"

    def test_not_after_the_year(self) -> None:
        with pytest.raises(Refused) as refused:
            in_aftercare().after(days=400).agree("crisis-contacts")
        assert refused.value.code == "aftercare-over"


class TestRisksInDays:
    @pytest.mark.parametrize(
        ("flags", "hours"),
        [
            ([RiskFlag.CRAVING], 72),
            ([RiskFlag.HOUSING_LOSS, RiskFlag.WITHDRAWAL], 24),
            ([RiskFlag.MEDICATION_GAP], 24),
        ],
    )
    def test_what_is_not_to_life_is_answered_in_days(
        self, flags: list[RiskFlag], hours: int
    ) -> None:
        history = in_aftercare()
        history.complete(history.open_check_in(0), *flags)
        [loop] = history.loops(FollowupLoop.RISK_RESPONSE)
        assert (loop.step, loop.owner_role) == (0, Role.CASE_MANAGER)
        assert loop.deadline_at == history.now + hours * HOUR
        history.after(hours=hours)
        history.after(days=9)
        steps = [e.step for e in history.of(followup.LoopEscalated) if e.loop_id == loop.id]
        assert steps == [1, 2]


@pytest.mark.scenario(11)
@pytest.mark.fact("3.12")
def test_return_to_use_at_day_70_and_a_readmission_that_takes_over() -> None:
    prior = in_aftercare()
    for index in range(5):
        prior.complete(prior.open_check_in(index))
    prior.at(START + 70 * DAY).return_to_use()
    prior.after(days=1).reengage(ReengagementOutcome.READMITTED)
    assert prior.names[-1] == "readmission-requested"
    later = Followup(prior.now + 2 * DAY)
    later.hear(
        fact(
            intake.PatientAdmitted,
            admitted_at=later.now,
            time_zone="America/Chicago",
            prior_episode_id=uid("prior"),
            terms=None,
        )
    )
    [handoff] = [h for h in later.handing if isinstance(h.body, Readmitted)]
    prior.at(later.now).handed(handoff.body)
    states = [check_ins.standing(prior.state, item) for item in prior.check_ins.values()]
    assert states == ["done"] * 5 + ["superseded"] * 3
    assert prior.state.next_episode_id == later.record.subject.partition("/")[2]
    said = len(prior.said)
    assert len(prior.after(days=500).said) == said
    later.after(days=60).hear(discharged(later.now))
    assert next(item.window.due_at - later.now for item in later.check_ins.values()) == 3 * DAY
    assert later.state.admission.prior_episode_id == uid("prior")


class TestReengage:
    def test_begins_for_other_reasons_too(self) -> None:
        history = in_aftercare()
        told = history.start(ReengagementCause.SELF_REQUEST)
        [started] = history.of(followup.ReengagementStarted)
        assert started.cause is ReengagementCause.SELF_REQUEST
        with pytest.raises(Refused) as refused:
            history.start(ReengagementCause.RISK)
        assert refused.value.code == "reengagement-under-way"
        with pytest.raises(Refused):
            history.reengage(ReengagementOutcome.DECLINED, uid("another"))
        history.reengage(ReengagementOutcome.DECLINED, str(told.answer["reengagement_id"]))
        assert history.loops(FollowupLoop.REENGAGEMENT) == []

    def test_after_an_overdose_the_readmission_is_emergent(self) -> None:
        history = in_aftercare()
        history.return_to_use()
        history.return_to_use(overdose=True)
        history.reengage(ReengagementOutcome.READMITTED)
        [asked] = history.of(followup.ReadmissionRequested)
        assert asked.urgency.value == "emergent"


class YearOfCare(RuleBasedStateMachine):
    """Whatever staff do, and whatever is heard, no state is reached that cannot be."""

    @initialize(kind=st.sampled_from([DischargeKind.GRADUATED, DischargeKind.LOST_CONTACT]))
    def begin(self, kind: DischargeKind) -> None:
        self.history = in_aftercare(kind)

    def try_to(self, act: Any) -> None:
        try:
            act()
        except CareError as error:
            assert error.status in (404, 409, 422)  # noqa: PT017 - most acts are refused, and rightly

    @rule(hours=st.integers(1, 40 * 24))
    def time_passes(self, hours: int) -> None:
        self.history.after(hours=hours)

    @rule(
        index=st.integers(0, 7),
        channel=st.sampled_from(list(Channel)[:-1]),
        result=st.sampled_from(list(AttemptResult)[:-1]),
    )
    def tries(self, index: int, channel: Channel, result: AttemptResult) -> None:
        key = self.history.check_in_ids[index]
        self.try_to(lambda: self.history.attempt(key, result, channel))

    @rule(index=st.integers(0, 7), flags=st.lists(st.sampled_from(list(RiskFlag)[:-1]), max_size=2))
    def completes(self, index: int, flags: list[RiskFlag]) -> None:
        self.try_to(lambda: self.history.complete(self.history.check_in_ids[index], *flags))

    @rule(result=st.sampled_from(list(AttemptResult)[:-1]))
    def reaches_out(self, result: AttemptResult) -> None:
        self.try_to(lambda: self.history.outreach(result))

    @rule(overdose=st.booleans())
    def uses_again(self, overdose: bool) -> None:
        self.try_to(lambda: self.history.return_to_use(overdose=overdose))

    @rule(outcome=st.sampled_from(list(ReengagementOutcome)[:-1]))
    def comes_back(self, outcome: ReengagementOutcome) -> None:
        self.try_to(lambda: self.history.reengage(outcome))

    @rule(kind=st.sampled_from(list(TransitionKind)[:-1]), days=st.integers(-3, 40))
    def is_reported(self, kind: TransitionKind, days: int) -> None:
        on = self.history.now.date() - timedelta(days=days)
        self.try_to(lambda: self.history.transition(kind, on))

    @rule(days=st.integers(-2, 9))
    def agrees(self, days: int) -> None:
        at = self.history.now + days * DAY
        self.try_to(lambda: self.history.agree("crisis-contacts", first_appointment_at=at))

    @rule(outcome=st.sampled_from(["kept", "missed", "declined"]))
    def appears(self, outcome: Any) -> None:
        self.try_to(lambda: self.history.appointment(outcome))

    @rule(hours=st.integers(0, 60))
    def is_seen(self, hours: int) -> None:
        self.history.hear(attended(self.history.now - hours * HOUR))

    @rule()
    def is_readmitted(self) -> None:
        body = Readmitted(episode_id=uid("later"), admitted_at=self.history.now)
        self.history.handed(body)

    @invariant()
    def nothing_is_done_and_missed(self) -> None:
        if not hasattr(self, "history"):
            return
        done = {e.check_in_id for e in self.history.of(followup.CheckInCompleted)}
        gone = [e.check_in_id for e in self.history.of(followup.CheckInMissed)]
        assert len(gone) == len(set(gone))
        assert done.isdisjoint(gone)
        settled = {key for key, item in self.history.check_ins.items() if item.settled}
        assert settled == done | set(gone)

    @invariant()
    def what_is_complete_has_nothing_open(self) -> None:
        if not hasattr(self, "history"):
            return
        state = self.history.state
        completed = self.history.of(followup.AftercareCompleted)
        assert len(completed) == bool(state.aftercare.completed_at) <= 1
        if completed:
            assert all(item.settled for item in state.aftercare.check_ins.values())
            assert not state.loops_of(FollowupLoop.CHECK_IN)
            assert not state.loops_of(FollowupLoop.OUTREACH)

    @invariant()
    def nobody_is_lost_while_in_contact(self) -> None:
        if not hasattr(self, "history"):
            return
        state = self.history.state
        if state.lost_at is not None and state.contact_at is not None:
            assert state.contact_at <= state.lost_at
        if state.loops_of(FollowupLoop.LOST_CONTACT):
            assert state.lost_at is not None

    @invariant()
    def every_loop_comes_to_its_next_owner(self) -> None:
        if not hasattr(self, "history"):
            return
        state = self.history.state
        for loop in state.loops.values():
            assert loop.at_last_owner or f"loop:{loop.key}" in state.deadlines
        armed = [name for name in state.deadlines if name.startswith("loop:")]
        assert {name.removeprefix("loop:") for name in armed} <= set(state.loops)
        assert (state.outreach is None) is (not state.loops_of(FollowupLoop.OUTREACH))
        assert (state.reengagement is None) is (not state.loops_of(FollowupLoop.REENGAGEMENT))


YearOfCare.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestYearOfCare = YearOfCare.TestCase

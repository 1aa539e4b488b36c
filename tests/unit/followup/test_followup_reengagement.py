"""Return to use and the way back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest

from services.followup.episode.episode_state import Readmitted
from services.followup.outreach import reengagement
from services.followup.reactions import DEADLINES
from shared.contracts import followup, intake
from shared.contracts.codes import ClearedReason, FollowupLoop, MistakeReason, Urgency
from shared.contracts.followup import ReengagementCause, ReengagementOutcome, ReportedBy
from shared.contracts.plans import DischargeKind
from shared.errors import Invalid, NotYetKnown, Refused
from tests.unit.followup.world import DAY, HOUR, Followup, in_aftercare, in_program
from tests.unit.support import START, cause, fact, uid

OUTCOMES = [outcome for outcome in ReengagementOutcome if outcome.name != "UNKNOWN"]


def reassessments(history: Followup) -> list[followup.LoopEscalated]:
    escalated = history.of(followup.LoopEscalated)
    return [event for event in escalated if event.loop is FollowupLoop.REENGAGEMENT]


class TestReport:
    @pytest.mark.parametrize(("overdose", "hours"), [(False, 72), (True, 24)])
    def test_opens_a_reassessment(self, overdose: bool, hours: int) -> None:
        history = in_aftercare().after(days=70)
        outcome = history.return_to_use(overdose=overdose)
        due_at = history.now + hours * HOUR
        assert history.names[-2:] == ["return-to-use-reported", "reengagement-started"]
        [started] = history.of(followup.ReengagementStarted)
        assert started.cause is ReengagementCause.RETURN_TO_USE
        assert started.reassessment_due_at == due_at
        assert outcome.answer["reassessment_due_at"] == due_at.isoformat()

    def test_resets_nothing(self) -> None:
        history = in_aftercare().after(days=70)
        before = history.state
        history.return_to_use()
        assert history.state.aftercare == before.aftercare
        assert history.state.outreach == before.outreach
        assert set(before.deadlines) < set(history.state.deadlines)

    def test_during_the_program_too(self) -> None:
        history = in_program()
        history.return_to_use()
        assert history.names == ["return-to-use-reported", "reengagement-started"]

    @pytest.mark.parametrize(
        ("first", "second", "started"), [(False, False, 1), (True, False, 1), (False, True, 2)]
    )
    def test_a_second_report_only_makes_it_sooner(
        self, first: bool, second: bool, started: int
    ) -> None:
        history = in_aftercare()
        history.return_to_use(overdose=first)
        history.after(hours=1).return_to_use(overdose=second)
        assert len(history.of(followup.ReturnToUseReported)) == 2
        assert len(history.of(followup.ReengagementStarted)) == started
        due_at = min(
            event.reassessment_due_at for event in history.of(followup.ReengagementStarted)
        )
        assert history.state.reengagement.reassessment_due_at == due_at
        [loop] = history.loops(FollowupLoop.REENGAGEMENT)
        assert history.state.deadlines[f"loop:{loop.key}"] == loop.deadline_at == due_at

    @pytest.mark.parametrize("by", list(ReportedBy))
    def test_only_the_person_is_contact(self, by: ReportedBy) -> None:
        history = in_aftercare().after(days=1)
        history.return_to_use(reported_by=by)
        assert (history.state.contact_at == history.now) is (by is ReportedBy.PATIENT)

    def test_the_day_is_looked_at_where_the_facility_is(self) -> None:
        history = in_aftercare(now=START.replace(hour=2))  # still the first of March in Chicago
        history.return_to_use(occurred_on=date(2026, 3, 1))
        with pytest.raises(Invalid) as refused:
            history.return_to_use(occurred_on=date(2026, 3, 2))
        assert refused.value.code == "day-in-future"


class TestDeadline:
    def test_goes_up_a_day_apart(self) -> None:
        history = in_aftercare()
        history.return_to_use(overdose=True)
        assert reassessments(history.after(hours=23)) == []
        history.after(hours=1)
        history.after(days=10)
        steps = [(e.loop, e.step, e.owner_role) for e in reassessments(history)]
        assert steps == [
            (FollowupLoop.REENGAGEMENT, 1, "clinician"),
            (FollowupLoop.REENGAGEMENT, 2, "clinical_supervisor"),
            (FollowupLoop.REENGAGEMENT, 3, "program_director"),
        ]

    def test_a_sooner_due_time_does_not_forget_the_steps(self) -> None:
        history = in_aftercare()
        history.return_to_use()
        history.after(hours=73).return_to_use(overdose=True)
        assert len(history.of(followup.ReengagementStarted)) == 1, "it is overdue already"
        history.after(hours=23)
        assert [e.step for e in reassessments(history)] == [1, 2]

    def test_an_unknown_deadline_is_a_mistake(self) -> None:
        with pytest.raises(ValueError, match="unknown deadline"):
            DEADLINES.decide(in_program().state, "nonsense:1", cause())


class TestComplete:
    @pytest.mark.parametrize("outcome", OUTCOMES)
    def test_says_where_it_led(self, outcome: ReengagementOutcome) -> None:
        history = in_aftercare()
        history.return_to_use()
        history.after(hours=2).reengage(outcome)
        [completed] = history.of(followup.ReengagementCompleted)
        assert completed.outcome is outcome
        readmissions = history.of(followup.ReadmissionRequested)
        readmitted = outcome is ReengagementOutcome.READMITTED
        assert [event.urgency for event in readmissions] == [Urgency.URGENT] * readmitted
        if readmitted:
            assert history.names[-1] == "readmission-requested", "intake hears it last"
        reached = outcome is not ReengagementOutcome.UNREACHABLE
        assert (history.state.contact_at == history.now) is reached
        assert history.loops(FollowupLoop.REENGAGEMENT) == []
        assert history.state.reengagement is None

    def test_takes_back_what_was_escalated(self) -> None:
        history = in_aftercare()
        history.return_to_use()
        history.at(START + 4 * DAY + timedelta(hours=1)).reengage(ReengagementOutcome.OUTPATIENT)
        [cleared] = [
            e for e in history.of(followup.EscalationCleared) if e.loop is FollowupLoop.REENGAGEMENT
        ]
        assert (cleared.loop, cleared.step_reached) == (FollowupLoop.REENGAGEMENT, 2)
        assert cleared.reason is ClearedReason.RESOLVED
        assert {e.loop_id for e in reassessments(history)} == {cleared.loop_id}

    def test_the_year_goes_on(self) -> None:
        history = in_aftercare()
        history.return_to_use()
        history.reengage(ReengagementOutcome.OUTPATIENT)
        history.after(days=400)
        assert len(history.of(followup.AftercareCompleted)) == 1


class TestIllegal:
    def test_none_under_way(self) -> None:
        history = in_aftercare()
        with pytest.raises(Refused) as refused:
            history.reengage(ReengagementOutcome.OUTPATIENT)
        assert refused.value.code == "no-reengagement"
        history.return_to_use()
        history.reengage(ReengagementOutcome.OUTPATIENT)
        with pytest.raises(Refused):
            history.reengage(ReengagementOutcome.OUTPATIENT)

    def test_nobody_is_readmitted_who_has_not_left(self) -> None:
        history = in_program()
        history.return_to_use()
        with pytest.raises(Refused) as refused:
            history.reengage(ReengagementOutcome.READMITTED)
        assert refused.value.code == "episode-running"
        history.reengage(ReengagementOutcome.MEDICATION)

    def test_before_the_admission_is_heard(self) -> None:
        with pytest.raises(NotYetKnown):
            Followup().return_to_use()
        with pytest.raises(NotYetKnown):
            Followup().reengage(ReengagementOutcome.DECLINED)

    def test_not_for_the_dead(self) -> None:
        history = in_aftercare(DischargeKind.DECEASED)
        with pytest.raises(Refused) as refused:
            history.return_to_use()
        assert refused.value.code == "no-contact"


def _undoes_the_admission(history: Followup) -> None:
    history.hear(fact(intake.AdmissionUndone))


def _undoes_the_report(history: Followup) -> None:
    [report_id] = history.state.reports
    why = MistakeReason.WRONG_PERSON
    history.tell(lambda s, c: reengagement.undo(s, report_id, why, c))


def _comes_back(history: Followup) -> None:
    history.handed(Readmitted(episode_id=uid("later"), admitted_at=history.now))


@pytest.mark.parametrize(
    "way",
    [
        _undoes_the_admission,
        _undoes_the_report,
        _comes_back,
        lambda history: history.reengage(ReengagementOutcome.DECLINED),
    ],
)
@pytest.mark.parametrize("begins", [in_program, in_aftercare])
def test_whatever_ends_a_way_back_is_said(
    begins: Callable[[], Followup], way: Callable[[Followup], None]
) -> None:
    """Intake waits for what was started until it hears that it is over: it must not wait for ever."""
    history = begins()
    history.return_to_use()
    way(history.after(days=1))
    assert history.state.reengagement is None
    assert history.loops(FollowupLoop.REENGAGEMENT) == []
    assert len(history.of(followup.ReengagementStarted)) == 1
    assert len(history.of(followup.ReengagementCompleted)) == 1

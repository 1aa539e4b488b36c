"""The year after discharge: activation in whichever order it is heard, eight check-ins, and their deadlines."""

from __future__ import annotations

from itertools import permutations

import pytest

from services.followup.aftercare import aftercare
from services.followup.episode.check_in_calendar import MILESTONES
from services.followup.episode.episode_state import Readmitted
from shared.contracts import followup, plans
from shared.contracts.codes import ClearedReason, FollowupLoop, Role
from shared.contracts.followup import AttemptResult, OutreachCause, ReportedBy, RiskFlag
from shared.contracts.plans import DischargeKind
from shared.decision import Handoff
from shared.errors import NotYetKnown, Refused, Unknown
from tests.unit.followup.world import (
    DAY,
    HOUR,
    Followup,
    admitted,
    attended,
    cleared,
    discharged,
    drafted,
    escalated,
    in_aftercare,
    in_program,
    missed,
)
from tests.unit.support import EPISODE_ID, START, fact, uid

FOLLOWED = [
    DischargeKind.GRADUATED,
    DischargeKind.AGAINST_ADVICE,
    DischargeKind.ADMINISTRATIVE,
    DischargeKind.LOST_CONTACT,
    DischargeKind.TRANSFERRED,
    DischargeKind.UNKNOWN,
]
NOT_FOLLOWED = [DischargeKind.DECEASED]


def tiers(history: Followup) -> list[int]:
    return [event.tier for event in history.of(followup.OutreachEscalated)]


def refusal(refused: pytest.ExceptionInfo[Refused]) -> str:
    return refused.value.code


class TestActivation:
    @pytest.mark.parametrize("kind", FOLLOWED)
    def test_whoever_leaves_gets_a_calendar(self, kind: DischargeKind) -> None:
        history = in_aftercare(kind)
        assert history.names == ["aftercare-plan-activated"] + ["check-in-scheduled"] * 8
        [activated] = history.of(followup.AftercarePlanActivated)
        assert activated.aftercare_plan_id == uid("plan")
        assert activated.elements == ("crisis-contacts",)
        assert activated.aftercare_days == 365
        scheduled = history.of(followup.CheckInScheduled)
        assert [event.milestone for event in scheduled] == list(MILESTONES)
        assert [event.check_in_id for event in scheduled] == history.check_in_ids
        assert {event.channel for event in scheduled} == {followup.Channel.CALL}

    @pytest.mark.parametrize("kind", NOT_FOLLOWED)
    def test_after_these_nothing_is_scheduled(self, kind: DischargeKind) -> None:
        history = in_aftercare(kind)
        assert history.names == []
        assert history.state.deadlines == {}
        assert history.after(days=400).names == []

    @pytest.mark.parametrize(
        "order", list(permutations(range(3))), ids=lambda order: "".join(map(str, order))
    )
    def test_whichever_fact_comes_last_the_calendar_is_the_same(
        self, order: tuple[int, ...]
    ) -> None:
        facts = [admitted(START - DAY), drafted(), discharged()]
        history = Followup().hear_all(facts[index] for index in order)
        assert history.names.count("check-in-scheduled") == 8
        assert history.state.aftercare.check_ins == in_aftercare().state.aftercare.check_ins
        assert history.loops(FollowupLoop.MISSING_FACT) == []

    def test_without_a_draft_there_is_a_plan_all_the_same(self) -> None:
        history = in_program()
        history.hear(discharged())
        [activated] = history.of(followup.AftercarePlanActivated)
        assert activated.elements == aftercare.ELEMENTS
        before = history.state
        history.hear(drafted("late"))
        assert history.state == before
        assert len(history.of(followup.AftercarePlanActivated)) == 1

    def test_the_latest_draft_counts(self) -> None:
        history = in_program()
        history.hear_all([drafted("one"), drafted("two", 2), discharged()])
        [activated] = history.of(followup.AftercarePlanActivated)
        assert activated.aftercare_plan_id == uid("two")

    def test_graduation_names_the_plan(self) -> None:
        history = in_program()
        graduated = fact(plans.ProgramGraduated, aftercare_plan_id=uid("named"))
        history.hear_all([graduated, discharged()])
        [activated] = history.of(followup.AftercarePlanActivated)
        assert activated.aftercare_plan_id == uid("named")
        before = history.state
        history.hear(graduated)
        assert history.state == before

    def test_an_episode_ends_once(self) -> None:
        history = in_aftercare()
        before = history.state
        history.hear(discharged(START + DAY, DischargeKind.DECEASED))
        assert history.state == before

    def test_death_ends_everything_that_ran(self) -> None:
        history = in_program()
        history.hear(missed(START))
        history.after(days=31).return_to_use()
        history.after(days=4)
        history.hear(discharged(history.now, DischargeKind.DECEASED))
        closed = ClearedReason.EPISODE_CLOSED
        assert cleared(history) == [
            (FollowupLoop.OUTREACH, 3, closed),
            (FollowupLoop.LOST_CONTACT, 1, closed),
            (FollowupLoop.REENGAGEMENT, 2, closed),
        ]
        assert history.state.deadlines == {}


class TestMissingAdmission:
    def test_escalates_a_day_later_and_once_more(self) -> None:
        history = Followup()
        history.hear(discharged())
        assert history.after(hours=23).names == []
        history.after(hours=1)
        history.after(days=30)
        steps = [(e.loop, e.step, e.owner_role) for e in escalated(history)]
        assert steps == [
            (FollowupLoop.MISSING_FACT, 1, Role.OPERATOR),
            (FollowupLoop.MISSING_FACT, 2, Role.PROGRAM_DIRECTOR),
        ]

    def test_the_admission_clears_it_and_activates(self) -> None:
        history = Followup()
        history.hear(discharged())
        history.after(hours=25).hear(admitted(START - DAY))
        assert cleared(history) == [(FollowupLoop.MISSING_FACT, 1, ClearedReason.RESOLVED)]
        assert history.names.count("check-in-scheduled") == 8
        assert history.loops(FollowupLoop.MISSING_FACT) == []

    def test_heard_very_late_the_windows_that_closed_are_missed(self) -> None:
        history = Followup()
        history.hear(discharged())
        history.after(days=8).hear(admitted(START - DAY))
        history.after(seconds=1)
        [missed_one] = history.of(followup.CheckInMissed)
        assert missed_one.check_in_id == history.check_in_ids[0]

    @pytest.mark.parametrize("kind", NOT_FOLLOWED)
    def test_is_not_waited_for_when_nothing_is_to_be_scheduled(self, kind: DischargeKind) -> None:
        history = Followup()
        history.hear(discharged(START, kind))
        assert history.state.deadlines == {}
        history.hear(admitted(START - DAY))
        assert history.names == []
        assert history.state.deadlines == {}


class TestCheckIn:
    def test_attempts_are_counted_and_completing_needs_the_answers(self) -> None:
        history = in_aftercare()
        key = history.open_check_in(0)
        results = [AttemptResult.NO_ANSWER, AttemptResult.REFUSED, AttemptResult.REACHED]
        assert [history.attempt(key, r).answer for r in results] == [
            {"attempt": 1},
            {"attempt": 2},
            {"attempt": 3},
        ]
        assert [e.attempt for e in history.of(followup.CheckInAttempted)] == [1, 2, 3]
        assert history.check_ins[key].settled is None
        assert history.complete(key).answer == {}
        assert history.check_ins[key].settled == "done"
        assert history.state.contact_at == history.now
        assert history.loops(FollowupLoop.CHECK_IN) == []
        assert not any(key in name for name in history.state.deadlines)

    def test_opens_a_day_before_it_is_due(self) -> None:
        history = in_aftercare()
        key = history.check_in_ids[2]
        window = history.check_ins[key].window
        for act in (history.attempt, history.complete):
            history.at(window.opens_at - HOUR / 60)
            with pytest.raises(Refused) as refused:
                act(key)
            assert refusal(refused) == "check-in-not-open"
        history.at(window.opens_at)
        history.attempt(key)
        history.complete(key)

    @pytest.mark.parametrize("act", ["attempt", "complete"])
    def test_nothing_after_it_closed(self, act: str) -> None:
        history = in_aftercare()
        key = history.check_in_ids[0]
        history.now = history.check_ins[key].window.closes_at  # the deadline has not fired yet
        with pytest.raises(Refused) as refused:
            getattr(history, act)(key)
        assert refusal(refused) == "check-in-closed"
        history.at(history.now + DAY)
        assert history.check_ins[key].settled == "missed"
        with pytest.raises(Refused) as refused:
            getattr(history, act)(key)
        assert refusal(refused) == "check-in-closed"

    @pytest.mark.parametrize("act", ["attempt", "complete"])
    def test_nothing_after_it_is_done(self, act: str) -> None:
        history = in_aftercare()
        key = history.open_check_in(0)
        history.complete(key)
        with pytest.raises(Refused) as refused:
            getattr(history, act)(key)
        assert refusal(refused) == "check-in-done"

    @pytest.mark.parametrize("act", ["attempt", "complete"])
    def test_unknown_ids(self, act: str) -> None:
        history = in_program()
        with pytest.raises(NotYetKnown):
            getattr(history, act)(uid("none"))
        history.hear(discharged())
        with pytest.raises(Unknown):
            getattr(history, act)(uid("none"))
        with pytest.raises(NotYetKnown):
            getattr(Followup(), act)(uid("none"))

    @pytest.mark.parametrize("kind", NOT_FOLLOWED)
    def test_nobody_is_called_after_these(self, kind: DischargeKind) -> None:
        with pytest.raises(Refused) as refused:
            in_aftercare(kind).attempt(uid("none"))
        assert refusal(refused) == "no-contact"


class TestMissedCheckIn:
    def test_each_in_a_row_is_a_tier_higher_up_to_three(self) -> None:
        history = in_aftercare().after(days=70)
        assert [e.attempts for e in history.of(followup.CheckInMissed)] == [0] * 5
        assert tiers(history) == [1, 2, 3, 3, 3]
        causes = {event.cause for event in history.of(followup.OutreachEscalated)}
        assert causes == {OutreachCause.CHECK_IN_MISSED}

    def test_a_completed_one_ends_the_row_and_the_outreach(self) -> None:
        history = in_aftercare()
        history.complete(history.open_check_in(2))
        assert tiers(history) == [1, 2]
        assert cleared(history) == [(FollowupLoop.OUTREACH, 2, ClearedReason.RESOLVED)]
        assert tiers(history.after(days=25)) == [1, 2, 1]

    def test_being_reached_clears_it_but_the_next_miss_is_in_a_row(self) -> None:
        history = in_aftercare()
        history.attempt(history.open_check_in(1), AttemptResult.REACHED)
        assert cleared(history) == [(FollowupLoop.OUTREACH, 1, ClearedReason.RESOLVED)]
        assert tiers(history.after(days=5)) == [1, 2]

    def test_counts_its_attempts(self) -> None:
        history = in_aftercare()
        key = history.open_check_in(1)
        for _ in range(3):
            history.attempt(key)
        history.after(days=5)
        assert [e.attempts for e in history.of(followup.CheckInMissed)] == [0, 3]

    def test_contact_after_the_window_closed_outruns_the_deadline(self) -> None:
        history = in_aftercare()
        key = history.check_in_ids[0]
        history.now = history.check_ins[key].window.closes_at + HOUR
        history.outreach()
        history.at(history.now)
        assert len(history.of(followup.CheckInMissed)) == 1
        assert history.state.outreach is None

    def test_the_row_is_counted_along_the_calendar(self) -> None:
        # Over the change of clocks the first window closes after the second one has opened.
        history = in_aftercare()
        first, second = history.check_in_ids[:2]
        assert history.check_ins[second].window.opens_at < history.check_ins[first].window.closes_at
        history.at(history.check_ins[second].window.opens_at)
        history.complete(second)
        assert tiers(history.after(hours=2)) == [1]


class TestLost:
    def test_scenario_16(self) -> None:
        history = in_aftercare()
        history.complete(history.open_check_in(0))
        key = history.open_check_in(1)
        for _ in range(3):
            history.attempt(key)
        history.after(days=4)
        assert tiers(history) == [1]
        assert history.of(followup.ContactLost) == []
        last = history.state.contact_at
        history.at(last + 30 * DAY - HOUR)
        assert history.of(followup.ContactLost) == []
        history.at(last + 30 * DAY)
        assert [event.days_silent for event in history.of(followup.ContactLost)] == [30]
        history.after(days=100)
        assert len(history.of(followup.ContactLost)) == 1
        history.outreach()
        assert history.state.lost_at is None
        assert (FollowupLoop.LOST_CONTACT, 2, ClearedReason.RESOLVED) in cleared(history)

    def test_silence_between_check_ins_that_were_kept_is_no_loss(self) -> None:
        history = in_aftercare()
        for index in range(6):
            history.complete(history.open_check_in(index))
        history.at(history.check_ins[history.check_in_ids[6]].window.due_at)
        assert history.of(followup.ContactLost) == []
        history.after(days=4)
        [lost] = history.of(followup.ContactLost)
        assert (
            lost.days_silent
            == (
                history.check_ins[history.check_in_ids[6]].window.closes_at
                - history.state.contact_at
            ).days
        )

    def test_a_later_contact_postpones_it_until_the_next_miss(self) -> None:
        history = in_aftercare().after(days=15)
        assert "silence" in history.state.deadlines
        history.outreach()
        assert "silence" not in history.state.deadlines
        history.at(START + 32 * DAY)
        assert history.of(followup.ContactLost) == []

    def test_lost_during_the_program_is_not_said_again(self) -> None:
        history = in_program().after(days=35)
        history.hear(discharged(history.now, DischargeKind.LOST_CONTACT))
        history.after(days=60)
        assert len(history.of(followup.ContactLost)) == 1

    def test_leaving_without_a_word_is_no_contact(self) -> None:
        history = in_program().after(days=25)
        history.hear(discharged(history.now, DischargeKind.LOST_CONTACT))
        history.after(days=7)
        assert [event.days_silent for event in history.of(followup.ContactLost)] == [31]

    @pytest.mark.parametrize(
        ("how", "found"),
        [
            (lambda h: h.outreach(), True),
            (lambda h: h.outreach(AttemptResult.VOICEMAIL), False),
            (lambda h: h.outreach(AttemptResult.REFUSED), False),
            (lambda h: h.return_to_use(reported_by=ReportedBy.PATIENT), True),
            (lambda h: h.return_to_use(reported_by=ReportedBy.FAMILY), False),
            (lambda h: h.hear(attended(h.now)), True),
            (lambda h: h.hear(attended(START - DAY)), False),
            (lambda h: h.attempt(h.open_check_in(4), AttemptResult.REACHED), True),
            (lambda h: h.attempt(h.open_check_in(4), AttemptResult.NO_ANSWER), False),
            (lambda h: h.complete(h.open_check_in(4)), True),
        ],
    )
    def test_what_counts_as_contact(self, how: object, found: bool) -> None:
        history = in_aftercare().after(days=40)
        assert history.state.lost_at is not None
        assert callable(how)
        how(history)
        assert (history.state.lost_at is None) is found
        assert (history.state.outreach is None) is found


class TestCompletion:
    def test_all_eight_done(self) -> None:
        history = in_aftercare()
        for index in range(8):
            history.complete(history.open_check_in(index))
        [completed] = history.of(followup.AftercareCompleted)
        assert (completed.check_ins_done, completed.check_ins_due) == (8, 8)
        assert completed.completed_at == history.now
        assert history.state.deadlines == {}
        assert history.names[-1] == "aftercare-completed"

    def test_none_done(self) -> None:
        history = in_aftercare().after(days=400)
        [completed] = history.of(followup.AftercareCompleted)
        assert (completed.check_ins_done, completed.check_ins_due) == (0, 8)
        assert history.state.outreach is None
        over = ClearedReason.EPISODE_CLOSED
        outreach, lost = cleared(history)
        assert outreach == (FollowupLoop.OUTREACH, 3, over)
        assert lost == (FollowupLoop.LOST_CONTACT, 2, over)
        assert len(history.of(followup.ContactLost)) == 1
        assert history.state.deadlines == {}

    def test_the_last_one_missed(self) -> None:
        history = in_aftercare()
        for index in range(7):
            history.complete(history.open_check_in(index))
        history.after(days=300)
        assert history.names[-7:] == [
            "check-in-missed",
            "escalation-cleared",  # of the check-in, which the outreach takes over
            "outreach-escalated",
            "contact-lost",
            "escalation-cleared",
            "escalation-cleared",
            "aftercare-completed",
        ]
        assert history.of(followup.AftercareCompleted)[0].check_ins_done == 7

    def test_the_door_stays_open(self) -> None:
        history = in_aftercare().after(days=500)
        assert history.state.lost_at is not None
        history.outreach()
        assert history.state.lost_at is None
        assert history.state.deadlines == {}


class TestRisk:
    @pytest.mark.parametrize(
        ("flags", "opens"),
        [
            ([], False),
            ([RiskFlag.SUICIDE_RISK], True),
            ([RiskFlag.CRAVING, RiskFlag.OVERDOSE_RISK], True),
            ([RiskFlag.VIOLENCE], True),
        ],
    )
    def test_a_risk_to_life_is_a_clinicians_at_once(
        self, flags: list[RiskFlag], opens: bool
    ) -> None:
        history = in_aftercare()
        outcome = history.complete(history.open_check_in(0), *flags)
        told = escalated(history)
        assert [(e.loop, e.step, e.owner_role) for e in told] == [
            (FollowupLoop.RISK_RESPONSE, 1, Role.CLINICIAN)
        ] * opens
        assert [loop.id for loop in history.loops(FollowupLoop.RISK_RESPONSE)] == [
            e.loop_id for e in told
        ]
        assert ("risk_loop_id" in outcome.answer) is opens

    def test_goes_a_step_up_each_hour(self) -> None:
        history = in_aftercare()
        history.complete(history.open_check_in(0), RiskFlag.SUICIDE_RISK)
        history.after(days=1)
        assert [e.owner_role for e in escalated(history)] == [
            "clinician",
            "clinical_supervisor",
            "program_director",
        ]

    def test_is_answered_once(self) -> None:
        history = in_aftercare()
        outcome = history.complete(history.open_check_in(0), RiskFlag.SUICIDE_RISK)
        loop_id = str(outcome.answer["risk_loop_id"])
        history.after(hours=1).answer_risk(loop_id)
        assert cleared(history) == [(FollowupLoop.RISK_RESPONSE, 2, ClearedReason.RESOLVED)]
        assert history.loops(FollowupLoop.RISK_RESPONSE) == []
        history.after(hours=5)
        assert len(escalated(history)) == 2
        with pytest.raises(Refused) as refused:
            history.answer_risk(loop_id)
        assert refusal(refused) == "no-such-risk"

    def test_needs_an_episode(self) -> None:
        with pytest.raises(NotYetKnown):
            Followup().answer_risk(uid("risk"))


BACK = Readmitted(episode_id=uid("later"), admitted_at=START)


class TestReadmission:
    def test_an_admission_tells_the_episode_before(self) -> None:
        history = Followup()
        history.hear(admitted(prior=uid("prior")))
        assert history.handing == [
            Handoff(
                f"episode/{uid('prior')}", Readmitted(episode_id=EPISODE_ID, admitted_at=START)
            ),
        ]
        assert in_program().handing == []

    def test_supersedes_what_remains_of_the_calendar(self) -> None:
        history = in_aftercare()
        history.complete(history.open_check_in(0))
        history.after(days=70)
        assert history.state.lost_at is not None
        history.handed(BACK)
        said = len(history.said)
        superseded = ClearedReason.SUPERSEDED
        assert cleared(history) == [
            (FollowupLoop.OUTREACH, 3, superseded),
            (FollowupLoop.LOST_CONTACT, 2, superseded),
        ]
        assert history.state.deadlines == {}
        assert len(history.after(days=400).said) == said
        with pytest.raises(Refused) as refused:
            history.attempt(history.check_in_ids[-1])
        assert refusal(refused) == "check-in-superseded"

    def test_ends_a_re_engagement_that_nobody_closed(self) -> None:
        history = in_aftercare()
        history.return_to_use()
        history.after(hours=80).handed(BACK)
        assert history.names[-2:] == ["reengagement-completed", "escalation-cleared"]
        assert history.state.reengagement is None

    def test_heard_before_the_discharge_nothing_is_scheduled(self) -> None:
        history = in_program()
        history.handed(BACK)
        history.hear(discharged())
        assert history.names == []
        assert history.state.deadlines == {}
        history.hear(attended(START))
        assert history.state.deadlines == {}

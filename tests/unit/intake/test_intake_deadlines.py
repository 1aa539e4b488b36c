"""Every open loop has a deadline and an owner: what escalates, when, to whom, and what retracts it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.intake.episode import inbound_referrals, outbound_referrals
from services.intake.handoffs import Readmitted
from shared.contracts import followup, intake, plans
from shared.contracts.codes import ClearedReason, IntakeLoop, Role, Urgency
from shared.contracts.followup import ReengagementOutcome
from shared.contracts.intake import GapReason, ReferralOutcome
from tests.unit.intake.world import (
    DAY,
    FOR_DETOX,
    HOUR,
    Intake,
    Rule,
    admit,
    asked_back,
    at_stage,
    close,
    complete,
    decline,
    discharged,
    ended_with,
    findings,
    in_danger,
    level,
    orient,
    place,
    receive,
    recommend,
    schedule,
    send,
)
from tests.unit.support import EPISODE_ID, START, fact, uid

OWNERS = [Role.INTAKE_COORDINATOR, Role.CLINICAL_SUPERVISOR, Role.PROGRAM_DIRECTOR]


def escalated(history: Any) -> list[tuple[IntakeLoop, Role, int]]:
    return [(e.loop, e.owner_role, e.step) for e in history.of(intake.LoopEscalated)]


def cleared(history: Any) -> list[tuple[IntakeLoop, int, ClearedReason]]:
    return [(e.loop, e.step_reached, e.reason) for e in history.of(intake.EscalationCleared)]


@pytest.mark.parametrize(
    ("urgency", "within"),
    [
        (Urgency.EMERGENT, timedelta(minutes=30)),
        (Urgency.URGENT, timedelta(hours=4)),
        (Urgency.ROUTINE, timedelta(hours=24)),
    ],
)
def test_a_referral_nobody_takes_on_is_escalated(urgency: Urgency, within: timedelta) -> None:
    history = Intake().does(receive(urgency))
    history.at(START + within - timedelta(seconds=1))
    assert escalated(history) == []
    history.at(START + within)
    [event] = history.of(intake.LoopEscalated)
    assert (event.loop, event.loop_id) == (IntakeLoop.REFERRAL_ACKNOWLEDGEMENT, EPISODE_ID)
    assert event.deadline_at == START + within + DAY


def test_three_roles_own_it_in_turn_and_the_last_keeps_it() -> None:
    history = at_stage("referred").after(days=30)
    loop = IntakeLoop.REFERRAL_ACKNOWLEDGEMENT
    assert escalated(history) == [(loop, owner, step + 1) for step, owner in enumerate(OWNERS)]
    assert history.record.due is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (inbound_referrals.acknowledge, ClearedReason.RESOLVED),
        (decline, ClearedReason.EPISODE_CLOSED),
        (close(), ClearedReason.EPISODE_CLOSED),
    ],
)
@pytest.mark.parametrize(("days", "steps"), [(0, 0), (1, 1), (2, 2), (30, 3)])
def test_an_answer_retracts_what_was_escalated(
    answer: Rule, reason: ClearedReason, days: int, steps: int
) -> None:
    history = at_stage("referred").after(days=days)
    history.command(answer)
    loop = IntakeLoop.REFERRAL_ACKNOWLEDGEMENT
    assert cleared(history) == ([(loop, steps, reason)] if steps else [])
    assert loop.value not in history.waits


LOOPS: list[tuple[str, IntakeLoop, timedelta, Rule]] = [
    ("acknowledged", IntakeLoop.ASSESSMENT, 14 * DAY, schedule),
    ("scheduled", IntakeLoop.ASSESSMENT, 14 * DAY, complete()),
    ("assessed", IntakeLoop.RECOMMENDATION, 3 * DAY, recommend),
    ("in-danger", IntakeLoop.EMERGENCY_RESPONSE, DAY, complete()),
    ("eligible", IntakeLoop.PLACEMENT, 7 * DAY, place()),
    ("ineligible", IntakeLoop.OUTBOUND_REFERRAL, 2 * DAY, send()),
    ("placed", IntakeLoop.ADMISSION, 14 * DAY, admit()),
    ("admitted", IntakeLoop.ORIENTATION, 7 * DAY, orient),
]


@pytest.mark.parametrize(("stage", "loop", "within", "_done"), LOOPS)
def test_every_step_has_its_time(
    stage: str, loop: IntakeLoop, within: timedelta, _done: Rule
) -> None:
    history = at_stage(stage)
    assert history.waits == {loop.value: START + within}
    history.at(START + within + 5 * DAY)
    assert escalated(history) == [(loop, owner, step + 1) for step, owner in enumerate(OWNERS)]


@pytest.mark.parametrize(("stage", "loop", "within", "done"), LOOPS)
def test_doing_it_retracts_the_escalation(
    stage: str, loop: IntakeLoop, within: timedelta, done: Rule
) -> None:
    history = at_stage(stage).at(START + within)
    if stage == "in-danger":
        history.command(schedule)
        assert cleared(history) == []
    history.command(done)
    if done is schedule:
        assert cleared(history) == []  # an appointment is not an assessment
        assert loop.value in history.waits
        return
    assert cleared(history) == [(loop, 1, ClearedReason.RESOLVED)]
    assert loop.value not in history.waits


@pytest.mark.parametrize("stage", [stage for stage, *_ in LOOPS])
def test_the_end_of_the_episode_ends_its_loops(stage: str) -> None:
    history = at_stage(stage).after(days=20)
    open_loops = {loop for loop, *_ in escalated(history)}
    history.hear(discharged())
    assert {loop for loop, *_ in cleared(history)} == open_loops
    assert {reason for *_, reason in cleared(history)} == {ClearedReason.EPISODE_CLOSED}
    assert (history.state.deadlines, history.state.loops) == ({}, {})


def test_a_second_look_begins_the_loops_anew() -> None:
    history = at_stage("eligible").after(days=7)
    assert [loop for loop, *_ in escalated(history)] == [IntakeLoop.PLACEMENT]
    history.command(schedule)
    assert cleared(history) == [(IntakeLoop.PLACEMENT, 1, ClearedReason.SUPERSEDED)]
    assert history.waits == {IntakeLoop.ASSESSMENT.value: history.now + 14 * DAY}


def test_a_new_time_for_the_assessment_does_not_prolong_the_wait() -> None:
    history = at_stage("acknowledged")
    for _ in range(3):
        history.after(days=4)
        history.command(schedule)
    assert history.waits == {IntakeLoop.ASSESSMENT.value: START + 14 * DAY}


def test_danger_is_watched_until_the_next_assessment() -> None:
    history = at_stage("scheduled").does(complete(in_danger()), schedule)
    assert set(history.waits) == {
        IntakeLoop.EMERGENCY_RESPONSE.value,
        IntakeLoop.ASSESSMENT.value,
    }
    history.command(complete())
    assert set(history.waits) == {IntakeLoop.RECOMMENDATION.value}


def test_whoever_is_placed_elsewhere_has_to_be_referred_on() -> None:
    history = at_stage("eligible").does(place("3.1", GapReason.PATIENT_CHOICE))
    assert set(history.waits) == {IntakeLoop.OUTBOUND_REFERRAL.value}
    history.command(place())
    assert set(history.waits) == {IntakeLoop.ADMISSION.value}


# --- referrals to partners ------------------------------------------------------------------------------


def sent(history: Any, within: timedelta = 24 * HOUR) -> str:
    referral_id: str = history.command(send(within=within)).answer["referral_id"]
    return referral_id


def test_a_referral_without_an_outcome_is_overdue_every_day_ten_times() -> None:
    history = at_stage("ineligible")
    referral_id = sent(history)
    history.after(days=60)
    hours = [event.hours_open for event in history.of(intake.ReferralLoopOverdue)]
    assert hours == [24 * day for day in range(1, 11)]
    assert {event.referral_id for event in history.of(intake.ReferralLoopOverdue)} == {referral_id}
    assert history.record.due is None


def test_closing_ends_the_reminders() -> None:
    history = at_stage("ineligible")
    referral_id = sent(history)
    history.after(hours=60)
    history.command(lambda s, c: outbound_referrals.close(s, referral_id, ReferralOutcome.LOST, c))
    history.after(days=1)
    assert len(history.of(intake.ReferralLoopOverdue)) == 2
    [event] = history.of(intake.ReferralLoopClosed)
    assert event.hours_open == 60


def test_accepting_moves_the_deadline_behind_the_appointment() -> None:
    history = at_stage("ineligible")
    referral_id = sent(history)
    appointment = START + 3 * DAY
    history.command(lambda s, c: outbound_referrals.accepted(s, referral_id, appointment, c))
    history.at(appointment + 23 * HOUR)
    assert history.of(intake.ReferralLoopOverdue) == []
    history.at(appointment + 24 * HOUR)
    assert [event.hours_open for event in history.of(intake.ReferralLoopOverdue)] == [96]


@pytest.mark.parametrize("answer", ["accepted", "rejected"])
def test_an_answer_without_an_appointment_leaves_the_deadline(answer: str) -> None:
    history = at_stage("ineligible")
    referral_id = sent(history)
    rule = outbound_referrals.accepted if answer == "accepted" else outbound_referrals.rejected
    history.command(lambda s, c: rule(s, referral_id, None, c))
    history.after(hours=24)
    assert len(history.of(intake.ReferralLoopOverdue)) == 1


def test_all_reminders_together_are_ten() -> None:
    history = at_stage("ineligible")
    referral_id = sent(history)
    history.after(days=20)
    appointment = history.now + DAY
    history.command(lambda s, c: outbound_referrals.accepted(s, referral_id, appointment, c))
    history.after(days=20)
    assert len(history.of(intake.ReferralLoopOverdue)) == outbound_referrals.REMINDERS_MAX


def test_an_ineligible_person_stays_somebodys_until_the_inbound_loop_closes() -> None:
    history = at_stage("ineligible")
    first, second = sent(history), sent(history)
    assert history.due(IntakeLoop.OUTBOUND_REFERRAL) is None
    history.command(lambda s, c: outbound_referrals.close(s, first, ReferralOutcome.DECLINED, c))
    assert history.due(IntakeLoop.OUTBOUND_REFERRAL) is None  # the other one is under way
    history.command(lambda s, c: outbound_referrals.close(s, second, ReferralOutcome.ADMITTED, c))
    assert history.due(IntakeLoop.OUTBOUND_REFERRAL) == START + 2 * DAY
    history.command(close(ReferralOutcome.DECLINED))
    assert history.state.deadlines == {}


def test_whom_the_program_no_longer_suits_stays_somebodys_in_treatment_too() -> None:
    history = at_stage("oriented").does(schedule, complete(findings(FOR_DETOX)), recommend)
    referral_id = sent(history)
    history.command(
        lambda s, c: outbound_referrals.close(s, referral_id, ReferralOutcome.DECLINED, c)
    )
    assert set(history.waits) == {IntakeLoop.OUTBOUND_REFERRAL.value}
    history.hear(discharged())
    assert history.state.deadlines == {}


def test_whom_the_program_still_suits_goes_on() -> None:
    history = at_stage("oriented").does(schedule, complete(), recommend)
    assert history.state.deadlines == {}


def test_whoever_is_placed_here_though_it_does_not_suit_has_to_be_referred_on() -> None:
    history = at_stage("ineligible").does(place("2.1", GapReason.PATIENT_CHOICE))
    assert set(history.waits) == {IntakeLoop.OUTBOUND_REFERRAL.value}


def test_whoever_is_under_way_to_a_partner_is_not_asked_for_again() -> None:
    history = at_stage("scheduled").does(send(), complete(findings(FOR_DETOX)), recommend)
    assert history.due(IntakeLoop.OUTBOUND_REFERRAL) is None


# --- coming back ----------------------------------------------------------------------------------------


def test_a_readmission_that_is_asked_for_is_waited_for() -> None:
    history = at_stage("oriented")
    history.hear(discharged())
    history.hear(asked_back())
    history.after(hours=72)
    assert escalated(history) == [(IntakeLoop.READMISSION, Role.INTAKE_COORDINATOR, 1)]
    history.hand(Readmitted(episode_id=uid("next")))
    assert cleared(history) == [(IntakeLoop.READMISSION, 1, ClearedReason.RESOLVED)]
    assert history.record.due is None


def test_a_discharge_does_not_end_the_wait_for_a_readmission() -> None:
    """The request may be heard before the discharge that it follows."""
    history = at_stage("oriented")
    history.hear(asked_back())
    history.hear(discharged())
    assert set(history.waits) == {IntakeLoop.READMISSION.value}


def test_asking_twice_does_not_prolong_the_wait() -> None:
    history = at_stage("oriented")
    history.hear(asked_back())
    history.after(hours=48)
    history.hear(asked_back())
    assert history.due(IntakeLoop.READMISSION) == START + 72 * HOUR


@pytest.mark.parametrize(
    ("outcome", "waits"),
    [
        (ReengagementOutcome.READMITTED, True),
        (ReengagementOutcome.OUTPATIENT, False),
        (ReengagementOutcome.MEDICATION, False),
        (ReengagementOutcome.DECLINED, False),
        (ReengagementOutcome.UNREACHABLE, False),
    ],
)
def test_where_else_the_way_back_led_ends_the_wait(
    outcome: ReengagementOutcome, *, waits: bool
) -> None:
    history = at_stage("oriented")
    history.hear(asked_back())
    history.after(hours=72)
    history.hear(ended_with(outcome))
    assert (history.due(IntakeLoop.READMISSION) is not None) is waits
    assert cleared(history) == (
        [] if waits else [(IntakeLoop.READMISSION, 1, ClearedReason.WITHDRAWN)]
    )


# --- another level --------------------------------------------------------------------------------------


@pytest.mark.scenario(5)
@pytest.mark.parametrize(
    ("code", "waits"),
    [("3.7", True), ("2.5", True), ("1", True), ("2.1", False)],
)
def test_a_level_that_the_program_does_not_offer_is_looked_for_elsewhere(
    code: str, *, waits: bool
) -> None:
    history = at_stage("oriented")
    history.hear(fact(plans.LevelOfCareChangeRecommended, to_level=level(code), effective_at=None))
    assert (history.due(IntakeLoop.OUTBOUND_REFERRAL) is not None) is waits
    history.after(days=3)
    assert len(escalated(history)) == (2 if waits else 0)


@pytest.mark.scenario(6)
@pytest.mark.parametrize("code", ["2.5", "1"])
def test_nobody_looks_elsewhere_for_who_stays_in_the_program(code: str) -> None:
    history = at_stage("oriented")
    stays_from = history.now + timedelta(days=7)
    history.hear(
        fact(plans.LevelOfCareChangeRecommended, to_level=level(code), effective_at=stays_from)
    )
    history.after(days=8)
    assert history.due(IntakeLoop.OUTBOUND_REFERRAL) is None
    assert escalated(history) == []


@pytest.mark.parametrize("how", ["sent", "changed", "discharged"])
def test_the_search_for_another_level_ends(how: str) -> None:
    history = at_stage("oriented")
    history.hear(fact(plans.LevelOfCareChangeRecommended, to_level=level("1"), effective_at=None))
    history.after(days=2)
    if how == "sent":
        history.command(send())
    elif how == "changed":
        history.hear(fact(plans.LevelOfCareChanged, to_level=level("1")))
    else:
        history.hear(discharged())
    assert history.due(IntakeLoop.OUTBOUND_REFERRAL) is None
    [(loop, step, _)] = cleared(history)
    assert (loop, step) == (IntakeLoop.OUTBOUND_REFERRAL, 1)


def test_a_referral_sent_out_is_a_loop_with_owners_of_its_own() -> None:
    history = at_stage("ineligible")
    referral_id = sent(history)
    history.after(days=4)
    said = [(e.loop_id, e.owner_role) for e in history.of(intake.LoopEscalated)]
    assert said == [(referral_id, owner) for owner in OWNERS]
    history.command(
        lambda s, c: outbound_referrals.close(s, referral_id, ReferralOutcome.ADMITTED, c)
    )
    [event] = [e for e in history.of(intake.EscalationCleared) if e.loop_id == referral_id]
    assert event.step_reached == 3


# --- the way back ---------------------------------------------------------------------------------------


@pytest.mark.scenario(11)
@pytest.mark.parametrize(("hours", "due"), [(24, 24), (72, 72), (200, 72), (-5, 1)])
def test_a_reassessment_has_its_time_and_never_more_than_three_days(hours: int, due: int) -> None:
    history = at_stage("oriented")
    history.hear(discharged())
    by = START + hours * HOUR
    history.hear(fact(followup.ReengagementStarted, reassessment_due_at=by))
    assert history.due(IntakeLoop.READMISSION) == START + due * HOUR
    history.hear(asked_back())
    assert history.due(IntakeLoop.READMISSION) == START + due * HOUR
    history.hand(Readmitted(episode_id=uid("next")))
    assert history.waits == {}

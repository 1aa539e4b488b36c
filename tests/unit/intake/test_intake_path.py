"""The path from a referral to the first day: what each step says, and what every stage refuses."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from services.intake.episode import (
    admissions,
    assessments,
    episode_state,
    inbound_referrals,
    outbound_referrals,
)
from services.intake.episode.episode_state import EpisodeState
from services.intake.handoffs import EpisodeEnded, EpisodeOpened, Readmitted
from shared.contracts import intake
from shared.contracts.codes import CoOccurring, IntakeLoop, Urgency
from shared.contracts.intake import (
    EmergencyAction,
    GapReason,
    ReferralOutcome,
    RejectionReason,
)
from shared.decision import Handoff
from shared.errors import CareError, Forbidden, Invalid, Refused, Unknown
from tests.unit.intake.world import (
    EVENING,
    FOR_IOP,
    HIGHER,
    PERSON,
    PERSON_ID,
    STAGES,
    TABLE,
    Intake,
    Rule,
    admit,
    at_stage,
    close,
    complete,
    decline,
    discharged,
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
from tests.unit.support import EPISODE_ID, START, uid


@pytest.mark.fact("4.1", "4.2", "4.3")
def test_the_happy_path_is_said_step_by_step() -> None:
    history = at_stage("oriented")
    assert history.names == [
        "referral-received",
        "referral-acknowledged",
        "assessment-scheduled",
        "assessment-completed",
        "level-recommended",
        "eligibility-determined",
        "placement-decided",
        "patient-admitted",
        "referral-loop-closed",
        "orientation-completed",
    ]
    [admitted] = history.of(intake.PatientAdmitted)
    assert (admitted.person_id, admitted.level.code) == (PERSON_ID, "2.1")
    [closed] = history.of(intake.ReferralLoopClosed)
    assert (closed.referral_id, closed.outcome) == (EPISODE_ID, ReferralOutcome.ADMITTED)
    assert history.state.deadlines == {}


def test_a_referral_opens_an_episode_of_a_person() -> None:
    history = Intake()
    outcome = history.command(receive())
    assert outcome.answer == {"episode_id": EPISODE_ID, "person_id": PERSON_ID}
    assert history.handing == [Handoff(PERSON, EpisodeOpened(episode_id=EPISODE_ID))]


def test_the_wait_for_an_acknowledgement_is_measured() -> None:
    history = at_stage("referred").after(minutes=95)
    history.command(inbound_referrals.acknowledge)
    [event] = history.of(intake.ReferralAcknowledged)
    assert event.minutes_to_acknowledge == 95


def test_counts_stay_within_the_contract() -> None:
    """An answer after eighty years, or by a clock that went back, must not break the event."""
    assert episode_state.elapsed(START, START + timedelta(days=30_000)) == episode_state.COUNT_MAX
    assert episode_state.elapsed(START, START - timedelta(hours=1)) == 0


def test_a_declined_referral_is_a_closed_episode() -> None:
    history = at_stage("closed")
    assert history.names == ["referral-received", "referral-declined", "referral-loop-closed"]
    [event] = history.of(intake.ReferralLoopClosed)
    assert event.outcome is ReferralOutcome.DECLINED
    assert history.state.closed_at == START
    assert history.state.deadlines == {}
    assert history.handing[-1] == Handoff(
        PERSON, EpisodeEnded(episode_id=EPISODE_ID, ended_at=START)
    )


def test_a_lost_referral_closes_its_loop_and_the_episode() -> None:
    history = at_stage("acknowledged").does(close(ReferralOutcome.NO_SHOW))
    [event] = history.of(intake.ReferralLoopClosed)
    assert event.outcome is ReferralOutcome.NO_SHOW
    assert history.state.closed_at is not None


def test_an_ineligible_person_is_sent_on_and_the_loop_closes_there() -> None:
    """Withdrawal care first: docs/domain.md scenario 13."""
    history = at_stage("ineligible")
    [completed] = history.of(intake.AssessmentCompleted)
    assert completed.withdrawal_level == level("3.7-WM")
    [determined] = history.of(intake.EligibilityDetermined)
    assert determined.unmet == ("withdrawal-management-needed", "level-not-offered")
    referral_id = history.command(send()).answer["referral_id"]
    history.command(lambda s, c: outbound_referrals.accepted(s, referral_id, None, c))
    assert history.of(intake.ReferralLoopClosed) == []
    history.command(
        lambda s, c: outbound_referrals.close(s, referral_id, ReferralOutcome.ADMITTED, c)
    )
    [closed] = history.of(intake.ReferralLoopClosed)
    assert (closed.referral_id, closed.outcome) == (referral_id, ReferralOutcome.ADMITTED)


def test_ratings_stay_here() -> None:
    history = at_stage("oriented")
    assert history.state.assessment.ratings == FOR_IOP
    for entry in history.record.waiting_entries():
        assert b"rating" not in entry["data"]


def test_the_recommendation_is_answered_and_signed() -> None:
    history = at_stage("assessed")
    outcome = history.command(recommend)
    assert outcome.answer == {
        "level": {"system": "asam", "edition": "3", "code": "2.1"},
        "eligible": True,
        "unmet": [],
        "flags": [],
        "program": None,
        "risks": [],
        "reasons": [],
        "step_down_from": "withdrawal_management",
        "override": None,
    }
    [event] = history.of(intake.LevelRecommended)
    assert event.signed_by_id == uid("actor")
    assert [driver.number for driver in event.drivers] == [4, 5]


def test_the_enhanced_need_is_said_whoever_found_it() -> None:
    rated = at_stage("scheduled").does(complete(findings({**FOR_IOP, 3: 3})))
    said = at_stage("scheduled").does(complete(findings(co_occurring=CoOccurring.ENHANCED)))
    for history in (rated, said):
        [event] = history.of(intake.AssessmentCompleted)
        assert event.co_occurring is CoOccurring.ENHANCED


# --- imminent danger ------------------------------------------------------------------------------------


def test_imminent_danger_is_said_and_no_level_is_recommended() -> None:
    history = at_stage("in-danger")
    assert history.names[-2:] == ["assessment-completed", "imminent-danger-identified"]
    [event] = history.of(intake.ImminentDangerIdentified)
    assert event.action is EmergencyAction.EMERGENCY_DEPARTMENT
    with pytest.raises(Refused) as refused:
        history.command(recommend)
    assert refused.value.code == "imminent-danger"


@pytest.mark.parametrize(
    ("more", "number"),
    [({}, 4), ({"ratings": {**FOR_IOP, 3: 4}}, 3), ({"danger_dimension": 6}, 6)],
)
def test_where_the_danger_lies(more: dict[str, Any], number: int) -> None:
    history = at_stage("scheduled").does(complete(in_danger(**more)))
    [event] = history.of(intake.ImminentDangerIdentified)
    assert event.dimension.number == number
    assert history.of(intake.AssessmentCompleted)[0].drivers == (event.dimension,)


def test_when_the_danger_is_over_the_person_is_assessed_again() -> None:
    history = at_stage("in-danger").does(schedule, complete(), recommend, place(), admit())
    assert history.state.admission is not None


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (in_danger(danger_action=None), "danger-action-missing"),
        (findings({**FOR_IOP, 3: 4}), "danger-not-stated"),
        (findings({**FOR_IOP, 3: "2.1"}), "ratings-invalid"),
        (findings({1: 0}), "ratings-invalid"),
        (findings(FOR_IOP, edition="4"), "ratings-invalid"),
    ],
)
def test_findings_that_make_no_sense(found: assessments.Findings, code: str) -> None:
    history = at_stage("scheduled")
    before = history.state
    with pytest.raises(Invalid) as refused:
        history.command(complete(found))
    assert (refused.value.code, refused.value.status) == (code, 422)
    assert refused.value.hint
    assert history.state is before


# --- looking again --------------------------------------------------------------------------------------


def test_another_assessment_replaces_what_was_decided_by_the_one_before() -> None:
    history = at_stage("placed")
    earlier = history.state.assessment.assessment_id
    history.does(schedule)
    assert (history.state.recommendation, history.state.placed_level) == (None, None)
    with pytest.raises(Refused) as refused:
        history.command(lambda s, c: assessments.complete(s, earlier, findings(), TABLE, c))
    assert refused.value.code == "assessment-replaced"
    with pytest.raises(Refused) as refused:
        history.command(admit())
    assert refused.value.code == "not-eligible"


def test_someone_in_treatment_may_be_assessed_again_and_stays_admitted() -> None:
    history = at_stage("oriented").does(schedule, complete(findings({**FOR_IOP, 5: 4})), recommend)
    assert history.of(intake.EligibilityDetermined)[-1].eligible is False
    assert history.state.admission is not None
    assert history.due(IntakeLoop.OUTBOUND_REFERRAL) is not None


def test_what_has_to_be_evaluated_further_is_not_recommended_by() -> None:
    ratings: dict[int, int | str] = {**dict.fromkeys(range(1, 7), "2.1"), 2: "EVAL"}
    history = at_stage("scheduled").does(complete(findings(ratings, edition="4")))
    with pytest.raises(Refused) as refused:
        history.command(recommend)
    assert refused.value.code == "evaluation-needed"


# --- placement and admission ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "reason", "refusal"),
    [
        ("2.1", None, None),
        ("2.1", GapReason.CAPACITY, "gap-reason-mismatch"),
        ("2.5", None, "gap-reason-mismatch"),
        ("2.5", GapReason.PATIENT_CHOICE, None),
    ],
)
def test_a_gap_has_a_reason(code: str, reason: GapReason | None, refusal: str | None) -> None:
    history = at_stage("eligible")
    if refusal is None:
        history.does(place(code, reason), admit(profile=EVENING if code == "2.1" else HIGHER))
        assert history.of(intake.PatientAdmitted)[0].level.code == code
        return
    with pytest.raises(Invalid) as refused:
        history.command(place(code, reason))
    assert refused.value.code == refusal


def test_editions_are_not_compared() -> None:
    history = at_stage("eligible")
    with pytest.raises(Invalid) as refused:
        history.command(lambda s, c: admissions.place(s, level("2.1", "4"), GapReason.PAYER, c))
    assert refused.value.code == "edition-differs"


def test_nobody_is_admitted_to_a_level_that_is_not_offered() -> None:
    history = at_stage("eligible").does(place("3.1", GapReason.PATIENT_CHOICE))
    with pytest.raises(Refused) as refused:
        history.command(admit())
    assert refused.value.code == "placed-elsewhere"


def test_a_readmission_tells_the_episode_before() -> None:
    history = at_stage("placed")
    prior = uid("prior")
    history.command(admit(prior))
    assert history.of(intake.PatientAdmitted)[0].prior_episode_id == prior
    assert history.handing[-1] == Handoff(f"episode/{prior}", Readmitted(episode_id=EPISODE_ID))


def test_an_episode_does_not_continue_itself() -> None:
    with pytest.raises(Invalid) as refused:
        at_stage("placed").command(admit(EPISODE_ID))
    assert refused.value.code == "prior-episode-invalid"


# --- what each stage refuses ----------------------------------------------------------------------------

COMMANDS: dict[str, Rule] = {
    "receive": receive(Urgency.URGENT),
    "acknowledge": inbound_referrals.acknowledge,
    "decline": decline,
    "close": close(),
    "close-as-admitted": close(ReferralOutcome.ADMITTED),
    "schedule": schedule,
    "complete": complete(),
    "recommend": recommend,
    "place": place(),
    "admit": admit(),
    "orient": orient,
    "send": send(),
}
ALWAYS = {"close-as-admitted": "outcome-not-stated"}
KNOWN = {**ALWAYS, "receive": "referral-exists"}
ACKNOWLEDGED = {**KNOWN, "acknowledge": "already-acknowledged"}
NO_ASSESSMENT = {"complete": "unknown-assessment", "recommend": "unknown-assessment"}
NOT_DECIDED = {"place": "not-recommended", "admit": "not-eligible", "orient": "not-admitted"}
DONE = {"complete": "assessment-completed", "recommend": "already-recommended"}
ADMITTED = {
    **ACKNOWLEDGED,
    **DONE,
    **dict.fromkeys(
        ("acknowledge", "decline", "close", "close-as-admitted", "place", "admit"),
        "already-admitted",
    ),
}
REFUSED_AT: dict[str, dict[str, str]] = {
    "unknown": dict.fromkeys(COMMANDS.keys() - {"receive"}, "unknown-episode"),
    "referred": {**KNOWN, **NO_ASSESSMENT, **NOT_DECIDED, "schedule": "not-acknowledged"},
    "acknowledged": {**ACKNOWLEDGED, **NO_ASSESSMENT, **NOT_DECIDED},
    "scheduled": {**ACKNOWLEDGED, **NOT_DECIDED, "recommend": "assessment-not-completed"},
    "assessed": {**ACKNOWLEDGED, **NOT_DECIDED, "complete": "assessment-completed"},
    "in-danger": {
        **ACKNOWLEDGED,
        **NOT_DECIDED,
        "complete": "assessment-completed",
        "recommend": "imminent-danger",
    },
    "eligible": {**ACKNOWLEDGED, **DONE, "admit": "not-placed", "orient": "not-admitted"},
    "ineligible": {
        **ACKNOWLEDGED,
        **DONE,
        "place": "gap-reason-mismatch",
        "admit": "not-eligible",
        "orient": "not-admitted",
    },
    "placed": {**ACKNOWLEDGED, **DONE, "orient": "not-admitted"},
    "admitted": ADMITTED,
    "oriented": {**ADMITTED, "orient": "already-oriented"},
    "closed": {
        **dict.fromkeys(COMMANDS, "episode-closed"),
        "receive": "referral-exists",
    },
}


@pytest.mark.parametrize(
    ("stage", "command"), [(stage, command) for stage in STAGES for command in COMMANDS]
)
def test_every_stage_takes_what_it_takes_and_refuses_the_rest(stage: str, command: str) -> None:
    history = at_stage(stage)
    before, said = history.state, history.names
    expected = REFUSED_AT[stage].get(command)
    if expected is None:
        history.command(COMMANDS[command])
        assert history.names[: len(said)] == said
        assert len(history.names) > len(said)
        return
    with pytest.raises(CareError) as refused:
        history.command(COMMANDS[command])
    error = refused.value
    assert error.code == expected
    assert error.hint
    assert isinstance(error, (Refused, Forbidden))
    assert error.status == (
        404 if isinstance(error, Unknown) else 422 if isinstance(error, Invalid) else error.status
    )
    assert history.state is before
    assert history.names == said


@pytest.mark.parametrize("stage", [*STAGES])
def test_every_state_survives_the_store(stage: str) -> None:
    state = at_stage(stage).state
    assert EpisodeState.model_validate(state.model_dump(mode="json")) == state


def test_after_a_discharge_nothing_more_is_done() -> None:
    history = at_stage("admitted")
    history.hear(discharged())
    assert history.state.discharged == "graduated"
    assert history.state.deadlines == {}
    for command in (schedule, orient, send()):
        with pytest.raises(Refused) as refused:
            history.command(command)
        assert refused.value.code == "episode-closed"


# --- referrals to partners ------------------------------------------------------------------------------


def test_an_answer_is_given_once_and_a_loop_closes_once() -> None:
    history = at_stage("ineligible")
    referral_id = history.command(send()).answer["referral_id"]

    def rejected(state: EpisodeState, cause: Any) -> Any:
        return outbound_referrals.rejected(state, referral_id, RejectionReason.NO_BED, cause)

    def accepted(state: EpisodeState, cause: Any) -> Any:
        return outbound_referrals.accepted(state, referral_id, None, cause)

    def closed(state: EpisodeState, cause: Any) -> Any:
        return outbound_referrals.close(state, referral_id, ReferralOutcome.DECLINED, cause)

    history.command(rejected)
    for answer in (rejected, accepted):
        with pytest.raises(Refused) as refused:
            history.command(answer)
        assert (refused.value.code, bool(refused.value.hint)) == ("referral-answered", True)
    history.command(closed)
    for command in (closed, accepted):
        with pytest.raises(Refused) as refused:
            history.command(command)
        assert (refused.value.code, bool(refused.value.hint)) == ("loop-closed", True)


def test_an_unknown_referral_is_unknown() -> None:
    history = at_stage("ineligible")
    with pytest.raises(Unknown):
        history.command(lambda s, c: outbound_referrals.close(s, uid("x"), ReferralOutcome.LOST, c))


def test_what_became_of_a_referral_still_matters_when_the_episode_has_ended() -> None:
    history = at_stage("oriented")
    referral_id = history.command(send()).answer["referral_id"]
    history.hear(discharged())
    history.command(
        lambda s, c: outbound_referrals.close(s, referral_id, ReferralOutcome.ADMITTED, c)
    )
    assert history.names[-1] == "referral-loop-closed"
    assert history.state.deadlines == {}


# --- orientation ----------------------------------------------------------------------------------------


def test_without_a_registered_notice_nobody_is_oriented() -> None:
    history = at_stage("admitted")
    asks = admissions.OrientationAsks(rules=(), notice_since=None, time_zone="UTC")
    with pytest.raises(Refused, match="notice-not-registered"):
        history.command(lambda s, c: admissions.orient(s, (), c.now, asks, c))


@pytest.mark.parametrize(
    ("rules", "given", "code"),
    [
        ((), timedelta(0), "rules-not-accepted"),
        (("attendance",), timedelta(0), "rules-not-accepted"),
        (("attendance", "screens"), timedelta(hours=1), "notice-out-of-time"),
        (("attendance", "screens"), timedelta(days=-2000), "notice-out-of-time"),
        (("attendance", "screens"), timedelta(days=-3), None),
        (("attendance", "screens", "participation"), timedelta(0), None),
    ],
)
@pytest.mark.fault("F13")
def test_an_orientation_goes_through_the_rules_and_a_notice_that_holds(
    rules: tuple[str, ...], given: timedelta, code: str | None
) -> None:
    history = at_stage("admitted")
    asks = admissions.OrientationAsks(
        rules=("attendance", "screens"),
        notice_since=date(2024, 4, 16),
        time_zone="America/Chicago",
    )

    def orients(state: Any, cause: Any) -> Any:
        return admissions.orient(state, rules, cause.now + given, asks, cause)

    if code is None:
        history.command(orients)
        assert history.names[-1] == "orientation-completed"
        return
    with pytest.raises(Invalid, match=code):
        history.command(orients)
    assert "orientation-completed" not in history.names

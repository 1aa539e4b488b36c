"""Whether a program suits an applicant: its conditions, risks and reasons; overrides; admission by its profile."""

from __future__ import annotations

from typing import Any

import pytest

from services.intake.episode import admissions, eligibility
from shared.contracts import intake
from shared.contracts.codes import IntakeLoop, Population
from shared.contracts.intake import GapReason, OverrideReason, PartnerKind, ReferralOutcome
from shared.errors import CareError, Invalid, Refused
from shared.programs.profile import ProgramProfile
from tests.unit.intake.world import (
    EVENING,
    FOR_DETOX,
    FOR_IOP,
    HIGHER,
    PROGRAMS,
    STAGES,
    Intake,
    admit,
    admit_by,
    at_stage,
    complete,
    findings,
    level,
    place,
    receive,
    recommend_for,
)
from tests.unit.support import FACILITY, START

CLEARED = "detox-completed-or-medically-cleared"
UNSUPERVISED = "no-round-the-clock-supervision"
ADHERES = "can-adhere-to-structure"
WELL = "well-between-contacts"
HOME = "stable-home"
DUTIES = "duties-requiring-presence"
YES: dict[str, bool] = {CLEARED: True, UNSUPERVISED: True, ADHERES: True, WELL: True, HOME: True}


def asked(answers: dict[str, bool], override: OverrideReason | None = None) -> Any:
    return recommend_for(eligibility.apply_to(EVENING, answers, override))


def determined(history: Intake) -> intake.EligibilityDetermined:
    [event] = history.of(intake.EligibilityDetermined)
    assert isinstance(event, intake.EligibilityDetermined)
    return event


# --- the program's own conditions -------------------------------------------------------------------------


@pytest.mark.fact("0.9", "0.10", "0.11", "0.12", "0.13", "0.14", "0.15")
@pytest.mark.parametrize(
    ("changes", "unmet", "risks", "reasons"),
    [
        pytest.param({}, (), (), (), id="everything answered"),
        pytest.param({CLEARED: False}, (CLEARED,), (), (), id="0.9 or 0.10 unmet"),
        pytest.param({UNSUPERVISED: False}, (UNSUPERVISED,), (), (), id="0.11 unmet"),
        pytest.param({ADHERES: False}, (ADHERES,), (), (), id="0.13 unmet"),
        pytest.param({WELL: False}, (), (WELL,), (), id="0.14 is a risk"),
        pytest.param({HOME: False}, (), (HOME,), (), id="0.15 is a risk"),
        pytest.param({WELL: False, HOME: False}, (), (WELL, HOME), (), id="both are"),
        pytest.param({DUTIES: True}, (), (), (DUTIES,), id="0.12 is a reason"),
        pytest.param({DUTIES: False}, (), (), (), id="and without it nobody is shut out"),
        pytest.param(
            {CLEARED: False, ADHERES: False, HOME: False},
            (CLEARED, ADHERES),
            (HOME,),
            (),
            id="all reasons are named",
        ),
    ],
)
def test_conditions_decide_risks_are_planned_for_and_reasons_speak_for_it(
    changes: dict[str, bool],
    unmet: tuple[str, ...],
    risks: tuple[str, ...],
    reasons: tuple[str, ...],
) -> None:
    history = at_stage("assessed")
    answer = history.command(asked({**YES, **changes})).answer
    event = determined(history)
    assert (event.eligible, event.unmet, event.override_reason) == (not unmet, unmet, None)
    assert (answer["risks"], answer["reasons"]) == ([*risks], [*reasons])
    waits = IntakeLoop.OUTBOUND_REFERRAL if unmet else IntakeLoop.PLACEMENT
    assert set(history.waits) == {waits.value}


@pytest.mark.fact("0.9", "0.10")
@pytest.mark.parametrize(
    ("answers", "met"),
    [
        ({"detox-completed": True}, True),
        ({"medically-cleared": True}, True),
        ({"detox-completed": False, "medically-cleared": True}, True),
        ({"detox-completed": True, "medically-cleared": False}, True),
        ({"detox-completed": False, "medically-cleared": False}, False),
        ({"detox-completed": False}, False),
    ],
)
def test_either_of_two_will_do(answers: dict[str, bool], *, met: bool) -> None:
    rest = {code: yes for code, yes in YES.items() if code != CLEARED}
    history = at_stage("assessed").does(asked({**rest, **answers}))
    assert determined(history).eligible is met


def test_what_decides_and_what_is_a_risk_is_the_profiles_to_say() -> None:
    """A house that makes a stable home a condition, and nothing else."""
    strict = EVENING.model_copy(update={"eligibility": (HOME,), "risks": (CLEARED,)})
    for answers, unmet in (({HOME: False}, (HOME,)), ({HOME: True}, ())):
        history = at_stage("assessed")
        history.does(recommend_for(eligibility.apply_to(strict, answers, None)))
        assert determined(history).unmet == unmet


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ({}, "answer-missing"),
        ({code: yes for code, yes in YES.items() if code != ADHERES}, "answer-missing"),
        ({**YES, "owns-a-car": True}, "answer-not-asked"),
    ],
)
def test_answers_that_make_no_sense(answers: dict[str, bool], code: str) -> None:
    history = at_stage("assessed")
    before = history.state
    with pytest.raises(Invalid) as refused:
        history.command(asked(answers))
    assert (refused.value.code, bool(refused.value.hint)) == (code, True)
    assert history.state is before


# --- overrides --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [r for r in OverrideReason if r.name != "UNKNOWN"])
def test_a_clinician_may_decide_otherwise_and_says_why(reason: OverrideReason) -> None:
    history = at_stage("assessed").does(asked({**YES, ADHERES: False}, reason))
    event = determined(history)
    assert (event.eligible, event.unmet, event.override_reason) == (True, (ADHERES,), reason)
    history.does(place(), admit())
    assert len(history.of(intake.PatientAdmitted)) == 1


def test_there_must_be_something_to_override() -> None:
    with pytest.raises(Invalid) as refused:
        at_stage("assessed").command(asked(YES, OverrideReason.COURT_ORDER))
    assert refused.value.code == "nothing-to-override"


@pytest.mark.scenario(13)
def test_withdrawal_that_needs_a_setting_of_its_own_is_never_overridden() -> None:
    history = at_stage("scheduled").does(complete(findings(FOR_DETOX)))
    with pytest.raises(Invalid) as refused:
        history.command(asked(YES, OverrideReason.CLINICAL_JUDGEMENT))
    assert refused.value.code == "override-not-allowed"
    history.does(asked(YES))
    assert determined(history).unmet == ("withdrawal-management-needed", "level-not-offered")
    assert IntakeLoop.OUTBOUND_REFERRAL.value in history.waits


# --- alone, or as a step down -------------------------------------------------------------------------------


@pytest.mark.fact("0.6", "1.1", "2.4", "4.2")
@pytest.mark.parametrize(
    ("source", "step_down"),
    [
        (PartnerKind.PARTIAL_HOSPITALIZATION, True),
        (PartnerKind.RESIDENTIAL, True),
        (PartnerKind.INPATIENT, True),
        (PartnerKind.WITHDRAWAL_MANAGEMENT, True),
        (PartnerKind.SELF, False),
        (PartnerKind.COURT, False),
        (PartnerKind.EMERGENCY_DEPARTMENT, False),
        (PartnerKind.OUTPATIENT, False),
    ],
)
def test_recommended_alone_or_as_a_step_down(source: PartnerKind, *, step_down: bool) -> None:
    """The level is found by need in either case; where the person comes from is noted."""
    history = Intake().does(receive(source=source), *STAGES["assessed"][1:])
    answer = history.command(asked(YES)).answer
    assert answer["step_down_from"] == (source.value if step_down else None)
    assert (answer["eligible"], answer["level"]["code"]) == (True, "2.1")


# --- admission by the program's profile -----------------------------------------------------------------------


def enter(history: Intake, profile: ProgramProfile, **changes: Any) -> None:
    new = admissions.NewAdmission.model_validate(
        {
            "population": Population.ADULT,
            "court_involved": False,
            "length_weeks": None,
            "time_zone": "America/Chicago",
            "prior_episode_id": None,
            **changes,
        }
    )
    history.command(admit_by(new, profile))


def program(code: str) -> ProgramProfile:
    return PROGRAMS.current(FACILITY, code, START.date())


def test_the_programs_terms_of_today_stay_with_the_episode() -> None:
    history = at_stage("placed")
    profile = EVENING.model_copy(update={"version": "7"})
    enter(history, profile, length_weeks=9)
    [event] = history.of(intake.PatientAdmitted)
    assert event.terms == profile.terms()
    assert (event.terms.version, event.program, event.length_weeks) == ("7", profile.program, 9)
    assert history.state.admission.terms_version == "7"


@pytest.mark.fact("1.5", "2.5", "3.10")
@pytest.mark.parametrize(
    ("code", "asked_for", "planned"),
    [
        ("community-step-down", None, 8),
        ("community-step-down", 6, 6),
        ("community-step-down", 8, 8),
        ("community-step-down", 5, "length-outside-program"),
        ("community-step-down", 9, "length-outside-program"),
        ("daily-dual-diagnosis", None, "length-missing"),
        ("daily-dual-diagnosis", 3, 3),
        ("daily-dual-diagnosis", 40, 40),
    ],
)
def test_the_length_is_the_programs_or_the_persons(
    code: str, asked_for: int | None, planned: int | str
) -> None:
    history = at_stage("placed")
    if isinstance(planned, int):
        enter(history, program(code), length_weeks=asked_for)
        assert history.of(intake.PatientAdmitted)[0].length_weeks == planned
        return
    with pytest.raises(Invalid) as refused:
        enter(history, program(code), length_weeks=asked_for)
    assert refused.value.code == planned


ADOLESCENTS = EVENING.model_copy(
    update={"program": "young", "aliases": (), "population": Population.ADOLESCENT}
)


@pytest.mark.parametrize(
    ("profile", "population", "code"),
    [
        (EVENING, Population.ADULT, None),
        (EVENING, Population.ADOLESCENT, None),
        (ADOLESCENTS, Population.ADOLESCENT, None),
        (ADOLESCENTS, Population.ADULT, "population-not-served"),
        (HIGHER, Population.ADULT, "placed-elsewhere"),
    ],
)
def test_who_is_admitted_to_which_program(
    profile: ProgramProfile, population: Population, code: str | None
) -> None:
    history = at_stage("placed")
    if code is None:
        enter(history, profile, population=population, length_weeks=8)
        return
    with pytest.raises(Refused) as refused:
        enter(history, profile, population=population, length_weeks=8)
    assert (refused.value.code, bool(refused.value.hint)) == (code, True)
    assert history.of(intake.PatientAdmitted) == []


def test_eligibility_for_one_program_is_none_for_another() -> None:
    history = at_stage("assessed").does(asked(YES), place())
    with pytest.raises(CareError) as refused:
        enter(history, program("matrix-family"), length_weeks=16)
    assert refused.value.code == "program-not-applied-to"
    enter(history, EVENING, length_weeks=16)


@pytest.mark.fact("0.8")
def test_editions_are_never_mixed_and_a_programs_level_is_known_by_its_code() -> None:
    """Rated by the 3rd edition, admitted to a program that names its level by the 4th: the level stays as rated."""
    history = at_stage("placed")
    enter(history, EVENING, length_weeks=8)
    [event] = history.of(intake.PatientAdmitted)
    assert (event.level, EVENING.level) == (level("2.1", "3"), level("2.1", "4"))


def test_a_gap_is_recorded_with_its_reason() -> None:
    history = at_stage("scheduled").does(
        complete(findings({**FOR_IOP, 5: 3})),
        recommend_for(eligibility.apply_to(HIGHER, YES, None)),
        place("2.1", GapReason.PATIENT_CHOICE),
    )
    [event] = history.of(intake.PlacementDecided)
    assert (event.recommended_level.code, event.actual_level.code) == ("2.5", "2.1")
    assert event.gap_reason is GapReason.PATIENT_CHOICE
    assert IntakeLoop.OUTBOUND_REFERRAL.value in history.waits


def test_the_inbound_loop_closes_with_the_admission() -> None:
    history = at_stage("placed")
    enter(history, EVENING, length_weeks=8)
    [closed] = history.of(intake.ReferralLoopClosed)
    assert closed.outcome is ReferralOutcome.ADMITTED
    assert history.state.admission.admitted_at == START

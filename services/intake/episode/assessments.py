"""The assessment: when it is, what it finds, and what a clinician recommends by it.

Ratings stay in this service. Imminent danger comes before everything: then no level is recommended by rule.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from services.intake.episode import eligibility, episode_state, levels
from services.intake.episode.eligibility import Application
from services.intake.episode.episode_state import EpisodeState
from services.intake.episode.levels import Derivation, Need, Rating, RuleTable
from services.intake.episode.values import Assessment, Recommendation
from shared import loops
from shared.contracts import intake
from shared.contracts.codes import (
    AsamEdition,
    ClearedReason,
    CoOccurring,
    Dimension,
    IntakeLoop,
    LevelOfCare,
    Value,
)
from shared.contracts.event import Event
from shared.contracts.intake import (
    EmergencyAction,
    PartnerKind,
    Severity,
    WaitlistExit,
)
from shared.decision import Cause, Decision, Events, Handoffs
from shared.errors import Invalid, Refused, Unknown

EARLIER_KEPT: Final = 20
RESTING_ON_IT: Final = (
    IntakeLoop.RECOMMENDATION,
    IntakeLoop.PLACEMENT,
    IntakeLoop.ADMISSION,
    IntakeLoop.OUTBOUND_REFERRAL,
)
"""The loops that an assessment leads to: with another assessment they begin anew."""
ANSWERED_BY_IT: Final = (IntakeLoop.ASSESSMENT, IntakeLoop.EMERGENCY_RESPONSE)
"""The loops that a completed assessment closes."""
MORE_INTENSIVE: Final = frozenset(
    {
        PartnerKind.WITHDRAWAL_MANAGEMENT,
        PartnerKind.INPATIENT,
        PartnerKind.RESIDENTIAL,
        PartnerKind.PARTIAL_HOSPITALIZATION,
    }
)
"""From there an intensive outpatient program is a step down; from anywhere else it stands alone."""


class Findings(Value):
    """What the assessor found."""

    edition: AsamEdition
    ratings: dict[int, Rating]
    severity: Severity
    co_occurring: CoOccurring
    imminent_danger: bool
    danger_action: EmergencyAction | None = None
    danger_dimension: int | None = None


def schedule(state: EpisodeState, starts_at: datetime, cause: Cause) -> Decision[EpisodeState]:
    """Give the assessment a time. A later one replaces an earlier one, and all that was decided by it."""
    referral = episode_state.in_progress(state)
    if referral.acknowledged_at is None:
        raise Refused(
            "not-acknowledged",
            "The referral is not acknowledged yet.",
            hint="Acknowledge the referral first.",
        )
    assessment_id = cause.derive_id("assessment")
    event = intake.AssessmentScheduled(assessment_id=assessment_id, starts_at=starts_at)
    earlier = () if state.assessment is None else (state.assessment.assessment_id,)
    state = state.replace(
        assessment=Assessment(assessment_id=assessment_id, starts_at=starts_at),
        earlier_assessments=(*state.earlier_assessments, *earlier)[-EARLIER_KEPT:],
        recommendation=None,
        placed_level=None,
    )
    state, cleared = loops.close_all(
        state, episode_state.own_loops(state, RESTING_ON_IT, cause), ClearedReason.SUPERSEDED
    )
    if not episode_state.is_open(state, IntakeLoop.ASSESSMENT, cause):
        state = loops.open_loop(state, IntakeLoop.ASSESSMENT, cause.subject_id, cause)
    return Decision(state, (event, *cleared), answer={"assessment_id": assessment_id})


def complete(
    state: EpisodeState, assessment_id: str, findings: Findings, table: RuleTable, cause: Cause
) -> Decision[EpisodeState]:
    """Record what the assessment found, and derive the level by the facility's table of rules."""
    assessment = _assessment(state, assessment_id)
    if assessment.completed_at is not None:
        raise Refused(
            "assessment-completed",
            "This assessment is completed.",
            hint="Schedule another one to look again.",
        )
    needs = _needs(findings, table)
    enhanced = findings.co_occurring is CoOccurring.ENHANCED
    derivation = levels.derive(table, findings.edition, needs, enhanced=enhanced)
    danger = _danger(findings, needs, table)
    state = state.replace(assessment=_completed(assessment, findings, derivation, cause))
    state, cleared = loops.close_all(state, episode_state.own_loops(state, ANSWERED_BY_IT, cause))
    next_loop = IntakeLoop.RECOMMENDATION if danger is None else IntakeLoop.EMERGENCY_RESPONSE
    events: list[Event] = [
        intake.AssessmentCompleted(
            assessment_id=assessment_id,
            edition=findings.edition,
            withdrawal_level=derivation.withdrawal_level,
            co_occurring=CoOccurring.ENHANCED if derivation.enhanced else findings.co_occurring,
            severity=findings.severity,
            drivers=derivation.drivers if danger is None else (danger,),
            rule_version=derivation.rule_version,
        ),
        *cleared,
    ]
    if danger is not None:
        events.append(
            intake.ImminentDangerIdentified(
                assessment_id=assessment_id, dimension=danger, action=_action(findings)
            )
        )
    return Decision(loops.open_loop(state, next_loop, cause.subject_id, cause), tuple(events))


def recommend(
    state: EpisodeState, assessment_id: str, application: Application, cause: Cause
) -> Decision[EpisodeState]:
    """A clinician signs the level that the rules found, and it follows whether the program suits.

    Ineligible is no end: somebody has to refer the person on.
    """
    derivation, level = _derived(state, assessment_id)
    found = eligibility.find(application)
    unmet = (*levels.unmet(derivation, application.offered), *found.unmet)
    eligibility.overridden(unmet, application.override)
    source = episode_state.known(state).source_kind
    recommendation = Recommendation(
        level=level,
        unmet=unmet,
        signed_by_id=cause.actor_id,
        offered=application.offered,
        program=application.program,
        risks=found.risks,
        reasons=found.reasons,
        step_down_from=source if source in MORE_INTENSIVE else None,
        override=application.override,
    )
    recommended = intake.LevelRecommended(
        assessment_id=assessment_id,
        level=level,
        drivers=derivation.drivers,
        signed_by_id=cause.actor_id,
    )
    determined = intake.EligibilityDetermined(
        eligible=recommendation.eligible, unmet=unmet, override_reason=application.override
    )
    state, events, handoffs = _led_to(state.replace(recommendation=recommendation), cause)
    answer = {
        **recommendation.model_dump(mode="json", exclude={"offered", "signed_by_id"}),
        "eligible": recommendation.eligible,
        "flags": list(derivation.flags),
    }
    return Decision(state, (recommended, determined, *events), handoffs, answer)


def _led_to(state: EpisodeState, cause: Cause) -> tuple[EpisodeState, Events, Handoffs]:
    """A placement is due, or somebody has to refer the person on, who then leaves the waiting list."""
    state, cleared = loops.close(state, IntakeLoop.RECOMMENDATION, cause.subject_id)
    if state.recommendation is not None and not state.recommendation.eligible:
        state, left, handoffs = episode_state.leave_line(
            state, WaitlistExit.REFERRED_ELSEWHERE, cause
        )
        return episode_state.send_on(state, cause), (*cleared, *left), handoffs
    if state.admission is None:
        state = loops.open_loop(state, IntakeLoop.PLACEMENT, cause.subject_id, cause)
    return state, cleared, ()


def _derived(state: EpisodeState, assessment_id: str) -> tuple[Derivation, LevelOfCare]:
    """What the rules found, and its level. Raises why nothing can be recommended by it."""
    assessment = _assessment(state, assessment_id)
    if state.recommendation is not None:
        raise Refused(
            "already-recommended",
            "A level is recommended by this assessment.",
            hint="Schedule another assessment to look again.",
        )
    if assessment.completed_at is None:
        raise Refused(
            "assessment-not-completed",
            "There is nothing yet to recommend a level by.",
            hint="Complete the assessment first.",
        )
    if assessment.derivation is None:
        raise Refused(
            "imminent-danger",
            "In imminent danger no level is recommended by rule.",
            hint="Follow the emergency pathway, and assess again when the danger is over.",
        )
    if assessment.derivation.level is None:
        raise Refused(
            "evaluation-needed",
            "A dimension has to be evaluated further.",
            hint="Schedule and complete another assessment.",
        )
    return assessment.derivation, assessment.derivation.level


def _completed(
    assessment: Assessment, findings: Findings, derivation: Derivation, cause: Cause
) -> Assessment:
    return assessment.replace(
        completed_at=cause.now,
        edition=findings.edition,
        ratings=findings.ratings,
        severity=findings.severity,
        co_occurring=findings.co_occurring,
        imminent_danger=findings.imminent_danger,
        derivation=None if findings.imminent_danger else derivation,
    )


def _needs(findings: Findings, table: RuleTable) -> dict[int, Need]:
    try:
        return levels.read_ratings(table, findings.edition, findings.ratings)
    except ValueError as error:
        raise Invalid(
            "ratings-invalid",
            "The ratings are not of this edition.",
            hint="3rd edition: 0 to 4 for each of six dimensions. 4th: a level, ANY or EVAL.",
        ) from error


def _danger(findings: Findings, needs: dict[int, Need], table: RuleTable) -> Dimension | None:
    """Where the danger lies, if there is any. An emergency by its rating can't be passed over."""
    if not findings.imminent_danger:
        if levels.emergency(needs) is not None:
            raise Invalid(
                "danger-not-stated",
                "A rating says emergency, and the assessment says no imminent danger.",
                hint="State the danger and the action taken, or rate anew.",
            )
        return None
    number = findings.danger_dimension or levels.gravest(table, findings.edition, needs)
    return Dimension(edition=findings.edition, number=number)


def _action(findings: Findings) -> EmergencyAction:
    if findings.danger_action is None:
        raise Invalid(
            "danger-action-missing",
            "Imminent danger needs an action.",
            hint="Name the emergency pathway that was taken.",
        )
    return findings.danger_action


def _assessment(state: EpisodeState, assessment_id: str) -> Assessment:
    episode_state.in_progress(state)
    if assessment_id in state.earlier_assessments:
        raise Refused(
            "assessment-replaced",
            "A later assessment has replaced this one.",
            hint="Read the episode for its latest assessment.",
        )
    if state.assessment is None or state.assessment.assessment_id != assessment_id:
        raise Unknown("assessment")
    return state.assessment

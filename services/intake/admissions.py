"""From a recommendation to the first day: placement, admission, orientation."""

from __future__ import annotations

from datetime import datetime

from services.intake import domain, levels
from services.intake.domain import Admission, EpisodeState, Readmitted
from shared.contracts import intake
from shared.contracts.codes import IntakeLoop, LevelOfCare, Population, Value
from shared.contracts.intake import GapReason, ReferralOutcome
from shared.decision import Cause, Decision, Handoff
from shared.errors import Invalid, Refused


class NewAdmission(Value):
    """What is needed to admit."""

    population: Population
    court_involved: bool
    program: str
    length_weeks: int
    time_zone: str
    prior_episode_id: str | None


def place(
    state: EpisodeState, actual: LevelOfCare, gap_reason: GapReason | None, cause: Cause
) -> Decision[EpisodeState]:
    """Decide where the person really goes. A gap to what was recommended has a reason."""
    domain.in_intake(state)
    if state.recommendation is None:
        raise Refused(
            "not-recommended",
            "No level is recommended.",
            way_out="Complete an assessment and have its recommendation signed first.",
        )
    recommended, eligible = state.recommendation.level, state.recommendation.eligible
    if actual.edition != recommended.edition:
        raise Invalid(
            "edition-differs",
            "Levels of different editions are not compared.",
            way_out="State the level in the edition of the assessment.",
        )
    if (actual != recommended) is (gap_reason is None):
        raise Invalid(
            "gap-reason-mismatch",
            "A placement that differs from the recommendation has a reason; one that does not, has none.",
            way_out="State gap_reason exactly when the levels differ.",
        )
    event = intake.PlacementDecided(
        recommended_level=recommended, actual_level=actual, gap_reason=gap_reason
    )
    state, cleared = domain.settle(
        state.but(placed_level=actual),
        *(IntakeLoop.PLACEMENT, IntakeLoop.ADMISSION, IntakeLoop.OUTBOUND_REFERRAL),
        cause=cause,
    )
    if eligible and actual.code in levels.OFFERED:
        state = domain.wait_for(state, IntakeLoop.ADMISSION, cause)
    else:
        state = domain.send_on(state, cause)
    return Decision(state, (event, *cleared))


def admit(state: EpisodeState, new: NewAdmission, cause: Cause) -> Decision[EpisodeState]:
    """Treatment begins, and the inbound referral is answered."""
    level = _admissible(state, new, cause)
    admission = Admission(
        level=level,
        population=new.population,
        admitted_at=cause.now,
        program=new.program,
        length_weeks=new.length_weeks,
        time_zone=new.time_zone,
        court_involved=new.court_involved,
        prior_episode_id=new.prior_episode_id,
    )
    event = intake.PatientAdmitted(
        person_id=state.person_id,
        level=level,
        admitted_at=cause.now,
        **dict(new),
    )
    state, closed = domain.close_loop(
        state.but(admission=admission), ReferralOutcome.ADMITTED, cause
    )
    state, cleared = domain.settle(state, IntakeLoop.ADMISSION, cause=cause)
    handoffs = (
        ()
        if new.prior_episode_id is None
        else (Handoff(f"episode/{new.prior_episode_id}", Readmitted(episode_id=cause.subject_id)),)
    )
    state = domain.wait_for(state, IntakeLoop.ORIENTATION, cause)
    return Decision(state, (event, closed, *cleared), handoffs, {"level": level.model_dump()})


def orient(
    state: EpisodeState, rules_accepted: tuple[str, ...], part2_notice_at: datetime, cause: Cause
) -> Decision[EpisodeState]:
    """The person knows the schedule and the rules, and got the confidentiality notice."""
    domain.in_progress(state)
    if state.admission is None:
        raise Refused(
            "not-admitted",
            "Nobody is oriented before admission.",
            way_out="Admit the person first.",
        )
    if state.admission.oriented_at is not None:
        raise Refused(
            "already-oriented", "The orientation is completed.", way_out="Go on to the plan."
        )
    event = intake.OrientationCompleted(
        completed_at=cause.now, rules_accepted=rules_accepted, part2_notice_at=part2_notice_at
    )
    oriented = state.admission.model_copy(update={"oriented_at": cause.now})
    state, cleared = domain.settle(
        state.but(admission=oriented), IntakeLoop.ORIENTATION, cause=cause
    )
    return Decision(state, (event, *cleared))


def _admissible(state: EpisodeState, new: NewAdmission, cause: Cause) -> LevelOfCare:
    """The level to admit at. Raises what stands in the way."""
    domain.in_intake(state)
    if new.prior_episode_id == cause.subject_id:
        raise Invalid(
            "prior-episode-invalid", "An episode does not continue itself.", way_out="Check the id."
        )
    if state.recommendation is None or not state.recommendation.eligible:
        raise Refused(
            "not-eligible",
            "This program is not found to suit the person.",
            way_out="Assess and recommend first; when the answer is no, refer the person on.",
        )
    if state.placed_level is None:
        raise Refused(
            "not-placed", "No placement is decided.", way_out="Decide the placement first."
        )
    if state.placed_level.code not in levels.OFFERED:
        raise Refused(
            "placed-elsewhere",
            "The placement is at a level that this program does not offer.",
            way_out="Refer the person on, or decide the placement anew.",
        )
    return state.placed_level

"""The rules of plans: the treatment plan from draft to graduation. Pure: no clock, no ids, no I/O.

Time limits marked "house rule" are defaults of the domain reference, section 3; jurisdictions differ widely.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from pydantic import Field

from shared.contracts import attendance, intake, plans
from shared.contracts.codes import (
    ClearedReason,
    Dimension,
    LevelOfCare,
    PlansLoop,
    Population,
    Role,
    Value,
)
from shared.contracts.plans import (
    CriterionResult,
    Direction,
    DischargeKind,
    ExpectedAnalyte,
    PlannedGoal,
    PlannedService,
    ReviewBasis,
    ReviewDecision,
    ReviewTrigger,
)
from shared.decision import Cause, Decision, State
from shared.errors import Invalid, NotYetKnown, Refused, Unknown

PLAN_WITHIN: Final = timedelta(days=7)
PLAN_WITHIN_SESSIONS: Final = 2
"""A plan is due after seven days or two sessions, whichever comes first. House rule."""
REVIEW_EVERY: Final = timedelta(days=30)
"""A plan is reviewed every thirty days, and on any trigger. House rule."""
REVIEW_HOUR: Final = time(9, 0)
OVERDUE_AFTER: Final = timedelta(days=3)
ESCALATE_EVERY: Final = timedelta(days=1)
ESCALATION: Final = (Role.CLINICIAN, Role.CLINICAL_SUPERVISOR, Role.PROGRAM_DIRECTOR)
"""Who owns an open loop after each missed deadline; the last one keeps it."""


class Admission(Value):
    """What intake said at admission, as far as plans needs it."""

    level: LevelOfCare
    population: Population
    admitted_at: datetime
    time_zone: str


class Plan(Value):
    """A treatment plan. It is in force when both have signed."""

    plan_id: str
    version: int
    goals: tuple[PlannedGoal, ...]
    services: tuple[PlannedService, ...]
    patient_signed_at: datetime | None = None
    clinician_signed_at: datetime | None = None
    active: bool = False
    next_review_on: date | None = None


class Review(Value):
    """A clinical review: something a clinician has to look at."""

    trigger: ReviewTrigger
    due_at: datetime
    steps: int = 0
    open: bool = True


class EpisodeState(State):
    """What plans knows of one episode."""

    admission: Admission | None = None
    drivers: tuple[Dimension, ...] = ()
    oriented: bool = False
    plan: Plan | None = None
    plan_steps: int = 0
    sessions_attended: int = 0
    reviews: dict[str, Review] = Field(default_factory=dict[str, Review])
    expected: tuple[ExpectedAnalyte, ...] = ()
    aftercare_plan_id: str | None = None
    discharged: DischargeKind | None = None


# --- what others say ------------------------------------------------------------------------------------


def level_recommended(
    state: EpisodeState, event: intake.LevelRecommended, _cause: Cause
) -> Decision[EpisodeState]:
    """The dimensions that set the level become the plan's problems, and later the exit test."""
    return Decision(state.but(drivers=event.drivers))


def admitted(
    state: EpisodeState, event: intake.PatientAdmitted, cause: Cause
) -> Decision[EpisodeState]:
    """A plan is due soon; aftercare is drafted from the first day, so that nobody leaves without one."""
    aftercare_plan_id = cause.derive_id("aftercare-plan")
    state = state.but(
        admission=Admission(
            level=event.level,
            population=event.population,
            admitted_at=event.admitted_at,
            time_zone=event.time_zone,
        ),
        aftercare_plan_id=aftercare_plan_id,
    )
    drafted = plans.AftercarePlanDrafted(
        aftercare_plan_id=aftercare_plan_id,
        version=1,
        elements=("crisis-contacts", "check-in-calendar"),
    )
    state = state.arm("plan-due", event.admitted_at + PLAN_WITHIN)
    return Decision(_sooner_after_sessions(state, cause.now), (drafted,))


def oriented(
    state: EpisodeState, _event: intake.OrientationCompleted, _cause: Cause
) -> Decision[EpisodeState]:
    """From here on signatures may be collected."""
    return Decision(state.but(oriented=True))


def session_attended(
    state: EpisodeState, _event: attendance.SessionAttended, cause: Cause
) -> Decision[EpisodeState]:
    """After the second session without a plan, the plan is due within a day."""
    state = state.but(sessions_attended=state.sessions_attended + 1)
    if state.sessions_attended != PLAN_WITHIN_SESSIONS:
        return Decision(state)
    return Decision(_sooner_after_sessions(state, cause.now))


def _sooner_after_sessions(state: EpisodeState, now: datetime) -> EpisodeState:
    """Sessions make the plan due earlier, never later, and also when they are heard of before the admission."""
    due = state.deadlines.get("plan-due")
    if due is None or state.sessions_attended < PLAN_WITHIN_SESSIONS:
        return state
    return state.arm("plan-due", min(due, now + ESCALATE_EVERY))


# --- commands -------------------------------------------------------------------------------------------


def draft(
    state: EpisodeState,
    goals: tuple[PlannedGoal, ...],
    services: tuple[PlannedService, ...],
    cause: Cause,
) -> Decision[EpisodeState]:
    """Write down goals and services. Nothing is in force until both have signed."""
    _in_treatment(state)
    if state.plan is not None and state.plan.active:
        raise Refused("plan-active", "A plan is in force.", way_out="Review it to change it.")
    plan = Plan(plan_id=cause.derive_id("plan"), version=1, goals=goals, services=services)
    return Decision(state.but(plan=plan), answer={"plan_id": plan.plan_id})


def sign(
    state: EpisodeState, plan_id: str, *, by_patient: bool, cause: Cause
) -> Decision[EpisodeState]:
    """The patient's contribution is required: only with both signatures does the plan become active."""
    admission = _in_treatment(state)
    plan = _plan(state, plan_id)
    if plan.active:
        raise Refused("plan-active", "The plan is signed by both.")
    if not state.oriented:
        raise Refused(
            "not-oriented",
            "Nobody signs a plan before orientation.",
            way_out="Complete the orientation first.",
        )
    signed = {"patient_signed_at" if by_patient else "clinician_signed_at": cause.now}
    plan = plan.model_copy(update=signed)
    if plan.patient_signed_at is None or plan.clinician_signed_at is None:
        return Decision(state.but(plan=plan))
    next_review = _local_day(cause.now, admission) + REVIEW_EVERY
    plan = plan.model_copy(update={"active": True, "next_review_on": next_review})
    activated = plans.TreatmentPlanActivated(
        plan_id=plan.plan_id,
        version=plan.version,
        goals=plan.goals,
        services=plan.services,
        patient_signed_at=_signed(plan.patient_signed_at),
        clinician_signed_at=_signed(plan.clinician_signed_at),
        next_review_on=next_review,
    )
    events: list[plans.PlansEvent] = [activated]
    if state.plan_steps:
        events.append(_plan_cleared(state, ClearedReason.RESOLVED, cause))
    state = state.but(plan=plan, plan_steps=0).disarm("plan-due")
    return Decision(_arm_review(state, admission, next_review), tuple(events))


def review(
    state: EpisodeState,
    plan_id: str,
    basis: ReviewBasis,
    decision: ReviewDecision,
    cause: Cause,
) -> Decision[EpisodeState]:
    """Look at the plan as a whole and say what follows; the next review is thirty days on."""
    admission = _in_treatment(state)
    plan = _plan(state, plan_id)
    if not plan.active:
        raise Refused("plan-not-active", "Only a plan in force is reviewed.")
    ends = decision in (ReviewDecision.DISCHARGE, ReviewDecision.TRANSFER)
    next_review = None if ends else _local_day(cause.now, admission) + REVIEW_EVERY
    plan = plan.model_copy(update={"version": plan.version + 1, "next_review_on": next_review})
    event = plans.TreatmentPlanReviewed(
        plan_id=plan.plan_id,
        version=plan.version,
        basis=basis,
        decision=decision,
        next_review_on=next_review,
    )
    state = state.but(plan=plan).disarm("review-due:*", "review-overdue:*")
    if next_review is not None:
        state = _arm_review(state, admission, next_review)
    return Decision(state, (event,))


def set_expected_analytes(
    state: EpisodeState, analytes: tuple[ExpectedAnalyte, ...], _cause: Cause
) -> Decision[EpisodeState]:
    """Replace the list of prescribed substances that a screen may show."""
    _in_treatment(state)
    event = plans.ExpectedAnalytesUpdated(analytes=analytes)
    return Decision(state.but(expected=analytes), (event,))


def change_level(
    state: EpisodeState, to_level: LevelOfCare, direction: Direction, cause: Cause
) -> Decision[EpisodeState]:
    """Move to another level of care that this program offers."""
    admission = _in_treatment(state)
    if to_level == admission.level:
        raise Invalid("level-unchanged", "The person is at this level already.")
    recommended = plans.LevelOfCareChangeRecommended(
        direction=direction,
        from_level=admission.level,
        to_level=to_level,
        drivers=state.drivers,
    )
    changed = plans.LevelOfCareChanged(
        from_level=admission.level, to_level=to_level, effective_at=cause.now
    )
    moved = admission.model_copy(update={"level": to_level})
    return Decision(state.but(admission=moved), (recommended, changed))


def graduate(
    state: EpisodeState, criteria: tuple[CriterionResult, ...], cause: Cause
) -> Decision[EpisodeState]:
    """Graduate when every criterion is met and nothing is left open."""
    _in_treatment(state)
    if state.plan is None or not state.plan.active:
        raise Refused("plan-not-active", "Nobody graduates without a plan in force.")
    if any(item.open for item in state.reviews.values()):
        raise Refused(
            "review-open", "A clinical review is open.", way_out="Complete the review first."
        )
    unmet = [criterion.code for criterion in criteria if not criterion.met]
    if unmet or not criteria:
        raise Refused(
            "criteria-not-met",
            "Not every graduation criterion is met.",
            way_out="Continue the plan, or discharge in another way.",
        )
    if state.aftercare_plan_id is None:
        raise NotYetKnown("aftercare plan")
    approved = plans.GraduationApproved(criteria=criteria, approver_id=cause.actor_id)
    graduated = plans.ProgramGraduated(
        graduated_at=cause.now, aftercare_plan_id=state.aftercare_plan_id
    )
    ended = _end(state, DischargeKind.GRADUATED, cause)
    return Decision(ended.state, (approved, graduated, *ended.events))


def discharge(state: EpisodeState, kind: DischargeKind, cause: Cause) -> Decision[EpisodeState]:
    """End the episode in any other way than graduation, which has criteria."""
    _in_treatment(state)
    if kind is DischargeKind.GRADUATED:
        raise Refused(
            "graduation-needs-criteria",
            "Nobody graduates without looking at the criteria.",
            way_out="Graduate the person, naming the criteria, or discharge in another way.",
        )
    return _end(state, kind, cause)


def _end(state: EpisodeState, kind: DischargeKind, cause: Cause) -> Decision[EpisodeState]:
    """Open reviews end with the episode; nothing keeps waiting, and no escalation keeps standing."""
    admission = _in_treatment(state)
    cleared = ()
    if state.plan_steps:
        cleared = (_plan_cleared(state, ClearedReason.EPISODE_CLOSED, cause),)
    event = plans.EpisodeDischarged(kind=kind, discharged_at=cause.now, final_level=admission.level)
    closed = {key: item.model_copy(update={"open": False}) for key, item in state.reviews.items()}
    state = state.but(discharged=kind, reviews=closed, plan_steps=0, deadlines={})
    return Decision(state, (*cleared, event))


# --- deadlines of the plan ------------------------------------------------------------------------------


def plan_due(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
    """No plan in time: the next role owns it, every day until there is one."""
    step = state.plan_steps + 1
    event = plans.LoopEscalated(
        loop=PlansLoop.TREATMENT_PLAN,
        loop_id=_loop_id(cause),
        owner_role=ESCALATION[min(step, len(ESCALATION)) - 1],
        step=step,
        deadline_at=cause.now + ESCALATE_EVERY,
    )
    state = state.but(plan_steps=step)
    if step < len(ESCALATION):
        state = state.arm("plan-due", cause.now + ESCALATE_EVERY)
    return Decision(state, (event,))


def review_due(state: EpisodeState, due_on: date, cause: Cause) -> Decision[EpisodeState]:
    """Today the plan has to be reviewed."""
    if state.plan is None:
        return Decision(state)
    event = plans.TreatmentPlanReviewDue(plan_id=state.plan.plan_id, due_on=due_on)
    overdue_at = cause.now + OVERDUE_AFTER
    return Decision(state.arm(f"review-overdue:{due_on.isoformat()}", overdue_at), (event,))


def review_overdue(state: EpisodeState, due_on: date, cause: Cause) -> Decision[EpisodeState]:
    """The review did not take place. Said again every week until it does."""
    if state.plan is None:
        return Decision(state)
    days = (_local_day(cause.now, _in_treatment(state)) - due_on).days
    event = plans.TreatmentPlanReviewOverdue(
        plan_id=state.plan.plan_id, due_on=due_on, days_overdue=days
    )
    again = cause.now + timedelta(days=7)
    return Decision(state.arm(f"review-overdue:{due_on.isoformat()}", again), (event,))


def _arm_review(state: EpisodeState, admission: Admission, day: date) -> EpisodeState:
    # In UTC, as it comes back from the store: ids follow from how a deadline is written.
    at = datetime.combine(day, REVIEW_HOUR, ZoneInfo(admission.time_zone)).astimezone(UTC)
    return state.arm(f"review-due:{day.isoformat()}", at)


def _in_treatment(state: EpisodeState) -> Admission:
    if state.admission is None:
        raise NotYetKnown("episode")
    if state.discharged is not None:
        raise Refused("episode-closed", "The episode has ended.")
    return state.admission


def _plan(state: EpisodeState, plan_id: str) -> Plan:
    if state.plan is None or state.plan.plan_id != plan_id:
        raise Unknown("plan")
    return state.plan


def _local_day(moment: datetime, admission: Admission) -> date:
    return moment.astimezone(ZoneInfo(admission.time_zone)).date()


def _signed(at: datetime | None) -> datetime:
    if at is None:
        raise ValueError("the plan is not signed by both")
    return at


def _plan_cleared(
    state: EpisodeState, reason: ClearedReason, cause: Cause
) -> plans.EscalationCleared:
    return plans.EscalationCleared(
        loop=PlansLoop.TREATMENT_PLAN,
        loop_id=_loop_id(cause),
        step_reached=state.plan_steps,
        reason=reason,
    )


def _loop_id(cause: Cause) -> str:
    """The plan is waited for once per episode, so the loop has the episode's own id."""
    return cause.subject_id

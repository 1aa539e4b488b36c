"""The treatment plan from draft to review: drafted with the patient, signed by both, reviewed by date.

When a plan is due and how often it is reviewed are the program's terms, pinned at admission. House rules,
docs/domain.md 3.5 (Treatment plans); jurisdictions differ widely.
"""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta
from typing import Final

from services.plans import episode_state, tables, transfers
from services.plans.episode_state import Deferral, EpisodeState, Goal, Plan
from services.plans.tables import Contributor, RecoveryStage
from shared import calendar, loops
from shared.contracts import plans
from shared.contracts.codes import ClearedReason, Dimension, Modality, PlansLoop, Value
from shared.contracts.event import Event
from shared.contracts.plans import (
    AncillaryKind,
    PlannedService,
    ReviewBasis,
    ReviewDecision,
)
from shared.decision import Cause, Decision
from shared.errors import Invalid, Refused

DECIDED: Final = (PlansLoop.LEVEL_CHANGE, PlansLoop.TRANSFER, PlansLoop.DISCHARGE)
"""What a review may have decided; the next one decides anew."""


Therapies = frozenset[str] | None
"""What the person's program lists; None, or nothing: it lists no therapies."""


class NewPlan(Value):
    """What a draft contains."""

    goals: tuple[Goal, ...]
    services: tuple[PlannedService, ...]
    deferred: tuple[Deferral, ...] = ()
    stage: RecoveryStage | None = None


class NewReview(Value):
    """What a plan review contains."""

    basis: ReviewBasis
    decision: ReviewDecision
    stage: RecoveryStage | None = None
    drivers: tuple[Dimension, ...] | None = None


# --- when a plan is due -----------------------------------------------------------------------------------


def plan_due_at(state: EpisodeState) -> datetime | None:
    """Some days after admission, or a day after the session by which there should be one: whichever is first.

    House rule: seven days or two sessions. Sessions make it due earlier, never later, and also when they arrive
    before the admission.
    """
    if state.admission is None:
        return None
    terms = state.admission.terms
    due_at = state.admission.admitted_at + timedelta(days=terms.plan_within_days)
    sessions = sorted(state.early_sessions.values())
    if len(sessions) < terms.plan_within_sessions:
        return due_at
    return min(due_at, sessions[terms.plan_within_sessions - 1] + timedelta(days=1))


def expect_plan(state: EpisodeState, cause: Cause) -> EpisodeState:
    """Open the loop of the plan; one that has been escalated already has its own deadline."""
    due_at = plan_due_at(state)
    loop = state.loop(PlansLoop.TREATMENT_PLAN, cause.subject_id)
    if due_at is None or state.discharged is not None or _active(state):
        return state
    if loop is not None and loop.step:
        return state
    return loops.open_loop(
        state, PlansLoop.TREATMENT_PLAN, cause.subject_id, cause, deadline_at=due_at
    )


# --- commands ---------------------------------------------------------------------------------------------


def draft(
    state: EpisodeState, new: NewPlan, cause: Cause, *, therapies: Therapies = None
) -> Decision[EpisodeState]:
    """Write down goals and services. Nothing is in force until both have signed."""
    episode_state.in_treatment(state)
    if _active(state):
        raise Refused("plan-active", "A plan is in force.", hint="Amend it, or change its goals.")
    for goal in new.goals:
        smart(state, goal, cause, therapies=therapies)
    plan = Plan(
        plan_id=cause.derive_id("plan"),
        version=1,
        goals=new.goals,
        services=new.services,
        deferred=new.deferred,
        stage=new.stage,
    )
    answer = {"plan_id": plan.plan_id, "goal_ids": [goal.goal_id for goal in plan.goals]}
    return Decision(state.replace(plan=plan), answer=answer)


def smart(state: EpisodeState, goal: Goal, cause: Cause, *, therapies: Therapies = None) -> None:
    """A goal is specific, measurable, and the patient's own. Raises what it lacks.

    Its therapies are those that the program lists, or, where it lists none, those of the table.

    Source: docs/domain.md 3.5 (Treatment plans), fact 1.10: the patient contributes to every goal.
    """
    if Contributor.PATIENT not in goal.contributors:
        raise Invalid(
            "patient-contribution-missing",
            "The patient takes part in setting every goal.",
            hint="Set the goal together with the patient.",
        )
    if goal.baseline == goal.target:
        raise Invalid(
            "goal-already-reached",
            "The goal's target is where the person is already.",
            hint="Set a target that differs from the baseline.",
        )
    if goal.due_on < calendar.local_day(cause.now, state.time_zone):
        raise Invalid(
            "goal-due-in-the-past",
            "The goal's day has passed.",
            hint="Give a day from today on, in the facility's time zone.",
        )
    if therapies and not episode_state.known(goal.therapies, therapies):
        raise Invalid(
            "therapy-not-offered",
            "The program does not offer this therapy.",
            hint="Choose from the program's profile: GET /programs/{program}.",
        )
    if not therapies and not episode_state.known(goal.therapies, tables.THERAPIES):
        raise Invalid(
            "therapy-not-listed",
            "A therapy is not on the list.",
            hint=episode_state.choose_from(tables.THERAPIES),
        )
    if not episode_state.known(goal.interventions, tables.INTERVENTIONS):
        raise Invalid(
            "intervention-not-listed",
            "An intervention is not on the list.",
            hint=episode_state.choose_from(tables.INTERVENTIONS),
        )


def sign(
    state: EpisodeState, plan_id: str, *, by_patient: bool, cause: Cause
) -> Decision[EpisodeState]:
    """The patient's contribution is required: only with both signatures does the plan become active."""
    episode_state.in_treatment(state)
    plan = episode_state.plan_of(state, plan_id)
    if plan.active:
        raise Refused(
            "plan-active", "The plan is signed by both.", hint="Amend it, or change its goals."
        )
    if not state.oriented:
        raise Refused(
            "not-oriented",
            "A plan can be signed only after orientation.",
            hint="Complete the orientation first.",
        )
    fit_to_sign(state, plan)
    signed = {"patient_signed_at" if by_patient else "clinician_signed_at": cause.now}
    plan = plan.replace(**signed)
    if plan.patient_signed_at is None or plan.clinician_signed_at is None:
        return Decision(state.replace(plan=plan))
    plan = plan.replace(active=True)
    state = episode_state.schedule_review(state.replace(early_sessions={}), plan, cause)
    state, cleared = loops.close(state, PlansLoop.TREATMENT_PLAN, cause.subject_id)
    return Decision(state, (activated(state), *cleared))


def activated(state: EpisodeState) -> plans.TreatmentPlanActivated:
    """The plan as it came into force."""
    plan = state.plan
    if plan is None:
        raise ValueError("there is no plan")
    return plans.TreatmentPlanActivated(
        plan_id=plan.plan_id,
        version=plan.version,
        goals=tuple(goal.published() for goal in plan.goals),
        services=plan.services,
        patient_signed_at=_signed(plan.patient_signed_at),
        clinician_signed_at=_signed(plan.clinician_signed_at),
        next_review_on=_next_review(state),
    )


def fit_to_sign(state: EpisodeState, plan: Plan) -> None:
    """What a plan has to hold before anyone signs it. Raises what it lacks.

    Drivers become plan problems: docs/domain.md 2.5 (Derivation), rule 7. Individual sessions come as often as the
    program says, weekly or twice weekly: docs/domain.md facts 1.7 and 3.4. Needs that go with the addiction are treated
    with it: docs/domain.md fact 3.11.
    """
    covered = [goal.dimension for goal in plan.goals if goal.withdrawn is None]
    covered += [item.dimension for item in plan.deferred]
    if any(driver not in covered for driver in state.drivers):
        raise Refused(
            "driver-without-goal",
            "A dimension that sets the level of care has no goal.",
            hint="Add a goal for each driver, or say by a code why it has none yet.",
        )
    every = state.terms.individual_every_days
    if every is not None and _individual_per_week(plan) < math.ceil(7 / every):
        raise Refused(
            "individual-sessions-missing",
            "The plan has fewer individual sessions than the program asks for.",
            hint="Draft the plan with individual sessions as often as the program says.",
        )
    if not state.enhanced:
        return
    if not state.needs:
        raise Refused(
            "co-occurring-need-not-named",
            "The assessment found an enhanced co-occurring need that nobody has named.",
            hint="Name the need first.",
        )
    if all(service.kind is not AncillaryKind.PSYCHIATRY for service in state.ancillary):
        raise Refused(
            "psychiatry-missing",
            "An enhanced co-occurring need asks for psychiatric care in the plan.",
            hint="Add psychiatry as an ancillary service.",
        )


def _individual_per_week(plan: Plan) -> int:
    return sum(s.sessions_per_week for s in plan.services if s.modality is Modality.INDIVIDUAL)


def name_relapse_prevention(
    state: EpisodeState, plan_id: str, elements: tuple[str, ...], _cause: Cause
) -> Decision[EpisodeState]:
    """Write down what the relapse-prevention plan names so far (docs/domain.md fact 4.6)."""
    episode_state.in_treatment(state)
    plan = episode_state.plan_of(state, plan_id)
    if not episode_state.known(elements, frozenset(tables.RELAPSE_PREVENTION)):
        raise Invalid(
            "element-not-listed",
            "An element is not on the list.",
            hint=episode_state.choose_from(tables.RELAPSE_PREVENTION),
        )
    named = tuple(
        e for e in tables.RELAPSE_PREVENTION if e in {*plan.relapse_prevention, *elements}
    )
    plan = plan.replace(relapse_prevention=named)
    complete = named == tables.RELAPSE_PREVENTION
    return Decision(state.replace(plan=plan), answer={"complete": complete})


def review(
    state: EpisodeState, plan_id: str, new: NewReview, cause: Cause
) -> Decision[EpisodeState]:
    """Review the plan as a whole and decide what follows. What follows is somebody's to do, by a deadline.

    Which decisions a finding allows is the table of continued service.
    """
    episode_state.in_treatment(state)
    plan = episode_state.plan_of(state, plan_id)
    if not plan.active:
        raise Refused(
            "plan-not-active",
            "Only a plan in force is reviewed.",
            hint="Have the plan signed by both first.",
        )
    if new.decision not in tables.DECISIONS.get(new.basis, frozenset()):
        raise Invalid(
            "decision-not-allowed",
            "This finding does not allow this decision.",
            hint="See the table of continued service: GET /tables/continued-service.",
        )
    stage = plan.stage if new.stage is None else new.stage
    plan = plan.replace(version=plan.version + 1, stage=stage, next_review_on=None)
    drivers = state.drivers if new.drivers is None else new.drivers
    state = state.replace(plan=plan, drivers=drivers).disarm("review-due:*")
    if new.decision not in (ReviewDecision.DISCHARGE, ReviewDecision.TRANSFER):
        state = episode_state.schedule_review(state, plan, cause)
    state, cleared = _answered(state, cause)
    state = transfers.also_waited(state, lambda never: _decided(never, new, cause)[0])
    state, withdrawn = _decided(state, new, cause)
    event = plans.TreatmentPlanReviewed(
        plan_id=plan.plan_id,
        version=plan.version,
        basis=new.basis,
        decision=new.decision,
        next_review_on=None if state.plan is None else state.plan.next_review_on,
    )
    return Decision(state, (event, *cleared, *withdrawn))


def _answered(state: EpisodeState, cause: Cause) -> episode_state.StateAndEvents:
    """A review closes the loop of the one that was due, and of any change of plan that was asked for."""
    state, reviewed = loops.close(state, PlansLoop.PLAN_REVIEW, cause.subject_id)
    state, amended = loops.close(state, PlansLoop.CONTINUED_SERVICE, cause.subject_id)
    return state, (*reviewed, *amended)


def _decided(state: EpisodeState, new: NewReview, cause: Cause) -> episode_state.StateAndEvents:
    """What the last review decided and nobody has begun is superseded; what this one decided becomes a loop."""
    wanted = tables.DECISION_LOOPS.get(new.decision)
    begun = {
        PlansLoop.LEVEL_CHANGE: state.level_change is not None,
        PlansLoop.TRANSFER: state.transfer is not None,
        PlansLoop.DISCHARGE: False,
    }
    events: list[Event] = []
    for kind in DECIDED:
        if kind is not wanted and not begun[kind]:
            state, cleared = loops.close(state, kind, cause.subject_id, ClearedReason.SUPERSEDED)
            events += cleared
    if wanted is not None and not begun[wanted]:
        state = loops.open_loop(state, wanted, cause.subject_id, cause)
    leaves = wanted in (PlansLoop.TRANSFER, PlansLoop.DISCHARGE)
    if leaves and state.aftercare is not None and not state.aftercare.complete:
        state = loops.open_loop(state, PlansLoop.AFTERCARE_PLAN, cause.subject_id, cause)
    if new.decision is ReviewDecision.CONTINUE and new.basis is not ReviewBasis.PROGRESSING:
        state = loops.open_loop(state, PlansLoop.CONTINUED_SERVICE, cause.subject_id, cause)
    return state, tuple(events)


# --- deadlines --------------------------------------------------------------------------------------------


def review_due(state: EpisodeState, due_on: date, cause: Cause) -> Decision[EpisodeState]:
    """Today the plan has to be reviewed; three days later it is overdue, which is published every week."""
    if state.plan is None:
        return Decision(state)
    event = plans.TreatmentPlanReviewDue(plan_id=state.plan.plan_id, due_on=due_on)
    return Decision(
        loops.open_loop(state, PlansLoop.PLAN_REVIEW, cause.subject_id, cause), (event,)
    )


def _active(state: EpisodeState) -> bool:
    return state.plan is not None and state.plan.active


def _next_review(state: EpisodeState) -> date:
    if state.plan is None or state.plan.next_review_on is None:
        raise ValueError("the plan has no next review")
    return state.plan.next_review_on


def _signed(at: datetime | None) -> datetime:
    if at is None:
        raise ValueError("the plan is not signed by both")
    return at

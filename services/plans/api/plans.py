"""Routes for treatment plans, goals, reviews, and what belongs to them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field

from services.plans import (
    additional_services,
    amendments,
    episode_state,
    goals,
    review_reasons,
    reviews,
    tables,
    treatment_plan,
)
from services.plans.api import views
from services.plans.api.callers import (
    Answering,
    Anyone,
    Clinician,
    Prescriber,
    Reviewer,
    Staff,
    Supervisor,
)
from services.plans.api.subjects import EPISODE, GROUP
from services.plans.available_sessions import GroupState
from services.plans.episode_state import Deferral, Goal
from services.plans.tables import (
    Contributor,
    DeferralReason,
    GoalOwner,
    RecoveryStage,
)
from shared.calendar import local_day
from shared.contracts.codes import AnalyteCode, Code, Day, Dimension, MetricCode, Quantity
from shared.contracts.plans import (
    AncillaryKind,
    CoOccurringCategory,
    ExpectedAnalyte,
    GoalUnit,
    PlannedService,
    ReviewBasis,
    ReviewDecision,
    ReviewOutcome,
    WithdrawnReason,
)
from shared.decision import derive_id
from shared.errors import NotYetKnown, Unknown
from shared.loops import KEPT_BACK
from shared.runtime.http.call import Body, Call, OfEpisode, SubjectId
from shared.runtime.http.json_answer import RecordAnswer
from shared.runtime.http.retractions import TakeBackOf
from shared.runtime.http.shown import shows

router = APIRouter(tags=["plans"])

Codes = Annotated[tuple[Code, ...], Field(max_length=20)]
Dimensions = Annotated[tuple[Dimension, ...], Field(max_length=6)]


class NewGoal(Body):
    """SMART: whose, what, from where to where, by when, for which dimension, and set by whom."""

    dimension: Dimension
    metric: MetricCode
    unit: GoalUnit
    baseline: Quantity
    target: Quantity
    due_on: Day
    owner: GoalOwner
    contributors: Annotated[tuple[Contributor, ...], Field(min_length=1, max_length=6)]
    therapies: Codes = ()
    interventions: Codes = ()

    def goal(self, goal_id: str) -> Goal:
        return Goal(goal_id=goal_id, **{name: getattr(self, name) for name in _GOAL_FIELDS})


_GOAL_FIELDS = tuple(NewGoal.model_fields)


class Deferred(Body):
    dimension: Dimension
    reason: DeferralReason


class DraftPlan(OfEpisode):
    goals: Annotated[list[NewGoal], Field(min_length=1, max_length=50)]
    services: Annotated[list[PlannedService], Field(min_length=1, max_length=20)]
    deferred: Annotated[tuple[Deferred, ...], Field(max_length=6)] = ()
    stage: RecoveryStage | None = None


class AddGoal(NewGoal, OfEpisode):
    pass


class ChangeGoal(OfEpisode):
    value: Quantity | None = None
    target: Quantity | None = None
    due_on: Day | None = None
    therapies: Codes | None = None
    interventions: Codes | None = None
    withdrawn: WithdrawnReason | None = None


class SignPlan(OfEpisode):
    by: Literal["patient", "clinician"]


class AmendPlan(OfEpisode):
    services: Annotated[list[PlannedService], Field(min_length=1, max_length=20)]


class RelapsePrevention(OfEpisode):
    elements: Annotated[tuple[Code, ...], Field(min_length=1, max_length=20)]


class ReviewPlan(OfEpisode):
    basis: ReviewBasis
    decision: ReviewDecision
    stage: RecoveryStage | None = None
    drivers: Dimensions | None = None


class CompleteReview(OfEpisode):
    outcome: ReviewOutcome
    drivers: Dimensions | None = None


class IdentifyNeed(Body):
    category: CoOccurringCategory
    enhanced: bool


class AddService(Body):
    kind: AncillaryKind
    on_site: bool


class Medication(Body):
    code: AnalyteCode
    from_on: Day
    until_on: Day | None = None
    verified: bool


class Medications(Body):
    medications: Annotated[list[Medication], Field(max_length=10)]


class ExpectedAnalytes(Body):
    analytes: Annotated[list[ExpectedAnalyte], Field(max_length=50)]


@router.post("/plans", status_code=201)
@shows(views.Drafted)
async def draft_plan(call: Staff, body: DraftPlan) -> RecordAnswer:
    """Draft the treatment plan of an admitted person."""
    new = treatment_plan.NewPlan(
        goals=tuple(
            goal.goal(derive_id(call.new_id("goal"), str(index)))
            for index, goal in enumerate(body.goals)
        ),
        services=tuple(body.services),
        deferred=tuple(Deferral(dimension=d.dimension, reason=d.reason) for d in body.deferred),
        stage=body.stage,
    )
    therapies = await _therapies(call, body.episode_id)
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: treatment_plan.draft(state, new, cause, therapies=therapies),
        status=201,
    )


@router.post("/plans/{plan_id}/goals", status_code=201)
@shows(views.GoalAdded)
async def add_goal(call: Staff, plan_id: SubjectId, body: AddGoal) -> RecordAnswer:
    """Add a goal, which the person has a part in."""
    goal = body.goal(call.new_id("goal"))
    therapies = await _therapies(call, body.episode_id)
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: goals.add(state, plan_id, goal, cause, therapies=therapies),
        status=201,
    )


@router.patch("/goals/{goal_id}")
@shows(views.GoalChanged)
async def change_goal(call: Staff, goal_id: SubjectId, body: ChangeGoal) -> RecordAnswer:
    """Measure a goal, change it, or give it up."""
    new = goals.Change(
        value=body.value,
        target=body.target,
        due_on=body.due_on,
        therapies=body.therapies,
        interventions=body.interventions,
        withdrawn=body.withdrawn,
    )
    therapies = await _therapies(call, body.episode_id)
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: goals.change(state, goal_id, new, cause, therapies=therapies),
    )


async def _therapies(call: Call, episode_id: str) -> frozenset[str]:
    """What the person's program lists, as its profile was on the day of admission; empty where it lists nothing."""
    admission = (await call.state(EPISODE(episode_id))).admission
    if admission is None:
        return frozenset()
    admitted_on = local_day(admission.admitted_at, admission.time_zone)
    try:
        profile = call.runtime.programs.current(
            call.actor.facility_id, admission.program, admitted_on
        )
    except Unknown:  # a program that is no longer described lists nothing
        return frozenset()
    return frozenset(profile.therapies)


@router.post("/plans/{plan_id}/sign")
async def sign_plan(call: Staff, plan_id: SubjectId, body: SignPlan) -> RecordAnswer:
    """Record a signature. The plan, or its amendment, is in force when patient and clinician have signed."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: amendments.sign(
            state, plan_id, by_patient=body.by == "patient", cause=cause
        ),
    )


@router.post("/plans/{plan_id}/amend")
@shows(views.Amended)
async def amend_plan(call: Staff, plan_id: SubjectId, body: AmendPlan) -> RecordAnswer:
    """Draft the next version of a plan in force, with other services. Both sign it with POST /plans/{plan_id}/sign.

    Until then the version before stays in force. A draft that waits already is replaced.
    """
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: amendments.amend(state, plan_id, tuple(body.services), cause),
    )


@router.post("/plans/{plan_id}/amend/withdraw")
async def withdraw_amendment(call: Staff, plan_id: SubjectId, body: OfEpisode) -> RecordAnswer:
    """Give up an amendment that is not signed by both; the plan stays as it is."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: amendments.withdraw(state, plan_id, cause),
    )


@router.post("/plans/{plan_id}/relapse-prevention")
@shows(views.RelapsePreventionNamed)
async def name_relapse_prevention(
    call: Staff, plan_id: SubjectId, body: RelapsePrevention
) -> RecordAnswer:
    """Say what the relapse-prevention plan names: triggers, cravings, strategies."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: treatment_plan.name_relapse_prevention(
            state, plan_id, body.elements, cause
        ),
    )


@router.post("/plans/{plan_id}/reviews")
async def review_plan(call: Reviewer, plan_id: SubjectId, body: ReviewPlan) -> RecordAnswer:
    """Record the review of a plan. Which decisions a finding allows: GET /tables/continued-service."""
    new = treatment_plan.NewReview(
        basis=body.basis,
        decision=body.decision,
        stage=body.stage,
        drivers=body.drivers,
    )
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: treatment_plan.review(state, plan_id, new, cause),
    )


@router.post("/reviews/{review_id}/complete")
async def complete_review(
    call: Clinician, review_id: SubjectId, body: CompleteReview
) -> RecordAnswer:
    """Complete a clinical review. Where the level is to be reassessed, name the drivers."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: reviews.complete(
            state, review_id, body.outcome, cause, drivers=body.drivers
        ),
    )


@router.post("/reviews/{review_id}/complete/undo")
async def undo_review(call: Answering, review_id: SubjectId, body: TakeBackOf) -> RecordAnswer:
    """Take back that a clinical review was completed: it is to be done, and what it led to is withdrawn."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: reviews.undo(state, review_id, body.reason, cause),
    )


@router.post("/episodes/{episode_id}/weeks/{week_starts_on}/hours-restored")
async def restore_hours(
    call: Supervisor, episode_id: SubjectId, week_starts_on: Day
) -> RecordAnswer:
    """Say that the program offers its hours again, after a week in which it offered too few."""
    return await call.execute(
        EPISODE(episode_id),
        lambda state, cause: review_reasons.hours_restored(state, week_starts_on, cause),
    )


@router.post("/episodes/{episode_id}/co-occurring")
async def identify_need(call: Clinician, episode_id: SubjectId, body: IdentifyNeed) -> RecordAnswer:
    """Name a need that is treated together with the addiction."""
    return await call.execute(
        EPISODE(episode_id),
        lambda state, cause: additional_services.identify_need(
            state, body.category, enhanced=body.enhanced, cause=cause
        ),
    )


@router.post("/episodes/{episode_id}/ancillary-services")
@shows(views.ServiceAdded)
async def add_service(call: Staff, episode_id: SubjectId, body: AddService) -> RecordAnswer:
    """Add a service alongside treatment, on site or elsewhere."""
    return await call.execute(
        EPISODE(episode_id),
        lambda state, cause: additional_services.add_service(
            state, body.kind, on_site=body.on_site, cause=cause
        ),
    )


@router.put("/episodes/{episode_id}/medications")
async def set_medications(
    call: Prescriber, episode_id: SubjectId, body: Medications
) -> RecordAnswer:
    """Replace the list of medications; what screens may show follows from it."""
    prescribed = tuple(ExpectedAnalyte(**item.model_dump()) for item in body.medications)
    return await call.execute(
        EPISODE(episode_id),
        lambda state, cause: additional_services.prescribe(state, prescribed, cause),
    )


@router.put("/episodes/{episode_id}/expected-analytes")
async def set_expected_analytes(
    call: Clinician, episode_id: SubjectId, body: ExpectedAnalytes
) -> RecordAnswer:
    """Replace the list of prescribed substances, exactly as given."""
    return await call.execute(
        EPISODE(episode_id),
        lambda state, cause: additional_services.set_expected_analytes(
            state, tuple(body.analytes), cause
        ),
    )


@router.get("/episodes/{episode_id}")
@shows(views.EPISODE, views.EpisodeView)
async def read_episode(call: Staff, episode_id: SubjectId) -> RecordAnswer:
    """The plan, its reviews, and how the episode stands."""
    return await call.read(EPISODE(episode_id), _view)


def _view(state: episode_state.EpisodeState) -> dict[str, Any]:
    if state.admission is None and not state.void:
        raise NotYetKnown("episode")
    kept = {*KEPT_BACK, "expected", "early_sessions", "sessions", "first_session"}
    known, last_at = state.sessions.values(), state.last_session_at
    return {
        **state.model_dump(mode="json", exclude=kept),
        "sessions_attended": sum(one.attended for one in known),
        "sessions_missed": sum(one.missed for one in known),
        "last_session_at": None if last_at is None else last_at.isoformat(),
    }


@router.get("/groups/{group_id}")
@shows(views.GROUP, views.GroupView)
async def read_group(call: Staff, group_id: SubjectId) -> RecordAnswer:
    """Whether a group has a seat to plan with."""

    def reading(state: GroupState) -> dict[str, Any]:
        return {**state.model_dump(mode="json", exclude={*KEPT_BACK}), "full": state.full}

    return await call.read(GROUP(group_id), reading)


@router.get("/tables/continued-service")
@shows(dict[str, list[str]])
async def continued_service(_call: Anyone) -> dict[str, list[str]]:
    """Which decisions each finding of a plan review allows."""
    return {basis.value: sorted(allowed) for basis, allowed in tables.DECISIONS.items()}

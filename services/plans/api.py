"""Plans over HTTP: treatment plans, clinical reviews, level changes, graduation and discharge."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import Field

from services.plans import domain, reviews
from shared.contracts.codes import (
    Code,
    Day,
    Dimension,
    EpisodeId,
    LevelOfCare,
    Quantity,
)
from shared.contracts.plans import (
    CriterionResult,
    Direction,
    DischargeKind,
    ExpectedAnalyte,
    GoalUnit,
    PlannedGoal,
    PlannedService,
    ReviewBasis,
    ReviewDecision,
    ReviewOutcome,
)
from shared.decision import derive_id
from shared.errors import NotYetKnown
from shared.runtime.http import Body, Call, SubjectId, call_by

router = APIRouter(tags=["plans"])

Staff = Annotated[Call, call_by("counselor", "clinician", "case_manager")]
Clinician = Annotated[Call, call_by("clinician", "clinical_supervisor")]


class OfEpisode(Body):
    episode_id: EpisodeId


class NewGoal(Body):
    dimension: Dimension
    metric: Code
    unit: GoalUnit
    target: Quantity
    due_on: Day


class DraftPlan(OfEpisode):
    goals: Annotated[list[NewGoal], Field(min_length=1, max_length=50)]
    services: Annotated[list[PlannedService], Field(min_length=1, max_length=20)]


class SignPlan(OfEpisode):
    by: Literal["patient", "clinician"]


class ReviewPlan(OfEpisode):
    basis: ReviewBasis
    decision: ReviewDecision


class CompleteReview(OfEpisode):
    outcome: ReviewOutcome


class ExpectedAnalytes(Body):
    analytes: Annotated[list[ExpectedAnalyte], Field(max_length=50)]


class ChangeLevel(Body):
    to_level: LevelOfCare
    direction: Direction


class Graduate(Body):
    criteria: Annotated[list[CriterionResult], Field(min_length=1, max_length=50)]


class Discharge(Body):
    kind: DischargeKind


@router.post("/plans", status_code=201)
async def draft_plan(call: Staff, body: DraftPlan) -> Response:
    """Draft the treatment plan of an admitted person."""
    goals = tuple(
        PlannedGoal(
            goal_id=derive_id(call.new_id("goal"), str(index)),
            dimension=goal.dimension,
            metric=goal.metric,
            unit=goal.unit,
            target=goal.target,
            due_on=goal.due_on,
        )
        for index, goal in enumerate(body.goals)
    )
    return await call.execute(
        f"episode/{body.episode_id}",
        lambda state, cause: domain.draft(state, goals, tuple(body.services), cause),
        status=201,
    )


@router.post("/plans/{plan_id}/sign")
async def sign_plan(call: Staff, plan_id: SubjectId, body: SignPlan) -> Response:
    """Record a signature. The plan is in force when patient and clinician have signed."""
    return await call.execute(
        f"episode/{body.episode_id}",
        lambda state, cause: domain.sign(
            state, plan_id, by_patient=body.by == "patient", cause=cause
        ),
    )


@router.post("/plans/{plan_id}/reviews")
async def review_plan(call: Clinician, plan_id: SubjectId, body: ReviewPlan) -> Response:
    """Record the review of a plan."""
    return await call.execute(
        f"episode/{body.episode_id}",
        lambda state, cause: domain.review(state, plan_id, body.basis, body.decision, cause),
    )


@router.post("/reviews/{review_id}/complete")
async def complete_review(call: Clinician, review_id: SubjectId, body: CompleteReview) -> Response:
    """Complete a clinical review."""
    return await call.execute(
        f"episode/{body.episode_id}",
        lambda state, cause: reviews.complete(state, review_id, body.outcome, cause),
    )


@router.put("/episodes/{episode_id}/expected-analytes")
async def set_expected_analytes(
    call: Clinician, episode_id: SubjectId, body: ExpectedAnalytes
) -> Response:
    """Replace the list of prescribed substances."""
    return await call.execute(
        f"episode/{episode_id}",
        lambda state, cause: domain.set_expected_analytes(state, tuple(body.analytes), cause),
    )


@router.post("/episodes/{episode_id}/loc-changes")
async def change_level(call: Clinician, episode_id: SubjectId, body: ChangeLevel) -> Response:
    """Change the level of care."""
    return await call.execute(
        f"episode/{episode_id}",
        lambda state, cause: domain.change_level(state, body.to_level, body.direction, cause),
    )


@router.post("/episodes/{episode_id}/graduate")
async def graduate(call: Clinician, episode_id: SubjectId, body: Graduate) -> Response:
    """Approve the graduation and discharge as graduated."""
    return await call.execute(
        f"episode/{episode_id}",
        lambda state, cause: domain.graduate(state, tuple(body.criteria), cause),
    )


@router.post("/episodes/{episode_id}/discharge")
async def discharge(call: Clinician, episode_id: SubjectId, body: Discharge) -> Response:
    """End the episode in another way than graduation."""
    return await call.execute(
        f"episode/{episode_id}",
        lambda state, cause: domain.discharge(state, body.kind, cause),
    )


@router.get("/episodes/{episode_id}")
async def read_episode(call: Staff, episode_id: SubjectId) -> Response:
    """The plan, its reviews, and how the episode stands."""
    return await call.read(f"episode/{episode_id}", _view)


def _view(state: domain.EpisodeState) -> dict[str, Any]:
    if state.admission is None:
        raise NotYetKnown("episode")
    return state.model_dump(mode="json", exclude={"deadlines", "expected"})

"""Routes for one episode: its outreach, risks, return to use and re-engagement, and its current position."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from fastapi import APIRouter
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from services.followup import journey
from services.followup.aftercare import check_ins, risks
from services.followup.api import views
from services.followup.api.callers import Amender, Responder, Staff
from services.followup.api.subjects import EPISODE
from services.followup.episode import episode_state
from services.followup.invariants import for_command
from services.followup.outreach import outreach, reengagement
from shared.contracts.codes import Day, FollowupLoop
from shared.contracts.followup import (
    AttemptResult,
    Channel,
    ReengagementCause,
    ReengagementOutcome,
    ReportedBy,
    SubstanceClass,
)
from shared.errors import NotYetKnown
from shared.runtime.http.call import Body, OfEpisode, SubjectId
from shared.runtime.http.json_answer import RecordAnswer
from shared.runtime.http.retractions import TakeBackOf
from shared.runtime.http.shown import shows

router = APIRouter(tags=["followup"])


class Attempt(Body):
    channel: Channel
    result: AttemptResult


class AnswerRisk(OfEpisode):
    how: risks.Answer = "seen_to"


class ReportReturnToUse(OfEpisode):
    reported_by: ReportedBy
    substance_class: SubstanceClass
    overdose: bool
    occurred_on: Day | None = None


class Reengage(OfEpisode):
    """Either why the way back begins, or where it led."""

    cause: ReengagementCause | None = Field(default=None, description="Begin, for this reason.")
    outcome: ReengagementOutcome | None = Field(
        default=None, description="Complete the one under way; the same as its own route."
    )

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        if (self.cause is None) == (self.outcome is None):
            raise PydanticCustomError("cause_or_outcome", "give a cause or an outcome")
        return self


class CompleteReengagement(OfEpisode):
    outcome: ReengagementOutcome


@router.post("/episodes/{episode_id}/outreach")
@shows(views.OutreachRecorded)
async def record_outreach(call: Staff, episode_id: SubjectId, body: Attempt) -> RecordAnswer:
    """Record an attempt to reach a person. `reached` ends the outreach."""
    return await call.execute(
        EPISODE(episode_id),
        for_command(lambda state, cause: outreach.record(state, body.channel, body.result, cause)),
    )


@router.post("/outreach/{contact_id}/undo")
@shows(views.OutreachUndone)
async def undo_outreach(call: Amender, contact_id: SubjectId, body: TakeBackOf) -> RecordAnswer:
    """Take back an attempt to reach a person. What only that contact ended goes on."""
    return await call.execute(
        EPISODE(body.episode_id),
        for_command(lambda state, cause: outreach.undo(state, contact_id, cause)),
    )


@router.post("/risk-responses/{loop_id}/undo")
async def undo_risk_response(call: Amender, loop_id: SubjectId, body: TakeBackOf) -> RecordAnswer:
    """Take back that a risk has been seen to: somebody has to see to it."""
    return await call.execute(
        EPISODE(body.episode_id),
        for_command(lambda state, cause: risks.undo(state, loop_id, cause)),
    )


@router.post("/risk-responses/{loop_id}/complete")
async def answer_risk(call: Responder, loop_id: SubjectId, body: AnswerRisk) -> RecordAnswer:
    """Say that a risk has been seen to, and how. Disclose to the emergency department through intake."""
    return await call.execute(
        EPISODE(body.episode_id),
        for_command(lambda state, cause: risks.answer(state, loop_id, body.how, cause)),
    )


@router.post("/return-to-use")
@shows(views.Reported)
async def report_return_to_use(call: Staff, body: ReportReturnToUse) -> RecordAnswer:
    """Report a return to use. It opens a reassessment, and closes nothing."""
    return await call.execute(
        EPISODE(body.episode_id),
        for_command(
            lambda state, cause: reengagement.report(
                state,
                body.reported_by,
                body.substance_class,
                overdose=body.overdose,
                occurred_on=body.occurred_on,
                cause=cause,
            )
        ),
    )


@router.post("/return-to-use/{report_id}/undo")
async def undo_return_to_use(call: Amender, report_id: SubjectId, body: TakeBackOf) -> RecordAnswer:
    """Take back a return to use that was reported by mistake."""
    return await call.execute(
        EPISODE(body.episode_id),
        for_command(lambda state, cause: reengagement.undo(state, report_id, body.reason, cause)),
    )


@router.post("/reengagements")
@shows(views.Reengaged)
async def begin_reengagement(call: Staff, body: Reengage) -> RecordAnswer:
    """Begin the way back into care, or record where the one under way led."""
    if body.cause is not None:
        why = body.cause
        return await call.execute(
            EPISODE(body.episode_id),
            for_command(lambda state, cause: reengagement.start(state, why, cause)),
        )
    led = ReengagementOutcome.UNKNOWN if body.outcome is None else body.outcome
    return await call.execute(
        EPISODE(body.episode_id),
        for_command(lambda state, cause: reengagement.complete(state, led, cause)),
    )


@router.post("/reengagements/{reengagement_id}/complete")
async def complete_reengagement(
    call: Staff, reengagement_id: SubjectId, body: CompleteReengagement
) -> RecordAnswer:
    """Record where a re-engagement led. `readmitted` asks intake for a new episode."""
    return await call.execute(
        EPISODE(body.episode_id),
        for_command(
            lambda state, cause: reengagement.complete(state, body.outcome, cause, reengagement_id)
        ),
    )


# --- questions ------------------------------------------------------------------------------------------


@router.get("/episodes/{episode_id}")
@shows(views.EPISODE, views.EpisodeView)
async def read_episode(call: Staff, episode_id: SubjectId) -> RecordAnswer:
    """Who reaches out, who is lost, and how the calendar of check-ins stands."""
    return await call.read(EPISODE(episode_id), _view)


def _view(state: episode_state.EpisodeState) -> dict[str, Any]:
    if state.admission is None:
        raise NotYetKnown("episode")
    view = state.model_dump(
        mode="json",
        include={"discharge", "referrals", "co_occurring", "screens_due"},
    )
    loop, reach = state.outreach_loop, state.outreach
    return {
        **view,
        "screens_failed": len(state.failed),
        "contact_at": None if state.contact_at is None else state.contact_at.isoformat(),
        "referrals_open": list(state.referrals),
        "reviews_open": list(state.reviews),
        "outreach": {
            "open": reach is not None,
            "tier": state.tier,
            "attempts": 0 if reach is None else reach.attempts,
            "channels": () if reach is None else reach.channels,
            "owner_role": None if loop is None else loop.owner_role,
        },
        "lost": state.lost_at is not None,
        "readmitted": state.readmitted,
        "next_episode_id": state.next_episode_id,
        "prior_episode_id": state.admission.prior_episode_id,
        "aftercare": None if state.aftercare is None else _aftercare_view(state, state.aftercare),
        "agreed": None if state.agreed is None else state.agreed.model_dump(mode="json"),
        "risks": {loop.id: loop.step for loop in state.loops_of(FollowupLoop.RISK_RESPONSE)},
        "circumstances": {
            key: one.model_dump(mode="json", exclude={"postponed"})
            for key, one in state.circumstances.items()
        },
        "transitions": [one.model_dump(mode="json") for one in state.transitions],
        "reengagement": None
        if state.reengagement is None
        else {
            "reengagement_id": state.reengagement.id,
            "reassessment_due_at": state.reengagement.reassessment_due_at.isoformat(),
        },
    }


def _aftercare_view(
    state: episode_state.EpisodeState, year: episode_state.Aftercare
) -> dict[str, Any]:
    return {
        "aftercare_plan_id": year.aftercare_plan_id,
        "completed": year.completed_at is not None,
        "check_ins": [
            {
                "check_in_id": key,
                **item.window.model_dump(mode="json"),
                "attempts": item.attempts,
                "channels": item.channels,
                "state": check_ins.standing(state, item),
            }
            for key, item in year.check_ins.items()
        ],
    }


@router.get("/episodes/{episode_id}/journey")
@shows(views.PLACE, views.Overdue, views.STEPS, views.StepsView)
async def read_journey(call: Staff, episode_id: SubjectId) -> RecordAnswer:
    """Where the episode is on its way, what is awaited, who owns that, and whether it has stayed too long."""
    now = call.runtime.clock.now()
    return await call.read(
        EPISODE(episode_id), lambda state: {**journey_view(state, now), **_steps(state)}
    )


def journey_view(state: episode_state.EpisodeState, now: datetime) -> dict[str, Any]:
    """The present step of an episode."""
    place = journey.place(state)
    overdue = place.due_at is not None and place.due_at <= now
    return {**place.model_dump(mode="json"), "overdue": overdue}


def _steps(state: episode_state.EpisodeState) -> dict[str, Any]:
    reached = sorted(state.path.items(), key=lambda step: (step[1], step[0]))
    return {
        **state.model_dump(
            mode="json",
            include={"referral", "referrals", "waitlist", "plan_review", "level"},
        ),
        "hours_short": state.hours_short,
        "path": [{"step": step, "at": at.isoformat()} for step, at in reached],
        "reviews": {key: "overdue" if late else "open" for key, late in state.reviews.items()},
        "goals": {"achieved": sum(state.goals.values()), "of": len(state.goals)},
        "next_episode_id": state.next_episode_id,
    }

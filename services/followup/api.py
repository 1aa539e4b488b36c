"""Followup over HTTP: outreach, check-ins, risks, return to use and re-engagement."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import Field

from services.followup import aftercare, domain, reengagement, risks
from shared.contracts.codes import Day, EpisodeId
from shared.contracts.followup import (
    AttemptResult,
    Channel,
    Housing,
    ReengagementOutcome,
    ReportedBy,
    RiskFlag,
    SubstanceClass,
    Support,
    Taken,
    UseSince,
    Work,
)
from shared.errors import NotYetKnown
from shared.runtime.http import Body, Call, SubjectId, call_by

router = APIRouter(tags=["followup"])

Staff = Annotated[Call, call_by("counselor", "case_manager", "peer_specialist", "clinician")]
Clinician = Annotated[Call, call_by("clinician", "clinical_supervisor")]


class Attempt(Body):
    channel: Channel
    result: AttemptResult


class OfEpisode(Body):
    episode_id: EpisodeId


class AttemptCheckIn(OfEpisode):
    channel: Channel
    result: AttemptResult


class CompleteCheckIn(OfEpisode):
    use_since: UseSince
    medication_taken: Taken | None = None
    housing: Housing | None = None
    work: Work | None = None
    support: Support | None = None
    risk_flags: Annotated[tuple[RiskFlag, ...], Field(max_length=20)] = ()


class ReportReturnToUse(OfEpisode):
    reported_by: ReportedBy
    substance_class: SubstanceClass
    overdose: bool
    occurred_on: Day | None = None


class CompleteReengagement(OfEpisode):
    outcome: ReengagementOutcome


@router.post("/episodes/{episode_id}/outreach")
async def record_outreach(call: Staff, episode_id: SubjectId, body: Attempt) -> Response:
    """Record an attempt to reach a person. `reached` ends the outreach."""
    return await call.execute(
        f"episode/{episode_id}",
        lambda state, cause: domain.record_outreach(state, body.channel, body.result, cause),
    )


@router.post("/checkins/{check_in_id}/attempts")
async def attempt_check_in(call: Staff, check_in_id: SubjectId, body: AttemptCheckIn) -> Response:
    """Record an attempt at a check-in. It stays open until it is completed or its window closes."""
    return await call.execute(
        f"episode/{body.episode_id}",
        lambda state, cause: aftercare.attempt(
            state, check_in_id, body.channel, body.result, cause
        ),
    )


@router.post("/checkins/{check_in_id}/complete")
async def complete_check_in(call: Staff, check_in_id: SubjectId, body: CompleteCheckIn) -> Response:
    """Record what the person said. A risk to life is answered with the id of the loop it opened."""
    answers = aftercare.Answers(
        use_since=body.use_since,
        medication_taken=body.medication_taken,
        housing=body.housing,
        work=body.work,
        support=body.support,
        risk_flags=tuple(dict.fromkeys(body.risk_flags)),
    )
    return await call.execute(
        f"episode/{body.episode_id}",
        lambda state, cause: aftercare.complete(state, check_in_id, answers, cause),
    )


@router.post("/risk-responses/{loop_id}/complete")
async def answer_risk(call: Clinician, loop_id: SubjectId, body: OfEpisode) -> Response:
    """Say that a risk to life has been seen to."""
    return await call.execute(
        f"episode/{body.episode_id}",
        lambda state, cause: risks.answer(state, loop_id, cause),
    )


@router.post("/return-to-use")
async def report_return_to_use(call: Staff, body: ReportReturnToUse) -> Response:
    """Report a return to use. It opens a reassessment, and closes nothing."""
    return await call.execute(
        f"episode/{body.episode_id}",
        lambda state, cause: reengagement.report(
            state,
            body.reported_by,
            body.substance_class,
            overdose=body.overdose,
            occurred_on=body.occurred_on,
            cause=cause,
        ),
    )


@router.post("/reengagements")
async def complete_reengagement(call: Staff, body: CompleteReengagement) -> Response:
    """Record where a re-engagement led. `readmitted` asks intake for a new episode."""
    return await call.execute(
        f"episode/{body.episode_id}",
        lambda state, cause: reengagement.complete(state, body.outcome, cause),
    )


@router.get("/episodes/{episode_id}")
async def read_episode(call: Staff, episode_id: SubjectId) -> Response:
    """Who reaches out, who is lost, and how the calendar of check-ins stands."""
    return await call.read(f"episode/{episode_id}", _view)


def _view(state: domain.EpisodeState) -> dict[str, Any]:
    if state.admission is None:
        raise NotYetKnown("episode")
    view = state.model_dump(
        mode="json",
        include={"contact_at", "discharge", "referrals_open", "reviews_open", "screens_failed"},
    )
    tier = 0 if state.outreach is None else state.outreach.tier
    return {
        **view,
        "outreach": {
            "open": state.outreach is not None,
            "tier": tier,
            "attempts": 0 if state.outreach is None else state.outreach.attempts,
            "channels": () if state.outreach is None else state.outreach.channels,
            "owner_role": None if state.outreach is None else domain.OWNERS[tier],
        },
        "lost": state.lost is not None,
        "readmitted": state.readmitted,
        "aftercare": None if state.aftercare is None else _aftercare_view(state, state.aftercare),
        "risks": {key: loop.steps for key, loop in state.risks.items()},
        "reengagement": None
        if state.reengagement is None
        else {"reassessment_due_at": state.reengagement.reassessment_due_at.isoformat()},
    }


def _aftercare_view(state: domain.EpisodeState, year: domain.Aftercare) -> dict[str, Any]:
    return {
        "aftercare_plan_id": year.aftercare_plan_id,
        "completed": year.completed_at is not None,
        "check_ins": [
            {
                "check_in_id": key,
                **item.window.model_dump(mode="json"),
                "attempts": item.attempts,
                "state": _standing(state, item),
            }
            for key, item in year.check_ins.items()
        ],
    }


def _standing(state: domain.EpisodeState, item: domain.CheckIn) -> str:
    """From the record alone, not from the clock: whether it is open follows from its times."""
    if item.settled is not None:
        return item.settled
    if state.readmitted:
        return "superseded"
    return "attempting" if item.attempts else "scheduled"

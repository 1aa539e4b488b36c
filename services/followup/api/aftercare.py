"""Routes for aftercare: the plan, the first appointment, and the check-ins that are due."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query
from pydantic import Field

from services.followup.aftercare import aftercare, appointments, check_ins
from services.followup.api import views
from services.followup.api.callers import Amender, Staff
from services.followup.api.subjects import EPISODE
from services.followup.episode import episode_state
from services.followup.invariants import for_command
from services.followup.loop_table import LOOPS
from shared import calendar
from shared.contracts.codes import ElementCode, FollowupLoop, Timestamp
from shared.contracts.followup import (
    AttemptResult,
    Channel,
    Housing,
    RiskFlag,
    Support,
    Taken,
    UseSince,
    Work,
)
from shared.contracts.times import is_day, is_instant
from shared.errors import Invalid
from shared.runtime.http.call import OfEpisode, SubjectId
from shared.runtime.http.json_answer import RecordAnswer
from shared.runtime.http.paging import After, Limit, states
from shared.runtime.http.retractions import TakeBackOf
from shared.runtime.http.shown import shows

router = APIRouter(tags=["aftercare"])

YEARS: Final = (1900, 2200)


class AgreePlan(OfEpisode):
    elements: Annotated[tuple[ElementCode, ...], Field(min_length=1, max_length=50)]
    channel: Channel = Channel.CALL
    first_appointment_at: Timestamp | None = None


class ReportAppointment(OfEpisode):
    outcome: appointments.Outcome


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


@router.post("/aftercare-plans")
@shows(views.PlanAgreed)
async def agree_plan(call: Staff, body: AgreePlan) -> RecordAnswer:
    """Agree what aftercare consists of. It may be agreed again; `missing` names what it still lacks."""
    agreed = episode_state.Agreed(
        elements=tuple(dict.fromkeys(body.elements)),
        channel=body.channel,
        first_appointment_at=body.first_appointment_at,
    )
    return await call.execute(
        EPISODE(body.episode_id),
        for_command(lambda state, cause: aftercare.agree(state, agreed, cause)),
    )


@router.post("/aftercare-plans/{aftercare_plan_id}/first-appointment")
async def report_first_appointment(
    call: Staff, aftercare_plan_id: SubjectId, body: ReportAppointment
) -> RecordAnswer:
    """Say whether the first appointment was kept. After a missed one, agree another."""
    return await call.execute(
        EPISODE(body.episode_id),
        for_command(
            lambda state, cause: appointments.report(state, aftercare_plan_id, body.outcome, cause)
        ),
    )


@router.post("/checkins/{check_in_id}/attempts")
@shows(views.Attempted)
async def attempt_check_in(
    call: Staff, check_in_id: SubjectId, body: AttemptCheckIn
) -> RecordAnswer:
    """Record an attempt at a check-in. It stays open until it is completed or its window closes."""
    return await call.execute(
        EPISODE(body.episode_id),
        for_command(
            lambda state, cause: check_ins.attempt(
                state, check_in_id, body.channel, body.result, cause
            )
        ),
    )


@router.post("/checkins/{check_in_id}/complete")
@shows(views.CheckedIn)
async def complete_check_in(
    call: Staff, check_in_id: SubjectId, body: CompleteCheckIn
) -> RecordAnswer:
    """Record what the person said. What needs an answer is answered with the id of the loop it opened."""
    answers = check_ins.Answers(
        use_since=body.use_since,
        medication_taken=body.medication_taken,
        housing=body.housing,
        work=body.work,
        support=body.support,
        risk_flags=tuple(dict.fromkeys(body.risk_flags)),
    )
    return await call.execute(
        EPISODE(body.episode_id),
        for_command(lambda state, cause: check_ins.complete(state, check_in_id, answers, cause)),
    )


@router.post("/checkins/{check_in_id}/attempts/{attempt}/undo")
async def undo_attempt(
    call: Amender,
    check_in_id: SubjectId,
    attempt: Annotated[int, Path(ge=1, le=check_ins.ATTEMPTS_MAX)],
    body: TakeBackOf,
) -> RecordAnswer:
    """Take back an attempt at a check-in. What only that contact ended goes on."""
    return await call.execute(
        EPISODE(body.episode_id),
        for_command(
            lambda state, cause: check_ins.undo_attempt(
                state, check_in_id, attempt, body.reason, cause
            )
        ),
    )


@router.post("/checkins/{check_in_id}/undo")
async def undo_check_in(call: Amender, check_in_id: SubjectId, body: TakeBackOf) -> RecordAnswer:
    """Take back that a check-in was completed; it is open until its window closes, and else missed."""
    return await call.execute(
        EPISODE(body.episode_id),
        for_command(lambda state, cause: check_ins.undo(state, check_in_id, body.reason, cause)),
    )


# --- what is due ----------------------------------------------------------------------------------------


@router.get("/checkins")
@shows(views.CheckInsView)
async def due_check_ins(
    call: Staff,
    due: Annotated[str | None, Query(max_length=40, examples=["2026-03-09"])] = None,
    limit: Limit = 100,
    after: After = None,
) -> dict[str, Any]:
    """All check-ins of the facility, not yet settled, that are due by an instant, or by the end of a local day.

    Without `due`, by now. A page holds those of at most `limit` people, the most urgent first; `next`, when it is
    there, is `after` for the page that follows.
    """
    now = call.runtime.clock.now()
    by = _by(due, now)
    latest = by if isinstance(by, datetime) else _latest_end(by)
    page = await call.page(episode_state.CHECK_IN_INDEX, after, limit, until=latest)
    due_by_then = [
        (item.window.due_at, key, subject, state, item)
        for subject, state in states(page, episode_state.EpisodeState)
        for key, item in check_ins.check_ins(state).items()
        if item.settled is None and item.window.due_at <= _end(by, state)
    ]
    found = [
        _row(subject, state, key, item, now)
        for _, key, subject, state, item in sorted(due_by_then, key=lambda one: one[:2])
    ]
    return {"check_ins": found, "now": now.isoformat(), **page.next_field}


def _by(due: str | None, now: datetime) -> datetime | date:
    if due is None:
        return now
    found: datetime | date | None = None
    with suppress(ValueError):
        if is_day(due):
            found = date.fromisoformat(due)
        elif is_instant(due):
            found = datetime.fromisoformat(due)
    if found is None or not YEARS[0] <= found.year <= YEARS[1]:
        raise Invalid(
            "due-invalid",
            "`due` is neither a day nor an instant with its offset.",
            hint="For example 2026-03-09 or 2026-03-09T15:00:00Z.",
        )
    return found


def _end(by: datetime | date, state: episode_state.EpisodeState) -> datetime:
    if isinstance(by, datetime):
        return by
    # The last instant of the facility's day.
    following = calendar.end_of_day(by, state.time_zone)
    return following - timedelta(microseconds=1)


def _latest_end(day: date) -> datetime:
    """Nowhere does a day end later: 12 hours behind UTC."""
    return calendar.midnight(day, "UTC") + timedelta(hours=36)


def _row(
    subject: str,
    state: episode_state.EpisodeState,
    key: str,
    item: episode_state.CheckIn,
    now: datetime,
) -> dict[str, Any]:
    loop = state.loop(episode_state.FollowupLoop.CHECK_IN, key)
    return {
        "check_in_id": key,
        "subject": subject,
        **item.window.model_dump(mode="json"),
        "open": item.window.opens_at <= now < item.window.closes_at,
        "attempts": item.attempts,
        "channels": item.channels,
        "owner_role": LOOPS[FollowupLoop.CHECK_IN].owners[0] if loop is None else loop.owner_role,
        "co_occurring": sorted(state.co_occurring),
    }

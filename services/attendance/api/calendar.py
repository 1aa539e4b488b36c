"""Routes for the calendar: cancel, move and restore sessions, and set the days on which the facility is closed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import AwareDatetime, Field

from services.attendance.api import views
from services.attendance.api.callers import Anyone, Closer, Staff
from services.attendance.api.subjects import CLOSURES, EPISODE, GROUP, SESSION
from services.attendance.groups import changes, closures, group_calendar, session_state, sessions
from services.attendance.groups.group_state import GroupState, Unscheduled
from services.attendance.groups.session_state import SessionState
from shared.contracts.attendance import CancelledBy
from shared.decision import Cause, Decision
from shared.runtime.http.call import Body, Call, SubjectId
from shared.runtime.http.json_answer import RecordAnswer
from shared.runtime.http.shown import shows

router = APIRouter(tags=["calendar"])


class CancelSession(Body):
    cancelled_by: CancelledBy


class RescheduleSession(Body):
    starts_at: AwareDatetime
    minutes_planned: Annotated[int, Field(ge=15, le=480)] | None = None
    """Missing: as long as before."""
    unscheduled: Unscheduled | None = None
    """Why the new time is outside the group's days or hours. Missing: as before, if it is outside as well."""


class UndoCancellation(Body):
    pass


class CorrectCancellation(Body):
    cancelled_by: CancelledBy


class CloseFacility(Body):
    from_on: date
    until_on: date
    """The last day, inclusive."""
    reason: closures.ClosureReason


class OpenFacility(Body):
    pass


@router.post("/sessions/{session_id}/cancel")
@shows(views.SessionChanged)
async def cancel_session(call: Staff, session_id: SubjectId, body: CancelSession) -> RecordAnswer:
    """Cancel a session that has not taken place; one of a group is taken off the group's calendar.

    The answer's `subject`, `revision` and `sequence` are of the record whose calendar it is: the group's, or its own.
    """
    by = body.cancelled_by
    return await _change(
        call,
        session_id,
        lambda state, cause: group_calendar.call_off(state, session_id, by, cause),
        lambda state, cause: sessions.cancel(state, by, cause),
    )


@router.post("/sessions/{session_id}/reschedule")
@shows(views.SessionChanged)
async def reschedule_session(
    call: Staff, session_id: SubjectId, body: RescheduleSession
) -> RecordAnswer:
    """Move a session that is ahead to another time; everybody who is expected hears of it."""
    new = changes.NewTime(**dict(body))
    session_state.must_be_near(body.starts_at, call.runtime.clock.now())
    await _may_take_place(call, session_id, new)
    return await _change(
        call,
        session_id,
        lambda state, cause: changes.move_of_group(state, session_id, new, cause),
        lambda state, cause: changes.move(state, new, cause),
    )


@router.post("/sessions/{session_id}/cancel/undo")
@shows(views.SessionChanged)
async def undo_cancellation(
    call: Staff, session_id: SubjectId, _body: UndoCancellation
) -> RecordAnswer:
    """Take a cancellation back: the session takes place after all."""
    await _may_take_place(call, session_id)
    return await _change(
        call,
        session_id,
        lambda state, cause: changes.put_back_of_group(state, session_id, cause),
        changes.uncancel,
    )


@router.post("/sessions/{session_id}/cancel/correct")
@shows(views.SessionChanged)
async def correct_cancellation(
    call: Staff, session_id: SubjectId, body: CorrectCancellation
) -> RecordAnswer:
    """Say that somebody else cancelled a session than was said; the later word holds."""
    by = body.cancelled_by
    return await _change(
        call,
        session_id,
        lambda state, cause: changes.blame_of_group(state, session_id, by, cause),
        lambda state, cause: changes.blame(state, by, cause),
    )


async def _may_take_place(call: Call, session_id: str, new: changes.NewTime | None = None) -> None:
    """Whether the people of a session without a group can come to it, as it is or at its new time. Raises why not."""
    state = await call.state(SESSION(session_id))
    if state.group_id is not None or state.starts_at is None:
        return
    if new is not None:
        minutes = new.minutes_planned or state.minutes_planned
        state = state.replace(starts_at=new.starts_at.astimezone(UTC), minutes_planned=minutes)
    booked = sessions.booking_of(state, session_id, session_state.must_be_known(state))
    episodes = await call.states([EPISODE(one) for one in state.roster])
    sessions.may_take_place(episodes, booked, call.runtime.clock.now())


async def _change(
    call: Call,
    session_id: str,
    in_group: Callable[[GroupState, Cause], Decision[GroupState]],
    alone: Callable[[SessionState, Cause], Decision[SessionState]],
) -> RecordAnswer:
    """Change a session where it stands on a calendar: in its group's record, or in its own when it has no group.

    The answer's `subject`, `revision` and `sequence` are that record's.
    """
    group_id = (await call.state(SESSION(session_id))).group_id
    if group_id is None:
        return await call.execute(SESSION(session_id), alone, wait_for_handoffs=True)
    return await call.execute(GROUP(group_id), in_group, wait_for_handoffs=True)


@router.post("/closures", status_code=201)
@shows(views.ClosureRecorded)
async def close_facility(call: Closer, body: CloseFacility) -> RecordAnswer:
    """Close the facility on these days: no group meets, and no week asks for them.

    Sessions without a group stay: `GET /sessions?on_closed_day=true` lists them for their staff. The record of closures
    publishes nothing itself, so `sequence` stays 0; its groups' sessions publish that they were cancelled.
    """
    closure = closures.Closure(from_on=body.from_on, until_on=body.until_on, reason=body.reason)
    closure_id = call.new_id("closure")
    return await call.execute(
        CLOSURES(closures.closures_id(call.actor.facility_id)),
        lambda state, cause: closures.close_facility(state, closure_id, closure, cause),
        status=201,
        wait_for_handoffs=True,
    )


@router.post("/closures/{closure_id}/undo")
async def open_facility(call: Closer, closure_id: SubjectId, _body: OpenFacility) -> RecordAnswer:
    """Take a closure back; what it called off and is still ahead takes place after all."""
    return await call.execute(
        CLOSURES(closures.closures_id(call.actor.facility_id)),
        lambda state, cause: closures.open_facility(state, closure_id, cause),
        wait_for_handoffs=True,
    )


@router.get("/closures")
@shows(views.ClosuresView)
async def list_closures(call: Anyone) -> dict[str, Any]:
    """The closures of the caller's facility, the earliest first: as many as are ever kept, so there are no pages."""
    known = await call.state_if_any(CLOSURES(closures.closures_id(call.actor.facility_id)))
    found = {} if known is None else known.closures
    in_order = sorted(found.items(), key=lambda item: (item[1].from_on, item[0]))
    return {
        "closures": [{"closure_id": key, **one.model_dump(mode="json")} for key, one in in_order]
    }

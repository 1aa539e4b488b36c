"""Routes for groups: open a group within a program, and hold, confirm and release its seats."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field, field_validator

from services.attendance.api import views
from services.attendance.api.callers import Anyone, Desk, GroupLead
from services.attendance.api.subjects import EPISODE, GROUP
from services.attendance.episode import seats
from services.attendance.groups import group_state, groups
from shared import calendar
from shared.contracts.codes import GroupId, ProgramCode, TimeZoneName, TopicCode, TrackCode
from shared.errors import Unknown
from shared.loops import KEPT_BACK
from shared.runtime.http.call import Body, Call, OfEpisode, SubjectId
from shared.runtime.http.json_answer import RecordAnswer
from shared.runtime.http.paging import After, Limit, states
from shared.runtime.http.shown import shows

router = APIRouter(tags=["groups"])

Members = Annotated[int, Field(ge=1, le=50)]
TrackQuery = Annotated[str | None, Query(pattern="^[a-z0-9][a-z0-9_.-]{0,39}$")]


class OpenGroup(Body):
    program: ProgramCode
    track: TrackCode
    topics: Annotated[list[TopicCode], Field(max_length=60)] = Field(default_factory=list[str])
    """What it talks about; empty: everything the program has."""
    seats_min: Members | None = None
    seats_max: Members | None = None
    sessions_per_week: Annotated[int, Field(ge=1, le=21)] | None = None
    session_minutes: Annotated[int, Field(ge=15, le=480)] | None = None
    time_zone: TimeZoneName
    """The facility's: the days and hours of the track are told by it."""

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        if not calendar.is_zone(name):
            raise ValueError("not a time zone of the IANA database")
        return name


class ReserveSeat(OfEpisode):
    hold_minutes: Annotated[int, Field(ge=5, le=14 * 24 * 60)] | None = None
    from_group_id: GroupId | None = None
    """The group that the person moves from: its seat falls free as this one is given."""


class DecideSize(Body):
    decision: group_state.SizeDecision


class CloseGroup(Body):
    pass


@router.post("/groups", status_code=201)
@shows(views.GroupOpened)
async def open_group(call: GroupLead, body: OpenGroup) -> RecordAnswer:
    """Open a group within what its program allows: 2 to 12 people unless the program says otherwise."""
    runtime = call.runtime
    today = calendar.local_day(runtime.clock.now(), body.time_zone)
    profile = runtime.programs.current(call.actor.facility_id, body.program, today)
    new = group_state.NewGroup(
        program=body.program,
        track=body.track,
        time_zone=body.time_zone,
        topics=tuple(dict.fromkeys(body.topics)),
        seats_min=body.seats_min,
        seats_max=body.seats_max,
        sessions_per_week=body.sessions_per_week,
        session_minutes=body.session_minutes,
    )
    return await call.execute(
        GROUP(call.new_id("group")),
        lambda state, cause: groups.open_group(state, new, profile, cause),
        status=201,
    )


@router.get("/groups")
@shows(views.GroupsView)
async def list_groups(
    call: Anyone, track: TrackQuery = None, limit: Limit = 100, after: After = None
) -> dict[str, Any]:
    """The open groups of the caller's facility, the oldest first, with their free seats. Pages as `GET /loops` does.

    With `track` a page looks at `limit` groups and holds those of the track.
    """
    page = await call.page(group_state.GROUP_INDEX, after, limit)
    found = [
        {"group_id": subject.partition("/")[2], **_capacity(state)}
        for subject, state in states(page, group_state.GroupState)
        if track is None or state.track == track
    ]
    return {"groups": found, **page.next_field}


@router.get("/groups/{group_id}")
@shows(views.GROUP, views.Capacity)
async def read_group(call: Anyone, group_id: SubjectId) -> RecordAnswer:
    """A group, its free seats, and who has the others, held or taken."""
    return await call.read(GROUP(group_id), _group_view)


@router.post("/groups/{group_id}/seats", status_code=201)
@shows(views.SeatHeld)
async def reserve_seat(call: Desk, group_id: SubjectId, body: ReserveSeat) -> RecordAnswer:
    """Hold a seat for somebody until `hold_until`. When every seat is taken or held: 409 `group-full`."""
    await call.record(GROUP(group_id))
    await _may_have_a_seat(call, body.episode_id)
    if body.from_group_id is not None:
        await call.record(GROUP(body.from_group_id))
    return await call.execute(
        GROUP(group_id),
        lambda state, cause: groups.reserve(
            state, body.episode_id, body.hold_minutes, cause, from_group=body.from_group_id
        ),
        status=201,
        wait_for_handoffs=True,
    )


@router.post("/groups/{group_id}/seats/confirm")
async def confirm_seat(call: Desk, group_id: SubjectId, body: OfEpisode) -> RecordAnswer:
    """The held seat is the person's for good."""
    await call.record(GROUP(group_id))
    await _may_have_a_seat(call, body.episode_id)
    return await call.execute(
        GROUP(group_id),
        lambda state, cause: groups.confirm(state, body.episode_id, cause),
        wait_for_handoffs=True,
    )


@router.post("/groups/{group_id}/seats/release")
async def release_seat(call: Desk, group_id: SubjectId, body: OfEpisode) -> RecordAnswer:
    """The person gives the seat back."""
    await call.record(GROUP(group_id))
    return await call.execute(
        GROUP(group_id),
        lambda state, cause: groups.release(state, body.episode_id, cause),
        wait_for_handoffs=True,
    )


@router.post("/groups/{group_id}/below-minimum")
async def decide_size(call: GroupLead, group_id: SubjectId, body: DecideSize) -> RecordAnswer:
    """Say what becomes of a group with too few people."""
    await call.record(GROUP(group_id))
    return await call.execute(
        GROUP(group_id),
        lambda state, cause: groups.decide_size(state, body.decision, cause),
    )


@router.post("/groups/{group_id}/close")
async def close_group(call: GroupLead, group_id: SubjectId, _body: CloseGroup) -> RecordAnswer:
    """End a group; its seats fall free."""
    await call.record(GROUP(group_id))
    return await call.execute(GROUP(group_id), groups.close, wait_for_handoffs=True)


async def _may_have_a_seat(call: Call, episode_id: str) -> None:
    """Somebody not admitted yet may have a seat held; somebody who is gone may not."""
    known = await call.state_if_any(EPISODE(episode_id))
    if known is not None:
        seats.may_have_one(known)


def _capacity(state: group_state.GroupState) -> dict[str, Any]:
    return {
        "track": state.track,
        "program": state.program,
        "seats_min": state.seats_min,
        "seats_max": state.seats_max,
        "seats_left": state.seats_left,
        "is_group": state.is_group,
    }


def _group_view(state: group_state.GroupState) -> dict[str, Any]:
    if state.opened_at is None:
        raise Unknown("group")
    view = state.model_dump(mode="json", exclude={*KEPT_BACK, "team", "void", "was_enough"})
    return {**view, **_capacity(state)}

"""Routes for the waiting list, and for the partners' capacity."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Self

from fastapi import APIRouter, Query
from fastapi import Path as InPath
from pydantic import AwareDatetime, Field, model_validator
from pydantic_core import PydanticCustomError

from services.intake.api import views
from services.intake.api.callers import Staff, Team
from services.intake.api.episodes import settings_of
from services.intake.api.partners import partner
from services.intake.api.subjects import EPISODE, GROUP
from services.intake.episode import waitlist
from services.intake.resources import partner_capacity, waitlist_queue
from services.intake.resources.partner_capacity import CapacityState
from services.intake.resources.waitlist_queue import LineState
from shared.contracts.codes import (
    CODE_PATTERN,
    Code,
    FacilityId,
    GroupId,
    LevelOfCare,
    TrackCode,
)
from shared.contracts.intake import PartnerKind, WaitlistExit
from shared.errors import Refused
from shared.runtime.http.call import Body, Call, OfEpisode, SubjectId
from shared.runtime.http.json_answer import RecordAnswer
from shared.runtime.http.shown import shows
from shared.runtime.http.subjects import Subject

router = APIRouter(tags=["waiting"])

KindQuery = Annotated[PartnerKind | None, Query()]
LevelQuery = Annotated[str | None, Query(pattern=r"^[0-4](\.[0-9])?(-WM)?$")]
TrackPath = Annotated[str, InPath(pattern=CODE_PATTERN)]


class Join(OfEpisode):
    """Waiting for a place in one group, or in any group of a track."""

    track: TrackCode | None = None
    group_id: GroupId | None = None
    interim_services: Annotated[tuple[Code, ...], Field(max_length=20)] = ()

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.track is None) is (self.group_id is None):
            raise PydanticCustomError("track_or_group", "name a track or a group, and not both")
        return self


class Offer(OfEpisode):
    """A place that staff offer: of a track, or out of turn."""

    group_id: GroupId | None = None
    hours: Annotated[int, Field(ge=1, le=720)] | None = None


class Leave(OfEpisode):
    """Why somebody no longer waits."""

    reason: WaitlistExit

    @model_validator(mode="after")
    def _is_a_way_to_leave(self) -> Self:
        if self.reason not in waitlist.LEAVING:
            raise PydanticCustomError("not_a_way_to_leave", "this follows from what else is done")
        return self


class Capacity(Body):
    """What a partner can take, as of when, and for how long that may be believed."""

    partner_id: FacilityId
    kind: PartnerKind
    level: LevelOfCare | None = None
    places_free: Annotated[int, Field(ge=0, le=10_000)]
    as_of: AwareDatetime
    believed_for_minutes: Annotated[int, Field(ge=1, le=10_080)] = 240


@router.post("/waitlist", status_code=201)
@shows(views.Joined)
async def join(call: Staff, body: Join) -> RecordAnswer:
    """Let somebody whom the program suits wait for a place. The place in the line follows within moments."""
    line = await _line(call, body.group_id, body.track or "")
    if len(line.queue) >= waitlist_queue.LINE_MAX:
        raise Refused("line-full", "The line is too long.", hint="Refer the person on.")
    settings = settings_of(call)
    track = line.track if body.track is None else body.track
    new = waitlist.NewWaiting(
        line_id=waitlist_queue.line_id(body.group_id, call.actor.facility_id, track),
        group_id=body.group_id,
        track=track,
        interim=body.interim_services,
        offer_lasts=timedelta(hours=settings.offer_hours),
        chances=settings.offer_chances,
    )
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: waitlist.join(state, new, cause),
        status=201,
        wait_for_handoffs=True,
    )


@router.post("/waitlist/{waitlist_id}/offer")
@shows(views.Offered)
async def offer(call: Staff, waitlist_id: SubjectId, body: Offer) -> RecordAnswer:
    """Offer a place: of a track, or out of turn. Those of a group are offered by themselves as seats come free."""
    if body.group_id is not None:
        line = await _line(call, body.group_id, "")
        if line.free < 1:
            raise Refused(
                "no-free-seat",
                "No seat of this group is free.",
                hint="Wait until one is released, or name another group.",
            )
    lasts = None if body.hours is None else timedelta(hours=body.hours)
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: waitlist.offer(state, waitlist_id, body.group_id, lasts, cause),
        wait_for_handoffs=True,
    )


@router.post("/waitlist/{waitlist_id}/accept")
async def accept(call: Staff, waitlist_id: SubjectId, body: OfEpisode) -> RecordAnswer:
    """The person takes the place that is offered, before the offer lapses."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: waitlist.accept(state, waitlist_id, cause),
    )


@router.post("/waitlist/{waitlist_id}/leave")
async def leave(call: Staff, waitlist_id: SubjectId, body: Leave) -> RecordAnswer:
    """The person no longer waits: they decline the place, withdraw, or are cared for elsewhere."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: waitlist.leave(state, waitlist_id, body.reason, cause),
    )


@router.get("/groups/{group_id}/waitlist")
@shows(views.LineView)
async def read_group_line(call: Team, group_id: SubjectId) -> RecordAnswer:
    """The line of a group, and its seats as intake knows them."""
    return await call.read(GROUP(group_id), line_view)


@router.get("/tracks/{track}/waitlist")
@shows(views.LineView)
async def read_track_line(call: Team, track: TrackPath) -> dict[str, Any]:
    """The line of a track."""
    return dict(line_view(await _line(call, None, track)))


@router.put("/partners/capacity")
async def state_capacity(call: Staff, body: Capacity) -> RecordAnswer:
    """Record what a partner can take."""
    await partner(call, "partner_id", body.partner_id)
    new = partner_capacity.Statement(
        **body.model_dump(exclude={"believed_for_minutes"}),
        believed_for=timedelta(minutes=body.believed_for_minutes),
    )
    return await call.execute(
        _partners(call),
        lambda state, cause: partner_capacity.state_capacity(state, new, cause),
    )


@router.get("/partners/capacity")
@shows(views.CapacityView)
async def read_capacity(
    call: Team, kind: KindQuery = None, level: LevelQuery = None
) -> dict[str, Any]:
    """What partners can take. What is too old to be believed comes last, and says so."""
    now = call.runtime.clock.now()
    found = await call.state_if_any(_partners(call))
    known = CapacityState() if found is None else found
    return {
        "capacity": partner_capacity.capacity_view(known, now, kind, level),
        "now": now.isoformat(),
    }


def line_view(state: LineState) -> dict[str, Any]:
    """A line as staff see it: who waits, who is offered a place, how many seats are free."""
    return {
        "track": state.track,
        "group_id": state.group_id,
        "seats_min": state.seats_min,
        "seats_max": state.seats_max,
        "seats_free": None if state.seats_max is None else max(0, state.free),
        "waiting": [
            {
                "position": position,
                "waitlist_id": place.ticket,
                "episode_id": place.episode_id,
                "since": place.since.isoformat(),
            }
            for position, place in enumerate(state.queue, 1)
        ],
        "offered": [
            {"waitlist_id": ticket, "episode_id": episode_id}
            for ticket, episode_id in state.offered.items()
        ],
    }


async def _line(call: Call, group_id: str | None, track: str) -> LineState:
    """A group's line, once attendance has said that there is the group; a track's, which is empty at first."""
    if group_id is not None:
        return await call.state(GROUP(group_id))
    line_id = waitlist_queue.line_id(None, call.actor.facility_id, track)
    state = await call.state_if_any(GROUP(line_id))
    return LineState(track=track) if state is None else state


def _partners(call: Call) -> Subject[CapacityState]:
    return Subject(partner_capacity.subject(call.actor.facility_id), CapacityState)

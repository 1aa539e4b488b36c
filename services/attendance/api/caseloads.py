"""Routes that list the people in care and the caseloads: where each person stands, and what comes next.

Attendance serves these lists because its record of an episode holds most of the answer: the person, the level of care
that holds today, the program, the seats and their tracks, the care team and the bookings. Followup receives more
events, but knows neither the bookings nor the groups. Intake knows the path up to the first day. Attendance does not
guess what it can't know. It lists only the open loops of this service (`GET /loops` of the other services lists
theirs). People who were never admitted are on intake's `GET /referrals`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from services.attendance.api import views
from services.attendance.api.callers import Team
from services.attendance.episode.episode_state import (
    ADMITTED_INDEX,
    IN_CARE,
    EpisodeState,
    Standing,
    booked_sessions,
)
from shared import calendar
from shared.contracts.codes import CODE_PATTERN, UUID_PATTERN
from shared.runtime.http.paging import After, Limit, states
from shared.runtime.http.shown import shows
from shared.runtime.http.task_lists import loop_views

router = APIRouter(tags=["caseloads"])

CodeQuery = Annotated[str | None, Query(pattern=CODE_PATTERN)]
NARROWEST_FIRST: Final = ("caseload", "track", "program", "level")


@router.get("/episodes")
@shows(views.EpisodesView)
async def list_episodes(
    call: Team,
    caseload: Annotated[str | None, Query(pattern=UUID_PATTERN)] = None,
    track: CodeQuery = None,
    program: CodeQuery = None,
    level: Annotated[str | None, Query(pattern=r"^[0-9][0-9A-Z.-]{0,9}$")] = None,
    state: Standing | None = None,
    *,
    limit: Limit = 100,
    after: After = None,
) -> dict[str, Any]:
    """Everybody in care at the caller's facility, who was admitted first comes first. Who has left: `state=discharged`.

    `caseload` is a member of staff on the care team. With several filters a page looks at `limit` people of the first
    one of caseload, track, program, level and state, and holds those whom all of them fit. Of the people's open loops
    those of this service are listed. Pages as `GET /loops` does.
    """
    now = call.runtime.clock.now()
    named = {"caseload": caseload, "track": track, "program": program, "level": level}
    wanted = [f"{name}={named[name]}" for name in NARROWEST_FIRST if named[name] is not None]
    if state is not None:
        # Who has left is in no other part: the state alone says who they are.
        wanted.insert(0 if state is Standing.DISCHARGED else len(wanted), f"state={state.value}")
    page = await call.page(ADMITTED_INDEX, after, limit, part=wanted[0] if wanted else IN_CARE)
    found = [
        (subject, episode)
        for subject, episode in states(page, EpisodeState)
        if set(wanted) <= {*episode.index_parts()[ADMITTED_INDEX]}
    ]
    loops = await loop_views(call, found, now)
    rows = [
        {**_row(subject, episode, now), "loops": views}
        for (subject, episode), views in zip(found, loops, strict=True)
    ]
    return {"episodes": rows, "now": now.isoformat(), **page.next_field}


def _row(subject: str, episode: EpisodeState, now: datetime) -> Mapping[str, Any]:
    admission = episode.admission
    admitted_at = None if admission is None else admission.admitted_at
    return {
        "episode_id": subject.partition("/")[2],
        "person_id": None if admission is None else admission.person_id,
        "state": episode.standing.value,
        "program": None if admission is None else admission.program,
        "level": None if episode.level is None else episode.level.model_dump(mode="json"),
        "tracks": episode.tracks,
        "groups": sorted(episode.seats),
        "admitted_at": None if admitted_at is None else admitted_at.astimezone(UTC).isoformat(),
        "week": None if admitted_at is None else _week(episode, admitted_at, now),
        "next_session": _next_session(episode, now),
        "team": episode.team,
    }


def _week(episode: EpisodeState, admitted_at: datetime, now: datetime) -> int:
    """The week of treatment: seven days each, the first from the day of admission, until the end."""
    until = now if episode.left_at is None else episode.left_at
    first, last = (calendar.local_day(at, episode.time_zone) for at in (admitted_at, until))
    return max(0, (last - first).days) // calendar.DAYS_PER_WEEK + 1


def _next_session(episode: EpisodeState, now: datetime) -> dict[str, Any] | None:
    """The booking that begins next. One that is put on the calendar later may come before it."""
    coming = [
        (booking.starts_at, session_id, booking)
        for session_id, booking in booked_sessions(episode).items()
        if booking.open and booking.starts_at >= now
    ]
    if not coming:
        return None
    starts_at, session_id, booking = min(coming, key=lambda one: one[:2])
    return {
        "session_id": session_id,
        "starts_at": starts_at.astimezone(UTC).isoformat(),
        "modality": booking.modality.value,
    }

"""Attendance over HTTP: sessions and their rolls, an episode's weeks, screens."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, Field

from services.attendance.api.subjects import EPISODE, GROUP, SESSION
from services.attendance.episode import episode_state, mutual_support, pauses, weeks
from services.attendance.groups import groups, sessions
from services.attendance.screening import breath_tests, screens
from shared.calendar import local_day
from shared.contracts.attendance import (
    AttendanceStatus,
    CancelledBy,
    CorrectionReason,
    Participation,
    SessionMode,
)
from shared.contracts.codes import (
    EpisodeId,
    GroupId,
    Modality,
    TopicCode,
)
from shared.contracts.plans import AncillaryKind
from shared.errors import Invalid, NotYetKnown, Unknown
from shared.runtime.http.call import Body, Call, OfEpisode, SubjectId, require_roles

router = APIRouter(tags=["attendance"])

Staff = Annotated[Call, require_roles("counselor", "clinician", "case_manager", "nurse")]
Lifter = Annotated[Call, require_roles("clinician", "clinical_supervisor", "program_director")]
Minutes = Annotated[int, Field(ge=0, le=480)]
CALENDAR: Final = timedelta(days=366)
"""How far back a session may be written down, and how far ahead it may be planned."""


class ScheduleSession(Body):
    group_id: GroupId | None = None
    modality: Modality
    topic: TopicCode | None = None
    starts_at: AwareDatetime
    minutes_planned: Annotated[int, Field(ge=15, le=480)]
    mode: SessionMode = SessionMode.ON_SITE
    roster: Annotated[list[EpisodeId], Field(max_length=50)] = Field(default_factory=list[str])
    """Who is expected; empty: everyone with a confirmed seat in the group."""
    family_only: bool = False
    """The family meets without the patient: no hours for the patient."""
    service: AncillaryKind | None = None
    """The ancillary service that the session is; it counts when the plan says so."""


class RollLine(Body):
    episode_id: EpisodeId
    status: AttendanceStatus
    minutes_present: Minutes | None = None
    """Needed for who came late or left early; whoever attended was there all the time unless this says otherwise."""
    participation: Participation = Participation.NOT_RATED


class CallRoll(Body):
    entries: Annotated[list[RollLine], Field(min_length=1, max_length=50)]


class CorrectAttendance(OfEpisode):
    status: AttendanceStatus
    minutes_present: Minutes | None = None
    reason: CorrectionReason


class CancelSession(Body):
    cancelled_by: CancelledBy


class LiftPause(Body):
    pass


@router.post("/sessions", status_code=201)
async def schedule_session(call: Staff, body: ScheduleSession) -> Response:
    """Schedule a session for the people on its roster, or for everyone with a seat in its group.

    All of them must be in care and known here; groups are open to who was oriented.
    """
    if len(set(body.roster)) != len(body.roster):
        raise Invalid("roster-repeats", "Someone stands on the roster twice.")
    now = call.runtime.clock.now()
    if not now - CALENDAR <= body.starts_at <= now + CALENDAR:
        raise Invalid("session-too-far", "A session is at most a year away.")
    new = sessions.NewSession(
        group_id=body.group_id,
        modality=body.modality,
        topic=body.topic,
        starts_at=body.starts_at,
        minutes_planned=body.minutes_planned,
        mode=body.mode,
        roster=tuple(body.roster),
        family_only=body.family_only,
        service=None if body.service is None else body.service.value,
    )
    if body.group_id is not None:
        new = groups.session_of(await call.state(GROUP(body.group_id)), new)
    if body.group_id is not None and not body.roster:
        new = await _without_paused(call, new)
    if not new.roster:
        raise Invalid(
            "roster-empty",
            "The session has an empty roster.",
            hint="Name at least one episode in roster.",
        )
    for episode in await call.states([EPISODE(one) for one in new.roster]):
        sessions.may_be_booked(episode, new)
        if body.group_id is None:
            _has_topic(call, episode, new.topic)
    return await call.execute(
        SESSION(call.new_id("session")),
        lambda state, cause: sessions.schedule(state, new, cause),
        status=201,
        wait_for_handoffs=True,
    )


def _has_topic(call: Call, episode: episode_state.EpisodeState, topic: str | None) -> None:
    """A session without a group talks about what the person's program lists, where it lists anything.

    The profile is the one of the day of admission. A group's sessions are held to the group's own topics.
    """
    admission = episode.admission
    if topic is None or admission is None:
        return
    admitted_on = local_day(admission.admitted_at, admission.time_zone)
    try:
        profile = call.runtime.programs.current(
            call.actor.facility_id, admission.program, admitted_on
        )
    except Unknown:  # a program that is no longer described lists nothing
        return
    if profile.topics and topic not in profile.topics:
        raise Invalid(
            "topic-not-offered",
            "The program does not have this topic.",
            hint="Choose from the program's profile: GET /programs/{program}.",
        )


async def _without_paused(call: Call, new: sessions.NewSession) -> sessions.NewSession:
    """Everyone with a seat is expected, except who is paused."""
    episodes = await call.states([EPISODE(one) for one in new.roster])
    there = tuple(
        episode_id
        for episode_id, episode in zip(new.roster, episodes, strict=True)
        if not episode_state.is_paused(episode, new.starts_at, new.modality)
    )
    return new.replace(roster=there)


@router.get("/sessions/{session_id}")
async def read_session(call: Staff, session_id: SubjectId) -> Response:
    """A session, its roster, and whether its roll was called."""
    return await call.read(SESSION(session_id), _session_view)


@router.post("/sessions/{session_id}/attendance")
async def call_roll(call: Staff, session_id: SubjectId, body: CallRoll) -> Response:
    """Call the roll. 200: everyone's record has it. 202: it is saved, and reaches the records shortly."""
    if len({line.episode_id for line in body.entries}) != len(body.entries):
        raise Invalid("roll-repeats", "The roll names someone twice.")
    entries = [
        sessions.RollEntry(
            episode_id=line.episode_id,
            status=line.status,
            minutes_present=sessions.minutes_of(line.status, line.minutes_present),
            participation=line.participation,
        )
        for line in body.entries
    ]
    return await call.execute(
        SESSION(session_id),
        lambda state, cause: sessions.call_roll(state, entries, cause),
        wait_for_handoffs=True,
    )


@router.post("/attendance/{session_id}/corrections")
async def correct_attendance(
    call: Staff, session_id: SubjectId, body: CorrectAttendance
) -> Response:
    """Correct what the roll said of one person. What was said stays; a week that was closed is evaluated again."""
    minutes = sessions.minutes_of(body.status, body.minutes_present)
    return await call.execute(
        SESSION(session_id),
        lambda state, cause: sessions.correct(
            state, body.episode_id, body.status, minutes, body.reason, cause
        ),
        wait_for_handoffs=True,
    )


@router.post("/sessions/{session_id}/cancel")
async def cancel_session(call: Staff, session_id: SubjectId, body: CancelSession) -> Response:
    """Cancel a session that has not taken place."""
    return await call.execute(
        SESSION(session_id),
        lambda state, cause: sessions.cancel(state, body.cancelled_by, cause),
        wait_for_handoffs=True,
    )


@router.get("/episodes/{episode_id}/weeks/{day}")
async def read_week(call: Staff, episode_id: SubjectId, day: date) -> Response:
    """The week that a day belongs to: what it asks for, what is booked and credited, and how it would end."""
    until = call.today + CALENDAR
    return await call.read(EPISODE(episode_id), lambda state: weeks.view(state, day, until=until))


@router.get("/episodes/{episode_id}")
async def read_episode(call: Staff, episode_id: SubjectId) -> Response:
    """What attendance knows of an episode: closed weeks, open bookings, absences, screens."""
    now = call.runtime.clock.now()
    return await call.read(EPISODE(episode_id), lambda state: _episode_view(state, now))


@router.post("/episodes/{episode_id}/pause/lift")
async def lift_pause(call: Lifter, episode_id: SubjectId, _body: LiftPause) -> Response:
    """Let a person who is paused come to groups again, before the pause is over."""
    return await call.execute(EPISODE(episode_id), pauses.lift)


def _session_view(state: sessions.SessionState) -> dict[str, Any]:
    view = state.model_dump(mode="json", exclude={"deadlines", "team", "void"})
    if state.starts_at is None:
        raise Unknown("session")
    return view


def _episode_view(state: episode_state.EpisodeState, now: datetime) -> dict[str, Any]:
    if state.admission is None:
        raise NotYetKnown("episode")
    kept_back = {
        "deadlines",
        "screens",
        "expected",
        "breath_tests",
        "support",
        "family",
        "paid",
        "draw",
    }
    view = state.model_dump(mode="json", exclude=kept_back)
    view["screens"] = screens.summary(state)
    view["no_group_today"] = breath_tests.no_group_today(state, now)
    view["mutual_support"] = mutual_support.support_view(state, now)
    view["family"] = mutual_support.family_view(state, now)
    return view

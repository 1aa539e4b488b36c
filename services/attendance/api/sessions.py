"""Routes for attendance: sessions and their rolls, an episode's weeks, and screens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field

from services.attendance.api import views
from services.attendance.api.callers import Desk, Lifter, Staff
from services.attendance.api.subjects import CLOSURES, EPISODE, GROUP, SESSION
from services.attendance.episode import breath, episode_state, mutual_support, pauses, weeks
from services.attendance.groups import closures, group_calendar, roll, session_state, sessions
from services.attendance.groups.group_state import GroupState, Unscheduled
from services.attendance.groups.session_state import EarlyRoll, SessionState, SessionSupport
from services.attendance.screening import screens
from shared.calendar import local_day
from shared.contracts.attendance import (
    AttendanceStatus,
    CorrectionReason,
    Participation,
    SessionMode,
)
from shared.contracts.codes import (
    ActorId,
    Code,
    Day,
    EpisodeId,
    GroupId,
    Modality,
    Timestamp,
    TopicCode,
)
from shared.contracts.plans import AncillaryKind
from shared.errors import Invalid, NotYetKnown, RecordIsNewer, RecordUnreadable, Unknown
from shared.loops import KEPT_BACK
from shared.runtime.http.call import Body, Call, OfEpisode, SubjectId
from shared.runtime.http.json_answer import RecordAnswer
from shared.runtime.http.paging import After, Limit, left_out_field, states
from shared.runtime.http.shown import shows

router = APIRouter(tags=["attendance"])

Minutes = Annotated[int, Field(ge=0, le=480)]
OF_GROUPS: Final = frozenset({Modality.GROUP, Modality.PSYCHOEDUCATION})
"""What is a session of a group, however many patients come. Families without a group are one patient and their own."""


class ScheduleSession(Body):
    group_id: GroupId | None = None
    modality: Modality
    topic: TopicCode | None = None
    starts_at: AwareDatetime
    minutes_planned: Annotated[int, Field(ge=15, le=480)]
    mode: SessionMode = SessionMode.ON_SITE
    roster: Annotated[list[EpisodeId], Field(max_length=50)] = Field(default_factory=list[str])
    """Who is expected. Of a group: those of its people for whom an unscheduled session is; empty: everybody."""
    therapy: Code | None = None
    """The approach, of those that the program has."""
    supports: Annotated[list[SessionSupport], Field(max_length=4)] = Field(
        default_factory=list[SessionSupport]
    )
    """What makes it possible to come, or to take part."""
    unscheduled: Unscheduled | None = None
    """Why a group's session is outside its days, its hours or its number in a week."""
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
    walk_in: bool = False
    """The person came without being on the roster."""


class CallRoll(Body):
    entries: Annotated[list[RollLine], Field(min_length=1, max_length=50)]
    early: EarlyRoll | None = None
    """Why the session ended before its planned end: when `ended_at` says, or now."""
    ended_at: AwareDatetime | None = None
    """When the session ended, if not as planned; what is credited and offered ends then."""


class CorrectAttendance(OfEpisode):
    status: AttendanceStatus
    minutes_present: Minutes | None = None
    reason: CorrectionReason
    walk_in: bool = False
    """The person was there and the roll does not name them."""


class CorrectEnd(Body):
    ended_at: AwareDatetime
    """When the session ended; at its planned end or later: as planned."""
    reason: CorrectionReason


class SettleWalkIn(OfEpisode):
    pass


class LiftPause(Body):
    pass


@router.post("/sessions", status_code=201)
@shows(views.Scheduled)
async def schedule_session(call: Staff, body: ScheduleSession) -> RecordAnswer:
    """Schedule a session: on the calendar of its group, whose people are expected, or for the people on its roster.

    The same session once more is the one that is there. A group has no two sessions at one time; whoever is on a roster
    of their own is in treatment then and nowhere else. What has begun is written down afterwards, as it was.
    Of a group's session the answer's `subject`, `revision` and `sequence` are the group's; the session's events follow.
    """
    if len(set(body.roster)) != len(body.roster):
        raise Invalid(
            "roster-repeats",
            "Someone stands on the roster twice.",
            hint="Name each person once.",
        )
    now = call.runtime.clock.now()
    session_state.must_be_near(body.starts_at, now)
    new = session_state.NewSession(
        group_id=body.group_id,
        modality=body.modality,
        topic=body.topic,
        starts_at=body.starts_at.astimezone(UTC),
        minutes_planned=body.minutes_planned,
        mode=body.mode,
        roster=tuple(body.roster),
        family_only=body.family_only,
        service=None if body.service is None else body.service.value,
        unscheduled=body.unscheduled,
        therapy=body.therapy,
        supports=tuple(dict.fromkeys(body.supports)),
    )
    if body.group_id is None:
        return await _alone(call, new)
    if body.roster and body.unscheduled is None:
        raise Invalid(
            "roster-of-a-group",
            "Whoever has a seat in the group is on the roster.",
            hint="Leave roster out, or say in `unscheduled` why the session is for a part of the group.",
        )
    group, session_id = GROUP(body.group_id), call.new_id("session")
    await call.record(group)
    return await call.execute(
        group,
        lambda state, cause: group_calendar.schedule(state, new, session_id, cause),
        status=201,
        wait_for_handoffs=True,
    )


async def _alone(call: Call, new: session_state.NewSession) -> RecordAnswer:
    """A session without a group: of one patient, who may bring their family."""
    if new.modality in OF_GROUPS or len(new.roster) > 1:
        raise Invalid(
            "group-missing",
            "What several patients attend is a session of a group, which has its limits and its seats.",
            hint="Name the group in group_id, open one first where there is none, or book each patient alone.",
        )
    if not new.roster:
        raise Invalid(
            "roster-empty",
            "The session has an empty roster.",
            hint="Name at least one episode in roster.",
        )
    episodes = await call.states([EPISODE(one) for one in new.roster])
    session_id = sessions.scheduled_before(episodes, new) or call.new_id("session")
    for episode in episodes:
        sessions.may_be_booked(episode, new.booked_as(session_id), call.runtime.clock.now())
        new = new.replace(led=_is_of_program(call, episode, new))
    return await call.execute(
        SESSION(session_id),
        lambda state, cause: sessions.schedule(state, new, cause),
        status=201,
        wait_for_handoffs=True,
    )


def _is_of_program(
    call: Call, episode: episode_state.EpisodeState, new: session_state.NewSession
) -> bool:
    """A session without a group is as long as the person's program allows, with a topic and an approach that it lists.

    The profile is the one of the day of admission. A group's sessions are held to the group's own. Returns whether the
    program asks who leads it.
    """
    admission = episode.admission
    if admission is None:
        return False
    admitted_on = local_day(admission.admitted_at, admission.time_zone)
    try:
        profile = call.runtime.programs.current(
            call.actor.facility_id, admission.program, admitted_on
        )
    except Unknown:  # a program that is no longer described lists nothing
        return False
    longest = profile.sessions.minutes_max
    if longest is not None and new.minutes_planned > longest:
        raise group_calendar.outside("The program's sessions are shorter.")
    for what, code, listed in (
        ("topic", new.topic, profile.topics),
        ("therapy", new.therapy, profile.therapies),
    ):
        if code is not None and listed and code not in listed:
            raise Invalid(
                f"{what}-not-offered",
                f"The program does not have this {what}.",
                hint="Choose from the program's profile: GET /programs/{program}.",
            )
    return profile.sessions.led


@router.get("/sessions")
@shows(views.SessionsView)
async def list_sessions(
    call: Desk,
    since: Annotated[Timestamp | None, Query(alias="from")] = None,
    until: Annotated[Timestamp | None, Query(alias="to")] = None,
    group: Annotated[GroupId | None, Query()] = None,
    leader: Annotated[ActorId | None, Query()] = None,
    *,
    on_closed_day: bool = False,
    limit: Limit = 100,
    after: After = None,
) -> dict[str, Any]:
    """The sessions of the caller's facility by their begin, both bounds included, each with its roster. In pages.

    With both `group` and `leader` a page looks at `limit` sessions of the group and holds those that this member of
    staff leads. Until a group's session begins, whoever has a seat is on its roster. `on_closed_day` leaves those that
    are to take place although the facility is closed: sessions without a group, and what is outside a group's calendar.
    """
    part = "" if leader is None else f"leader={leader}"
    part = part if group is None else f"group={group}"
    page = await call.page(
        session_state.SESSION_INDEX, after, limit, since=since, until=until, part=part
    )
    found = [
        (subject.partition("/")[2], state)
        for subject, state in states(page, SessionState)
        if group in (None, state.group_id) and (leader is None or leader in state.leaders)
    ]
    ahead = {s.group_id for _, s in found if s.group_id is not None and not s.roster_taken}
    left_out: set[str] = set()
    known = await call.readable_states([GROUP(one) for one in sorted(ahead)], left_out)
    groups = {one: known[GROUP(one).name] for one in ahead if GROUP(one).name in known}
    now = call.runtime.clock.now()
    closed = await _on_closed_days(call, found, left_out)
    rows = [
        {**_row(session_id, state, groups, now), "on_closed_day": session_id in closed}
        for session_id, state in found
        if session_id in closed or not on_closed_day
    ]
    return {"sessions": rows, **left_out_field(left_out), **page.next_field}


async def _on_closed_days(
    call: Call, found: Sequence[tuple[str, SessionState]], left_out: set[str]
) -> frozenset[str]:
    """Those of these sessions that are to take place on a day on which the facility is closed."""
    known = None
    try:
        known = await call.state_if_any(CLOSURES(closures.closures_id(call.actor.facility_id)))
    except (RecordUnreadable, RecordIsNewer):
        left_out.add(CLOSURES(closures.closures_id(call.actor.facility_id)).name)
    if known is None or not known.closures:
        return frozenset()
    days = {day for closure in known.closures.values() for day in closure.days}
    to_come = {
        key: state
        for key, state in found
        if state.cancelled_by is None and not state.roll_called and state.starts_at is not None
    }
    zones = await _zones(call, to_come, left_out)
    return frozenset(
        key
        for key, state in to_come.items()
        if state.starts_at is not None and local_day(state.starts_at, zones[key]) in days
    )


async def _zones(
    call: Call, found: Mapping[str, SessionState], left_out: set[str]
) -> dict[str, str]:
    """The time zone of each of these sessions: its group's, or that of the people on its roster."""
    alone = {
        key: EPISODE(s.roster[0]) for key, s in found.items() if s.group_id is None and s.roster
    }
    groups = {key: GROUP(s.group_id) for key, s in found.items() if s.group_id is not None}
    people = await call.readable_states(alone.values(), left_out)
    calendars = await call.readable_states(groups.values(), left_out)
    zones = {one: state.time_zone for one, state in people.items()}
    zones |= {one: state.time_zone for one, state in calendars.items()}
    of = {key: one.name for key, one in (*alone.items(), *groups.items())}
    return {key: zones.get(of.get(key, ""), "UTC") for key in found}


def _row(
    session_id: str, state: SessionState, groups: Mapping[str, GroupState], now: datetime
) -> dict[str, Any]:
    """A session as a list shows it."""
    group = groups.get(state.group_id or "")
    slot = None if group is None else group.slots.get(session_id)
    ahead = () if group is None or slot is None else group.roster_of(slot, now)
    shown = {
        *("starts_at", "minutes_planned", "modality", "topic", "mode", "group_id", "family_only"),
        *("unscheduled", "below_minimum", "roll_called", "cancelled_by"),
        *("therapy", "supports", "leaders", "signed_by"),
    }
    return {
        "session_id": session_id,
        **state.model_dump(mode="json", include=shown),
        "roster": list(state.expected if state.roster_taken else ahead),
    }


@router.get("/sessions/{session_id}")
@shows(views.SESSION)
async def read_session(call: Desk, session_id: SubjectId) -> RecordAnswer:
    """A session, its roster, and its roll. Until a group's session begins, whoever has a seat is on the roster."""
    session = SESSION(session_id)
    known = await call.state(session)
    ahead: tuple[str, ...] = ()
    if known.group_id is not None and not known.roster_taken:
        group = await call.state(GROUP(known.group_id))
        slot = group.slots.get(session_id)
        ahead = () if slot is None else group.roster_of(slot, call.runtime.clock.now())
    return await call.read(session, lambda state: _session_view(state, ahead))


@router.post("/sessions/{session_id}/attendance")
@shows(views.RollCalled)
async def call_roll(call: Staff, session_id: SubjectId, body: CallRoll) -> RecordAnswer:
    """Call the roll. 200: everyone's record has it. 202: it is saved, and reaches the records shortly."""
    if len({line.episode_id for line in body.entries}) != len(body.entries):
        raise Invalid(
            "roll-repeats",
            "The roll names someone twice.",
            hint="Name each person once.",
        )
    entries = [
        session_state.RollEntry(
            episode_id=line.episode_id,
            status=line.status,
            minutes_present=roll.minutes_of(line.status, line.minutes_present),
            participation=line.participation,
            walk_in=line.walk_in,
        )
        for line in body.entries
    ]
    await call.states([EPISODE(line.episode_id) for line in body.entries if line.walk_in])
    return await call.execute(
        SESSION(session_id),
        lambda state, cause: roll.call_roll(
            state, entries, body.early, cause, ended_at=body.ended_at
        ),
        wait_for_handoffs=True,
    )


@router.post("/attendance/{session_id}/corrections")
@shows(views.MinutesCorrected)
async def correct_attendance(
    call: Staff, session_id: SubjectId, body: CorrectAttendance
) -> RecordAnswer:
    """Correct what the roll said of one person. What was said stays; a week that was closed is evaluated again."""
    entry = session_state.RollEntry(
        episode_id=body.episode_id,
        status=body.status,
        minutes_present=roll.minutes_of(body.status, body.minutes_present),
        participation=Participation.NOT_RATED,
        walk_in=body.walk_in,
    )
    if body.walk_in:
        await call.state(EPISODE(body.episode_id))
    return await call.execute(
        SESSION(session_id),
        lambda state, cause: roll.correct(state, entry, body.reason, cause),
        wait_for_handoffs=True,
    )


@router.post("/sessions/{session_id}/end/correct")
@shows(views.EndCorrected)
async def correct_end(call: Staff, session_id: SubjectId, body: CorrectEnd) -> RecordAnswer:
    """Correct when a session ended whose roll was called: it was shorter, or as long as planned, for everybody."""
    return await call.execute(
        SESSION(session_id),
        lambda state, cause: roll.correct_end(state, body.ended_at, body.reason, cause),
        wait_for_handoffs=True,
    )


@router.post("/sessions/{session_id}/walk-ins/settle")
@shows(views.MinutesCorrected)
async def settle_walk_in(call: Staff, session_id: SubjectId, body: SettleWalkIn) -> RecordAnswer:
    """Say that a person was there although their record speaks against it, and that both are right."""
    return await call.execute(
        SESSION(session_id),
        lambda state, cause: roll.settle_walk_in(state, body.episode_id, cause),
    )


@router.get("/episodes/{episode_id}/weeks/{day}")
@shows(views.WEEK, views.WeekView)
async def read_week(call: Desk, episode_id: SubjectId, day: Day) -> RecordAnswer:
    """The week that a day belongs to: what it asks for, what is booked and credited, and how it would end."""
    until = call.today + session_state.CALENDAR
    return await call.read(EPISODE(episode_id), lambda state: weeks.view(state, day, until=until))


@router.get("/episodes/{episode_id}")
@shows(views.EPISODE, views.EpisodeView)
async def read_episode(call: Desk, episode_id: SubjectId) -> RecordAnswer:
    """What attendance knows of an episode: closed weeks, open bookings, absences, screens."""
    now = call.runtime.clock.now()
    return await call.read(EPISODE(episode_id), lambda state: _episode_view(state, now))


@router.post("/episodes/{episode_id}/pause/lift")
async def lift_pause(call: Lifter, episode_id: SubjectId, _body: LiftPause) -> RecordAnswer:
    """Let a person who is paused come to groups again, before the pause is over."""
    return await call.execute(EPISODE(episode_id), pauses.lift)


def _session_view(state: SessionState, ahead: Sequence[str]) -> dict[str, Any]:
    view = state.model_dump(mode="json", exclude={*KEPT_BACK, "team", "void"})
    if state.starts_at is None:
        raise Unknown("session")
    return view if state.roster_taken else {**view, "roster": list(ahead)}


def _episode_view(state: episode_state.EpisodeState, now: datetime) -> dict[str, Any]:
    if state.admission is None:
        raise NotYetKnown("episode")
    kept_back = {
        *KEPT_BACK,
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
    view["no_group_today"] = breath.no_group_today(state, now)
    view["mutual_support"] = mutual_support.support_view(state, now)
    view["family"] = mutual_support.family_view(state, now)
    return view

"""Who leads a session, and who signs its roll. Pure, like all rules.

A member of staff has one record that knows which sessions they lead, as a person has one that knows their bookings:
two at one time are both kept, and the second is somebody's to settle. A roll that is called is signed by who led the
session; a correction afterwards is signed anew. Source: house rule; docs/decisions/0017-who-owns-what.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from pydantic import Field

from services.attendance.episode.intervals import Span, overlap, span
from services.attendance.groups.session_state import (
    Leader,
    LeadingPart,
    SessionState,
    about,
    must_be_scheduled,
)
from shared import duty, loops
from shared.contracts import intake
from shared.contracts.codes import AttendanceLoop, ClearedReason, Value
from shared.decision import Cause, Decision, Events, Handoff, HandoffBody, Handoffs
from shared.duty import StaffState, staff_subject
from shared.errors import Forbidden, Invalid, Refused

LEADS_KEPT: Final = timedelta(days=7)
"""For how long after its end a session is kept: by then its roll is called, and what is changed later is told anew."""


class Lead(Value):
    """A session that somebody leads."""

    starts_at: datetime
    minutes_planned: int

    @property
    def time(self) -> Span:
        """From when until when."""
        return span(self.starts_at, self.minutes_planned)


class LeadingState(StaffState):
    """What attendance knows of one member of staff: their absences, and what they lead."""

    leads: dict[str, Lead] = Field(default_factory=dict[str, Lead])
    busy: tuple[str, ...] = ()
    """Sessions that were told that this person is elsewhere then."""


# --- between a session and its leaders -------------------------------------------------------------------


class LeadsSession(HandoffBody):
    """To a member of staff: you lead this session then."""

    session_id: str
    staff_id: str
    starts_at: datetime
    minutes_planned: int


class LeadsNoMore(HandoffBody):
    """To a member of staff: you do not lead this session."""

    session_id: str
    staff_id: str


class LeaderBusy(HandoffBody):
    """To a session: this member of staff leads another one then, or is away."""

    staff_id: str


class LeaderFree(HandoffBody):
    """To a session: this member of staff can be there."""

    staff_id: str


# --- a member of staff -----------------------------------------------------------------------------------


def leads_session(state: LeadingState, body: LeadsSession, cause: Cause) -> Decision[LeadingState]:
    """Somebody leads a session, or leads it at another time."""
    lead = Lead(starts_at=body.starts_at, minutes_planned=body.minutes_planned)
    state = state.replace(leads={**state.leads, body.session_id: lead})
    return _looked_at(state, body.staff_id, cause)


def leads_no_more(state: LeadingState, body: LeadsNoMore, cause: Cause) -> Decision[LeadingState]:
    """Somebody else leads it, or it does not take place."""
    leads = {key: lead for key, lead in state.leads.items() if key != body.session_id}
    return _looked_at(state.replace(leads=leads), body.staff_id, cause)


def absence_planned(
    state: LeadingState, event: intake.StaffAbsencePlanned, cause: Cause
) -> Decision[LeadingState]:
    """Somebody will be away: what they were to lead then needs another leader."""
    known = duty.absence_planned(state, event, cause).state
    return _looked_at(state.replace(absences=known.absences), event.staff_id, cause)


def absence_ended(
    state: LeadingState, event: intake.StaffAbsenceEnded, cause: Cause
) -> Decision[LeadingState]:
    """Somebody is there after all, and leads what they were to lead."""
    known = duty.absence_ended(state, event, cause).state
    return _looked_at(state.replace(absences=known.absences), event.staff_id, cause)


def _looked_at(state: LeadingState, staff_id: str, cause: Cause) -> Decision[LeadingState]:
    """Of two sessions at one time the one that begins first keeps its leader; the other is told."""
    since = cause.now - LEADS_KEPT
    leads = {key: lead for key, lead in state.leads.items() if lead.time[1] >= since}
    state = state.replace(leads=leads, busy=tuple(key for key in state.busy if key in leads))
    busy: tuple[str, ...] = ()
    taken_until: datetime | None = None
    for key in sorted(leads, key=lambda key: (leads[key].starts_at, key)):
        begins_at, ends_at = leads[key].time
        elsewhere = taken_until is not None and begins_at < taken_until
        if elsewhere or _is_away(state, leads[key].time):
            busy = (*busy, key)
        taken_until = ends_at if taken_until is None else max(taken_until, ends_at)
    told = [(key, LeaderBusy(staff_id=staff_id)) for key in busy if key not in state.busy]
    free = [(key, LeaderFree(staff_id=staff_id)) for key in state.busy if key not in busy]
    handoffs = tuple(Handoff(f"session/{key}", body) for key, body in (*told, *free))
    return Decision(state.replace(busy=busy), (), handoffs)


def _is_away(state: LeadingState, time: Span) -> bool:
    """Whether the person is away for some of that time."""
    return any(overlap((one.from_at, one.until_at), time) for one in state.absences.values())


# --- a session -------------------------------------------------------------------------------------------


def assign(
    state: SessionState, leaders: Mapping[str, Leader], cause: Cause
) -> Decision[SessionState]:
    """Say who leads the session; who led it before and is not named does not any more."""
    must_be_scheduled(state)
    if sum(one.part is not LeadingPart.CO_LEADER for one in leaders.values()) != 1:
        raise Invalid(
            "one-leader",
            "One leads a session, or stands in for who does; others lead it with them.",
            hint="Name one as leader or substitute, and the others as co_leader.",
        )
    gone = [staff_id for staff_id in state.leaders if staff_id not in leaders]
    state = state.replace(leaders=dict(leaders))
    events: Events = ()
    for staff_id in gone:
        state, cleared = loops.close(state, AttendanceLoop.LEADER, _loop_id(cause, staff_id))
        events += cleared
    state = _signed_by_a_leader(state, cause)
    handoffs = (*told(state, cause), *_no_more(gone, cause))
    return Decision(state, events, handoffs, {"leaders": len(leaders)})


def told(state: SessionState, cause: Cause) -> Handoffs:
    """What its leaders are told when a session has a time, or another one; nothing takes place when it is cancelled."""
    if state.cancelled_by is not None or state.starts_at is None:
        return _no_more(state.leaders, cause)
    return tuple(
        Handoff(
            staff_subject(cause.facility_id, staff_id),
            LeadsSession(
                session_id=cause.subject_id,
                staff_id=staff_id,
                starts_at=state.starts_at,
                minutes_planned=state.minutes_planned,
            ),
        )
        for staff_id in state.leaders
    )


def _no_more(staff: list[str] | Mapping[str, Leader], cause: Cause) -> Handoffs:
    return tuple(
        Handoff(
            staff_subject(cause.facility_id, staff_id),
            LeadsNoMore(session_id=cause.subject_id, staff_id=staff_id),
        )
        for staff_id in staff
    )


def busy(state: SessionState, body: LeaderBusy, cause: Cause) -> Decision[SessionState]:
    """Somebody finds another leader, or another time, as long as the session is not over."""
    over = state.roll_called or state.ends_at is None or state.ends_at <= cause.now
    if body.staff_id not in state.leaders or state.cancelled_by is not None or over:
        return Decision(state)
    loop_id = _loop_id(cause, body.staff_id)
    return Decision(loops.open_loop(state, AttendanceLoop.LEADER, loop_id, cause))


def free(state: SessionState, body: LeaderFree, cause: Cause) -> Decision[SessionState]:
    """The leader can be there after all."""
    loop_id = _loop_id(cause, body.staff_id)
    state, cleared = loops.close(state, AttendanceLoop.LEADER, loop_id)
    return Decision(state, cleared)


def nobody_leads(state: SessionState) -> tuple[SessionState, Events]:
    """A session that does not take place needs no leader and no signature."""
    kinds = (AttendanceLoop.LEADER, AttendanceLoop.SIGN_OFF)
    return loops.close_all(state, state.loops_of(*kinds), ClearedReason.WITHDRAWN)


def is_over(state: SessionState) -> tuple[SessionState, Events]:
    """Nobody else is found any more to lead a session that is over: its roll says who was there."""
    return loops.close_all(state, state.loops_of(AttendanceLoop.LEADER), ClearedReason.SUPERSEDED)


def _loop_id(cause: Cause, staff_id: str) -> str:
    return about("leader", cause.subject, staff_id)


# --- the signature ---------------------------------------------------------------------------------------


def to_be_signed(state: SessionState, cause: Cause) -> SessionState:
    """The roll says something new: whoever led the session signs it."""
    if not state.leaders:
        return state
    state = state.replace(signed_by=None, signed_at=None)
    return loops.open_loop(state, AttendanceLoop.SIGN_OFF, cause.subject_id, cause)


def _signed_by_a_leader(state: SessionState, cause: Cause) -> SessionState:
    """A roll that was called is signed by who is said to have led by now; who signed it before may not be that."""
    waits = state.loop(AttendanceLoop.SIGN_OFF, cause.subject_id) is not None
    if not state.roll_called or waits or state.signed_by in state.leaders:
        return state
    return to_be_signed(state, cause)


def sign_off(state: SessionState, cause: Cause) -> Decision[SessionState]:
    """Who led the session, or stood in, says that the roll is right."""
    must_be_scheduled(state)
    if not state.roll_called:
        raise Refused(
            "roll-not-called", "The roll of this session was not called.", hint="Call the roll."
        )
    leader = state.leaders.get(cause.actor_id)
    if leader is None:
        raise Forbidden(
            "not-a-leader",
            "The roll is signed by who led the session.",
            hint="Have who led it sign, or name the leaders first: POST /sessions/{session_id}/leaders.",
        )
    if state.signed_by is not None:
        raise Refused(
            "roll-signed",
            "The roll is signed.",
            hint="Nothing is left to do; a correction of the roll is signed anew.",
        )
    state = state.replace(signed_by=cause.actor_id, signed_at=cause.now)
    state, cleared = loops.close(state, AttendanceLoop.SIGN_OFF, cause.subject_id)
    return Decision(state, cleared, (), {"credential": leader.credential.value})

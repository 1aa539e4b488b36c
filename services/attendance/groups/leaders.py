"""Who leads a session, and who signs its roll. Pure, like all rules.

A member of staff has one record that knows which sessions they lead, as a person has one that knows their bookings:
two at one time are both kept, and the second is somebody's to settle. So is a session whose leader's credential does
not hold then, and, where the program asks who leads, one that begins with nobody named. A roll that is called is
signed by who led the session; a correction afterwards is signed anew. Source: house rule; decision 17.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from pydantic import AwareDatetime, Field

from services.attendance.episode.intervals import Span, overlap, span
from services.attendance.groups.session_state import (
    Credential,
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

NOBODY: Final = "nobody"
"""In the place of a member of staff, where none is named."""
LEADS_KEPT: Final = timedelta(days=7)
"""For how long after its end a session is kept: by then its roll is called, and what is changed later is told anew."""


class Lead(Value):
    """A session that somebody leads."""

    starts_at: datetime
    minutes_planned: int
    credential: Credential

    @property
    def time(self) -> Span:
        """From when until when."""
        return span(self.starts_at, self.minutes_planned)


class HeldCredential(Value):
    """From when until when a credential holds."""

    valid_from_at: AwareDatetime
    valid_until_at: AwareDatetime | None = None
    """When it lapses; None: it does not."""

    def covers(self, moment: datetime) -> bool:
        """Whether it holds at a moment."""
        ends_at = self.valid_until_at
        return self.valid_from_at <= moment and (ends_at is None or moment < ends_at)


class LeadingState(StaffState):
    """What attendance knows of one member of staff: their absences, their credentials, and what they lead."""

    credentials: dict[Credential, HeldCredential] = Field(
        default_factory=dict[Credential, HeldCredential]
    )
    """Those that are on record; with none on record nothing is known, and nothing is held against anybody."""
    leads: dict[str, Lead] = Field(default_factory=dict[str, Lead])
    busy: tuple[str, ...] = ()
    """Sessions that were told that this person is elsewhere then, or may not lead them as what they are named."""
    lapsed: tuple[str, ...] = ()
    """Those of them that the person may not lead: kept until somebody else is named, or the credential is renewed."""

    def may_lead(self, lead: Lead) -> bool:
        """Whether the credential that a session names holds when it begins, by what is on record."""
        held = self.credentials.get(lead.credential)
        return not self.credentials or (held is not None and held.covers(lead.starts_at))


# --- between a session and its leaders -------------------------------------------------------------------


class LeadsSession(HandoffBody):
    """To a member of staff: you lead this session then."""

    session_id: str
    staff_id: str
    starts_at: datetime
    minutes_planned: int
    credential: Credential


class LeadsNoMore(HandoffBody):
    """To a member of staff: you do not lead this session."""

    session_id: str
    staff_id: str


class LeaderBusy(HandoffBody):
    """To a session: this member of staff leads another one then, or is away, or may not lead it."""

    staff_id: str
    lapsed: bool = False
    """Their credential does not hold: that is so also when the session is over."""


class LeaderFree(HandoffBody):
    """To a session: this member of staff can be there."""

    staff_id: str


# --- a member of staff -----------------------------------------------------------------------------------


def leads_session(state: LeadingState, body: LeadsSession, cause: Cause) -> Decision[LeadingState]:
    """Somebody leads a session, or leads it at another time."""
    lead = Lead(
        starts_at=body.starts_at,
        minutes_planned=body.minutes_planned,
        credential=body.credential,
    )
    state = state.replace(leads={**state.leads, body.session_id: lead})
    return _looked_at(state, body.staff_id, cause)


def leads_no_more(state: LeadingState, body: LeadsNoMore, cause: Cause) -> Decision[LeadingState]:
    """Somebody else leads it, or it does not take place."""
    leads = {key: lead for key, lead in state.leads.items() if key != body.session_id}
    return _looked_at(state.replace(leads=leads), body.staff_id, cause)


def record_credential(
    state: LeadingState, staff_id: str, credential: Credential, held: HeldCredential, cause: Cause
) -> Decision[LeadingState]:
    """From when until when a credential holds; recorded again, the later word holds."""
    if held.valid_until_at is not None and held.valid_until_at <= held.valid_from_at:
        raise Invalid(
            "credential-impossible",
            "A credential lapses after it begins.",
            hint="Check both times; leave valid_until_at out for one that does not lapse.",
        )
    state = state.replace(credentials={**state.credentials, credential: held})
    return _looked_at(state, staff_id, cause)


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
    leads = {
        key: lead
        for key, lead in state.leads.items()
        if lead.time[1] >= since or key in state.lapsed
    }
    state = state.replace(leads=leads, busy=tuple(key for key in state.busy if key in leads))
    busy: tuple[str, ...] = ()
    taken_until: datetime | None = None
    for key in sorted(leads, key=lambda key: (leads[key].starts_at, key)):
        begins_at, ends_at = leads[key].time
        elsewhere = taken_until is not None and begins_at < taken_until
        if elsewhere or _is_away(state, leads[key].time):
            busy = (*busy, key)
        taken_until = ends_at if taken_until is None else max(taken_until, ends_at)
    lapsed = tuple(key for key in sorted(leads) if not state.may_lead(leads[key]))
    busy = (*busy, *(key for key in lapsed if key not in busy))
    told = [
        (key, LeaderBusy(staff_id=staff_id, lapsed=key in lapsed))
        for key in busy
        if key not in state.busy or (key in lapsed) is not (key in state.lapsed)
    ]
    free = [(key, LeaderFree(staff_id=staff_id)) for key in state.busy if key not in busy]
    handoffs = tuple(Handoff(f"session/{key}", body) for key, body in (*told, *free))
    return Decision(state.replace(busy=busy, lapsed=lapsed), (), handoffs)


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
    state = state.replace(
        leaders=dict(leaders), lapsed=tuple(one for one in state.lapsed if one in leaders)
    )
    state, events = loops.close(state, AttendanceLoop.LEADER, _loop_id(cause, NOBODY))
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
                credential=leader.credential,
            ),
        )
        for staff_id, leader in state.leaders.items()
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
    """Somebody finds another leader, or another time, as long as the session is not over.

    Who led it without a credential that holds is looked at afterwards too: it is signed and billed as what they are.
    """
    over = state.roll_called or state.ends_at is None or state.ends_at <= cause.now
    if body.staff_id not in state.leaders or state.cancelled_by is not None:
        return Decision(state)
    loop_id = _loop_id(cause, body.staff_id)
    state = state.replace(lapsed=_with_or_without(state.lapsed, body.staff_id, there=body.lapsed))
    if over and not body.lapsed:
        why = ClearedReason.SUPERSEDED
        return Decision(*loops.close(state, AttendanceLoop.LEADER, loop_id, why))
    if state.loop(AttendanceLoop.LEADER, loop_id) is not None:
        return Decision(state)
    return Decision(loops.open_loop(state, AttendanceLoop.LEADER, loop_id, cause))


def _with_or_without(staff: tuple[str, ...], one: str, *, there: bool) -> tuple[str, ...]:
    others = {other for other in staff if other != one}
    return tuple(sorted(others | {one} if there else others))


def free(state: SessionState, body: LeaderFree, cause: Cause) -> Decision[SessionState]:
    """The leader can be there after all, or may lead it."""
    loop_id = _loop_id(cause, body.staff_id)
    state = state.replace(lapsed=_with_or_without(state.lapsed, body.staff_id, there=False))
    state, cleared = loops.close(state, AttendanceLoop.LEADER, loop_id)
    return Decision(state, cleared)


def nobody_leads(state: SessionState) -> tuple[SessionState, Events]:
    """A session that does not take place needs no leader and no signature."""
    kinds = (AttendanceLoop.LEADER, AttendanceLoop.SIGN_OFF)
    state = state.replace(lapsed=())
    return loops.close_all(state, state.loops_of(*kinds), ClearedReason.WITHDRAWN)


def to_be_led(state: SessionState, cause: Cause) -> SessionState:
    """A session begins with people and nobody to lead them, where the program asks for it: somebody says who does."""
    ahead = state.starts_at is None or state.starts_at > cause.now
    if ahead or not state.led or state.leaders or not state.expected:
        return state
    return loops.open_loop(state, AttendanceLoop.LEADER, _loop_id(cause, NOBODY), cause)


def need_not_be_led(state: SessionState, cause: Cause) -> tuple[SessionState, Events]:
    """Nobody comes to it any more."""
    why = ClearedReason.WITHDRAWN
    return loops.close(state, AttendanceLoop.LEADER, _loop_id(cause, NOBODY), why)


def is_over(state: SessionState, cause: Cause) -> tuple[SessionState, Events]:
    """Nobody else is found any more to lead a session that is over: its roll says who was there.

    Who led it is still to be said where nobody is named, and looked at where their credential did not hold.
    """
    stay = {_loop_id(cause, one) for one in (NOBODY, *state.lapsed)}
    over = [one for one in state.loops_of(AttendanceLoop.LEADER) if one.id not in stay]
    return loops.close_all(state, over, ClearedReason.SUPERSEDED)


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

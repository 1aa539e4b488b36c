"""Reaching out: a miss, a tier a day, and what ends it. Pure; no clock, no ids, no I/O.

Source: house rules, docs/domain.md 3.9 (Absence): contact within 24 hours of a no-show; two in a row
are a clinician's call; three, or a silent week, a retention conference. The numbers are the program's terms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from services.followup.episode import contact
from services.followup.episode.episode_state import (
    Admission,
    EpisodeState,
    Outreach,
    SessionFact,
    StateAndEvents,
    Tried,
)
from shared import loops
from shared.contracts import attendance, followup
from shared.contracts.attendance import Absence, AttendanceStatus
from shared.contracts.codes import ClearedReason, FollowupLoop, Modality
from shared.contracts.event import Event
from shared.contracts.followup import AttemptResult, Channel, OutreachCause
from shared.decision import Cause, Decision, Events, derive_id
from shared.endings import LateFacts
from shared.retractions import holding, taken_back

E = TypeVar("E", bound=Event)

REACH_WITHIN: Final = timedelta(hours=24)
"""From a missed session to contact; then every day a tier up."""
REACH_AFTER_CHECK_IN: Final = timedelta(days=7)
"""After a missed check-in: a week, and then a tier up. House rule."""
REACH_AFTER_REFUSAL: Final = timedelta(days=7)
"""After a referral that led nowhere: a week to see that the person got somewhere else. House rule."""
TIER_CLINICIAN: Final = 2
"""Two absences in a row: a clinician calls."""
TIER_CONFERENCE: Final = 3
"""Three absences in a row, or a week of silence: a retention conference. The highest tier."""
FROM_SESSIONS: Final = (OutreachCause.SESSION_MISSED, OutreachCause.ABSENCE_THRESHOLD)


# --- events of attendance -------------------------------------------------------------------------------


def session_attended(
    state: EpisodeState, event: attendance.SessionAttended, _cause: Cause
) -> Decision[EpisodeState]:
    """Being there is contact, at the time of the session. The family without the patient is none."""
    if event.family_only:
        return Decision(state)
    fact = SessionFact(
        starts_at=event.starts_at,
        status="attended",
        treats=event.modality is not Modality.WELLNESS,
    )
    return Decision(*_was_there(state, event.session_id, fact))


def _was_there(state: EpisodeState, session_id: str, fact: SessionFact) -> StateAndEvents:
    before = contact.silent_since(state)
    state = state.replace(sessions={**state.sessions, session_id: fact})
    return contact.found(state, before, fact.starts_at)


def session_missed(
    state: EpisodeState, event: attendance.SessionMissed, cause: Cause
) -> Decision[EpisodeState]:
    """An unexcused miss is followed up within a day, unless there was contact since."""
    if event.family_only:
        return Decision(state)
    unexcused = event.absence is Absence.NO_SHOW
    fact = SessionFact(
        starts_at=event.starts_at,
        status="no_show" if unexcused else "excused",
        treats=event.modality is not Modality.WELLNESS,
    )
    state = state.replace(sessions={**state.sessions, event.session_id: fact})
    return Decision(_was_missed(state, fact, cause))


def _was_missed(state: EpisodeState, fact: SessionFact, cause: Cause) -> EpisodeState:
    at, contact_at, admission = fact.starts_at, state.contact_at, state.admission
    if fact.status != "no_show" or state.discharge is not None or admission is None:
        return state
    if at < admission.admitted_at or (contact_at is not None and contact_at >= at):
        return state
    if state.outreach is not None:
        since = max(state.outreach.since, at)
        return state.replace(outreach=state.outreach.replace(since=since))
    return begin(state, OutreachCause.SESSION_MISSED, at, cause, within=REACH_WITHIN)


def absence_threshold_reached(
    state: EpisodeState, event: attendance.AbsenceThresholdReached, cause: Cause
) -> Decision[EpisodeState]:
    """Two absences in a row make it a clinician's matter; three, or a silent week, call for a conference."""
    terms = state.admission
    if state.discharge is not None or terms is None:
        return Decision(state)
    if state.contact_at is not None and state.contact_at >= event.reached_at:
        return Decision(state)  # said long after: there was contact since
    if event.days_silent >= terms.silent_days_conference:
        # Attendance sees sessions only; a person reached since by other means is not silent.
        since = event.reached_at - timedelta(days=terms.silent_days_conference)
        if state.contact_at is None or state.contact_at <= since:
            if state.outreach is None:
                why = OutreachCause.ABSENCE_THRESHOLD
                state = begin(state, why, since, cause, within=REACH_WITHIN)
            return Decision(*_raise_to(state, TIER_CONFERENCE, cause))
    return Decision(*_raise_to(state, _tier(event.absences_consecutive, terms), cause))


def _tier(absences: int, terms: Admission) -> int:
    if absences >= terms.absences_conference:
        return TIER_CONFERENCE
    return TIER_CLINICIAN if absences >= terms.absences_review else 0


def attendance_corrected(
    state: EpisodeState, event: attendance.AttendanceCorrected, cause: Cause
) -> Decision[EpisodeState]:
    """What was recorded was wrong: a miss that was none is no longer chased, a presence that was none is."""
    before = state.sessions.get(event.session_id)
    if before is None:
        return Decision(state)
    if event.status_after.is_present:
        fact = before.replace(status="attended")
        state, events = _was_there(state, event.session_id, fact)
    else:
        unexcused = event.status_after is AttendanceStatus.NO_SHOW
        fact = before.replace(status="no_show" if unexcused else "excused")
        state = state.replace(sessions={**state.sessions, event.session_id: fact})
        state, events = contact.goes_on(state)
        state = _was_missed(state, fact, cause)
    state, ended = still_chased(state)
    return Decision(state, (*events, *ended))


def still_chased(state: EpisodeState) -> StateAndEvents:
    """Reaching out because of sessions goes on only while a miss is left that nothing came after."""
    outreach = state.outreach
    if outreach is None or outreach.cause not in FROM_SESSIONS:
        return state, ()
    contact_at = state.contact_at
    left = [
        fact.starts_at
        for fact in state.sessions.values()
        if fact.status == "no_show" and (contact_at is None or fact.starts_at > contact_at)
    ]
    if not left:
        return contact.close_outreach(state, ClearedReason.WITHDRAWN)
    return state.replace(outreach=outreach.replace(since=max(left))), ()


# --- what arrives before the admission ------------------------------------------------------------------


LATE: Final = LateFacts[EpisodeState]()
"""What comes after an end, and is decided again if the end is taken back (`going_on.py`)."""


class HeldBack(Generic[E]):
    """The rule of an event that the program's terms decide: before the admission is known, the event waits."""

    def __init__(
        self, event: type[E], rule: Callable[[EpisodeState, E, Cause], Decision[EpisodeState]]
    ) -> None:
        self.event: Final = event
        self._rule: Final = LATE.rule(event, rule)

    def __call__(self, state: EpisodeState, event: E, cause: Cause) -> Decision[EpisodeState]:
        """Decide the event, or hold it back."""
        if state.admission is not None or state.undone:
            return self._rule(state, event, cause)
        item = {"name": event.NAME, "data": event.model_dump(mode="json")}
        return Decision(state.replace(held=(*state.held, item)))

    def replayed(
        self, state: EpisodeState, data: Mapping[str, Any], cause: Cause
    ) -> Decision[EpisodeState]:
        """Decide an event that waited."""
        return self._rule(state, self.event.model_validate(data), cause)


ATTENDED: Final = HeldBack(attendance.SessionAttended, session_attended)
MISSED: Final = HeldBack(attendance.SessionMissed, session_missed)
THRESHOLD_REACHED: Final = HeldBack(attendance.AbsenceThresholdReached, absence_threshold_reached)
CORRECTED: Final = HeldBack(attendance.AttendanceCorrected, attendance_corrected)
HELD_BACK: Final = {one.event.NAME: one for one in (ATTENDED, MISSED, THRESHOLD_REACHED, CORRECTED)}


def replay(state: EpisodeState, cause: Cause) -> StateAndEvents:
    """The admission is known: decide the events that waited for it, in the order in which attendance published them."""
    waiting, events = state.held, list[Event]()
    state = state.replace(held=())
    for item in waiting:
        decision = HELD_BACK[item["name"]].replayed(state, item["data"], cause)
        state = decision.state
        events += decision.events
    return state, tuple(events)


# --- tiers ----------------------------------------------------------------------------------------------


def begin(
    state: EpisodeState, why: OutreachCause, since: datetime, cause: Cause, *, within: timedelta
) -> EpisodeState:
    """Somebody has to reach the person in time."""
    loop_id = derive_id("outreach", cause.subject, why.value, since.isoformat())
    state = state.replace(outreach=Outreach(loop_id=loop_id, cause=why, since=since))
    return loops.open_loop(
        state, FollowupLoop.OUTREACH, loop_id, cause, deadline_at=cause.now + within
    )


def due(state: EpisodeState, _name: str, cause: Cause) -> Decision[EpisodeState]:
    """Time has passed without contact: a tier up."""
    if state.outreach is None:
        return Decision(state)
    why = state.outreach.cause
    if why is OutreachCause.ABSENCE_THRESHOLD:
        why = (
            OutreachCause.SESSION_MISSED
        )  # the days go on from the miss, whatever raised it in between
    return Decision(*escalate(state, why, state.tier + 1, cause))


def _raise_to(state: EpisodeState, tier: int, cause: Cause) -> StateAndEvents:
    """Only an outreach that is still open is raised: contact has ended the others."""
    if state.outreach is None or state.tier >= tier:
        return state, ()
    return escalate(state, OutreachCause.ABSENCE_THRESHOLD, tier, cause)


def escalate(state: EpisodeState, why: OutreachCause, tier: int, cause: Cause) -> StateAndEvents:
    """Publish that an open outreach has reached a tier, and set the next deadline where there is a next tier."""
    loop = state.outreach_loop
    if state.outreach is None or loop is None:
        return state, ()
    wait = REACH_WITHIN if why in FROM_SESSIONS else REACH_AFTER_CHECK_IN
    state = state.replace(outreach=state.outreach.replace(cause=why))
    state, loop = loops.move_to_step(state, loop, tier, cause.now + wait)
    if loop.at_last_owner:  # a tier may come before the deadline of the one below it
        state = state.disarm(loops.DEADLINE + loop.key)
    return state, (followup.OutreachEscalated(cause=why, tier=tier),)


# --- what staff do --------------------------------------------------------------------------------------


def record(
    state: EpisodeState, channel: Channel, result: AttemptResult, cause: Cause
) -> Decision[EpisodeState]:
    """Someone tried to reach the person: while they wait, during the program or after it."""
    contact.must_be_known(state)
    contact.callable_at_all(state)
    events: Events = ()
    contact_id = cause.derive_id("contact")
    under_way = None if state.outreach is None else state.outreach.loop_id
    one = Tried(channel=channel, loop_id=under_way)
    state = state.replace(tried={**state.tried, contact_id: one})
    if state.outreach is not None:
        channels = tuple(dict.fromkeys((*state.outreach.channels, channel)))
        more = {"attempts": state.outreach.attempts + 1, "channels": channels}
        state = state.replace(outreach=state.outreach.replace(**more))
    if result is AttemptResult.REACHED:
        state, events = contact.made(state, contact_id, cause.now)
    answer = {"tier": state.tier, "open": state.outreach is not None, "contact_id": contact_id}
    return Decision(state, events, answer=answer)


def undo(state: EpisodeState, contact_id: str, _cause: Cause) -> Decision[EpisodeState]:
    """Nobody tried to reach this person: what only that contact ended goes on, and silence counts from before it."""
    contact.must_be_known(state)
    one = holding(state, state.tried, contact_id, "contact")
    left = {key: other for key, other in state.tried.items() if key != contact_id}
    state, again = contact.never_made(state.replace(tried=left), contact_id)
    state = _without(state, one)
    answer = {"tier": state.tier, "open": state.outreach is not None}
    return Decision(taken_back(state, contact_id, "contact"), again, answer=answer)


def _without(state: EpisodeState, gone: Tried) -> EpisodeState:
    """The outreach in which the attempt was is one attempt poorer."""
    if state.outreach is None or gone.loop_id is None:
        return state
    used = {one.channel for one in state.tried.values()}
    return state.replace(
        outreach=state.outreach.replace(
            attempts=max(0, state.outreach.attempts - 1),
            channels=tuple(one for one in state.outreach.channels if one in used),
        )
    )

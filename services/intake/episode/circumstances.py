"""Death, jail, hospital, a move away, as followup tells it: nobody calls the person, and no place is offered to them.

Loops and deadlines stay where they are, out of sight, and what was escalated is taken back; somebody else gets the
place that was offered. When nothing holds them back any more they come as if nothing had been, each at the time it was
due. What is about documents and not about the person stays in sight. Who died, is in jail or has moved away before they
were admitted does not come: somebody closes the referral. The end of an episode may say that the person died as well.
Pure; no clock, no ids, no I/O.
"""

from __future__ import annotations

from typing import Final

from services.intake.episode.episode_state import (
    ABOUT_DOCUMENTS,
    OFFER,
    EpisodeState,
)
from services.intake.handoffs import LineJoined, LineLeft
from shared import endings, loops
from shared.contracts import followup, intake
from shared.contracts.codes import ClearedReason, IntakeLoop
from shared.contracts.event import Event
from shared.contracts.followup import CircumstanceKind
from shared.contracts.intake import WaitlistExit
from shared.decision import Cause, Decision, Events, Handoff, Handoffs
from shared.loops import Loop

IN_SIGHT: Final = frozenset(kind.value for kind in ABOUT_DOCUMENTS)
ASKS_NOTHING: Final = frozenset({CircumstanceKind.HOSPITALIZED, CircumstanceKind.UNKNOWN})
"""What passes by itself: nobody is asked to close the referral."""


def recorded(
    state: EpisodeState, event: followup.CircumstanceRecorded, _cause: Cause
) -> Decision[EpisodeState]:
    """From then on nobody calls. Several may last at a time."""
    lasting = {**state.circumstances, event.circumstance_id: event.kind}
    return Decision(state.replace(circumstances=lasting))


def over(
    state: EpisodeState,
    event: followup.CircumstanceEnded | followup.CircumstanceUndone,
    _cause: Cause,
) -> Decision[EpisodeState]:
    """It has ended, or was a mistake."""
    lasting = {
        key: kind for key, kind in state.circumstances.items() if key != event.circumstance_id
    }
    return Decision(state.replace(circumstances=lasting))


def restored(
    before: EpisodeState, decision: Decision[EpisodeState], cause: Cause
) -> Decision[EpisodeState]:
    """A decision, completed by what follows from the circumstances that last. A void episode is left alone."""
    if before.void:
        return decision
    state, asked = _closing(decision.state, cause)
    events: Events = (*decision.events, *asked)
    handoffs: Handoffs = ()
    if before.is_stopped or state.is_stopped:
        events = _heard(before, state, events)
    if state.is_stopped:
        state, left, handoffs = _passed_by(state, cause)
        events = (*events, *left)
    else:
        state, handoffs = _in_line_again(state, cause)
    handoffs = (*decision.handoffs, *handoffs)
    return Decision(_hidden(state), events, handoffs, decision.answer)


def _closing(state: EpisodeState, cause: Cause) -> tuple[EpisodeState, Events]:
    """Whether somebody has to close the referral: who does not come can't be admitted."""
    kind, own = IntakeLoop.REFERRAL_CLOSURE, cause.subject_id
    in_intake = state.referral is not None and state.admission is None and state.closed_at is None
    wanted = in_intake and not ASKS_NOTHING.issuperset(state.circumstances.values())
    is_open = state.loop(kind, own) is not None
    if wanted and not is_open:
        return loops.open_loop(state, kind, own, cause), ()
    if is_open and not wanted:
        reason = ClearedReason.WITHDRAWN if in_intake else ClearedReason.RESOLVED
        return loops.close(state, kind, own, reason)
    return state, ()


def _hidden(state: EpisodeState) -> EpisodeState:
    stopped = state.is_stopped
    hidden = {
        key: loop.replace(hidden=stopped and loop.kind not in IN_SIGHT)
        for key, loop in state.loops.items()
    }
    return state if hidden == state.loops else state.replace(loops=hidden)


def _heard(before: EpisodeState, state: EpisodeState, events: Events) -> Events:
    """What is said of hidden loops: nothing. What was escalated is taken back, and stands again when it is over."""
    kept = tuple(event for event in events if not _is_about_hidden(event))
    if not before.is_stopped:
        return (*kept, *loops.close_all(before, _out_of_sight(before), ClearedReason.SUPERSEDED)[1])
    if not state.is_stopped:
        return (*kept, *endings.announced(state, _out_of_sight(state)))
    return kept


def _is_about_hidden(event: Event) -> bool:
    about = isinstance(event, (intake.LoopEscalated, intake.EscalationCleared))
    return about and event.loop.value not in IN_SIGHT


def _out_of_sight(state: EpisodeState) -> tuple[Loop, ...]:
    return tuple(loop for loop in state.loops.values() if loop.kind not in IN_SIGHT)


def _passed_by(state: EpisodeState, cause: Cause) -> tuple[EpisodeState, Events, Handoffs]:
    """Whoever waits keeps the time of their waiting, and their place goes to the next."""
    waiting = state.waiting
    if waiting is None or waiting.passed_by:
        return state, (), ()
    left = LineLeft(ticket=waiting.ticket, episode_id=cause.subject_id, taken=False)
    events: Events = ()
    if waiting.position is not None or waiting.offer is not None:
        group_id = waiting.group_id if waiting.offer is None else waiting.offer.group_id
        reason = WaitlistExit.WITHDRAWN
        left_it = intake.WaitlistLeft(
            waitlist_id=waiting.ticket, track=waiting.track, reason=reason, group_id=group_id
        )
        events = (left_it,)
    state = state.disarm(f"{OFFER}:{waiting.ticket}")
    # What is offered to the old ticket meanwhile is not theirs.
    ticket = cause.derive_id("waiting-again")
    waiting = waiting.replace(ticket=ticket, position=None, offer=None, passed_by=True)
    return state.replace(waiting=waiting), events, (Handoff(f"group/{waiting.line_id}", left),)


def _in_line_again(state: EpisodeState, cause: Cause) -> tuple[EpisodeState, Handoffs]:
    """Who was passed by waits for the next place that is free, by the time since when they have waited."""
    waiting = state.waiting
    if waiting is None or not waiting.passed_by:
        return state, ()
    body = LineJoined(
        ticket=waiting.ticket,
        episode_id=cause.subject_id,
        track=waiting.track,
        since=waiting.since,
        offer_lasts=waiting.offer_lasts,
    )
    state = state.replace(waiting=waiting.replace(passed_by=False))
    return state, (Handoff(f"group/{waiting.line_id}", body),)

"""The waiting list for a place in a group, or in any group of a track. Pure.

It knows who waits and which seats are free, and chooses whom to offer one. Free seats are counted by who has one
(`holders`), as attendance publishes it person by person, and not by the free seats that an event names: so every order
in which the events may arrive ends with the same offers.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from pydantic import Field

from services.intake.handoffs import (
    Lined,
    LineJoined,
    LineLeft,
    OfferMade,
    PlaceOffered,
    SeatChanged,
)
from shared.contracts import attendance
from shared.contracts.codes import Value
from shared.decision import Cause, Decision, Handoff, State, derive_id

LOOK: Final = "look"
SETTLES_WITHIN: Final = timedelta(minutes=1)
"""Delay before a seat counts as free when no event has released it: one may be on the way."""
KEPT: Final = "kept"
KEPT_FOR: Final = timedelta(days=3)
"""How long an accepted place stays reserved until attendance publishes that the person has the seat. House rule."""
LINE_MAX: Final = 1_000
POSITION_MAX: Final = 10_000


class Place(Value):
    """One person on the list."""

    ticket: str
    episode_id: str
    since: datetime
    offer_lasts: timedelta


class LineState(State):
    """Who waits for a place in one group, or in any group of one track."""

    track: str = ""
    group_id: str | None = None
    """None: a track's list, whose places staff offer."""
    seats_min: int | None = None
    seats_max: int | None = None
    """None until attendance publishes what the group takes."""
    queue: tuple[Place, ...] = ()
    """Who waits, the longest first."""
    offered: dict[str, str] = Field(default_factory=dict[str, str])
    """Whose offer is open: ticket to episode."""
    kept: dict[str, str] = Field(default_factory=dict[str, str])
    """Who accepted a place, and does not have the seat yet by attendance's events: ticket to episode."""
    holders: tuple[str, ...] = ()
    """Episodes that have a seat, for good or for a while."""

    @property
    def free(self) -> int:
        """Seats that nobody has and nobody is offered; negative when more are promised than there are."""
        promised = {*self.offered.values(), *self.kept.values()} - set(self.holders)
        return (self.seats_max or 0) - len(self.holders) - len(promised)


def line_id(group_id: str | None, facility_id: str, track: str) -> str:
    """The id of a waiting list's record: its group's, or one of its own for a track of a facility."""
    return group_id or derive_id("line", facility_id, track)


def group_changed(
    state: LineState, event: attendance.GroupCapacity, cause: Cause
) -> Decision[LineState]:
    """A group opened, filled or fell below its minimum: intake knows what it takes, and offers what is free."""
    state = state.replace(
        track=event.track,
        group_id=cause.subject_id,
        seats_min=event.seats_min,
        seats_max=event.seats_max,
    )
    return Decision(_look_later(state, cause))


def seat_changed(state: LineState, body: SeatChanged, cause: Cause) -> Decision[LineState]:
    """Somebody took a seat, or a seat is free again: then this one is offered to the next, at once."""
    others = tuple(e for e in state.holders if e != body.episode_id)
    kept = {key: who for key, who in state.kept.items() if who != body.episode_id}
    state = state.replace(kept=kept).disarm(
        *(f"{KEPT}:{key}" for key in state.kept if key not in kept)
    )
    if body.has_seat:
        return Decision(state.replace(holders=(*others, body.episode_id)))
    offered = _offer(state.replace(holders=others), cause, most=1)
    return Decision(_look_later(offered.state, cause), handoffs=offered.handoffs)


def joined(state: LineState, body: LineJoined, cause: Cause) -> Decision[LineState]:
    """A person joins the list, in the order of joining. A person who left meanwhile does not come back."""
    place = Place(
        ticket=body.ticket,
        episode_id=body.episode_id,
        since=body.since,
        offer_lasts=body.offer_lasts,
    )
    queue = tuple(sorted((*state.queue, place), key=lambda p: (p.since, p.ticket)))
    position = min(queue.index(place) + 1, POSITION_MAX)
    state = state.replace(queue=queue, track=state.track or body.track)
    lined = Handoff(f"episode/{body.episode_id}", Lined(ticket=body.ticket, position=position))
    return Decision(_look_later(state, cause), handoffs=(lined,))


def offer_made(state: LineState, body: OfferMade, _cause: Cause) -> Decision[LineState]:
    """Somebody was called out of turn; they are no longer in the queue."""
    queue = tuple(place for place in state.queue if place.ticket != body.ticket)
    if len(queue) == len(state.queue):
        return Decision(state)
    return Decision(
        state.replace(queue=queue, offered={**state.offered, body.ticket: body.episode_id})
    )


def left(state: LineState, body: LineLeft, cause: Cause) -> Decision[LineState]:
    """Somebody no longer waits. A seat that was offered but never held goes to the next; a held one, when released."""
    queue = tuple(place for place in state.queue if place.ticket != body.ticket)
    offered = {key: who for key, who in state.offered.items() if key != body.ticket}
    was_offered = body.ticket in state.offered
    state = state.replace(queue=queue, offered=offered)
    if body.taken and was_offered and body.episode_id not in state.holders:
        state = state.replace(kept={**state.kept, body.ticket: body.episode_id})
        state = state.arm(f"{KEPT}:{body.ticket}", cause.now + KEPT_FOR)
    return Decision(_look_later(state, cause))


def not_taken(state: LineState, ticket: str, cause: Cause) -> Decision[LineState]:
    """News of a seat that somebody accepted had time to arrive: what is free now is free."""
    kept = {key: who for key, who in state.kept.items() if key != ticket}
    return _offer(state.replace(kept=kept), cause)


def offer_what_is_free(state: LineState, cause: Cause) -> Decision[LineState]:
    """News had time to arrive: one offer for each free seat."""
    return _offer(state, cause)


def _look_later(state: LineState, cause: Cause) -> LineState:
    if not state.queue:
        return state
    return state.arm(LOOK, cause.now + SETTLES_WITHIN)


def _offer(state: LineState, cause: Cause, *, most: int = LINE_MAX) -> Decision[LineState]:
    """One offer for each free seat, to those who wait longest."""
    if state.seats_max is None:
        return Decision(state)
    called = state.queue[: max(0, min(state.free, most))]
    offers = tuple(
        Handoff(
            f"episode/{place.episode_id}",
            PlaceOffered(
                ticket=place.ticket,
                offer_id=cause.derive_id("offer", place.ticket),
                group_id=state.group_id,
                expires_at=cause.now + place.offer_lasts,
            ),
        )
        for place in called
    )
    offered = {**state.offered, **{place.ticket: place.episode_id for place in called}}
    state = state.replace(queue=state.queue[len(called) :], offered=offered)
    return Decision(state, handoffs=offers)

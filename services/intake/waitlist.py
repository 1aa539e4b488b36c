"""Waiting for a place: the line of a group or of a track, and one expiring offer for each seat that is free. Pure.

Two records take part. The line (`group/…`) knows who waits and which seats are free, and chooses whom to offer one. The
episode decides everything about its own offer: it is accepted, declined or lapses there, and the line follows. So an
offer that is accepted in its last moment can't have gone to somebody else as well.

Free seats are counted by who has one (`holders`), as attendance says it person by person, and not by what an event
says is left: counted so, every order in which the facts may arrive ends with the same offers.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from pydantic import Field

from services.intake import domain
from services.intake.domain import OFFER, EpisodeState, LineLeft, PlaceOffer, Seat, Waiting
from shared.contracts import attendance, intake
from shared.contracts.codes import ClearedReason, IntakeLoop, Value
from shared.contracts.intake import WaitlistExit
from shared.decision import Cause, Decision, Handoff, HandoffBody, State, derive_id
from shared.errors import Refused, Unknown

LOOK: Final = "look"
SETTLES_WITHIN: Final = timedelta(minutes=1)
"""How long a line waits before it believes in a free seat that nobody has just released: news may be on the way."""
KEPT: Final = "kept"
KEPT_FOR: Final = timedelta(days=3)
"""How long an accepted place is kept until attendance says that the person has the seat. House rule."""
LINE_MAX: Final = 1_000
POSITION_MAX: Final = 10_000
LEAVING: Final = (
    WaitlistExit.DECLINED,
    WaitlistExit.WITHDRAWN,
    WaitlistExit.REFERRED_ELSEWHERE,
)
"""How a person may say that they no longer wait. The other ways follow from what else is done."""


class LineJoined(HandoffBody):
    """To a line: this person waits in it from now on."""

    ticket: str
    episode_id: str
    track: str
    since: datetime
    offer_lasts: timedelta


class OfferMade(HandoffBody):
    """To a line: staff offered this person a place out of turn."""

    ticket: str
    episode_id: str


class Lined(HandoffBody):
    """To an episode: this is your place in the line."""

    ticket: str
    position: int


class PlaceOffered(HandoffBody):
    """To an episode: a place is yours until then, if you accept it."""

    ticket: str
    offer_id: str
    group_id: str | None
    expires_at: datetime


class SeatChanged(HandoffBody):
    """To a group's line: this person has a seat, or no longer has one."""

    episode_id: str
    has_seat: bool


# --- the line -------------------------------------------------------------------------------------------


class Place(Value):
    """Somebody in the line."""

    ticket: str
    episode_id: str
    since: datetime
    offer_lasts: timedelta


class LineState(State):
    """Who waits for a place in one group, or in any group of one track."""

    track: str = ""
    group_id: str | None = None
    """None: a track's line, whose places staff offer."""
    seats_min: int | None = None
    seats_max: int | None = None
    """None until attendance says what the group takes."""
    queue: tuple[Place, ...] = ()
    """Who waits, the longest first."""
    offered: dict[str, str] = Field(default_factory=dict[str, str])
    """Whose offer is open: ticket to episode."""
    kept: dict[str, str] = Field(default_factory=dict[str, str])
    """Who accepted a place, and is not yet said to have the seat: ticket to episode."""
    holders: tuple[str, ...] = ()
    """Episodes that have a seat, for good or for a while."""

    @property
    def free(self) -> int:
        """Seats that nobody has and nobody is offered; negative when more are promised than there are."""
        promised = {*self.offered.values(), *self.kept.values()} - set(self.holders)
        return (self.seats_max or 0) - len(self.holders) - len(promised)


def line_id(group_id: str | None, facility_id: str, track: str) -> str:
    """Where a line is kept: with its group, or under an id of its own for a track of a facility."""
    return group_id or derive_id("line", facility_id, track)


def group_changed(
    state: LineState, event: attendance.GroupCapacity, cause: Cause
) -> Decision[LineState]:
    """A group opened, filled or fell below its minimum: intake knows what it takes, and offers what is free."""
    state = state.but(
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
    state = state.but(kept=kept).disarm(*(f"{KEPT}:{key}" for key in state.kept if key not in kept))
    if body.has_seat:
        return Decision(state.but(holders=(*others, body.episode_id)))
    offered = _offer_what_is_free(state.but(holders=others), cause, most=1)
    return Decision(_look_later(offered.state, cause), handoffs=offered.handoffs)


def joined(state: LineState, body: LineJoined, cause: Cause) -> Decision[LineState]:
    """Somebody gets in line, by when they joined. Somebody who left meanwhile does not come back."""
    place = Place(
        ticket=body.ticket,
        episode_id=body.episode_id,
        since=body.since,
        offer_lasts=body.offer_lasts,
    )
    queue = tuple(sorted((*state.queue, place), key=lambda p: (p.since, p.ticket)))
    position = min(queue.index(place) + 1, POSITION_MAX)
    state = state.but(queue=queue, track=state.track or body.track)
    lined = Handoff(f"episode/{body.episode_id}", Lined(ticket=body.ticket, position=position))
    return Decision(_look_later(state, cause), handoffs=(lined,))


def offer_made(state: LineState, body: OfferMade, _cause: Cause) -> Decision[LineState]:
    """Somebody was called out of turn; they are no longer in the queue."""
    queue = tuple(place for place in state.queue if place.ticket != body.ticket)
    if len(queue) == len(state.queue):
        return Decision(state)
    return Decision(state.but(queue=queue, offered={**state.offered, body.ticket: body.episode_id}))


def left(state: LineState, body: LineLeft, cause: Cause) -> Decision[LineState]:
    """Somebody no longer waits. A seat that was offered but never held goes to the next; a held one, when released."""
    queue = tuple(place for place in state.queue if place.ticket != body.ticket)
    offered = {key: who for key, who in state.offered.items() if key != body.ticket}
    was_offered = body.ticket in state.offered
    state = state.but(queue=queue, offered=offered)
    if body.taken and was_offered and body.episode_id not in state.holders:
        state = state.but(kept={**state.kept, body.ticket: body.episode_id})
        state = state.arm(f"{KEPT}:{body.ticket}", cause.now + KEPT_FOR)
    return Decision(_look_later(state, cause))


def line_due(state: LineState, name: str, cause: Cause) -> Decision[LineState]:
    """News had time to arrive: what is free now is free."""
    kind, _, ticket = name.partition(":")
    if kind not in (LOOK, KEPT):
        raise ValueError(f"unknown deadline {kind}")
    state = state.but(kept={key: who for key, who in state.kept.items() if key != ticket})
    return _offer_what_is_free(state, cause)


def _look_later(state: LineState, cause: Cause) -> LineState:
    if not state.queue:
        return state
    return state.arm(LOOK, cause.now + SETTLES_WITHIN)


def _offer_what_is_free(
    state: LineState, cause: Cause, *, most: int = LINE_MAX
) -> Decision[LineState]:
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
    state = state.but(queue=state.queue[len(called) :], offered=offered)
    return Decision(state, handoffs=offers)


# --- the episode: joining and leaving -------------------------------------------------------------------


class NewWaiting(Value):
    """What somebody waits for, and what is done for them meanwhile."""

    line_id: str
    group_id: str | None
    track: str
    interim: tuple[str, ...]
    offer_lasts: timedelta
    chances: int


def join(state: EpisodeState, new: NewWaiting, cause: Cause) -> Decision[EpisodeState]:
    """Somebody whom the program suits waits for a place. Waiting is an open loop, with interim services noted."""
    domain.in_intake(state)
    if state.recommendation is None or not state.recommendation.eligible:
        raise Refused(
            "not-eligible",
            "Nobody waits for a program that is not found to suit them.",
            way_out="Assess and recommend first; when the answer is no, refer the person on.",
        )
    if state.waiting is not None:
        raise Refused(
            "already-waiting",
            "The person waits for a place.",
            way_out="Leave the other line first.",
        )
    waiting = Waiting(**dict(new), ticket=cause.derive_id("waiting"), since=cause.now)
    state, cleared = domain.settle(
        state, IntakeLoop.ADMISSION, cause=cause, reason=ClearedReason.SUPERSEDED
    )
    state, handoff = _in_line(state, waiting, cause)
    return Decision(state, cleared, (handoff,), {"waitlist_id": waiting.ticket})


def _in_line(state: EpisodeState, waiting: Waiting, cause: Cause) -> tuple[EpisodeState, Handoff]:
    body = LineJoined(
        ticket=waiting.ticket,
        episode_id=cause.subject_id,
        track=waiting.track,
        since=waiting.since,
        offer_lasts=waiting.offer_lasts,
    )
    state = domain.wait_for(state.but(waiting=waiting), IntakeLoop.WAITLIST, cause)
    return state, Handoff(f"group/{waiting.line_id}", body)


def lined(state: EpisodeState, body: Lined, _cause: Cause) -> Decision[EpisodeState]:
    """The line has said which place it is."""
    waiting = _waiting(state, body.ticket)
    if waiting is None:
        return Decision(state)
    event = intake.WaitlistJoined(
        track=waiting.track, position=body.position, group_id=waiting.group_id
    )
    waiting = waiting.model_copy(update={"position": body.position})
    return Decision(state.but(waiting=waiting), (event,))


def offered(state: EpisodeState, body: PlaceOffered, cause: Cause) -> Decision[EpisodeState]:
    """The line offers a place. Who left meanwhile, or has an offer, has answered for the line already."""
    waiting = _waiting(state, body.ticket)
    if waiting is None or waiting.offer is not None:
        return Decision(state)
    return _offer(state, waiting, body.offer_id, body.group_id, body.expires_at, cause)


def offer(
    state: EpisodeState, ticket: str, group_id: str | None, lasts: timedelta | None, cause: Cause
) -> Decision[EpisodeState]:
    """Staff offer a place: of a track, or out of turn for a clinical reason."""
    waiting = _known(state, ticket)
    if waiting.offer is not None:
        raise Refused(
            "already-offered",
            "A place is offered to the person.",
            way_out="Wait for the answer, or for the offer to lapse.",
        )
    made = _offer(
        state,
        waiting,
        cause.derive_id("offer"),
        group_id or waiting.group_id,
        cause.now + (lasts or waiting.offer_lasts),
        cause,
    )
    told = OfferMade(ticket=ticket, episode_id=cause.subject_id)
    handoff = Handoff(f"group/{waiting.line_id}", told)
    return Decision(made.state, made.events, (handoff,), made.answer)


def _offer(
    state: EpisodeState,
    waiting: Waiting,
    offer_id: str,
    group_id: str | None,
    expires_at: datetime,
    cause: Cause,
) -> Decision[EpisodeState]:
    made = PlaceOffer(
        offer_id=offer_id, group_id=group_id, offered_at=cause.now, expires_at=expires_at
    )
    event = intake.WaitlistOffered(
        track=waiting.track, group_id=group_id, offer_expires_at=expires_at
    )
    state = state.but(waiting=waiting.model_copy(update={"offer": made}))
    answer = {"offer_id": offer_id, "expires_at": expires_at.isoformat()}
    return Decision(state.arm(f"{OFFER}:{waiting.ticket}", expires_at), (event,), answer=answer)


def accept(state: EpisodeState, ticket: str, cause: Cause) -> Decision[EpisodeState]:
    """The person takes the place, and is ready to be admitted."""
    if cause.now >= _offer_of(_known(state, ticket)).expires_at:
        raise Refused(
            "offer-lapsed",
            "The offer has lapsed.",
            way_out="Wait for the next offer.",
        )
    return _leave(state, WaitlistExit.ACCEPTED, cause)


def leave(
    state: EpisodeState, ticket: str, reason: WaitlistExit, cause: Cause
) -> Decision[EpisodeState]:
    """The person no longer waits: they decline the place, withdraw, or are cared for elsewhere."""
    if reason is WaitlistExit.DECLINED:
        _offer_of(_known(state, ticket))
    _known(state, ticket)
    return _leave(state, reason, cause)


def lapsed(state: EpisodeState, ticket: str, cause: Cause) -> Decision[EpisodeState]:
    """Nobody accepted in time. While there are chances left, the person goes to the back of the line. House rule."""
    waiting = _waiting(state, ticket)
    if waiting is None or waiting.offer is None:
        return Decision(state)
    if waiting.chances <= 1:
        return _leave(state, WaitlistExit.EXPIRED, cause)
    out, events, handoffs = domain.leave_line(state, WaitlistExit.EXPIRED, cause)
    again = Waiting(
        **waiting.model_dump(exclude={"ticket", "since", "chances", "position", "offer"}),
        ticket=cause.derive_id("waiting"),
        since=cause.now,
        chances=waiting.chances - 1,
    )
    out, handoff = _in_line(out, again, cause)
    return Decision(out, events, (*handoffs, handoff))


def _leave(state: EpisodeState, reason: WaitlistExit, cause: Cause) -> Decision[EpisodeState]:
    """Who waits no longer is to be admitted, or somebody decides otherwise; who is cared for elsewhere is referred."""
    state, events, handoffs = domain.leave_line(state, reason, cause)
    if reason is WaitlistExit.REFERRED_ELSEWHERE:
        state = domain.send_on(state, cause)
    elif state.placed_level is not None and state.admission is None:
        state = domain.wait_for(state, IntakeLoop.ADMISSION, cause)
    return Decision(state, events, handoffs)


# --- the episode: seats, as attendance says -------------------------------------------------------------


def seat_reserved(
    state: EpisodeState, event: attendance.SeatReserved, cause: Cause
) -> Decision[EpisodeState]:
    """The person has a seat, or holds one for a while. A seat for good ends the waiting for it."""
    seat = Seat(hold_expires_at=event.hold_expires_at)
    state = state.but(seats={**state.seats, event.group_id: seat})
    told = _told_group(event.group_id, cause, has_seat=True)
    waits_for_it = state.waiting is not None and state.waiting.group_id == event.group_id
    if state.void or not waits_for_it or event.hold_expires_at is not None:
        return Decision(state, handoffs=(told,))
    done = _leave(state, WaitlistExit.ACCEPTED, cause)
    return Decision(done.state, done.events, (told, *done.handoffs))


def seat_released(
    state: EpisodeState, event: attendance.SeatReleased, cause: Cause
) -> Decision[EpisodeState]:
    """The person's seat is free again. An offer that rested on it has lapsed, whichever of the two is heard first."""
    seats = {group: seat for group, seat in state.seats.items() if group != event.group_id}
    state = state.but(seats=seats)
    told = _told_group(event.group_id, cause, has_seat=False)
    waiting = state.waiting
    if waiting is None or waiting.offer is None or waiting.offer.group_id != event.group_id:
        return Decision(state, handoffs=(told,))
    over = lapsed(state.disarm(f"{OFFER}:{waiting.ticket}"), waiting.ticket, cause)
    return Decision(over.state, over.events, (*over.handoffs, told))


def _told_group(group_id: str, cause: Cause, *, has_seat: bool) -> Handoff:
    return Handoff(f"group/{group_id}", SeatChanged(episode_id=cause.subject_id, has_seat=has_seat))


# --- what every step asks first -------------------------------------------------------------------------


def _waiting(state: EpisodeState, ticket: str) -> Waiting | None:
    """This waiting, if it is still the present one."""
    waiting = state.waiting
    return waiting if waiting is not None and waiting.ticket == ticket else None


def _known(state: EpisodeState, ticket: str) -> Waiting:
    domain.in_progress(state)
    waiting = _waiting(state, ticket)
    if waiting is None:
        raise Unknown("waiting")
    return waiting


def _offer_of(waiting: Waiting) -> PlaceOffer:
    if waiting.offer is None:
        raise Refused(
            "not-offered",
            "No place is offered to the person.",
            way_out="Wait for an offer, or withdraw.",
        )
    return waiting.offer

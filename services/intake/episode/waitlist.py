"""The episode's part of a waiting list: joining it, an offer and its answer, leaving. Pure.

Two records take part. The list (`../resources/waitlist_queue.py`) chooses whom to offer a free seat. The episode
decides everything about its own offer: it is accepted, declined or lapses here, and the list follows. So an offer that
is accepted in its last moment can't have gone to somebody else as well.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from services.intake.episode import episode_state
from services.intake.episode.episode_state import OFFER, EpisodeState
from services.intake.episode.values import PlaceOffer, Seat, Waiting
from services.intake.handoffs import Lined, LineJoined, OfferMade, PlaceOffered, SeatChanged
from shared import loops
from shared.contracts import attendance, intake
from shared.contracts.codes import ClearedReason, IntakeLoop, Value
from shared.contracts.intake import WaitlistExit
from shared.decision import Cause, Decision, Handoff, Handoffs
from shared.errors import Refused, Unknown

LEAVING: Final = (
    WaitlistExit.DECLINED,
    WaitlistExit.WITHDRAWN,
    WaitlistExit.REFERRED_ELSEWHERE,
)
"""The reasons that a person may give for leaving the list. The other reasons follow from other commands."""


# --- the episode: joining and leaving -------------------------------------------------------------------


class NewWaiting(Value):
    """What a person is on the list for, and what is done for them meanwhile."""

    line_id: str
    group_id: str | None
    track: str
    interim: tuple[str, ...]
    offer_lasts: timedelta
    chances: int


def join(state: EpisodeState, new: NewWaiting, cause: Cause) -> Decision[EpisodeState]:
    """Put a person whom the program suits on the waiting list. Waiting is an open loop, with interim services noted."""
    episode_state.in_intake(state)
    _must_be_called(state)
    if state.recommendation is None or not state.recommendation.eligible:
        raise Refused(
            "not-eligible",
            "The program was not found to suit this person.",
            hint="Assess and recommend first; when the answer is no, refer the person on.",
        )
    if state.waiting is not None:
        raise Refused(
            "already-waiting",
            "The person waits for a place.",
            hint="Leave the other line first.",
        )
    waiting = Waiting(**dict(new), ticket=cause.derive_id("waiting"), since=cause.now)
    state, cleared = loops.close(
        state, IntakeLoop.ADMISSION, cause.subject_id, ClearedReason.SUPERSEDED
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
    state = loops.open_loop(
        state.replace(waiting=waiting), IntakeLoop.WAITLIST, cause.subject_id, cause
    )
    return state, Handoff(f"group/{waiting.line_id}", body)


def joined_again(state: EpisodeState, cause: Cause) -> tuple[EpisodeState, Handoffs]:
    """The person waits after all, since when they had: in line again, for the next place that is free."""
    before = state.waiting
    if before is None:
        return state, ()
    again = Waiting(
        **before.model_dump(exclude={"ticket", "position", "offer"}),
        ticket=cause.derive_id("waiting"),
    )
    state, handoff = _in_line(state.disarm(f"{OFFER}:{before.ticket}"), again, cause)
    return state, (handoff,)


def lined(state: EpisodeState, body: Lined, _cause: Cause) -> Decision[EpisodeState]:
    """The list has handed over the place."""
    waiting = _waiting(state, body.ticket)
    if waiting is None:
        return Decision(state)
    event = intake.WaitlistJoined(
        waitlist_id=waiting.ticket,
        track=waiting.track,
        position=body.position,
        group_id=waiting.group_id,
    )
    waiting = waiting.replace(position=body.position)
    return Decision(state.replace(waiting=waiting), (event,))


def offered(state: EpisodeState, body: PlaceOffered, cause: Cause) -> Decision[EpisodeState]:
    """The list offers a place. A person who left meanwhile, or has an offer, has answered already."""
    waiting = _waiting(state, body.ticket)
    if waiting is None or waiting.offer is not None or waiting.passed_by:
        return Decision(state)
    return _offer(state, waiting, body.offer_id, body.group_id, body.expires_at, cause)


def offer(
    state: EpisodeState, ticket: str, group_id: str | None, lasts: timedelta | None, cause: Cause
) -> Decision[EpisodeState]:
    """Staff offer a place: of a track, or out of turn for a clinical reason."""
    waiting = _known(state, ticket)
    _must_be_called(state)
    if waiting.offer is not None:
        raise Refused(
            "already-offered",
            "A place is offered to the person.",
            hint="Wait for the answer, or for the offer to lapse.",
        )
    made = _offer(
        state,
        waiting,
        cause.derive_id("offer"),
        group_id or waiting.group_id,
        cause.now + (lasts or waiting.offer_lasts),
        cause,
    )
    body = OfferMade(ticket=ticket, episode_id=cause.subject_id)
    handoff = Handoff(f"group/{waiting.line_id}", body)
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
        waitlist_id=waiting.ticket,
        track=waiting.track,
        group_id=group_id,
        offer_expires_at=expires_at,
    )
    state = state.replace(waiting=waiting.replace(offer=made))
    answer = {"offer_id": offer_id, "expires_at": expires_at.isoformat()}
    return Decision(state.arm(f"{OFFER}:{waiting.ticket}", expires_at), (event,), answer=answer)


def accept(state: EpisodeState, ticket: str, cause: Cause) -> Decision[EpisodeState]:
    """The person takes the place, and is ready to be admitted."""
    if cause.now >= _offer_of(_known(state, ticket)).expires_at:
        raise Refused(
            "offer-lapsed",
            "The offer has lapsed.",
            hint="Wait for the next offer.",
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
    """Nobody accepted in time. While there are chances left, the person goes to the end of the list. House rule."""
    waiting = _waiting(state, ticket)
    if waiting is None or waiting.offer is None:
        return Decision(state)
    if waiting.chances <= 1:
        return _leave(state, WaitlistExit.EXPIRED, cause)
    out, events, handoffs = episode_state.leave_line(state, WaitlistExit.EXPIRED, cause)
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
    state, events, handoffs = episode_state.leave_line(state, reason, cause)
    if reason is WaitlistExit.REFERRED_ELSEWHERE:
        state = episode_state.send_on(state, cause)
    elif state.placed_level is not None and state.admission is None:
        state = loops.open_loop(state, IntakeLoop.ADMISSION, cause.subject_id, cause)
    return Decision(state, events, handoffs)


# --- the episode: seats, as attendance publishes them ---------------------------------------------------


def seat_reserved(
    state: EpisodeState, event: attendance.SeatReserved, cause: Cause
) -> Decision[EpisodeState]:
    """The person has a seat, or holds one for a while. A seat for good ends the waiting for it."""
    seat = Seat(hold_expires_at=event.hold_expires_at)
    state = state.replace(seats={**state.seats, event.group_id: seat})
    handoff = _seat_changed(event.group_id, cause, has_seat=True)
    waits_for_it = state.waiting is not None and state.waiting.group_id == event.group_id
    if not waits_for_it or event.hold_expires_at is not None:
        return Decision(state, handoffs=(handoff,))
    left = _leave(state, WaitlistExit.ACCEPTED, cause)
    return Decision(left.state, left.events, (handoff, *left.handoffs))


def seat_released(
    state: EpisodeState, event: attendance.SeatReleased, cause: Cause
) -> Decision[EpisodeState]:
    """The person's seat is free again. An offer that rested on it has lapsed, whichever of the two arrives first."""
    seats = {group: seat for group, seat in state.seats.items() if group != event.group_id}
    state = state.replace(seats=seats)
    handoff = _seat_changed(event.group_id, cause, has_seat=False)
    waiting = state.waiting
    if waiting is None or waiting.offer is None or waiting.offer.group_id != event.group_id:
        return Decision(state, handoffs=(handoff,))
    over = lapsed(state.disarm(f"{OFFER}:{waiting.ticket}"), waiting.ticket, cause)
    return Decision(over.state, over.events, (*over.handoffs, handoff))


def _seat_changed(group_id: str, cause: Cause, *, has_seat: bool) -> Handoff:
    return Handoff(f"group/{group_id}", SeatChanged(episode_id=cause.subject_id, has_seat=has_seat))


# --- what every step asks first -------------------------------------------------------------------------


def _must_be_called(state: EpisodeState) -> None:
    if state.is_stopped:
        raise Refused(
            "circumstance-lasts",
            "Nobody calls the person: they died, are in jail or in hospital, or have moved away.",
            hint="End the circumstance (followup) when it is over, or take it back if it was a mistake.",
        )


def _waiting(state: EpisodeState, ticket: str) -> Waiting | None:
    """This waiting, if it is still the present one."""
    waiting = state.waiting
    return waiting if waiting is not None and waiting.ticket == ticket else None


def _known(state: EpisodeState, ticket: str) -> Waiting:
    episode_state.in_progress(state)
    waiting = _waiting(state, ticket)
    if waiting is None:
        raise Unknown("waiting")
    return waiting


def _offer_of(waiting: Waiting) -> PlaceOffer:
    if waiting.offer is None:
        raise Refused(
            "not-offered",
            "No place is offered to the person.",
            hint="Wait for an offer, or withdraw.",
        )
    return waiting.offer

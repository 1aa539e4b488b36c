"""The end of an episode, and an end that is taken back: the person is here as if it had not been. Pure, like all rules.

What the end takes away is put aside: seats, weeks after it, loops and deadlines. Bookings stay, and count again when it
is taken back, however much later; a seat that is gone meanwhile is somebody's to see to. A roll that named the person
meanwhile is kept, and counts then.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from services.attendance import circumstances
from services.attendance.episode import absences, pauses, rolls, seats, weeks
from services.attendance.episode.episode_state import Ending, EpisodeState, Gap, not_expected
from services.attendance.episode.handoffs import BackOnRoster
from services.attendance.screening import incentives, specimens
from shared import endings, loops, voiding
from shared.contracts import intake, plans
from shared.contracts.attendance import SeatReleaseReason
from shared.contracts.codes import ClearedReason
from shared.decision import Cause, Decision, Handoff, Handoffs
from shared.endings import LateFacts

MEANWHILE: Final = LateFacts[EpisodeState]()
"""Decides what came while an episode was void, by the whole tables of reactions and handoffs."""


def discharged(
    state: EpisodeState, event: plans.EpisodeDischarged, cause: Cause
) -> Decision[EpisodeState]:
    """The last week still counts, up to the last day; every loop is closed."""
    return ended(state, event.discharged_at, cause)


def ended(state: EpisodeState, at: datetime, cause: Cause) -> Decision[EpisodeState]:
    """End the episode at this instant. An end before the admission that holds is of one that was undone."""
    state = state.replace(discharged_at=at)
    if state.left_at is None:
        return Decision(state)
    before = state
    after = _to_come(state, at)
    state, cleared = loops.close_all(state, reason=ClearedReason.EPISODE_CLOSED)
    state, events = weeks.reconsider(
        state.disarm(absences.SILENCE, specimens.DUE, pauses.OVER), cause
    )
    state = _put_aside(before, seats.watch_level(state, cause), cause)
    state, doubts = rolls.watch_doubts(state, cause)
    handoffs = (
        *doubts,
        *not_expected(cause.subject_id, after),
        *seats.leave(state, SeatReleaseReason.EPISODE_CLOSED, cause),
    )
    return Decision(state, (*events, *cleared), handoffs)


def _to_come(state: EpisodeState, at: datetime) -> tuple[str, ...]:
    """The sessions after an instant at which the person is still expected."""
    return tuple(
        key for key, booking in state.bookings.items() if booking.open and booking.starts_at > at
    )


def expected_again(state: EpisodeState, since: datetime, cause: Cause) -> Handoffs:
    """The sessions after an instant have the person on their rosters again."""
    back = BackOnRoster(episode_id=cause.subject_id)
    return tuple(Handoff(f"session/{key}", back) for key in _to_come(state, since))


def _put_aside(before: EpisodeState, after: EpisodeState, cause: Cause) -> EpisodeState:
    known = after.ending or Ending()
    removed = tuple(label for label in before.weeks if label not in after.weeks)
    kept = known.replace(weeks=tuple(dict.fromkeys((*known.weeks, *removed))))
    return seats.with_seats_aside(endings.put_aside(before, after.replace(ending=kept)), cause)


def discharge_undone(
    state: EpisodeState, event: plans.DischargeUndone, cause: Cause
) -> Decision[EpisodeState]:
    """The person is here: seats are asked for again, sessions and weeks go on, and so does whatever was open."""
    was = state.ending or Ending()
    state = state.replace(discharged_at=None, ending=None)
    if state.admission is None:
        return Decision(state.replace(aside=None))
    gap = Gap(since=was.since or event.discharged_at, until=cause.now, without_seat=bool(was.seats))
    state = state.replace(gaps=(*state.gaps, gap))
    state, escalated = endings.take_up(state)
    state, evaluated = weeks.go_on(state, was.weeks, cause)
    state = seats.watch_level(absences.watched(state), cause)
    state, settled = specimens.go_on(state, cause)
    meanwhile = rolls.caught_up(state, cause)
    counted = circumstances.go_on(meanwhile.state, was.never_away, cause)
    handoffs = (
        *meanwhile.handoffs,
        *counted.handoffs,
        *seats.asked_again(was.seats, cause),
        *expected_again(state, event.discharged_at, cause),
    )
    events = (*escalated, *evaluated, *settled, *meanwhile.events, *counted.events)
    return Decision(counted.state, events, handoffs)


def restored(
    state: EpisodeState,
    _event: intake.EpisodeEnteredInErrorUndone | intake.ReferralMergedUndone,
    cause: Cause,
) -> Decision[EpisodeState]:
    """The episode was no mistake: seats are asked for again, rosters and rewards have the person, weeks go on."""
    if state.voided is None:
        return Decision(state)
    since, was = state.voided.at, voiding.before(state)
    back = voiding.go_on(was, state, MEANWHILE, cause)
    state = back.state
    here = tuple(sorted(key for key, booking in state.bookings.items() if booking.is_present))
    state, agreed = rolls.watch_doubts(state.replace(doubted=here), cause)
    handoffs = (
        *back.handoffs,
        *agreed,
        *incentives.given_back(state, cause),
        *seats.asked_again(tuple(was.seats), cause),
        *expected_again(state, since, cause),
    )
    return Decision(state, back.events, handoffs)

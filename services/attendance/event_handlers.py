"""Handlers for other services' events about an episode. Pure, like all rules.

Events of two sources arrive in any order, so each is stored as it is, and what follows from all of them is recomputed.
"""

from __future__ import annotations

from typing import TypeVar

from services.attendance import ending
from services.attendance.episode import absences, rolls, seats, weeks
from services.attendance.episode.episode_state import (
    Admission,
    EpisodeState,
    Prescribed,
    not_expected,
)
from services.attendance.episode.hours import Booking, LevelFrom
from services.attendance.screening import incentives
from shared import loops, voiding
from shared.contracts import intake, plans
from shared.contracts.attendance import LedgerCorrection, SeatReleaseReason
from shared.contracts.codes import ClearedReason
from shared.contracts.event import Event
from shared.contracts.terms import HOUSE
from shared.decision import Cause, Decision, State

P = TypeVar("P", bound=State)

# --- intake ----------------------------------------------------------------------------------------------


def admitted(
    state: EpisodeState, event: intake.PatientAdmitted, cause: Cause
) -> Decision[EpisodeState]:
    """Hours are counted from the day of admission, by the terms of that day."""
    admission = Admission(
        level=event.level,
        population=event.population,
        admitted_at=event.admitted_at,
        time_zone=event.time_zone,
        person_id=event.person_id,
        program=event.program,
        terms=event.terms or HOUSE,
    )
    ended_at = state.discharged_at
    state = weeks.start(state.replace(admission=admission, discharged_at=None), cause)
    state = absences.watched(state)
    state, events = weeks.reconsider(seats.watch_level(state, cause), cause)
    if ended_at is not None:
        ended = ending.ended(state, ended_at, cause)
        state, events = ended.state, (*events, *ended.events)
        expected = ended.handoffs
    else:
        expected = ending.expected_again(state, cause.now, cause)
    heard = rolls.caught_up(state, cause)
    handoffs = (*seats.confirmations(heard.state, cause), *expected, *heard.handoffs)
    return Decision(heard.state, (*events, *heard.events), handoffs)


def oriented(
    state: EpisodeState, event: intake.OrientationCompleted, cause: Cause
) -> Decision[EpisodeState]:
    """The person knows the schedule and the rules: groups are open to them."""
    state, events = weeks.reconsider(state.replace(oriented_at=event.completed_at), cause)
    heard = rolls.caught_up(state, cause)
    return Decision(heard.state, (*events, *heard.events), heard.handoffs)


def person_corrected(
    state: EpisodeState, event: intake.EpisodePersonCorrected, cause: Cause
) -> Decision[EpisodeState]:
    """What happened stands; whose it is changes."""
    if state.admission is None:
        return Decision(state)
    admission = state.admission.replace(person_id=event.person_id)
    ledgers = incentives.moved(state, event.person_id, cause)
    return Decision(state.replace(admission=admission), handoffs=ledgers)


def entered_in_error(
    state: EpisodeState, _event: intake.EpisodeEnteredInError, cause: Cause
) -> Decision[EpisodeState]:
    """The episode should never have been: nothing of it counts, and no loop stays open."""
    why = LedgerCorrection.ENTERED_IN_ERROR
    by = intake.EpisodeEnteredInError
    return _nothing_left(state, ClearedReason.ENTERED_IN_ERROR, why, by, cause)


def merged(
    state: EpisodeState, _event: intake.ReferralMerged, cause: Cause
) -> Decision[EpisodeState]:
    """The person's other episode goes on."""
    why, by = LedgerCorrection.MERGED, intake.ReferralMerged
    return _nothing_left(state, ClearedReason.SUPERSEDED, why, by, cause)


def _nothing_left(
    state: EpisodeState,
    reason: ClearedReason,
    why: LedgerCorrection,
    by: type[Event],
    cause: Cause,
) -> Decision[EpisodeState]:
    before = state
    state, cleared = loops.close_all(state, reason=reason)
    handoffs = not_expected(cause.subject_id, _sessions(state))
    handoffs += rolls.all_doubted(state, cause)
    handoffs += incentives.taken_back(state, why, cause)
    handoffs += seats.leave(state, SeatReleaseReason.EPISODE_CLOSED, cause)
    void = EpisodeState(void=True, team=state.team, seats=state.seats)
    return Decision(voiding.put_aside(before, void, by, cause), cleared, handoffs)


def admission_undone(
    state: EpisodeState, _event: intake.AdmissionUndone, cause: Cause
) -> Decision[EpisodeState]:
    """The person is where they were before: what the admission began is removed. What plans published stays.

    Bookings stay too, as whatever another record told: they count for the admission that is entered instead. Somebody
    looks at the rolls that have the person meanwhile.
    """
    state, cleared = loops.close_all(state, reason=ClearedReason.WITHDRAWN)
    handoffs = not_expected(cause.subject_id, _sessions(state))
    handoffs += incentives.taken_back(state, LedgerCorrection.ADMISSION_UNDONE, cause)
    handoffs += seats.leave(state, SeatReleaseReason.WITHDRAWN, cause)
    before = EpisodeState(
        team=state.team,
        seats=state.seats,
        seat_times=state.seat_times,
        gaps=state.gaps,
        waiting=state.waiting,
        away=state.away,
        discharged_at=state.discharged_at,
        ending=state.ending,
        graduated_at=state.graduated_at,
        transferring=state.transferring,
        transferred_at=state.transferred_at,
        levels=state.levels,
        prescribed=state.prescribed,
        co_occurring=state.co_occurring,
        ancillary=state.ancillary,
        expected=state.expected,
        bookings={key: _unsaid(one) for key, one in state.bookings.items()},
        days_closed=state.days_closed,
        doubted=state.doubted,
    )
    before, doubts = rolls.watch_doubts(before, cause)
    return Decision(before, cleared, (*doubts, *handoffs))


def _unsaid(booking: Booking) -> Booking:
    """What was published of it was of the admission that never was; it is published anew with the one that holds."""
    since = None if booking.said is None else booking.starts_at
    return booking.replace(unsaid_since=booking.unsaid_since or since)


def _sessions(state: EpisodeState) -> tuple[str, ...]:
    """The sessions at which the person is still expected."""
    return tuple(key for key, booking in state.bookings.items() if booking.open)


# --- plans -----------------------------------------------------------------------------------------------


def level_changed(
    state: EpisodeState, event: plans.LevelOfCareChanged, cause: Cause
) -> Decision[EpisodeState]:
    """Another level asks for other hours, from the day on which it takes effect."""
    change = LevelFrom(level=event.to_level, effective_at=event.effective_at)
    levels = tuple(sorted([*state.levels, change], key=lambda one: one.effective_at))
    state = seats.watch_level(state.replace(levels=levels), cause)
    state, events = weeks.reconsider(state, cause)
    state, released = seats.moved(state, cause)
    return Decision(state, events, released)


def level_change_undone(
    state: EpisodeState, event: plans.LevelOfCareChangeUndone, cause: Cause
) -> Decision[EpisodeState]:
    """The level before holds, in weeks that are over too. Seats that the wrong one took are asked for again."""
    wrong = [
        one
        for one in state.levels
        if one.level == event.to_level and one.effective_at == event.effective_at
    ]
    if not wrong:
        return Decision(state)
    levels = tuple(one for one in state.levels if one is not wrong[-1])
    state = seats.watch_level(state.replace(levels=levels), cause)
    state, events = weeks.reconsider(state, cause)
    state, projected, *_ = weeks.projected_late(state, cause)
    state, released = seats.moved(state, cause)
    again = () if seats.gone(state) else seats.asked_again(wrong[-1].seats, cause)
    return Decision(state, (*events, *projected), (*released, *again))


def expected_analytes_updated(
    state: EpisodeState, event: plans.ExpectedAnalytesUpdated, _cause: Cause
) -> Decision[EpisodeState]:
    """What is prescribed is expected in a screen."""
    return Decision(state.replace(expected=event.analytes))


def plan_activated(
    state: EpisodeState, event: plans.TreatmentPlanActivated, _cause: Cause
) -> Decision[EpisodeState]:
    """The plan's services are what is to be scheduled; a person's week shows them beside what is booked."""
    prescribed = Prescribed(plan_id=event.plan_id, version=event.version, services=event.services)
    return Decision(state.replace(prescribed=prescribed))


def plan_reviewed(
    state: EpisodeState, event: plans.TreatmentPlanReviewed, _cause: Cause
) -> Decision[EpisodeState]:
    """The plan has another version; its services stand until it is signed anew."""
    services = () if state.prescribed is None else state.prescribed.services
    prescribed = Prescribed(
        plan_id=event.plan_id,
        version=event.version,
        services=services,
        decision=event.decision.value,
    )
    return Decision(state.replace(prescribed=prescribed))


def co_occurring_need(
    state: EpisodeState, event: plans.CoOccurringNeedIdentified, _cause: Cause
) -> Decision[EpisodeState]:
    """Staff who choose sessions for the person see what these have to suit."""
    needs = {**state.co_occurring, event.category.value: event.enhanced_program_needed}
    return Decision(state.replace(co_occurring=needs))

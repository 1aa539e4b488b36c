"""Moving on: another level here, or another place. Somebody owns each move until the person has arrived.

Movement follows reassessed dimensions, not a fixed length of stay: docs/domain.md 2.7 (Continued service).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from services.plans import episode_state, graduation, tables, transfers
from services.plans.episode_state import EpisodeState, LevelTaken, Outbound, PendingLevel
from shared import endings, loops
from shared.contracts import intake, plans
from shared.contracts.codes import Dimension, LevelOfCare, PlansLoop, Value
from shared.contracts.event import OpenEnum
from shared.contracts.intake import ReferralOutcome
from shared.contracts.plans import Direction, DischargeKind
from shared.decision import Cause, Decision
from shared.errors import Invalid, Refused
from shared.loops import Loop

FIRST_SESSION_WITHIN: Final = timedelta(days=7)
"""After a step down, the first session at the new level follows within seven days. House rule."""
PLANNED_AHEAD_MAX: Final = timedelta(days=90)


class StepDownReason(OpenEnum):
    """Why a person steps down although not everything that is looked at is met."""

    CLINICAL_JUDGEMENT = "clinical_judgement"
    PATIENT_CHOICE = "patient_choice"
    PAYER = "payer"
    COURT_ORDER = "court_order"
    UNKNOWN = "unknown"


class NewLevel(Value):
    """What a change of level contains."""

    to_level: LevelOfCare
    direction: Direction
    effective_at: datetime | None = None
    drivers: tuple[Dimension, ...] | None = None
    elsewhere: bool = False
    supports_verified: bool = False
    appointment_at: datetime | None = None
    although: StepDownReason | None = None


# --- level of care ----------------------------------------------------------------------------------------


def change_level(state: EpisodeState, new: NewLevel, cause: Cause) -> Decision[EpisodeState]:
    """Decide for another level of care: here, from a moment on, or in another place, by a hand-over."""
    admission = episode_state.in_treatment(state)
    if new.to_level == admission.level:
        raise Invalid(
            "level-unchanged", "The person is at this level already.", hint="Name another level."
        )
    if new.direction is not tables.direction(admission.level, new.to_level):
        raise Invalid(
            "direction-wrong",
            "This level does not lie in this direction.",
            hint="Read the episode's level, and name direction and level that agree.",
        )
    if state.transfer is not None:
        raise Refused(
            "transfer-open",
            "The person is being handed over.",
            hint="Record the first contact, or take the transfer back: POST /episodes/{id}/transfer/undo.",
        )
    residential = tables.setting(new.to_level) >= tables.RESIDENTIAL
    if residential and not new.elsewhere:
        raise Refused(
            "level-needs-transfer",
            "An outpatient program does not offer this level.",
            hint="Recommend it elsewhere, refer the person, and hand them over.",
        )
    effective_at = new.effective_at or cause.now
    if not cause.now <= effective_at <= cause.now + PLANNED_AHEAD_MAX:
        raise Invalid(
            "effective-at-out-of-range",
            "A level changes now or within the next ninety days.",
            hint="Leave the time out for a change that holds from now on.",
        )
    if new.direction is Direction.DOWN and not new.elsewhere:
        _ready_to_step_down(state, new, effective_at, cause)
    recommended = plans.LevelOfCareChangeRecommended(
        direction=new.direction,
        from_level=admission.level,
        to_level=new.to_level,
        drivers=state.drivers if new.drivers is None else new.drivers,
        effective_at=None if new.elsewhere else effective_at,
    )
    waited, drivers = _before_it(state, cause)
    state = state.replace(drivers=recommended.drivers, level_change=None).disarm("level-effective")
    if new.elsewhere:
        state, cleared = loops.close(state, PlansLoop.LEVEL_CHANGE, cause.subject_id)
        return Decision(
            loops.open_loop(state, PlansLoop.TRANSFER, cause.subject_id, cause),
            (recommended, *cleared),
        )
    pending = PendingLevel(
        to_level=new.to_level,
        effective_at=effective_at,
        drivers=recommended.drivers,
        drivers_before=drivers,
        waited=waited,
    )
    if effective_at > cause.now:
        state = loops.open_loop(
            state,
            PlansLoop.LEVEL_CHANGE,
            cause.subject_id,
            cause,
            deadline_at=effective_at + episode_state.ARRIVAL_GRACE,
        )
        state = state.replace(level_change=pending).arm("level-effective", effective_at)
        return Decision(state, (recommended,))
    state, events = _take_effect(state, pending, cause)
    return Decision(state, (recommended, *events))


def _before_it(state: EpisodeState, cause: Cause) -> tuple[Loop | None, tuple[Dimension, ...]]:
    """Who was to move the person, and what drove the level, before any change that is decided and to come."""
    if state.level_change is not None:
        return state.level_change.waited, state.level_change.drivers_before
    loop = state.loop(PlansLoop.LEVEL_CHANGE, cause.subject_id)
    return (None if loop is None else loop.shown), state.drivers


def _ready_to_step_down(
    state: EpisodeState, new: NewLevel, effective_at: datetime, cause: Cause
) -> None:
    """Drivers resolved for a sustained period, hours and goals met, supports verified, next appointment booked.

    House rule, docs/domain.md 3.12 (Exit); a clinician may decide otherwise, and gives the reason by a code.
    """
    if new.although is not None:
        return
    at = new.appointment_at
    booked = at is not None and effective_at <= at <= effective_at + FIRST_SESSION_WITHIN
    asserted = {"supports-verified": new.supports_verified}
    results = [
        result.replace(met=booked) if result.code == "appointment-booked" else result
        for result in graduation.judged(state, tables.STEP_DOWN, asserted, cause)
    ]
    missing = graduation.unmet(tuple(results))
    if missing:
        raise Refused(
            "step-down-criteria-not-met",
            f"Not everything that is looked at before a step down is met: {missing}.",
            hint="Wait until it is, or say by a code why the person steps down all the same.",
        )


def level_effective(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
    """The moment has come from which the new level holds."""
    if state.level_change is None:
        return Decision(state)
    state, events = _take_effect(state, state.level_change, cause)
    return Decision(state, events)


def _take_effect(
    state: EpisodeState, pending: PendingLevel, cause: Cause
) -> episode_state.StateAndEvents:
    """From here on another threshold holds. After a step down, somebody sees to the first session at the new level."""
    admission = episode_state.in_treatment(state)
    changed = plans.LevelOfCareChanged(
        from_level=admission.level,
        to_level=pending.to_level,
        effective_at=pending.effective_at,
    )
    down = tables.direction(admission.level, pending.to_level) is Direction.DOWN
    moved = admission.replace(level=pending.to_level)
    waiting = state.loop(PlansLoop.NEXT_APPOINTMENT, cause.subject_id)
    taken = LevelTaken(
        from_level=admission.level,
        change=pending,
        next_appointment=None if waiting is None else waiting.shown,
        first_session=state.first_session,
    )
    state, cleared = loops.close(
        state.replace(admission=moved, level_change=None), PlansLoop.LEVEL_CHANGE, cause.subject_id
    )
    state = state.replace(first_session=None, levels_taken=(*state.levels_taken, taken))
    if down:
        state = loops.open_loop(
            state,
            PlansLoop.NEXT_APPOINTMENT,
            cause.subject_id,
            cause,
            deadline_at=pending.effective_at + FIRST_SESSION_WITHIN,
        )
    state, came = watch_first_session(state, cause)
    return state, (changed, *cleared, *came)


def watch_first_session(state: EpisodeState, cause: Cause) -> episode_state.StateAndEvents:
    """The first session since the step down closes the gap; when it was none, the gap is open as it was."""
    last_at, closed = state.last_session_at, state.first_session
    loop = state.loop(PlansLoop.NEXT_APPOINTMENT, cause.subject_id)
    if loop is not None and last_at is not None and last_at >= loop.opened_at:
        return loops.close_all(state.replace(first_session=loop.shown), (loop,))
    if closed is None or state.discharged is not None:
        return state, ()
    if last_at is not None and last_at >= closed.opened_at:
        return state, ()
    return endings.reopened(state.replace(first_session=None), (closed,))


# --- another place ----------------------------------------------------------------------------------------


def referral_sent(
    state: EpisodeState, event: intake.ReferralSent, _cause: Cause
) -> Decision[EpisodeState]:
    """A partner is asked; a hand-over can only follow what it was asked for."""
    outbound = Outbound(
        to_facility_id=event.target_facility_id,
        to_level=event.target_level,
    )
    return Decision(state.replace(outbound={**state.outbound, event.referral_id: outbound}))


def referral_accepted(
    state: EpisodeState, event: intake.PartnerReferralAccepted, cause: Cause
) -> Decision[EpisodeState]:
    """The partner will take the person. Where a hand-over was decided, it is now to be arranged within a day."""
    state = _with_answer(state, event.referral_id, accepted=True)
    state = transfers.also_waited(state, lambda never: _arranged_soon(never, cause))
    return Decision(state if state.transfer is not None else _arranged_soon(state, cause))


def _arranged_soon(state: EpisodeState, cause: Cause) -> EpisodeState:
    waiting = state.loop(PlansLoop.TRANSFER, cause.subject_id)
    if waiting is None:
        return state
    soon = min(waiting.deadline_at, cause.now + episode_state.ARRIVAL_GRACE)
    return loops.open_loop(state, PlansLoop.TRANSFER, cause.subject_id, cause, deadline_at=soon)


def referral_rejected(
    state: EpisodeState, event: intake.PartnerReferralRejected, cause: Cause
) -> Decision[EpisodeState]:
    """The partner will not take the person after all: another place has to be found."""
    return _fall_back(_with_answer(state, event.referral_id), event.referral_id, cause)


def referral_closed(
    state: EpisodeState, event: intake.ReferralLoopClosed, cause: Cause
) -> Decision[EpisodeState]:
    """What became of a referral. Unless the person was admitted there, this program still has them."""
    if event.referral_id not in state.outbound:
        return Decision(state)
    admitted = event.outcome is ReferralOutcome.ADMITTED
    state = _with_answer(state, event.referral_id, accepted=admitted, closed=True)
    return Decision(state) if admitted else _fall_back(state, event.referral_id, cause)


def _with_answer(
    state: EpisodeState, referral_id: str, *, accepted: bool = False, closed: bool = False
) -> EpisodeState:
    known = state.outbound.get(referral_id)
    if known is None:
        return state
    known = known.replace(accepted=accepted, closed=closed)
    return state.replace(outbound={**state.outbound, referral_id: known})


def _fall_back(state: EpisodeState, referral_id: str, cause: Cause) -> Decision[EpisodeState]:
    """A hand-over that rested on this referral is off; the person is still here, and somebody looks for a place."""
    under_way = state.transfer
    if under_way is None or under_way.referral_id != referral_id:
        return Decision(state)
    state = loops.open_loop(
        state.replace(transfer=None), PlansLoop.TRANSFER, cause.subject_id, cause
    )
    event = plans.TransferFellThrough(
        to_facility_id=under_way.to_facility_id,
        handoff_at=under_way.handoff_at,
        fell_through_at=cause.now,
    )
    return Decision(state, (event,))


def first_contact(
    state: EpisodeState, first_contact_at: datetime, cause: Cause
) -> Decision[EpisodeState]:
    """The receiving facility has seen the person: only now does this program's responsibility end."""
    episode_state.in_treatment(state)
    under_way = state.transfer
    if under_way is None:
        raise Refused(
            "no-transfer-open",
            "No transfer is under way.",
            hint="Start the transfer to the partner that accepted.",
        )
    if first_contact_at > cause.now:
        raise Invalid(
            "first-contact-in-the-future",
            "First contact is recorded once it was made.",
            hint="Send it when the receiving facility has seen the person.",
        )
    completed = plans.TransferCompleted(
        to_facility_id=under_way.to_facility_id,
        to_level=under_way.to_level,
        consent_id=under_way.consent_id,
        handoff_at=under_way.handoff_at,
        first_contact_at=first_contact_at,
    )
    before = state
    state, cleared = loops.close(state, PlansLoop.TRANSFER, cause.subject_id)
    ended = graduation.end(state, DischargeKind.TRANSFERRED, cause, before=before)
    ending = ended.state.ending
    if ending is not None:
        ending = ending.replace(first_contact_at=first_contact_at)
    return Decision(ended.state.replace(ending=ending), (completed, *cleared, *ended.events))

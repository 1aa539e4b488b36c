"""Ends of an episode and changes of level that are taken back: the episode goes on as if they had not been.

What passed meanwhile is looked at by a clinician: a review asks for it, and stays open until it is done.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from services.plans import episode_state, level_changes, reviews, tables, treatment_plan
from services.plans.episode_state import Ending, EpisodeState, LevelTaken, PendingLevel
from services.plans.late_facts import LATE
from shared import endings, loops
from shared.contracts import plans
from shared.contracts.codes import ClearedReason, LevelOfCare, MistakeReason, PlansLoop
from shared.contracts.plans import Direction, DischargeKind, ReviewTrigger
from shared.decision import Cause, Decision, Events
from shared.errors import NotYetKnown, Refused

EVERY_KIND: Final = frozenset(DischargeKind)
GRADUATION: Final = frozenset({DischargeKind.GRADUATED})
FIRST_CONTACT: Final = frozenset({DischargeKind.TRANSFERRED})


def undo_discharge(
    state: EpisodeState,
    reason: MistakeReason,
    cause: Cause,
    *,
    kinds: Collection[DischargeKind] = EVERY_KIND,
) -> Decision[EpisodeState]:
    """Take back the end that stands, with what led to it: a graduation, or the first contact elsewhere."""
    ending = _standing(state, kinds)
    late = () if state.aside is None else state.aside.late
    state, escalated = endings.take_up(state)
    again = {
        key: item.replace(open=True) if key in ending.reviews else item
        for key, item in state.reviews.items()
    }
    state = state.replace(
        discharged=None,
        ending=None,
        reviews=again,
        amendment=ending.amendment,
        level_change=ending.level_change,
        transfer=ending.transfer,
    )
    undone = plans.DischargeUndone(
        kind=ending.kind, discharged_at=ending.discharged_at, reason=reason
    )
    facts = (*_what_led_to_it(ending, reason), undone, *escalated)
    state, cleared = level_changes.watch_first_session(state, cause)
    meanwhile = LATE.replay(treatment_plan.expect_plan(state, cause), late, cause)
    looked_at = reviews.request(
        meanwhile.state, ReviewTrigger.DISCHARGE_UNDONE, cause, gap_from_at=ending.discharged_at
    )
    return Decision(looked_at.state, (*facts, *cleared, *meanwhile.events, *looked_at.events))


def _standing(state: EpisodeState, kinds: Collection[DischargeKind]) -> Ending:
    episode_state.in_record(state)
    if state.admission is None:
        raise NotYetKnown("episode")
    if state.ending is None:
        raise Refused(
            "not-discharged", "The episode has not ended.", hint="There is no end to take back."
        )
    if state.ending.kind not in kinds:
        raise Refused(
            "ended-otherwise",
            "The episode ended in another way.",
            hint="Take back the end itself: POST /episodes/{id}/discharge/undo.",
        )
    return state.ending


def _what_led_to_it(ending: Ending, reason: MistakeReason) -> Events:
    at = ending.discharged_at
    if ending.kind is DischargeKind.GRADUATED:
        return (plans.GraduationUndone(graduated_at=at, reason=reason),)
    if ending.transfer is not None and ending.first_contact_at is not None:
        return (
            plans.FirstContactUndone(
                first_contact_at=ending.first_contact_at,
                handoff_at=ending.transfer.handoff_at,
                reason=reason,
            ),
        )
    return ()


def undo_transfer(
    state: EpisodeState, reason: MistakeReason, _cause: Cause
) -> Decision[EpisodeState]:
    """Take back a hand-over that is under way: what was waited for before it is waited for again."""
    if state.ending is not None and state.ending.first_contact_at is not None:
        raise Refused(
            "no-transfer-open",
            "The receiving facility has seen the person, so that the transfer is over.",
            hint="Take that back first: POST /episodes/{id}/transfer/first-contact/undo.",
        )
    episode_state.in_treatment(state)
    under_way = state.transfer
    if under_way is None:
        raise Refused(
            "no-transfer-open",
            "No transfer is under way.",
            hint="There is nothing left to do; a transfer that is only asked for begins when intake allows it.",
        )
    event = plans.TransferUndone(
        to_facility_id=under_way.to_facility_id, handoff_at=under_way.handoff_at, reason=reason
    )
    begun = state.loops_of(PlansLoop.TRANSFER)
    state, cleared = loops.close_all(state, begun, ClearedReason.ENTERED_IN_ERROR)
    state = state.replace(transfer=None, level_change=under_way.level_change)
    state, escalated = endings.reopened(state, under_way.waited.values())
    if under_way.level_change is not None:
        state = state.arm("level-effective", under_way.level_change.effective_at)
    return Decision(state, (event, *cleared, *escalated))


def undo_level_change(
    state: EpisodeState, reason: MistakeReason, cause: Cause
) -> Decision[EpisodeState]:
    """Take back the last change of level: one that is still to take effect, else the one that did.

    Earlier ones follow one by one. Where it took effect, a clinician looks at the time at the wrong level.
    """
    admission = episode_state.in_treatment(state)
    if state.transfer is not None:
        raise Refused(
            "transfer-open",
            "The person is being handed over.",
            hint="Take the transfer back first: POST /episodes/{id}/transfer/undo.",
        )
    to_come = state.level_change
    if to_come is not None:
        state = state.replace(level_change=None).disarm("level-effective")
        state, events = _as_before(state, to_come, cause)
        return Decision(state, (_undone(admission.level, to_come, reason), *events))
    if not state.levels_taken:
        raise Refused(
            "level-not-changed",
            "No change of level is on record.",
            hint="There is nothing to take back; a wrong level at admission is taken back with the admission.",
        )
    *earlier, last = state.levels_taken
    state = state.replace(
        admission=admission.replace(level=last.from_level),
        levels_taken=tuple(earlier),
        first_session=last.first_session,
    )
    state, events = _as_before(state, last.change, cause)
    state, waiting = _first_session_before(state, last, cause)
    looked_at = reviews.request(
        state,
        ReviewTrigger.LEVEL_CHANGE_UNDONE,
        cause,
        gap_from_at=last.change.effective_at,
    )
    undone = _undone(last.from_level, last.change, reason)
    return Decision(looked_at.state, (undone, *events, *waiting, *looked_at.events))


def _undone(
    from_level: LevelOfCare, change: PendingLevel, reason: MistakeReason
) -> plans.LevelOfCareChangeUndone:
    return plans.LevelOfCareChangeUndone(
        from_level=from_level,
        to_level=change.to_level,
        effective_at=change.effective_at,
        reason=reason,
    )


def _as_before(
    state: EpisodeState, change: PendingLevel, cause: Cause
) -> episode_state.StateAndEvents:
    """What drove the level drives it again, unless it was said anew; who was to move the person is to do so again."""
    if state.drivers == change.drivers:
        state = state.replace(drivers=change.drivers_before)
    state, cleared = loops.close(
        state, PlansLoop.LEVEL_CHANGE, cause.subject_id, ClearedReason.ENTERED_IN_ERROR
    )
    if change.waited is None:
        return state, cleared
    state, escalated = endings.reopened(state, (change.waited,))
    return state, (*cleared, *escalated)


def _first_session_before(
    state: EpisodeState, taken: LevelTaken, cause: Cause
) -> episode_state.StateAndEvents:
    """Nobody waits for a first session after a step down that was none; who waited before it does again."""
    events: Events = ()
    if tables.direction(taken.from_level, taken.change.to_level) is Direction.DOWN:
        state, cleared = loops.close(
            state, PlansLoop.NEXT_APPOINTMENT, cause.subject_id, ClearedReason.ENTERED_IN_ERROR
        )
        waited = () if taken.next_appointment is None else (taken.next_appointment,)
        state, escalated = endings.reopened(state, waited)
        events = (*cleared, *escalated)
    state, came = level_changes.watch_first_session(state, cause)
    return state, (*events, *came)

"""From where the person came: an emergency visit, or a bed they left. Pure; no clock, no ids, no I/O.

It starts the clocks of FUA and FUI (`measures.py`). The referrer implies it first; what staff report outranks that.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from services.followup.episode import contact
from services.followup.episode.episode_state import EpisodeState, StateAndEvents, Transition
from services.followup.measures.measures import Measure
from shared import calendar
from shared.contracts import followup, intake
from shared.contracts.codes import MistakeReason
from shared.contracts.followup import TransitionKind
from shared.contracts.intake import PartnerKind
from shared.decision import Cause, Decision, derive_id
from shared.errors import Invalid, Refused
from shared.retractions import holding, taken_back

MEASURED_BY: Final = {
    TransitionKind.ED_VISIT: Measure.FUA,
    TransitionKind.INPATIENT_DISCHARGE: Measure.FUI,
    TransitionKind.RESIDENTIAL_DISCHARGE: Measure.FUI,
    TransitionKind.WM_DISCHARGE: Measure.FUI,
}
REFERRED_FROM: Final = {
    PartnerKind.EMERGENCY_DEPARTMENT: TransitionKind.ED_VISIT,
    PartnerKind.RESIDENTIAL: TransitionKind.RESIDENTIAL_DISCHARGE,
    PartnerKind.WITHDRAWAL_MANAGEMENT: TransitionKind.WM_DISCHARGE,
}
"""A referral back from such a place means that the person leaves it, as at the end of docs/domain.md scenario 13."""
TRANSITIONS_MAX: Final = 50
STATED_WITHIN: Final = timedelta(days=366)
"""How far back a report may reach: later, no clock could be met any more."""


def inferred(state: EpisodeState) -> tuple[Transition, ...]:
    """What follows from who referred the person, unless staff have stated a day for the same measure."""
    if state.referral is None:
        return ()
    kind = REFERRED_FROM.get(state.referral.source_kind)
    if kind is None or any(
        MEASURED_BY[stated.kind] is MEASURED_BY[kind] and _about_the_same(stated.on, state)
        for stated in state.transitions
    ):
        return ()
    return (
        Transition(kind=kind, on=calendar.local_day(state.referral.received_at, state.time_zone)),
    )


def _about_the_same(stated_on: date, state: EpisodeState) -> bool:
    """A day stated near the referral corrects it; one far from it is another stay."""
    if state.referral is None:
        return False
    return abs(
        stated_on - calendar.local_day(state.referral.received_at, state.time_zone)
    ) <= timedelta(days=30)


def report(
    state: EpisodeState, kind: TransitionKind, on: date, cause: Cause
) -> Decision[EpisodeState]:
    """Staff report an emergency visit or a discharge elsewhere. Reporting the same again changes nothing."""
    contact.must_be_known(state)
    contact.must_have_come(on, state, cause)
    today = calendar.local_day(cause.now, state.time_zone)
    if today - on > STATED_WITHIN:
        raise Invalid(
            "day-too-long-ago",
            "The day lies more than a year back.",
            hint="Report what a follow-up can still be measured from.",
        )
    if len(state.transitions) >= TRANSITIONS_MAX:
        raise Refused(
            "too-many-transitions",
            "More transitions than an episode can hold.",
            hint="Take back what was reported by mistake: POST /transitions/undo.",
        )
    return Decision(*add(state, kind, on, cause))


def add(state: EpisodeState, kind: TransitionKind, on: date, cause: Cause) -> StateAndEvents:
    """Remember it once."""
    stated = Transition(kind=kind, on=on, stated=True)
    if stated in state.transitions:
        return state, ()
    known = sorted((*state.transitions, stated), key=lambda t: (t.on, t.kind.value))
    state = state.replace(transitions=tuple(known))
    reported = followup.TransitionReported(
        transition_id=_id(kind, on, cause), kind=kind, occurred_on=on
    )
    return state, (reported,)


def _id(kind: TransitionKind, on: date, cause: Cause) -> str:
    """What events call the report: an episode has one of a kind and day."""
    return derive_id("transition", cause.subject, kind.value, on.isoformat())


def undo(
    state: EpisodeState, kind: TransitionKind, on: date, reason: MistakeReason, cause: Cause
) -> Decision[EpisodeState]:
    """A report was a mistake: no clock counts from it."""
    contact.must_be_known(state)
    stated = {f"{one.kind.value}/{one.on}": one for one in state.transitions}
    key = f"{kind.value}/{on}"
    wrong = holding(state, stated, key, "transition")
    left = tuple(one for one in state.transitions if one != wrong)
    state = taken_back(state.replace(transitions=left), key, "transition")
    undone = followup.TransitionUndone(
        transition_id=_id(kind, on, cause), kind=kind, occurred_on=on, reason=reason
    )
    return Decision(state, (undone,))


def danger(
    state: EpisodeState, event: intake.ImminentDangerIdentified, at: datetime, cause: Cause
) -> StateAndEvents:
    """Danger found at an assessment, and answered with the emergency department."""
    if event.action is not intake.EmergencyAction.EMERGENCY_DEPARTMENT:
        return state, ()
    return add(state, TransitionKind.ED_VISIT, calendar.local_day(at, state.time_zone), cause)

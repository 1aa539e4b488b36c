"""The rules of followup: contact, silence, and reaching out. Pure: no clock, no ids, no I/O.

Contact is what counts, by its own time and not by when it was heard of: a session attended before the latest
miss does not end the reaching out for that miss, however late its roll is called. Time limits are house rules,
defaults of the domain reference, section 3 ("Absence").
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Literal

from pydantic import Field

from services.followup.cadence import Window
from shared.contracts import attendance, followup, intake, plans
from shared.contracts.codes import ClearedReason, FollowupLoop, Role, Value
from shared.contracts.followup import AttemptResult, Channel, FollowupEvent, OutreachCause
from shared.contracts.plans import DischargeKind
from shared.decision import Cause, Decision, State
from shared.errors import NotYetKnown, Refused

REACH_WITHIN: Final = timedelta(hours=24)
"""From a missed session to contact; then every day a tier up."""
TIER_CLINICIAN: Final = 2
"""Two absences in a row: a clinician calls."""
TIER_CONFERENCE: Final = 3
"""Three absences in a row, or a week of silence: a retention conference. The highest tier."""
CONFERENCE_ABSENCES: Final = 3
CONFERENCE_DAYS_SILENT: Final = 7
LOST_AFTER: Final = timedelta(days=30)
OWNERS: Final = (Role.COUNSELOR, Role.COUNSELOR, Role.CLINICIAN, Role.CLINICAL_SUPERVISOR)
"""Who owns an outreach, by tier reached."""
NO_CONTACT: Final = frozenset({DischargeKind.DECEASED, DischargeKind.INCARCERATED})
"""Ways to leave after which nobody is called. An unknown way is not among them: better a call too many."""


class Admission(Value):
    """What intake said at admission, as far as followup needs it."""

    admitted_at: datetime
    time_zone: str


class Draft(Value):
    """The aftercare plan that plans drafted."""

    aftercare_plan_id: str
    elements: tuple[str, ...] = ()


class Discharge(Value):
    """How and when the episode ended. Everything after it is counted from here."""

    kind: DischargeKind
    discharged_at: datetime


class Loop(Value):
    """An open loop: something someone owns. `steps` counts the deadlines missed."""

    loop_id: str
    steps: int = 0


class Outreach(Value):
    """Someone is being reached out to. Contact at or after `since` ends it."""

    loop_id: str
    cause: OutreachCause
    since: datetime
    tier: int = 0
    attempts: int = 0
    channels: tuple[Channel, ...] = ()


class CheckIn(Value):
    """One check-in of the calendar."""

    window: Window
    attempts: int = 0
    settled: Literal["done", "missed"] | None = None
    """How it ended; None while it is waited for."""


class Aftercare(Value):
    """The year after discharge. `check_ins` is in the order of the calendar."""

    aftercare_plan_id: str
    check_ins: dict[str, CheckIn]
    completed_at: datetime | None = None


class Reengagement(Value):
    """The way back into care."""

    loop: Loop
    reassessment_due_at: datetime


class EpisodeState(State):
    """What followup knows of one episode."""

    admission: Admission | None = None
    draft: Draft | None = None
    discharge: Discharge | None = None
    contact_at: datetime | None = None
    """The last time the person was there or was reached; admission and discharge stand in for it."""
    outreach: Outreach | None = None
    lost: Loop | None = None
    missing_fact: Loop | None = None
    referrals_open: tuple[str, ...] = ()
    reviews_open: tuple[str, ...] = ()
    screens_failed: int = 0
    """A reason to look more closely; nothing follows from it by itself."""
    aftercare: Aftercare | None = None
    readmitted: bool = False
    """A later episode has taken over; the check-ins that remain are superseded."""
    risks: dict[str, Loop] = Field(default_factory=dict[str, Loop])
    reengagement: Reengagement | None = None


Step = tuple[EpisodeState, tuple[FollowupEvent, ...]]
"""A state and what is said on the way to it: what one rule hands to the next."""


# --- what others say, only remembered -------------------------------------------------------------------


def referral_sent(
    state: EpisodeState, event: intake.ReferralSent, _cause: Cause
) -> Decision[EpisodeState]:
    """A partner is asked to take the person."""
    return Decision(state.but(referrals_open=(*state.referrals_open, event.referral_id)))


def referral_closed(
    state: EpisodeState, event: intake.ReferralLoopClosed, _cause: Cause
) -> Decision[EpisodeState]:
    """It is known what became of a referral. The inbound one was never among ours."""
    return Decision(state.but(referrals_open=_without(state.referrals_open, event.referral_id)))


def review_requested(
    state: EpisodeState, event: plans.ClinicalReviewRequested, _cause: Cause
) -> Decision[EpisodeState]:
    """A clinician is to look at something."""
    return Decision(state.but(reviews_open=(*state.reviews_open, event.review_id)))


def review_completed(
    state: EpisodeState, event: plans.ClinicalReviewCompleted, _cause: Cause
) -> Decision[EpisodeState]:
    """A clinician has looked."""
    return Decision(state.but(reviews_open=_without(state.reviews_open, event.review_id)))


def screen_failed(
    state: EpisodeState, _event: attendance.ScreenFailed, _cause: Cause
) -> Decision[EpisodeState]:
    """Heightened attention, and no more: plans asks for the review."""
    return Decision(state.but(screens_failed=state.screens_failed + 1))


def _without(ids: tuple[str, ...], gone: str) -> tuple[str, ...]:
    return tuple(one for one in ids if one != gone)


# --- contact and silence --------------------------------------------------------------------------------


def session_attended(
    state: EpisodeState, event: attendance.SessionAttended, _cause: Cause
) -> Decision[EpisodeState]:
    """Being there is contact, at the time of the session."""
    return Decision(*in_contact(state, event.starts_at))


def in_contact(state: EpisodeState, at: datetime) -> Step:
    """The person was there, or was reached, at this time: silence and reaching out before it are over."""
    before = silent_since(state)
    found: tuple[FollowupEvent, ...] = ()
    ended: tuple[FollowupEvent, ...] = ()
    state = state.but(contact_at=max(at, state.contact_at or at))
    if before is None or at > before:
        state, found = end_lost(arm_silence(state), ClearedReason.RESOLVED)
    if state.outreach is not None and at >= state.outreach.since:
        state, ended = end_outreach(state, ClearedReason.RESOLVED)
    return state, (*found, *ended)


def silent_since(state: EpisodeState) -> datetime | None:
    """Since when nobody has had contact: the last contact, or admission or discharge when that was later."""
    known = [state.contact_at]
    if state.admission is not None:
        known.append(state.admission.admitted_at)
    if state.discharge is not None and state.discharge.kind is not DischargeKind.LOST_CONTACT:
        known.append(state.discharge.discharged_at)
    return max((at for at in known if at is not None), default=None)


def arm_silence(state: EpisodeState) -> EpisodeState:
    """During the program thirty silent days are waited for; after it, only once a check-in was missed."""
    since = silent_since(state)
    if since is None or state.discharge is not None or state.readmitted:
        return state.disarm("silence")
    return state.arm("silence", since + LOST_AFTER)


def silence(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
    """The deadline of silence has come."""
    return Decision(*lose_contact(state, cause))


def lose_contact(state: EpisodeState, cause: Cause) -> Step:
    """Say once that contact is lost, after thirty silent days. The door stays open."""
    since = silent_since(state)
    if state.lost is not None or since is None or cause.now - since < LOST_AFTER:
        return state, ()
    event = followup.ContactLost(days_silent=(cause.now - since).days)
    return state.but(lost=Loop(loop_id=cause.derive_id("lost-contact"), steps=1)), (event,)


def end_lost(state: EpisodeState, reason: ClearedReason) -> Step:
    """Someone who was lost is found, or is looked for no longer."""
    if state.lost is None:
        return state, ()
    event = cleared(FollowupLoop.LOST_CONTACT, state.lost.loop_id, state.lost.steps, reason)
    return state.but(lost=None), (event,)


# --- reaching out during the program --------------------------------------------------------------------


def session_missed(
    state: EpisodeState, event: attendance.SessionMissed, cause: Cause
) -> Decision[EpisodeState]:
    """An unexcused miss is followed up within a day, unless there was contact since."""
    if event.absence is not attendance.Absence.NO_SHOW or state.discharge is not None:
        return Decision(state)
    if state.contact_at is not None and state.contact_at >= event.starts_at:
        return Decision(state)
    if state.outreach is not None:
        since = max(state.outreach.since, event.starts_at)
        return Decision(state.but(outreach=state.outreach.model_copy(update={"since": since})))
    return Decision(_open(state, OutreachCause.SESSION_MISSED, event.starts_at, cause))


def absence_threshold_reached(
    state: EpisodeState, event: attendance.AbsenceThresholdReached, cause: Cause
) -> Decision[EpisodeState]:
    """Two absences in a row make it a clinician's matter; three, or a silent week, call for a conference."""
    if state.discharge is not None:
        return Decision(state)
    if event.days_silent >= CONFERENCE_DAYS_SILENT:
        # Attendance sees sessions only; a person reached since by other means is not silent.
        since = cause.now - timedelta(days=CONFERENCE_DAYS_SILENT)
        if state.contact_at is None or state.contact_at <= since:
            if state.outreach is None:
                state = _open(state, OutreachCause.ABSENCE_THRESHOLD, since, cause)
            return Decision(*_raise_to(state, TIER_CONFERENCE, cause))
    if event.absences_consecutive >= CONFERENCE_ABSENCES:
        return Decision(*_raise_to(state, TIER_CONFERENCE, cause))
    if event.absences_consecutive >= TIER_CLINICIAN:
        return Decision(*_raise_to(state, TIER_CLINICIAN, cause))
    return Decision(state)


def outreach_due(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
    """A day without contact: a tier up."""
    if state.outreach is None:
        return Decision(state)
    return Decision(
        *escalate(state, OutreachCause.SESSION_MISSED, state.outreach.tier + 1, cause, daily=True)
    )


def _open(state: EpisodeState, why: OutreachCause, since: datetime, cause: Cause) -> EpisodeState:
    outreach = Outreach(loop_id=cause.derive_id("outreach"), cause=why, since=since)
    return state.but(outreach=outreach).arm("outreach", cause.now + REACH_WITHIN)


def _raise_to(state: EpisodeState, tier: int, cause: Cause) -> Step:
    """Only an outreach that is still open is raised: contact has ended the others."""
    if state.outreach is None or state.outreach.tier >= tier:
        return state, ()
    return escalate(state, OutreachCause.ABSENCE_THRESHOLD, tier, cause, daily=True)


def escalate(
    state: EpisodeState, why: OutreachCause, tier: int, cause: Cause, *, daily: bool
) -> Step:
    """Say that an open outreach has reached a tier, and wait another day where there is a next one."""
    if state.outreach is None:
        return state, ()
    raised = state.outreach.model_copy(update={"tier": tier, "cause": why})
    state = state.but(outreach=raised).disarm("outreach")
    if daily and tier < TIER_CONFERENCE:
        state = state.arm("outreach", cause.now + REACH_WITHIN)
    return state, (followup.OutreachEscalated(cause=why, tier=tier),)


def end_outreach(state: EpisodeState, reason: ClearedReason) -> Step:
    """Nobody has to be reached any more; what was announced is taken back."""
    outreach = state.outreach
    if outreach is None:
        return state, ()
    state = state.but(outreach=None).disarm("outreach")
    if not outreach.tier:
        return state, ()
    return state, (cleared(FollowupLoop.OUTREACH, outreach.loop_id, outreach.tier, reason),)


def record_outreach(
    state: EpisodeState, channel: Channel, result: AttemptResult, cause: Cause
) -> Decision[EpisodeState]:
    """Someone tried to reach the person, during the program or after it."""
    reachable(state)
    events: tuple[FollowupEvent, ...] = ()
    if state.outreach is not None:
        channels = tuple(dict.fromkeys((*state.outreach.channels, channel)))
        more = {"attempts": state.outreach.attempts + 1, "channels": channels}
        state = state.but(outreach=state.outreach.model_copy(update=more))
    if result is AttemptResult.REACHED:
        state, events = in_contact(state, cause.now)
    tier = 0 if state.outreach is None else state.outreach.tier
    return Decision(state, events, answer={"tier": tier, "open": state.outreach is not None})


def reachable(state: EpisodeState) -> Admission:
    """The admission of someone who may be called."""
    if state.admission is None:
        raise NotYetKnown("episode")
    if state.discharge is not None and state.discharge.kind in NO_CONTACT:
        raise Refused(
            "no-contact",
            "The episode ended in a way after which nobody is called.",
            way_out="If that was a mistake, have the discharge corrected.",
        )
    return state.admission


# --- ending what is open ---------------------------------------------------------------------------------


def end_reengagement(state: EpisodeState, reason: ClearedReason) -> Step:
    """The way back is no longer waited for."""
    under_way = state.reengagement
    if under_way is None:
        return state, ()
    state = state.but(reengagement=None).disarm("reengagement")
    loop = under_way.loop
    if not loop.steps:
        return state, ()
    return state, (cleared(FollowupLoop.REENGAGEMENT, loop.loop_id, loop.steps, reason),)


def cleared(
    loop: FollowupLoop, loop_id: str, steps: int, reason: ClearedReason
) -> followup.EscalationCleared:
    """What was announced of a loop no longer stands."""
    return followup.EscalationCleared(loop=loop, loop_id=loop_id, step_reached=steps, reason=reason)

"""The episode: the referral that opens it, the loops open in it, and how it ends. Pure: no clock, no ids, no I/O.

Time limits are house rules, docs/domain.md 9.2 (Time limits); none of them is an official rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from pydantic import Field

from services.intake.episode.values import (
    Admission,
    Assessment,
    Outbound,
    Recommendation,
    Referral,
    Seat,
    UseReport,
    Waiting,
)
from services.intake.handoffs import EpisodeEnded, LineLeft
from shared import loops
from shared.contracts import intake, plans
from shared.contracts.codes import (
    ClearedReason,
    IntakeLoop,
    LevelOfCare,
    Role,
    Urgency,
)
from shared.contracts.intake import (
    IntakeEvent,
    ReferralOutcome,
    WaitlistExit,
)
from shared.decision import Cause, Decision, Handoff
from shared.errors import Refused, Unknown
from shared.loops import CareState, Loop, must_stand

ACKNOWLEDGE_WITHIN: Final = {
    Urgency.EMERGENT: timedelta(minutes=30),
    Urgency.URGENT: timedelta(hours=4),
    Urgency.ROUTINE: timedelta(hours=24),
}
"""How soon someone takes a referral on. House rule."""
WITHIN: Final = {
    IntakeLoop.ASSESSMENT: timedelta(days=14),
    IntakeLoop.EMERGENCY_RESPONSE: timedelta(days=1),
    IntakeLoop.RECOMMENDATION: timedelta(days=3),
    IntakeLoop.PLACEMENT: timedelta(days=7),
    IntakeLoop.ADMISSION: timedelta(days=14),
    IntakeLoop.ORIENTATION: timedelta(days=7),
    IntakeLoop.OUTBOUND_REFERRAL: timedelta(days=2),
    IntakeLoop.READMISSION: timedelta(hours=72),
    IntakeLoop.WAITLIST: timedelta(days=14),
}
"""How long each step may take once the one before it is done. House rules."""
ESCALATE_EVERY: Final = timedelta(days=1)
SOON: Final = timedelta(hours=1)
"""The shortest limit: what is heard late is not overdue the moment it is heard."""
FIRST_OWNER: Final = {
    IntakeLoop.RECOMMENDATION: Role.CLINICIAN,
    IntakeLoop.EMERGENCY_RESPONSE: Role.CLINICIAN,
    IntakeLoop.OUTBOUND_REFERRAL: Role.CASE_MANAGER,
}
"""Who owns a loop from the beginning, where it is not the intake coordinator."""
ESCALATION: Final = (Role.INTAKE_COORDINATOR, Role.CLINICAL_SUPERVISOR, Role.PROGRAM_DIRECTOR)
"""Who owns an open loop after each missed deadline; the last one keeps it."""
COUNT_MAX: Final = 100_000
OFFER: Final = "offer"
"""The deadline at which an offered place lapses, with the ticket."""


# --- what is known --------------------------------------------------------------------------------------


class EpisodeState(CareState):
    """What intake knows of one episode. Its id is also the id of the inbound referral."""

    person_id: str = ""
    referral: Referral | None = None
    assessment: Assessment | None = None
    """The latest one."""
    earlier_assessments: tuple[str, ...] = ()
    recommendation: Recommendation | None = None
    placed_level: LevelOfCare | None = None
    waiting: Waiting | None = None
    seats: dict[str, Seat] = Field(default_factory=dict[str, Seat])
    """Seats that the person has or for a while holds, by group."""
    admission: Admission | None = None
    outbound: dict[str, Outbound] = Field(default_factory=dict[str, Outbound])
    closed_at: datetime | None = None
    discharged: plans.DischargeKind | None = None
    readmission: Urgency | None = None
    """A readmission that was asked for, and not given up."""
    readmitted_as: str | None = None
    use_reports: tuple[UseReport, ...] = ()


# --- open loops: each has an owner, a deadline and an escalation -----------------------------------------


def wait_for(state: EpisodeState, loop: IntakeLoop, cause: Cause) -> EpisodeState:
    """Open a loop of the episode: somebody has to do this in time."""
    return wait_until(state, loop, cause.subject_id, cause.now + WITHIN[loop], cause)


def wait_until(
    state: EpisodeState, loop: IntakeLoop, loop_id: str, deadline_at: datetime, cause: Cause
) -> EpisodeState:
    """Open a loop with a time limit of its own. One that is open already gets the new limit."""
    owners = (FIRST_OWNER.get(loop, Role.INTAKE_COORDINATOR), *ESCALATION)
    return loops.open_loop(
        state, loop, loop_id, deadline_at=deadline_at, owners=owners, cause=cause
    )


def settle(
    state: EpisodeState,
    *kinds: IntakeLoop,
    cause: Cause,
    reason: ClearedReason = ClearedReason.RESOLVED,
) -> tuple[EpisodeState, tuple[intake.EscalationCleared, ...]]:
    """Close loops of the episode, and retract what was escalated of them."""
    keys = {f"{kind.value}:{cause.subject_id}" for kind in kinds}
    return settle_all(
        state, [loop for loop in state.loops.values() if loop.key in keys], reason=reason
    )


def settle_all(
    state: EpisodeState,
    which: Iterable[Loop],
    *,
    reason: ClearedReason = ClearedReason.RESOLVED,
) -> tuple[EpisodeState, tuple[intake.EscalationCleared, ...]]:
    """Close these loops, and retract what was escalated of them."""
    state, gone = loops.close_loops(state, which)
    return state, tuple(
        intake.EscalationCleared(loop=IntakeLoop(loop.kind), **loop.clearance(reason))
        for loop in gone
    )


def is_open(state: EpisodeState, loop: IntakeLoop, cause: Cause) -> bool:
    """Somebody has to do this, or should have done it."""
    return state.loop(loop, cause.subject_id) is not None


def send_on(state: EpisodeState, cause: Cause) -> EpisodeState:
    """This program does not suit the person: somebody has to refer them on, unless a referral is under way."""
    if any(outbound.outcome is None for outbound in state.outbound.values()):
        return state
    return wait_for(state, IntakeLoop.OUTBOUND_REFERRAL, cause)


def overdue(state: EpisodeState, name: str, cause: Cause) -> Decision[EpisodeState]:
    """Nobody did it in time: the next role owns it, a day apart; the last one keeps it."""
    state, loop = loops.miss(state, name, again_after=ESCALATE_EVERY, cause=cause)
    return Decision(state, (intake.LoopEscalated(loop=IntakeLoop(loop.kind), **loop.escalation()),))


# --- how it ends ---------------------------------------------------------------------------------------


def close_inbound(
    state: EpisodeState, outcome: ReferralOutcome, cause: Cause
) -> tuple[EpisodeState, intake.ReferralLoopClosed]:
    """Say how the inbound referral ended."""
    referral = known(state)
    event = intake.ReferralLoopClosed(
        referral_id=cause.subject_id,
        outcome=outcome,
        hours_open=elapsed(referral.received_at, cause.now),
    )
    return state.replace(referral=referral.replace(outcome=outcome)), event


def end(
    state: EpisodeState,
    at: datetime,
    cause: Cause,
    events: tuple[IntakeEvent, ...] = (),
    reason: ClearedReason = ClearedReason.EPISODE_CLOSED,
) -> Decision[EpisodeState]:
    """End the episode: nothing of it is waited for, except a readmission and what became of referrals sent out."""
    state, left, handoffs = leave_line(
        state.replace(closed_at=at), WaitlistExit.WITHDRAWN, cause, reason
    )
    over = [loop for loop in state.loops.values() if not _outlasts(loop, cause)]
    state, cleared = settle_all(state, over, reason=reason)
    if state.person_id:
        ended = EpisodeEnded(episode_id=cause.subject_id, ended_at=at)
        handoffs = (*handoffs, Handoff(f"person/{state.person_id}", ended))
    return Decision(state, (*events, *left, *cleared), handoffs)


def _outlasts(loop: Loop, cause: Cause) -> bool:
    """It is waited for though the episode has ended."""
    sent_out = loop.kind == IntakeLoop.OUTBOUND_REFERRAL and loop.id != cause.subject_id
    return sent_out or loop.kind in (IntakeLoop.READMISSION, IntakeLoop.EMERGENCY_DISCLOSURE)


def void(state: EpisodeState, cause: Cause, reason: ClearedReason) -> Decision[EpisodeState]:
    """The episode should not exist: it ends, and nothing at all of it is waited for any more."""
    ended = end(state, state.closed_at or cause.now, cause, reason=reason)
    state, cleared = settle_all(ended.state, ended.state.loops.values(), reason=reason)
    state = state.replace(void=True, deadlines={}, readmission=None)
    return Decision(state, (*ended.events, *cleared), ended.handoffs)


def leave_line(
    state: EpisodeState,
    exit_reason: WaitlistExit,
    cause: Cause,
    cleared_reason: ClearedReason = ClearedReason.RESOLVED,
) -> tuple[EpisodeState, tuple[IntakeEvent, ...], tuple[Handoff, ...]]:
    """The person no longer waits for a place; the line is told, so that the place goes to the next."""
    waiting = state.waiting
    if waiting is None:
        return state, (), ()
    state, cleared = settle(
        state.replace(waiting=None).disarm(f"{OFFER}:{waiting.ticket}"),
        IntakeLoop.WAITLIST,
        cause=cause,
        reason=cleared_reason,
    )
    left = LineLeft(
        ticket=waiting.ticket,
        episode_id=cause.subject_id,
        taken=exit_reason is WaitlistExit.ACCEPTED,
    )
    said: tuple[IntakeEvent, ...] = ()
    if waiting.position is not None or waiting.offer is not None:
        group_id = waiting.group_id if waiting.offer is None else waiting.offer.group_id
        said = (intake.WaitlistLeft(track=waiting.track, reason=exit_reason, group_id=group_id),)
    return state, (*said, *cleared), (Handoff(f"group/{waiting.line_id}", left),)


# --- what every step asks first -------------------------------------------------------------------------


def known(state: EpisodeState) -> Referral:
    """The referral, whatever became of it."""
    if state.referral is None:
        raise Unknown("episode")
    return state.referral


def standing(state: EpisodeState) -> Referral:
    """The referral of an episode that was not entered in error."""
    referral = known(state)
    must_stand(state, hint="Receive a new referral instead.")
    return referral


def in_progress(state: EpisodeState) -> Referral:
    """The referral of an episode that has not ended."""
    referral = standing(state)
    if state.closed_at is not None:
        raise Refused(
            "episode-closed", "The episode has ended.", hint="Receive a new referral instead."
        )
    return referral


def in_intake(state: EpisodeState) -> Referral:
    """The referral of an episode in which nobody is admitted yet."""
    referral = in_progress(state)
    if state.admission is not None:
        raise Refused(
            "already-admitted",
            "The person is admitted.",
            hint="End the episode by a discharge.",
        )
    return referral


def elapsed(begin: datetime, until: datetime, unit: timedelta = timedelta(hours=1)) -> int:
    """Whole hours, or other units, as far as the contract counts."""
    return max(0, min((until - begin) // unit, COUNT_MAX))

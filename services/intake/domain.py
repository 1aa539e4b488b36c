"""The episode: the referral that opens it, the loops open in it, and how it ends. Pure: no clock, no ids, no I/O.

Time limits are house rules, defaults of the domain reference; none of them is an official rule.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from pydantic import Field

from services.intake.levels import Derivation, Rating
from shared.contracts import intake, plans
from shared.contracts.codes import (
    AsamEdition,
    ClearedReason,
    CoOccurring,
    IntakeLoop,
    LevelOfCare,
    Population,
    Role,
    Urgency,
    Value,
)
from shared.contracts.intake import (
    DeclineReason,
    IntakeEvent,
    PartnerKind,
    ReferralOutcome,
    Severity,
)
from shared.decision import Cause, Decision, Handoff, HandoffBody, State
from shared.errors import Invalid, Refused, Unknown

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
}
"""How long each step may take once the one before it is done. House rules."""
ESCALATE_EVERY: Final = timedelta(days=1)
ESCALATION: Final = (Role.INTAKE_COORDINATOR, Role.CLINICAL_SUPERVISOR, Role.PROGRAM_DIRECTOR)
"""Who owns an open loop after each missed deadline; the last one keeps it."""
COUNT_MAX: Final = 100_000


# --- what is known --------------------------------------------------------------------------------------


class NewReferral(Value):
    """What a referrer says."""

    source_kind: PartnerKind
    source_facility_id: str | None
    priority: Urgency
    requested_level: LevelOfCare | None


class Referral(NewReferral):
    """The inbound referral. Its loop is open until an outcome is known; acknowledging closes nothing."""

    received_at: datetime
    acknowledged_at: datetime | None = None
    outcome: ReferralOutcome | None = None


class Assessment(Value):
    """One assessment. Ratings stay here; levels, drivers and flags travel."""

    assessment_id: str
    starts_at: datetime
    completed_at: datetime | None = None
    edition: AsamEdition | None = None
    ratings: dict[int, Rating] = Field(default_factory=dict[int, Rating])
    severity: Severity | None = None
    co_occurring: CoOccurring | None = None
    imminent_danger: bool = False
    derivation: Derivation | None = None
    """Missing in imminent danger: then no level is recommended by rule."""


class Recommendation(Value):
    """What a clinician signed, and whether this program suits the person now."""

    level: LevelOfCare
    unmet: tuple[str, ...]
    clinician_id: str

    @property
    def eligible(self) -> bool:
        """Nothing is unmet."""
        return not self.unmet


class Admission(Value):
    """The beginning of treatment."""

    level: LevelOfCare
    population: Population
    admitted_at: datetime
    program: str
    length_weeks: int
    time_zone: str
    court_involved: bool
    prior_episode_id: str | None = None
    oriented_at: datetime | None = None


class Outbound(Value):
    """A referral to a partner. Its loop is open until an outcome is known; accepting closes nothing."""

    target_kind: PartnerKind
    target_facility_id: str
    consent_id: str
    sent_at: datetime
    accepted_at: datetime | None = None
    rejected_at: datetime | None = None
    reminders: int = 0
    outcome: ReferralOutcome | None = None


class UseReport(Value):
    """A return to use that was reported. It resets nothing."""

    heard_at: datetime
    overdose: bool
    occurred_on: date | None


class EpisodeState(State):
    """What intake knows of one episode. Its id is also the id of the inbound referral."""

    person_id: str = ""
    referral: Referral | None = None
    assessment: Assessment | None = None
    """The latest one."""
    earlier_assessments: tuple[str, ...] = ()
    recommendation: Recommendation | None = None
    placed_level: LevelOfCare | None = None
    admission: Admission | None = None
    outbound: dict[str, Outbound] = Field(default_factory=dict[str, Outbound])
    steps: dict[str, int] = Field(default_factory=dict[str, int])
    """How far each open loop has been escalated."""
    closed_at: datetime | None = None
    discharged: plans.DischargeKind | None = None
    readmission: Urgency | None = None
    """A readmission that was asked for and has not led anywhere yet."""
    readmitted_as: str | None = None
    use_reports: tuple[UseReport, ...] = ()


class EpisodeOpened(HandoffBody):
    """To a person: you have an episode."""

    episode_id: str


class EpisodeEnded(HandoffBody):
    """To a person: an episode of yours has ended."""

    episode_id: str
    ended_at: datetime


class ReliedOn(HandoffBody):
    """To a person: something was disclosed under this consent of yours."""

    consent_id: str


class Readmitted(HandoffBody):
    """To an episode: the person was admitted again, in another episode."""

    episode_id: str


# --- open loops: each has a deadline and an owner -------------------------------------------------------


def wait_for(state: EpisodeState, loop: IntakeLoop, cause: Cause) -> EpisodeState:
    """Open a loop: somebody has to do this in time."""
    return state.arm(loop.value, cause.now + WITHIN[loop])


def settle(
    state: EpisodeState,
    *loops: IntakeLoop,
    cause: Cause,
    reason: ClearedReason = ClearedReason.RESOLVED,
) -> tuple[EpisodeState, tuple[intake.EscalationCleared, ...]]:
    """Close loops, and retract what was escalated of them."""
    cleared = tuple(
        intake.EscalationCleared(
            loop=loop, loop_id=cause.subject_id, step_reached=state.steps[loop.value], reason=reason
        )
        for loop in loops
        if loop.value in state.steps
    )
    names = {loop.value for loop in loops}
    steps = {name: step for name, step in state.steps.items() if name not in names}
    return state.but(steps=steps).disarm(*names), cleared


def is_open(state: EpisodeState, loop: IntakeLoop) -> bool:
    """Somebody has to do this, or should have done it."""
    return loop.value in state.deadlines or loop.value in state.steps


def send_on(state: EpisodeState, cause: Cause) -> EpisodeState:
    """This program does not suit the person: somebody has to refer them on, unless a referral is under way."""
    if any(outbound.outcome is None for outbound in state.outbound.values()):
        return state
    return wait_for(state, IntakeLoop.OUTBOUND_REFERRAL, cause)


def overdue(state: EpisodeState, loop: IntakeLoop, cause: Cause) -> Decision[EpisodeState]:
    """Nobody did it in time: the next role owns it, a day apart; the last one keeps it."""
    step = state.steps.get(loop.value, 0) + 1
    next_at = cause.now + ESCALATE_EVERY
    event = intake.LoopEscalated(
        loop=loop,
        loop_id=cause.subject_id,
        owner_role=ESCALATION[min(step, len(ESCALATION)) - 1],
        step=step,
        deadline_at=next_at,
    )
    state = state.but(steps={**state.steps, loop.value: step})
    return Decision(state.arm(loop.value, next_at) if step < len(ESCALATION) else state, (event,))


# --- the inbound referral -------------------------------------------------------------------------------


def receive(
    state: EpisodeState, new: NewReferral, person_id: str, cause: Cause
) -> Decision[EpisodeState]:
    """A referral arrives, and from now on there is an episode."""
    if state.referral is not None:
        raise Refused(
            "referral-exists",
            "This referral was received before.",
            way_out="Read the episode; use a new Idempotency-Key for another referral.",
        )
    referral = Referral(**dict(new), received_at=cause.now)
    event = intake.ReferralReceived(
        referral_id=cause.subject_id,
        person_id=person_id,
        received_at=cause.now,
        **dict(new),
    )
    state = state.but(referral=referral, person_id=person_id).arm(
        IntakeLoop.REFERRAL_ACKNOWLEDGEMENT.value, cause.now + ACKNOWLEDGE_WITHIN[new.priority]
    )
    return Decision(
        state,
        (event,),
        (Handoff(f"person/{person_id}", EpisodeOpened(episode_id=cause.subject_id)),),
        {"episode_id": cause.subject_id, "person_id": person_id},
    )


def acknowledge(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
    """Someone takes the referral on; the assessment is due from here."""
    referral = in_intake(state)
    if referral.acknowledged_at is not None:
        raise Refused(
            "already-acknowledged",
            "Someone took this referral on before.",
            way_out="Go on with the assessment.",
        )
    event = intake.ReferralAcknowledged(
        referral_id=cause.subject_id,
        acknowledged_at=cause.now,
        minutes_to_acknowledge=elapsed(referral.received_at, cause.now, timedelta(minutes=1)),
    )
    state = state.but(referral=referral.model_copy(update={"acknowledged_at": cause.now}))
    state, cleared = settle(state, IntakeLoop.REFERRAL_ACKNOWLEDGEMENT, cause=cause)
    return Decision(wait_for(state, IntakeLoop.ASSESSMENT, cause), (event, *cleared))


def decline(
    state: EpisodeState, reason: DeclineReason, alternatives: tuple[str, ...], cause: Cause
) -> Decision[EpisodeState]:
    """The referral goes no further here; the episode ends, and the referrer is told."""
    in_intake(state)
    event = intake.ReferralDeclined(
        referral_id=cause.subject_id, reason=reason, alternatives=alternatives
    )
    ended = close(state, ReferralOutcome.DECLINED, cause)
    return Decision(ended.state, (event, *ended.events), ended.handoffs)


def close(state: EpisodeState, outcome: ReferralOutcome, cause: Cause) -> Decision[EpisodeState]:
    """What became of the referral is known, and it is not an admission here: the episode ends."""
    in_intake(state)
    if outcome is ReferralOutcome.ADMITTED:
        raise Invalid(
            "outcome-not-stated",
            "An inbound referral is closed as admitted by the admission itself.",
            way_out="Admit the person, or state another outcome.",
        )
    state, closed = close_loop(state, outcome, cause)
    return end(state, cause.now, cause, (closed,))


def close_loop(
    state: EpisodeState, outcome: ReferralOutcome, cause: Cause
) -> tuple[EpisodeState, intake.ReferralLoopClosed]:
    """Say how the inbound referral ended."""
    referral = known(state)
    event = intake.ReferralLoopClosed(
        referral_id=cause.subject_id,
        outcome=outcome,
        hours_open=elapsed(referral.received_at, cause.now),
    )
    return state.but(referral=referral.model_copy(update={"outcome": outcome})), event


def end(
    state: EpisodeState, at: datetime, cause: Cause, events: tuple[IntakeEvent, ...] = ()
) -> Decision[EpisodeState]:
    """End the episode: nothing of it is waited for, except a readmission and what became of referrals sent out."""
    loops = [loop for loop in IntakeLoop if loop is not IntakeLoop.READMISSION]
    state, cleared = settle(
        state.but(closed_at=at), *loops, cause=cause, reason=ClearedReason.EPISODE_CLOSED
    )
    handoffs = (
        (
            Handoff(
                f"person/{state.person_id}", EpisodeEnded(episode_id=cause.subject_id, ended_at=at)
            ),
        )
        if state.person_id
        else ()
    )
    return Decision(state, (*events, *cleared), handoffs)


# --- what every step asks first -------------------------------------------------------------------------


def known(state: EpisodeState) -> Referral:
    """The referral, whatever became of it."""
    if state.referral is None:
        raise Unknown("episode")
    return state.referral


def in_progress(state: EpisodeState) -> Referral:
    """The referral of an episode that has not ended."""
    referral = known(state)
    if state.closed_at is not None:
        raise Refused(
            "episode-closed", "The episode has ended.", way_out="Receive a new referral instead."
        )
    return referral


def in_intake(state: EpisodeState) -> Referral:
    """The referral of an episode in which nobody is admitted yet."""
    referral = in_progress(state)
    if state.admission is not None:
        raise Refused(
            "already-admitted",
            "The person is admitted.",
            way_out="End the episode by a discharge.",
        )
    return referral


def elapsed(begin: datetime, until: datetime, unit: timedelta = timedelta(hours=1)) -> int:
    """Whole hours, or other units, as far as the contract counts."""
    return max(0, min((until - begin) // unit, COUNT_MAX))

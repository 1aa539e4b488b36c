"""The episode: the referral that opens it, the loops open in it, and how it ends. Pure: no clock, no ids, no I/O.

Time limits are house rules, docs/domain.md 9.2 (Time limits); none of them is an official rule.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import ClassVar, Final

from pydantic import Field

from services.intake.episode.values import (
    Admission,
    Assessment,
    Outbound,
    Recommendation,
    Referral,
    Seat,
    Stage,
    UseReport,
    Waiting,
)
from services.intake.handoffs import EpisodeEnded, LineLeft
from services.intake.loop_table import LOOPS
from shared import loops
from shared.contracts import intake, plans
from shared.contracts.codes import (
    ClearedReason,
    IntakeLoop,
    LevelOfCare,
    Urgency,
)
from shared.contracts.followup import CircumstanceKind
from shared.contracts.intake import (
    PartnerKind,
    ReferralOutcome,
    WaitlistExit,
)
from shared.decision import Cause, Decision, Events, Handoff, Handoffs
from shared.errors import Refused, Unknown
from shared.loops import DEADLINE, LOOP_INDEX, CareState, Loop, LoopEvents, LoopRule, must_stand

SOON: Final = timedelta(hours=1)
"""The shortest limit: an event that arrives late is not overdue on arrival."""
COUNT_MAX: Final = 100_000
OUTLASTING: Final = (
    IntakeLoop.READMISSION,
    IntakeLoop.DISCLOSURE_REVIEW,
    IntakeLoop.DISCLOSURE_REPORT,
)
"""What somebody still has to do when the episode has ended."""
ABOUT_DOCUMENTS: Final = (
    IntakeLoop.REFERRAL_CLOSURE,
    IntakeLoop.DOUBLE_ADMISSION,
    IntakeLoop.DISCLOSURE_REVIEW,
    IntakeLoop.DISCLOSURE_REPORT,
)
"""What somebody has to do though nobody calls the person."""
OFFER: Final = "offer"
"""The deadline at which an offered place lapses, with the ticket."""
REFERRAL_INDEX: Final = "referral"
"""The index of referrals, by when they were received; its parts are the stages."""
OUTBOUND_INDEX: Final = "outbound"
"""The index of episodes with referrals to partners, by when the first was sent; its parts are the stages of those."""


# --- what is known --------------------------------------------------------------------------------------


class EpisodeState(CareState):
    """What intake knows of one episode. Its id is also the id of the inbound referral."""

    INDEXES: ClassVar[tuple[str, ...]] = (LOOP_INDEX, REFERRAL_INDEX, OUTBOUND_INDEX)
    DIVIDED: ClassVar[tuple[str, ...]] = (REFERRAL_INDEX, OUTBOUND_INDEX)
    LOOPS: ClassVar[Mapping[IntakeLoop, LoopRule]] = LOOPS
    LOOP_EVENTS: ClassVar[LoopEvents[IntakeLoop]] = LoopEvents(
        IntakeLoop, intake.LoopEscalated, intake.EscalationCleared
    )
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
    deliveries: dict[str, str] = Field(default_factory=dict[str, str])
    """What was allowed, or is asked for, to be disclosed and is not reported yet, by its id: about which person."""
    closed_at: datetime | None = None
    discharged: plans.DischargeKind | None = None
    readmission: Urgency | None = None
    """A readmission that was asked for, and not given up."""
    asked_after: datetime | None = None
    """The end after which it was asked for; None while it is being prepared."""
    reopened_from: datetime | None = None
    """The latest end that was taken back."""
    readmitted_as: str | None = None
    circumstances: dict[str, CircumstanceKind] = Field(default_factory=dict[str, CircumstanceKind])
    """Because of which nobody calls the person: those that last, by their id (`circumstances.py`)."""
    use_reports: tuple[UseReport, ...] = ()
    merged_into: str | None = None
    """The episode that goes on instead, as long as this one is merged."""

    def person(self) -> str | None:
        """Whom the episode is about, once it is known."""
        return self.person_id or None

    @property
    def is_stopped(self) -> bool:
        """Whether nobody calls the person: a circumstance lasts, or the end of the episode says that they died."""
        return bool(self.circumstances) or self.discharged is plans.DischargeKind.DECEASED

    @property
    def running(self) -> Mapping[str, datetime]:
        """While nobody calls the person, only what is about documents; the others then come after it."""
        if not self.is_stopped:
            return self.deadlines
        kept = tuple(f"{DEADLINE}{kind.value}:" for kind in ABOUT_DOCUMENTS)
        return {name: at for name, at in self.deadlines.items() if name.startswith(kept)}

    @property
    def court_involved(self) -> bool:
        """Treatment is a condition of a court: one referred the person, or the admission says so."""
        admitted = self.admission is not None and self.admission.court_involved
        referred = self.referral is not None and self.referral.source_kind is PartnerKind.COURT
        return admitted or referred

    @property
    def stage(self) -> Stage:
        """How far the episode has come: what its view shows, and by what its referral is listed."""
        if self.void:
            return Stage.ENTERED_IN_ERROR
        if self.closed_at is None:
            return next((stage for reached, stage in _way(self) if reached), Stage.RECEIVED)
        if self.admission is not None:
            return Stage.DISCHARGED
        outcome = None if self.referral is None else self.referral.outcome
        return Stage.DECLINED if outcome is ReferralOutcome.DECLINED else Stage.CLOSED

    def index_entries(self) -> Mapping[str, datetime]:
        """Beside its loops, by when the referral was received, and the first of those to partners was sent."""
        entries = dict(super().index_entries())
        if self.referral is not None:
            entries[REFERRAL_INDEX] = self.referral.received_at
        if self.outbound and not self.void:
            entries[OUTBOUND_INDEX] = min(one.sent_at for one in self.outbound.values())
        return entries

    def index_parts(self) -> Mapping[str, tuple[str, ...]]:
        """Referrals are listed by stage, here and to partners."""
        sent = sorted({one.stage.value for one in self.outbound.values()})
        return {REFERRAL_INDEX: (self.stage.value,), OUTBOUND_INDEX: tuple(sent)}


def _way(state: EpisodeState) -> tuple[tuple[bool, Stage], ...]:
    """The stages from the last one back, and whether each was reached."""
    referral, assessment, admission = state.referral, state.assessment, state.admission
    waiting, found = state.waiting, state.recommendation
    return (
        (admission is not None and admission.oriented_at is not None, Stage.ORIENTED),
        (admission is not None, Stage.ADMITTED),
        (waiting is not None and waiting.offer is not None, Stage.OFFERED),
        (waiting is not None, Stage.WAITLISTED),
        (state.placed_level is not None, Stage.PLACED),
        (found is not None and found.eligible, Stage.ELIGIBLE),
        (found is not None, Stage.INELIGIBLE),
        (assessment is not None and assessment.imminent_danger, Stage.EMERGENCY),
        (assessment is not None and assessment.completed_at is not None, Stage.ASSESSED),
        (assessment is not None, Stage.AWAITING_ASSESSMENT),
        (referral is not None and referral.acknowledged_at is not None, Stage.ACKNOWLEDGED),
    )


# --- open loops -----------------------------------------------------------------------------------------


def is_open(state: EpisodeState, kind: IntakeLoop, cause: Cause) -> bool:
    """Somebody has to do this, or should have done it."""
    return state.loop(kind, cause.subject_id) is not None


def own_loops(state: EpisodeState, kinds: Collection[IntakeLoop], cause: Cause) -> list[Loop]:
    """The open loops of these kinds about the episode itself, in the order of their opening."""
    keys = {f"{kind.value}:{cause.subject_id}" for kind in kinds}
    return [loop for key, loop in state.loops.items() if key in keys]


def send_on(state: EpisodeState, cause: Cause) -> EpisodeState:
    """This program does not suit the person: somebody has to refer them on, unless a referral is under way."""
    if any(outbound.outcome is None for outbound in state.outbound.values()):
        return state
    return loops.open_loop(state, IntakeLoop.OUTBOUND_REFERRAL, cause.subject_id, cause)


# --- how it ends ---------------------------------------------------------------------------------------


def close_inbound(
    state: EpisodeState, outcome: ReferralOutcome, cause: Cause
) -> tuple[EpisodeState, intake.ReferralLoopClosed]:
    """Publish how the inbound referral ended."""
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
    events: Events = (),
    reason: ClearedReason = ClearedReason.EPISODE_CLOSED,
) -> Decision[EpisodeState]:
    """End the episode: its loops are closed, except a readmission and the outcomes of referrals sent out."""
    state, left, handoffs = leave_line(
        state.replace(closed_at=at), WaitlistExit.WITHDRAWN, cause, reason
    )
    over = [loop for loop in state.loops.values() if not _outlasts(loop, cause)]
    state, cleared = loops.close_all(state, over, reason)
    if state.person_id:
        ended = EpisodeEnded(episode_id=cause.subject_id, ended_at=at)
        handoffs = (*handoffs, Handoff(f"person/{state.person_id}", ended))
    return Decision(state, (*events, *left, *cleared), handoffs)


def _outlasts(loop: Loop, cause: Cause) -> bool:
    """The loop stays open though the episode has ended."""
    sent_out = loop.kind == IntakeLoop.OUTBOUND_REFERRAL.value and loop.id != cause.subject_id
    return sent_out or loop.kind in OUTLASTING


def void(state: EpisodeState, cause: Cause, reason: ClearedReason) -> Decision[EpisodeState]:
    """The episode should not exist: it ends, and every loop of it is closed."""
    ended = end(state, state.closed_at or cause.now, cause, reason=reason)
    state, cleared = loops.close_all(ended.state, ended.state.loops.values(), reason)
    state = state.replace(void=True, deadlines={}, readmission=None)
    return Decision(state, (*ended.events, *cleared), ended.handoffs)


def leave_line(
    state: EpisodeState,
    exit_reason: WaitlistExit,
    cause: Cause,
    cleared_reason: ClearedReason = ClearedReason.RESOLVED,
) -> tuple[EpisodeState, Events, Handoffs]:
    """The person leaves the waiting list; its record gets a handoff, so that the place goes to the next."""
    waiting = state.waiting
    if waiting is None:
        return state, (), ()
    state, cleared = loops.close(
        state.replace(waiting=None).disarm(f"{OFFER}:{waiting.ticket}"),
        IntakeLoop.WAITLIST,
        cause.subject_id,
        cleared_reason,
    )
    left = LineLeft(
        ticket=waiting.ticket,
        episode_id=cause.subject_id,
        taken=exit_reason is WaitlistExit.ACCEPTED,
    )
    events: Events = ()
    if waiting.position is not None or waiting.offer is not None:
        group_id = waiting.group_id if waiting.offer is None else waiting.offer.group_id
        said = intake.WaitlistLeft(
            waitlist_id=waiting.ticket, track=waiting.track, reason=exit_reason, group_id=group_id
        )
        events = (said,)
    return state, (*events, *cleared), (Handoff(f"group/{waiting.line_id}", left),)


# --- what every step asks first -------------------------------------------------------------------------


def known(state: EpisodeState) -> Referral:
    """The referral, whatever became of it."""
    if state.referral is None:
        raise Unknown("episode")
    return state.referral


def standing(state: EpisodeState) -> Referral:
    """The referral of an episode that was not entered in error."""
    referral = known(state)
    must_stand(state, hint="Work with the person's other episode, or receive a new referral.")
    return referral


def in_progress(state: EpisodeState) -> Referral:
    """The referral of an episode that has not ended."""
    referral = standing(state)
    if state.closed_at is not None:
        raise Refused(
            "episode-closed",
            "The episode has ended.",
            hint="Receive a new referral, or take the discharge back (plans) if it was a mistake.",
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

"""The state of an episode in plans, and what its rules share. Pure: no clock, no ids, no I/O.

Everything that somebody has to do is an open loop. Rules open, close and escalate loops through `shared/loops.py`;
`escalate` here adds the events that name an overdue review.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from typing import ClassVar, Final

from pydantic import AwareDatetime, Field

from services.plans import tables
from services.plans.tables import (
    LOOPS,
    Contributor,
    DeferralReason,
    GoalOwner,
    RecoveryStage,
)
from shared import calendar, loops
from shared.contracts import intake, plans
from shared.contracts.codes import (
    CoOccurring,
    Dimension,
    LevelOfCare,
    PlansLoop,
    Population,
    Value,
)
from shared.contracts.plans import (
    AncillaryKind,
    CoOccurringCategory,
    DischargeKind,
    ExpectedAnalyte,
    PlannedGoal,
    PlannedService,
    ReviewOutcome,
    ReviewTrigger,
    WithdrawnReason,
)
from shared.contracts.terms import HOUSE, ProgramTerms
from shared.decision import Cause, Decision, Events
from shared.errors import NotYetKnown, Refused, Unknown
from shared.loops import CareState, Loop, LoopEvents, LoopRule, must_stand

ARRIVAL_GRACE: Final = timedelta(days=1)
"""From when a person is to arrive, or a place is found, to when somebody looks whether they have. House rule."""
MORNING: Final = time(9, 0)
"""The local hour at which a day's deadlines come."""


class Admission(Value):
    """What intake published at admission, as far as plans needs it. `level` is the present one."""

    level: LevelOfCare
    population: Population
    admitted_at: AwareDatetime
    time_zone: str
    person_id: str
    length_weeks: int
    terms: ProgramTerms
    program: str = ""


class Goal(PlannedGoal):
    """A SMART goal: whose, what, from where to where, by when, and for which dimension."""

    owner: GoalOwner
    baseline: float
    contributors: tuple[Contributor, ...]
    therapies: tuple[str, ...] = ()
    interventions: tuple[str, ...] = ()
    value: float | None = None
    achieved: bool = False
    withdrawn: WithdrawnReason | None = None

    def published(self) -> PlannedGoal:
        """What others need of it."""
        return PlannedGoal(**{name: getattr(self, name) for name in PlannedGoal.model_fields})

    def reached(self, value: float) -> bool:
        """Whether a value is at the target or beyond it, in the goal's own direction."""
        return value >= self.target if self.target > self.baseline else value <= self.target


class Deferral(Value):
    """A dimension without a goal, and why."""

    dimension: Dimension
    reason: DeferralReason


class Plan(Value):
    """A treatment plan. It is in force when both have signed."""

    plan_id: str
    version: int
    goals: tuple[Goal, ...]
    services: tuple[PlannedService, ...]
    deferred: tuple[Deferral, ...] = ()
    stage: RecoveryStage | None = None
    relapse_prevention: tuple[str, ...] = ()
    """What the relapse-prevention plan names."""
    patient_signed_at: AwareDatetime | None = None
    clinician_signed_at: AwareDatetime | None = None
    active: bool = False
    next_review_on: date | None = None


class Amendment(Value):
    """Other services for a plan in force. They hold when both have signed, and the plan's version before until then."""

    amendment_id: str
    services: tuple[PlannedService, ...]
    patient_signed_at: AwareDatetime | None = None
    clinician_signed_at: AwareDatetime | None = None


class Completion(Value):
    """What a clinical review led to, and what stood before it, for the case that it was completed by mistake."""

    outcome: ReviewOutcome
    drivers: tuple[Dimension, ...] | None = None
    """What drives the level as the review found it; None where it did not look."""
    drivers_before: tuple[Dimension, ...] = ()
    """What drove the level until then."""
    loop: Loop | None = None
    """Who was to do it."""
    follows: PlansLoop | None = None
    """What somebody had to do because of it."""
    waited: Loop | None = None
    """Who had to do that before, if somebody had."""


class Review(Value):
    """A clinical review: something a clinician has to look at."""

    trigger: ReviewTrigger
    due_at: AwareDatetime
    open: bool = True
    about: str | None = None
    """The screen or session it is about: the same thing is looked at once."""
    because: tuple[str, ...] = ()
    """The facts that ask for it, and hold."""
    superseded: bool = False
    """No fact that asked for it holds any more: nobody has looked."""
    weeks: tuple[date, ...] = ()
    """The weeks it is about, for hours."""
    reassess: bool = False
    """The level of care has to be reassessed: completing the review names the drivers."""
    private: bool = False
    """Between clinician and patient: nothing about it is published."""
    completion: Completion | None = None
    """How it was done; None while it is open, and where it was superseded."""
    gap_from_at: AwareDatetime | None = None
    """From when something wrong was on record, where what passed meanwhile is to be looked at."""
    gap_until_at: AwareDatetime | None = None
    """When it was taken back."""


class Week(Value):
    """How a week's hours came out, in minutes."""

    minutes_threshold: int
    minutes_offered: int
    met: bool
    prorated: bool


class Session(Value):
    """A session of the person's, as the latest word about it says."""

    starts_at: AwareDatetime
    attended: bool = False
    missed: bool = False
    """Not excused."""


class Need(Value):
    """Something beside the addiction that is treated together with it."""

    category: CoOccurringCategory
    enhanced: bool


class Ancillary(Value):
    """A service alongside treatment."""

    kind: AncillaryKind
    on_site: bool


class Outbound(Value):
    """A referral to a partner, as far as a hand-over rests on it."""

    to_facility_id: str
    to_level: LevelOfCare | None
    accepted: bool = False
    closed: bool = False


class PendingLevel(Value):
    """A change of level that is decided and takes effect later."""

    to_level: LevelOfCare
    effective_at: AwareDatetime
    drivers: tuple[Dimension, ...] = ()
    """What drives the level as it was decided."""
    drivers_before: tuple[Dimension, ...] = ()
    """What drove it until then, for the case that the change is taken back."""
    waited: Loop | None = None
    """Who was to move the person when it was decided."""


class LevelTaken(Value):
    """A change of level that took effect, and what it replaced, for the case that it is taken back."""

    from_level: LevelOfCare
    """The level before the change."""
    change: PendingLevel
    """The change as it was decided."""
    next_appointment: Loop | None = None
    """Who waited for the first session after an earlier step down."""
    first_session: Loop | None = None
    """Who had waited for it, once there was one."""


class Transfer(Value):
    """A hand-over under way. This program stays responsible until first contact."""

    referral_id: str
    to_facility_id: str
    to_level: LevelOfCare
    consent_id: str
    handoff_at: AwareDatetime
    waited: dict[str, Loop] = Field(default_factory=dict[str, Loop])
    """What was waited for when it began, for the case that it is taken back."""
    level_change: PendingLevel | None = None
    """The change of level that it took the place of."""


class AskedTransfer(Value):
    """A hand-over that waits for intake's answer, and what the partner would be told for it."""

    delivery_id: str = ""
    """What the answer refers to."""
    referral_id: str
    to_facility_id: str
    to_level: LevelOfCare
    handoff_at: AwareDatetime
    categories: tuple[intake.InformationCategory, ...]
    purpose: intake.ConsentPurpose
    consent_id: str | None = None
    """The one consent that is to be looked at; None: any of the person's."""
    waited: dict[str, Loop] = Field(default_factory=dict[str, Loop])
    """What was waited for when it was asked."""


class AftercarePlan(Value):
    """What is settled for the time after."""

    version: int = 1
    elements: tuple[str, ...] = tables.AFTERCARE_BEGUN
    not_needed: tuple[str, ...] = ()
    first_appointment_at: AwareDatetime | None = None

    @property
    def complete(self) -> bool:
        """Whether everything that has to be settled before the person leaves is settled."""
        return set(tables.AFTERCARE_NEEDED) <= {*self.elements, *self.not_needed}


class Ending(Value):
    """How and when the episode ended, and what lay open in it then beside its loops."""

    kind: DischargeKind
    discharged_at: AwareDatetime
    reviews: tuple[str, ...] = ()
    amendment: Amendment | None = None
    level_change: PendingLevel | None = None
    transfer: Transfer | None = None
    first_contact_at: AwareDatetime | None = None
    """When the receiving facility saw the person, where that was the end."""


class EpisodeState(CareState):
    """What plans knows of one episode."""

    LOOPS: ClassVar[Mapping[PlansLoop, LoopRule]] = LOOPS
    LOOP_EVENTS: ClassVar[LoopEvents[PlansLoop]] = LoopEvents(
        PlansLoop, plans.LoopEscalated, plans.EscalationCleared
    )
    admission: Admission | None = None
    undone: bool = False
    """The admission was undone: events about treatment belong to nothing."""
    drivers: tuple[Dimension, ...] = ()
    co_occurring: CoOccurring | None = None
    placement_gap: intake.GapReason | None = None
    oriented: bool = False
    outbound: dict[str, Outbound] = Field(default_factory=dict[str, Outbound])

    plan: Plan | None = None
    amendment: Amendment | None = None
    """What waits to be signed while the plan is in force."""
    reviews: dict[str, Review] = Field(default_factory=dict[str, Review])
    needs: tuple[Need, ...] = ()
    ancillary: tuple[Ancillary, ...] = ()
    medications: tuple[ExpectedAnalyte, ...] = ()
    expected: tuple[ExpectedAnalyte, ...] = ()
    level_change: PendingLevel | None = None
    transfer: Transfer | None = None
    transfer_asked: AskedTransfer | None = None
    transfer_withheld: intake.WithheldReason | None = None
    """Why the partner may not be told, when a transfer was last asked for."""
    aftercare_plan_id: str | None = None
    aftercare: AftercarePlan | None = None
    discharged: DischargeKind | None = None
    ending: Ending | None = None
    """What the end closed, as long as it stands."""

    invalid: tuple[str, ...] = ()
    """Screens whose specimen could not be judged, as the laboratory said last."""
    circumstances: tuple[str, ...] = ()
    """Deaths, arrests and moves away that hold: each asks for a discharge of who is in treatment."""
    early_sessions: dict[str, AwareDatetime] = Field(default_factory=dict[str, datetime])
    """When the event of each session arrived, until there is a plan."""
    sessions: dict[str, Session] = Field(default_factory=dict[str, Session])
    """What holds of each session of the person's."""
    first_session: Loop | None = None
    """Who waited for the first session after a step down, once there was one."""
    levels_taken: tuple[LevelTaken, ...] = ()
    """Changes of level that took effect and hold, from the first to the last."""
    positives: dict[str, AwareDatetime] = Field(default_factory=dict[str, datetime])
    """Unexpected positives that hold, by screen: when the specimen was taken."""
    absences: dict[str, AwareDatetime] = Field(default_factory=dict[str, datetime])
    """When absences added up or led to a pause, by the fact that says so and holds."""
    paused_until: AwareDatetime | None = None
    """The person is in no group until then; None when they are not paused."""
    weeks: dict[str, Week] = Field(default_factory=dict[str, Week])
    meetings: dict[str, date] = Field(default_factory=dict[str, date])
    """Days of mutual-support meetings."""
    support_opted_out: bool = False
    """The person goes to no meetings, by their own choice."""
    family_visits: tuple[str, ...] = ()
    """Who of the family took part in which session."""

    def person(self) -> str | None:
        """Whom the episode is about, once it is known."""
        return self.admission.person_id if self.admission else None

    @property
    def terms(self) -> ProgramTerms:
        """The program's terms, pinned at admission; the house rules until the admission is known."""
        return HOUSE if self.admission is None else self.admission.terms

    @property
    def time_zone(self) -> str:
        """The facility's zone; until the admission is known it is UTC, which is near enough for a day."""
        return "UTC" if self.admission is None else self.admission.time_zone

    @property
    def last_session_at(self) -> datetime | None:
        """When the latest session began at which the person was."""
        return max((one.starts_at for one in self.sessions.values() if one.attended), default=None)

    @property
    def enhanced(self) -> bool:
        """Whether co-occurring needs call for care that is integrated and closer: docs/domain.md facts 3.3 and 3.11."""
        return self.co_occurring is CoOccurring.ENHANCED or any(n.enhanced for n in self.needs)


# --- loops ------------------------------------------------------------------------------------------------

StateAndEvents = tuple[EpisodeState, Events]
"""What a helper hands back to its rule: the next state, and the events on the way to it."""


def escalate(state: EpisodeState, name: str, cause: Cause) -> Decision[EpisodeState]:
    """A deadline was missed: the next owner has it. Overdue reviews are published by name as well."""
    state, events, *_ = loops.escalate(state, name, cause)
    loop = state.loops[name.removeprefix(loops.DEADLINE)]
    return Decision(state, (*_overdue(state, loop, cause), *events))


def _overdue(state: EpisodeState, loop: Loop, cause: Cause) -> Events:
    if loop.kind == PlansLoop.CLINICAL_REVIEW.value and not state.reviews[loop.id].private:
        due_at = state.reviews[loop.id].due_at
        hours = int((cause.now - due_at).total_seconds() // 3600)
        return (plans.ClinicalReviewOverdue(review_id=loop.id, due_at=due_at, hours_overdue=hours),)
    if (
        loop.kind == PlansLoop.PLAN_REVIEW.value
        and state.plan is not None
        and state.plan.next_review_on
    ):
        due_on = state.plan.next_review_on
        days = (calendar.local_day(cause.now, state.time_zone) - due_on).days
        return (
            plans.TreatmentPlanReviewOverdue(
                plan_id=state.plan.plan_id, due_on=due_on, days_overdue=days
            ),
        )
    return ()


# --- what every rule asks ---------------------------------------------------------------------------------


def in_treatment(state: EpisodeState) -> Admission:
    """The admission of an episode that runs; raises why it does not."""
    in_record(state)
    if state.admission is None and state.undone:
        raise Refused(
            "admission-undone",
            "The admission was taken back.",
            hint="If that was the mistake, admit the person again in intake: POST /episodes. Then draft a plan.",
        )
    if state.admission is None:
        raise NotYetKnown("episode")
    if state.discharged is not None:
        raise Refused(
            "episode-closed",
            "The episode has ended.",
            hint="If the end was a mistake, take it back: POST /episodes/{id}/discharge/undo.",
        )
    return state.admission


def in_record(state: EpisodeState) -> None:
    """Raise when the episode should never have existed."""
    must_stand(state, hint="Use the episode that is right; nothing more is done in this one.")


def plan_of(state: EpisodeState, plan_id: str) -> Plan:
    """The plan with this id; raises when it is another's."""
    if state.plan is None or state.plan.plan_id != plan_id:
        raise Unknown("plan")
    return state.plan


def schedule_review(state: EpisodeState, plan: Plan, cause: Cause) -> EpisodeState:
    """The next plan review: by the program's terms, and closer together where care is integrated."""
    days = state.terms.review_every_days
    if state.enhanced:
        days = min(days, tables.INTEGRATED_REVIEW_DAYS)
    day = calendar.local_day(cause.now, state.time_zone) + timedelta(days=days)
    state = state.replace(plan=plan.replace(next_review_on=day))
    due_at = calendar.instant(day, MORNING, state.time_zone)
    return state.disarm("review-due:*").arm(f"review-due:{day.isoformat()}", due_at)


def changed(plan: Plan, goal: Goal) -> Plan:
    """The plan with one of its goals as it is now."""
    goals = tuple(goal if g.goal_id == goal.goal_id else g for g in plan.goals)
    return plan.replace(goals=goals)


def known(codes: Iterable[str], allowed: Mapping[str, object] | frozenset[str]) -> bool:
    """Whether all of these codes are on the list."""
    return all(code in allowed for code in codes)


def choose_from(allowed: Iterable[str]) -> str:
    """The hint for a code that is not on the list."""
    return f"Choose from: {', '.join(sorted(allowed))}."

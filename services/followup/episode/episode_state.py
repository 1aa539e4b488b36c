"""What followup knows of an episode. Pure: no clock, no ids, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, ClassVar, Final, Literal

from pydantic import AwareDatetime, Field

from services.followup.episode.check_in_calendar import Window
from services.followup.loop_table import LOOPS
from shared.contracts import followup, intake
from shared.contracts.codes import (
    FollowupLoop,
    Milestone,
    Population,
    Value,
)
from shared.contracts.followup import (
    Channel,
    CircumstanceKind,
    OutreachCause,
    ReengagementCause,
    TransitionKind,
)
from shared.contracts.plans import DischargeKind
from shared.contracts.terms import HOUSE
from shared.decision import Events, HandoffBody
from shared.loops import DEADLINE, LOOP_INDEX, CareState, Loop, LoopEvents, LoopRule

NO_CONTACT: Final = frozenset({DischargeKind.DECEASED})
"""Ways to leave after which nobody is called. An unknown way is not among them: better a call too many."""
CHECK_IN_INDEX: Final = "check_in"
"""The index of records with a check-in to come or to do: when the first of them is due."""


class Admission(Value):
    """What intake published at admission, as far as followup needs it, with the terms pinned then."""

    admitted_at: AwareDatetime
    time_zone: str
    population: Population = Population.ADULT
    prior_episode_id: str | None = None
    silent_days_lost: int
    silent_days_conference: int
    absences_review: int
    absences_conference: int
    aftercare_days: int
    check_ins: tuple[Milestone, ...]

    @classmethod
    def of(cls, event: intake.PatientAdmitted) -> Admission:
        """Pin the terms: a profile that changes later never rewrites the past."""
        terms = event.terms or HOUSE
        return cls.model_validate({**terms.model_dump(), **event.model_dump(exclude={"terms"})})

    @property
    def lost_after(self) -> timedelta:
        """The silence after which contact counts as lost."""
        return timedelta(days=self.silent_days_lost)


class Draft(Value):
    """The aftercare plan that plans drafted."""

    aftercare_plan_id: str
    elements: tuple[str, ...] = ()


class Agreed(Value):
    """What the person and staff agreed aftercare consists of; it outranks a draft."""

    elements: tuple[str, ...]
    channel: Channel = Channel.CALL
    first_appointment_at: AwareDatetime | None = None
    kept_on: date | None = None
    """The day on which the person came to the first appointment."""


class Discharge(Value):
    """How and when the episode ended. Everything after it is counted from here."""

    kind: DischargeKind
    discharged_at: AwareDatetime


class SessionFact(Value):
    """What the person did about one session."""

    starts_at: AwareDatetime
    status: Literal["attended", "excused", "no_show"]
    treats: bool = True
    """Whether such a session is treatment: wellness is not."""

    @property
    def service(self) -> bool:
        """Whether the person had treatment in it."""
        return self.treats and self.status == "attended"


class Outreach(Value):
    """Someone is being reached out to. Contact at or after `since` ends it. How far it went is its loop's step."""

    loop_id: str
    cause: OutreachCause
    since: AwareDatetime
    attempts: int = 0
    channels: tuple[Channel, ...] = ()


class Tried(Value):
    """An attempt to reach the person, outside a check-in."""

    channel: Channel
    loop_id: str | None
    """The outreach in which it was; None outside one."""


class CheckIn(Value):
    """One check-in of the calendar."""

    window: Window
    attempts: int = 0
    channels: tuple[Channel, ...] = ()
    tried: dict[str, Channel] = Field(default_factory=dict[str, Channel])
    """The attempts that hold, by number."""
    numbers: int = 0
    """The number of the latest attempt, also when it was taken back."""
    settled: Literal["done", "missed", "excused"] | None = None
    was_missed: bool = False
    """It counted as missed until a circumstance was told that excuses it."""
    """How it ended; None while it is open."""
    risk_loop_id: str | None = None
    """The loop of what came up in it."""


class Aftercare(Value):
    """The year after discharge. `check_ins` is in the order of the calendar."""

    aftercare_plan_id: str
    check_ins: dict[str, CheckIn]
    completed_at: AwareDatetime | None = None


class Reengagement(Value):
    """The way back into care; its loop has the same id."""

    id: str
    cause: ReengagementCause
    reassessment_due_at: AwareDatetime
    overdose: bool = False
    asked_by: tuple[str, ...] = ()
    """The reports that ask for it, and hold."""
    due_otherwise: AwareDatetime | None = None
    """By when staff asked for it themselves."""


class Reported(Value):
    """A return to use as it was reported: by when it asks for a reassessment."""

    due_at: AwareDatetime
    overdose: bool


class Ended(Value):
    """An outreach, or a loss of contact, as it was when contact ended it."""

    since: AwareDatetime
    """Contact from then on ends an outreach; contact after it, a loss."""
    loop: Loop | None = None
    outreach: Outreach | None = None
    lost_at: AwareDatetime | None = None
    in_program: bool = True
    """Whether that was before the end of the episode."""


class ShortWeek(Value):
    """A week below its hours, and by how many minutes."""

    minutes_short: int
    projected: bool = False
    """It still runs."""


class Ending(Value):
    """What the end of the episode took away beside its loops, for the case that the end is taken back."""

    ended: tuple[Ended, ...] = ()
    """How the person was being reached out to."""
    reengagement: Reengagement | None = None
    reviews: dict[str, bool] = Field(default_factory=dict[str, bool])
    plan_review: dict[str, str | bool] = Field(default_factory=dict[str, str | bool])
    weeks_short: dict[str, ShortWeek] = Field(default_factory=dict[str, ShortWeek])


class Superseded(Value):
    """What a readmission closed, for the case that it is taken back."""

    loops: dict[str, Loop] = Field(default_factory=dict[str, Loop])
    deadlines: dict[str, AwareDatetime] = Field(default_factory=dict[str, datetime])
    ended: tuple[Ended, ...] = ()
    reengagement: Reengagement | None = None


class Referral(Value):
    """How the person came to us."""

    referral_id: str
    source_kind: intake.PartnerKind
    received_at: AwareDatetime
    time_zone: str


class Outbound(Value):
    """A partner is asked to take the person; intake owns the loop."""

    status: Literal["asked", "accepted", "rejected"] = "asked"
    response_due_at: AwareDatetime
    appointment_at: AwareDatetime | None = None
    overdue: bool = False


class Transition(Value):
    """The person came out of an emergency department or a bed: from then on they must be seen in time."""

    kind: TransitionKind
    on: date
    stated: bool = False
    """Whether staff reported it; otherwise it is inferred from who referred the person."""


class Circumstance(Value):
    """Something because of which nobody calls the person, as long as it lasts."""

    kind: CircumstanceKind
    on: date
    recorded_at: AwareDatetime
    confirmed_at: AwareDatetime | None = None
    """When somebody last found out that it lasts."""
    ended_at: AwareDatetime | None = None
    postponed: dict[str, Loop] = Field(default_factory=dict[str, Loop])
    """What was put off when it ended, as it was before."""
    stated: bool = True
    """Whether staff recorded it; otherwise only the end of the episode says so."""
    resume_by: AwareDatetime | None = None
    """By when somebody sees to it that care is resumed: out of jail, because of which the episode had ended."""


class Readmitted(HandoffBody):
    """To the episode before: a new one has taken over."""

    episode_id: str
    admitted_at: datetime


class ReadmissionUndone(HandoffBody):
    """To the episode before: the new one, which had taken over, was a mistake."""

    episode_id: str


class LevelBefore(Value):
    """What a change of level replaced, for the case that it is taken back."""

    effective_at: AwareDatetime
    to_level: str
    """The level that it led to."""
    level: str | None
    step_down_at: AwareDatetime | None
    changed_at: AwareDatetime | None
    """When the level had changed before."""

    @property
    def said(self) -> tuple[str, datetime]:
        """By what the change is known."""
        return self.to_level, self.effective_at


class EpisodeState(CareState):
    """What followup knows of one episode."""

    INDEXES: ClassVar[tuple[str, ...]] = (
        LOOP_INDEX,
        CHECK_IN_INDEX,
        "awaited",
        "iet",
        "fua",
        "fui",
    )
    LOOPS: ClassVar[Mapping[FollowupLoop, LoopRule]] = LOOPS
    LOOP_EVENTS: ClassVar[LoopEvents[FollowupLoop]] = LoopEvents(
        FollowupLoop, followup.LoopEscalated, followup.EscalationCleared
    )
    person_id: str | None = None
    referral: Referral | None = None
    path: dict[str, AwareDatetime] = Field(default_factory=dict[str, datetime])
    """The steps that are known, and when they were; read by `journey.py`."""
    level: str | None = None
    admission: Admission | None = None
    undone: bool = False
    """An admission was taken back; another may follow."""
    held: tuple[dict[str, Any], ...] = ()
    """Events of attendance from before the admission arrived: decided with it, in order, under the pinned terms."""
    sessions: dict[str, SessionFact] = Field(default_factory=dict[str, SessionFact])
    draft: Draft | None = None
    agreed: Agreed | None = None
    discharge: Discharge | None = None
    ending: Ending | None = None
    """What the end took away, as long as it stands."""
    contacts: dict[str, AwareDatetime] = Field(default_factory=dict[str, datetime])
    """When the person was reached outside a session, by the fact that says so."""
    ended: tuple[Ended, ...] = ()
    """What contact ended, for the case that it is taken back."""
    tried: dict[str, Tried] = Field(default_factory=dict[str, Tried])
    """Attempts that hold, by id: those that reached the person are contacts of the same id."""
    answered: dict[str, Loop] = Field(default_factory=dict[str, Loop])
    """Risks that somebody has seen to, as their loops were."""
    outreach: Outreach | None = None
    lost_at: AwareDatetime | None = None
    """Since when contact counts as lost."""
    referrals: dict[str, Outbound] = Field(default_factory=dict[str, Outbound])
    """Outbound referrals without an outcome."""
    reviews: dict[str, bool] = Field(default_factory=dict[str, bool])
    """Clinical reviews under way, and whether they are overdue; plans owns their loops."""
    plan_review: dict[str, str | bool] = Field(default_factory=dict[str, str | bool])
    goals: dict[str, bool] = Field(default_factory=dict[str, bool])
    """The plan's goals, and whether they are achieved."""
    co_occurring: dict[str, bool] = Field(default_factory=dict[str, bool])
    """Areas of co-occurring need, and whether an enhanced program is needed."""
    weeks_short: dict[str, ShortWeek] = Field(default_factory=dict[str, ShortWeek])
    """Weeks that are, or will be, too short by what holds, by their Mondays; attendance owns the loop."""
    waitlist: dict[str, str | int | None] = Field(default_factory=dict[str, str | int | None])
    screens_due: dict[str, AwareDatetime] = Field(default_factory=dict[str, datetime])
    """Screens that were ordered: when the person is expected."""
    failed: tuple[str, ...] = ()
    """Screens that are unexpected positives, as they were last interpreted: a reason to look more closely."""
    levels_before: tuple[LevelBefore, ...] = ()
    """What each change of level that holds replaced, from the first to the last."""
    step_down_at: AwareDatetime | None = None
    """When a less intensive level began: a session there is due within a week."""
    assessed_at: AwareDatetime | None = None
    """The visit for assessment, once its finding is known."""
    transitions: tuple[Transition, ...] = ()
    circumstances: dict[str, Circumstance] = Field(default_factory=dict[str, Circumstance])
    aftercare: Aftercare | None = None
    readmitted: bool = False
    """A later episode has taken over; the check-ins that remain are superseded."""
    superseded: Superseded | None = None
    next_episode_id: str | None = None
    readmitted_at: AwareDatetime | None = None
    reengagement: Reengagement | None = None
    reports: dict[str, Reported] = Field(default_factory=dict[str, Reported])
    """Reports of a return to use that hold."""
    tz_index_entries: dict[str, AwareDatetime] = Field(default_factory=dict[str, datetime])
    """By what a facility's measures and journeys find this record; updated by `invariants.py`."""

    def person(self) -> str | None:
        """Whom the episode is about, once it is known."""
        return self.person_id

    @property
    def time_zone(self) -> str:
        """The facility's time zone, as the admission names it, and before it the referral."""
        if self.admission is not None:
            return self.admission.time_zone
        return "UTC" if self.referral is None else self.referral.time_zone

    @property
    def hours_short(self) -> dict[str, str | int | bool]:
        """The latest week that is, or will be, too short."""
        latest = max(self.weeks_short, default=None)
        if latest is None:
            return {}
        return {"week_starts_on": latest, **self.weeks_short[latest].model_dump()}

    @property
    def stopped_by(self) -> Circumstance | None:
        """Why nobody is called: the earliest circumstance that lasts. The only task is then to ask whether it does.

        Who has been readmitted since is here again, and nobody asks, so that only a death still stops anything.
        """
        lasting = [
            one
            for one in self.circumstances.values()
            if one.ended_at is None
            and (not self.readmitted or one.kind is CircumstanceKind.DECEASED)
        ]
        return min(lasting, key=lambda one: one.recorded_at, default=None)

    @property
    def running(self) -> Mapping[str, datetime]:
        """While a circumstance lasts only the question whether it does; all that were due then come after it."""
        if self.stopped_by is None:
            return self.deadlines
        asked = f"{DEADLINE}{FollowupLoop.CIRCUMSTANCE.value}:"
        return {name: at for name, at in self.deadlines.items() if name.startswith(asked)}

    @property
    def contact_at(self) -> datetime | None:
        """The last time the person was there or was reached."""
        times = [s.starts_at for s in self.sessions.values() if s.status == "attended"]
        times += self.contacts.values()
        return max(times, default=None)

    @property
    def outreach_loop(self) -> Loop | None:
        """The loop of the outreach, whose step is the tier reached."""
        if self.outreach is None:
            return None
        return self.loop(FollowupLoop.OUTREACH, self.outreach.loop_id)

    @property
    def tier(self) -> int:
        """How far the outreach has gone up; 0 when there is none."""
        return 0 if self.outreach_loop is None else self.outreach_loop.step

    @property
    def awaits_check_ins(self) -> bool:
        """Whether the calendar still runs."""
        return self.aftercare is not None and not self.readmitted and not self.void

    def index_entries(self) -> Mapping[str, datetime]:
        """By its loops, its next check-in, the step it waits in, and the measures that count it."""
        index_entries = {**super().index_entries(), **self.tz_index_entries}
        if self.stopped_by is not None:
            return index_entries
        if self.awaits_check_ins and self.aftercare is not None:
            waiting = [c.window.due_at for c in self.aftercare.check_ins.values() if not c.settled]
            if waiting:
                index_entries[CHECK_IN_INDEX] = min(waiting)
        return index_entries


StateAndEvents = tuple[EpisodeState, Events]
"""What a helper hands back to its rule: the next state, and the events on the way to it."""

"""What the routes of followup answer, beside what every answer about a record has."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal, NotRequired

from typing_extensions import TypedDict

from services.followup.episode.check_in_calendar import Window
from services.followup.episode.episode_state import (
    Agreed,
    Circumstance,
    EpisodeState,
    Transition,
)
from services.followup.episode.upcoming_sessions import SessionState
from services.followup.journey import Place
from shared.contracts.codes import (
    AftercarePlanId,
    CheckInId,
    CircumstanceId,
    Day,
    EpisodeId,
    LoopId,
    ReengagementId,
    ReportId,
    SessionId,
)
from shared.contracts.followup import Channel
from shared.runtime.http.shown import Fields, PagedNow, Together, with_words

# --- commands ---------------------------------------------------------------------------------------------


@with_words
class OutreachUndone(TypedDict):
    """How an outreach stands."""

    tier: int
    """How far it was escalated."""
    open: bool
    """Whether somebody still tries to reach the person."""


class OutreachRecorded(OutreachUndone):
    """An attempt to reach a person."""

    contact_id: str


class Reengaged(TypedDict):
    """The way back into care; left out when none is under way."""

    reengagement_id: NotRequired[ReengagementId]
    reassessment_due_at: NotRequired[datetime]


class Reported(Reengaged):
    """A return to use that was reported."""

    report_id: ReportId


@with_words
class PlanAgreed(TypedDict):
    """What aftercare consists of."""

    aftercare_plan_id: AftercarePlanId
    missing: list[str]
    """What the plan still lacks, as codes."""


@with_words
class Attempted(TypedDict):
    """An attempt at a check-in."""

    attempt: int
    """The number of the attempt, from 1."""


@with_words
class CheckedIn(TypedDict):
    """A check-in that was completed."""

    risk_loop_id: NotRequired[LoopId]
    """The loop that the answers opened; left out when they opened none."""


class CircumstanceRecorded(TypedDict):
    """A circumstance."""

    circumstance_id: CircumstanceId


# --- episodes ---------------------------------------------------------------------------------------------


@with_words
class OutreachView(TypedDict):
    """How the outreach stands."""

    open: bool
    """Whether somebody tries to reach the person."""
    tier: int
    """How far it was escalated."""
    attempts: int
    """How often it was tried."""
    channels: list[Channel]
    """In which ways it was tried."""
    owner_role: str | None
    """The role that has to reach out; null when nobody has to."""


@with_words
class CheckInTimes(TypedDict):
    """A check-in."""

    check_in_id: CheckInId
    attempts: int
    """How often it was tried."""
    channels: list[Channel]
    """In which ways it was tried."""


@with_words
class CheckInState(TypedDict):
    """How a check-in stands."""

    state: str
    """`scheduled`, `attempting`, `superseded`, or how it was settled."""


@with_words
class AftercareView(TypedDict):
    """The year of aftercare."""

    aftercare_plan_id: AftercarePlanId
    completed: bool
    """Whether it is over."""
    check_ins: list[Annotated[dict[str, Any], Together(CheckInTimes, Window, CheckInState)]]
    """Its check-ins."""


class ReengagementView(TypedDict):
    """The way back into care that is under way."""

    reengagement_id: ReengagementId
    reassessment_due_at: datetime


EPISODE = Fields(EpisodeState, only=("discharge", "referrals", "co_occurring", "screens_due"))
CIRCUMSTANCE = Annotated[dict[str, Any], Together(Fields(Circumstance, without=("postponed",)))]


@with_words
class EpisodeView(TypedDict):
    """What is made of an episode's record."""

    screens_failed: int
    """How many screens failed."""
    contact_at: datetime | None
    referrals_open: list[str]
    """The referrals to partners without an outcome."""
    reviews_open: list[str]
    """The clinical reviews that nobody completed yet."""
    outreach: OutreachView
    """How the outreach stands."""
    lost: bool
    """Whether contact with the person counts as lost."""
    readmitted: bool
    next_episode_id: EpisodeId | None
    prior_episode_id: EpisodeId | None
    aftercare: AftercareView | None
    """The year of aftercare; null before it begins."""
    agreed: Agreed | None
    """What aftercare was agreed to consist of; null before that."""
    risks: dict[str, int]
    """By id, the risks that somebody has to see to, each with how many deadlines were missed."""
    circumstances: dict[str, CIRCUMSTANCE]
    """By id, because of what nobody calls the person."""
    transitions: list[Transition]
    """Visits and discharges elsewhere that were reported."""
    reengagement: ReengagementView | None
    """The way back into care that is under way; null when none is."""


PLACE = Fields(Place)


@with_words
class Overdue(TypedDict):
    """Whether a step takes too long."""

    overdue: bool
    """Whether the episode has stayed in the step for longer than it may."""


class StepReached(TypedDict):
    """A step that was reached."""

    step: str
    at: datetime


@with_words
class GoalsReached(TypedDict):
    """How many goals were reached."""

    achieved: int
    """How many goals are achieved."""
    of: int
    """How many goals there are."""


STEPS = Fields(
    EpisodeState,
    only=("referral", "referrals", "waitlist", "plan_review", "level"),
)


@with_words
class WeekShort(TypedDict):
    """The latest week that is, or will be, too short; empty while none is."""

    week_starts_on: NotRequired[Day]
    """The Monday on which the week begins."""
    minutes_short: NotRequired[int]
    """How many minutes are missing."""
    projected: NotRequired[bool]
    """Whether the week still runs."""


@with_words
class StepsView(TypedDict):
    """The way of an episode so far."""

    hours_short: WeekShort
    """The latest week that is, or will be, too short."""
    path: list[StepReached]
    """The steps that were reached, in their order."""
    reviews: dict[str, Literal["overdue", "open"]]
    """The clinical reviews that nobody completed yet, by id."""
    goals: GoalsReached
    """How many goals are achieved."""
    next_episode_id: EpisodeId | None


# --- lists ------------------------------------------------------------------------------------------------


@with_words
class CheckInRow(CheckInTimes):
    """A check-in that is due."""

    subject: str
    open: bool
    """Whether its window is open now."""
    owner_role: str
    co_occurring: list[str]
    """Needs that are treated together with the addiction."""


@with_words
class CheckInsView(PagedNow):
    """A page of check-ins."""

    check_ins: list[Annotated[dict[str, Any], Together(CheckInRow, Window)]]
    """The check-ins that are due, the most urgent first."""


class JourneySubject(TypedDict):
    """The episode."""

    subject: str


@with_words
class JourneysView(PagedNow):
    """A page of episodes."""

    journeys: list[Annotated[dict[str, Any], Together(JourneySubject, PLACE, Overdue)]]
    """The episodes that have stayed in one step for too long, the longest first."""


class SessionName(TypedDict):
    """The session's id."""

    session_id: SessionId


@with_words
class SessionsView(PagedNow):
    """A page of sessions."""

    sessions: list[
        Annotated[
            dict[str, Any],
            Together(
                SessionName,
                Fields(SessionState, only=("starts_at", "group_id", "modality", "topic")),
            ),
        ]
    ]
    """The next sessions."""


@with_words
class Counted(TypedDict):
    """One part of a measure."""

    denominator: int
    """How many should have been seen."""
    numerator: int
    """How many were seen in time."""
    open: int
    """How many were not seen yet and still can be."""
    rate: float | None
    """The numerator as a part of the denominator; null when nobody should have been seen."""


MeasureView = TypedDict(
    "MeasureView",
    {
        "measure": str,
        "from": date,
        "to": date,
        "parts": dict[str, Counted],
        "certified": bool,
        "now": datetime,
    },
)
"""A measure over a period."""

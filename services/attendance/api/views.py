"""What the routes of attendance answer, beside what every answer about a record has."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, NotRequired

from typing_extensions import TypedDict

from services.attendance.episode.episode_state import EpisodeState, Standing
from services.attendance.episode.hours import Booking, WeekTotals
from services.attendance.groups.closures import Closure
from services.attendance.groups.group_state import GroupState
from services.attendance.groups.session_state import SessionState
from shared.contracts.attendance import (
    FamilySessionKind,
    Fellowship,
    Matrix,
    NotProvidedKind,
)
from shared.contracts.codes import EpisodeId, GroupId, LevelOfCare, Modality, ScreenId, SessionId
from shared.loops import KEPT_BACK
from shared.runtime.http.shown import Fields, LeftOut, Paged, PagedNow, Together, with_words
from shared.runtime.http.views import LoopView

# --- sessions ---------------------------------------------------------------------------------------------


@with_words
class Scheduled(TypedDict):
    """A session that was scheduled."""

    session_id: SessionId
    roster: int
    """How many people are expected."""
    below_minimum: NotRequired[bool]
    """There are too few people; left out when there are enough."""


class SessionChanged(TypedDict):
    """A session whose place on its calendar was changed."""

    session_id: NotRequired[SessionId]


SESSION = Fields(SessionState, without=(*KEPT_BACK, "team", "void"))


@with_words
class SessionRow(TypedDict):
    """A session in a list."""

    session_id: SessionId
    roster: list[EpisodeId]
    """Who is expected."""
    on_closed_day: bool
    """Whether it is to take place although the facility is closed."""


SHOWN = Fields(
    SessionState,
    only=(
        *("starts_at", "minutes_planned", "modality", "topic", "mode", "group_id", "family_only"),
        *("unscheduled", "below_minimum", "roll_called", "cancelled_by"),
        *("therapy", "supports", "leaders", "signed_by"),
    ),
)


@with_words
class SessionsView(Paged, LeftOut):
    """A page of sessions."""

    sessions: list[Annotated[dict[str, Any], Together(SHOWN, SessionRow)]]
    """The sessions by their begin."""


@with_words
class RollCalled(TypedDict):
    """A roll that was called."""

    entries: int
    """How many people's records hear of it."""


@with_words
class MinutesCorrected(TypedDict):
    """What a correction changed."""

    minutes_before: int
    """What was credited before."""
    minutes_after: int
    """What is credited now."""


@with_words
class EndCorrected(TypedDict):
    """What the correction of an end changed."""

    minutes_held: int
    """For how long the session was held."""
    entries: int
    """How many people's records hear of it."""


@with_words
class Led(TypedDict):
    """Who leads a session."""

    leaders: int
    """How many members of staff lead it."""


class Signed(TypedDict):
    """A signature."""

    credential: str


class ClosureRecorded(TypedDict):
    """A closure."""

    closure_id: str


class ClosureId(TypedDict):
    """The closure's id."""

    closure_id: str


@with_words
class ClosuresView(TypedDict):
    """All closures of a facility."""

    closures: list[Annotated[dict[str, Any], Together(ClosureId, Closure)]]
    """The earliest first."""


# --- episodes ---------------------------------------------------------------------------------------------


@with_words
class WeekView(TypedDict):
    """A week as its person's counselor sees it."""

    week_starts_on: date
    closed: bool
    """Whether the week is over."""
    met: bool
    """Whether the minutes credited reach what the level asks for."""
    minutes_short: int
    """How many minutes the person could have had and did not."""
    ceiling_reached: bool
    """Whether as many minutes are planned as a higher level of care has."""
    minutes_projected: int
    """What would be credited if everything booked took place."""
    minutes_prescribed: int
    """What the plan prescribes for a week."""
    sessions: dict[str, Booking]
    """The bookings of the week, by session."""


WEEK = Fields(WeekTotals)


@with_words
class ScreenSummary(TypedDict):
    """How far a screen is, without what was found."""

    matrix: Matrix
    collected: bool
    """Whether the specimen was taken."""
    stage: str | None
    """How far the laboratory is; null before the first result."""
    not_provided: NotProvidedKind | None
    retest_of: ScreenId | None
    custody_sequence: int
    """How many links the chain of custody has."""
    closed: bool
    """Whether nothing more is expected."""


@with_words
class SupportView(TypedDict):
    """What is asked for in mutual support, and what there is of it."""

    asked_per_week: NotRequired[int]
    """How many meetings a week the program asks for."""
    opted_out: NotRequired[bool]
    alternatives: NotRequired[list[Fellowship]]
    this_week: NotRequired[int]
    """How many there were this week."""
    met: NotRequired[bool]
    """Whether this week has as many as are asked for."""
    weeks: NotRequired[dict[str, int]]
    """By the Monday of each week, how many there were."""


@with_words
class FamilyView(TypedDict):
    """The family's part this week."""

    asked_per_week: NotRequired[int]
    """How many sessions a week the program asks for."""
    this_week: NotRequired[int]
    """How many there were this week."""
    met: NotRequired[bool]
    """Whether this week has as many as are asked for."""
    kinds_this_week: NotRequired[list[FamilySessionKind]]
    """Of which kinds they were."""


@with_words
class Supports(TypedDict):
    """What supports the person."""

    mutual_support: SupportView
    """Meetings of mutual support."""
    family: FamilyView
    """Sessions with the family."""


@with_words
class EpisodeView(Supports):
    """What is made of an episode's record as it is shown."""

    screens: dict[str, ScreenSummary]
    """Each screen by its id."""
    no_group_today: bool
    """Whether a breath test of today keeps the person from groups."""


EPISODE = Fields(
    EpisodeState,
    without=(
        *KEPT_BACK,
        *("screens", "expected", "breath_tests", "support", "family", "paid", "draw"),
    ),
)


@with_words
class NextSession(TypedDict):
    """The booking that begins next."""

    session_id: SessionId
    starts_at: datetime
    modality: Modality


@with_words
class EpisodeRow(TypedDict):
    """A person in a list of people in care."""

    episode_id: EpisodeId
    person_id: str | None
    """The person; null while nobody is admitted."""
    state: Standing
    """Where the person stands."""
    program: str | None
    level: LevelOfCare | None
    tracks: list[str]
    """The tracks of the person's groups."""
    groups: list[GroupId]
    """The groups in which the person has a seat."""
    admitted_at: datetime | None
    week: int | None
    """The week of treatment, from 1; null while nobody is admitted."""
    next_session: NextSession | None
    """The booking that begins next; null when there is none."""
    team: dict[str, str]
    loops: list[LoopView]
    """The person's open loops in this service."""


@with_words
class EpisodesView(PagedNow):
    """A page of people in care."""

    episodes: list[EpisodeRow]
    """Who was admitted first comes first."""


# --- groups -----------------------------------------------------------------------------------------------


@with_words
class Capacity(TypedDict):
    """The seats of a group."""

    track: str
    program: str
    seats_min: int
    seats_max: int
    seats_left: int
    """How many seats are free."""
    is_group: bool
    """Whether enough people have a seat."""


class GroupName(TypedDict):
    """The group's id."""

    group_id: GroupId


@with_words
class GroupsView(Paged):
    """A page of groups."""

    groups: list[Annotated[dict[str, Any], Together(GroupName, Capacity)]]
    """The open groups, the oldest first."""


GROUP = Fields(GroupState, without=(*KEPT_BACK, "team", "void", "was_enough"))


@with_words
class GroupOpened(TypedDict):
    """A group that was opened."""

    group_id: GroupId
    seats_left: int
    """How many seats are free."""


class SeatHeld(GroupOpened):
    """A seat that is held."""

    hold_until: datetime

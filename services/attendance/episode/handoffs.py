"""What sessions and groups tell an episode, and what it answers. No rules."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime

from shared.contracts.attendance import (
    AttendanceStatus,
    CancelledBy,
    CorrectionReason,
    Participation,
)
from shared.contracts.codes import Modality
from shared.decision import Handoff, HandoffBody, Handoffs


def to_episodes(episodes: Iterable[str], body: HandoffBody) -> Handoffs:
    """The same word to each of these people."""
    return tuple(Handoff(f"episode/{episode}", body) for episode in episodes)


class Booked(HandoffBody):
    """To an episode: you are expected at this session."""

    session_id: str
    starts_at: datetime
    minutes_planned: int
    modality: Modality
    group_id: str | None = None
    family_only: bool = False
    """The family meets without the patient, which gives the patient no hours."""
    service: str | None = None
    """The ancillary service that the session is, where it is one."""
    track_days: tuple[int, ...] = ()
    """On which days of the week the group meets; 1 is Monday."""
    times_changed: int = 0
    """How often the session was put on the calendar anew."""
    begins: bool = False
    """It begins: whoever is not to be expected is taken off its roster now."""


class CalendarShared(HandoffBody):
    """To an episode: you have a seat in this group, and these sessions are ahead of it."""

    group_id: str
    sessions: tuple[Booked, ...]
    days_closed: tuple[date, ...] = ()


class ClosedOn(HandoffBody):
    """To an episode: on these days, and no others, nobody of your group could come."""

    group_id: str
    days: tuple[date, ...]


class Unbooked(HandoffBody):
    """To an episode: you have no seat in this group any more, and are not expected at these sessions."""

    group_id: str
    session_ids: tuple[str, ...]
    days_closed: tuple[date, ...] = ()
    """On which of the days that are over the group could not meet: what the facility does later, another group says."""


class RollCalled(HandoffBody):
    """To an episode: the roll of this session was called, with this entry for you."""

    session_id: str
    booked: Booked
    status: AttendanceStatus
    minutes_present: int
    participation: Participation
    minutes_held: int | None = None
    """How long it lasted when it ended early."""
    walk_in: bool = False
    """You came without being on the roster."""


class Corrected(HandoffBody):
    """To an episode: the roll of this session was wrong about you."""

    session_id: str
    booked: Booked
    status_after: AttendanceStatus
    minutes_after: int
    reason: CorrectionReason
    minutes_held: int | None = None
    """How long it lasted when it ended early."""


class OffRoll(HandoffBody):
    """To an episode: the roll of this session is not about you, or was so by mistake."""

    session_id: str
    reason: CorrectionReason | None = None
    """Why the roll named you; None where it never did."""


class Dropped(HandoffBody):
    """To an episode: this session does not take place."""

    session_id: str
    cancelled_by: CancelledBy
    booked: Booked


class BackOnRoster(HandoffBody):
    """To a session: this person is to be expected after all."""

    episode_id: str


class LeftRoster(HandoffBody):
    """To a session: this person is not to be expected."""

    episode_id: str


class WalkInDoubted(HandoffBody):
    """To a session: its roll has this person, and by their record they should not have been there."""

    episode_id: str


class WalkInAgreed(HandoffBody):
    """To a session: this person's record has come to agree with its roll."""

    episode_id: str

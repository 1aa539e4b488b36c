"""What the routes for screens, support and incentives answer, beside what every answer about a record has."""

from __future__ import annotations

from typing import Annotated, Any

from typing_extensions import TypedDict

from services.attendance.laboratory.interpretation import Screen
from services.attendance.screening.incentives import LedgerEntry
from shared.contracts.attendance import BreathOutcome
from shared.contracts.codes import EpisodeId, ScreenId, SessionId
from shared.runtime.http.shown import Fields, LeftOut, Together, with_words

# --- screens ----------------------------------------------------------------------------------------------


class Drawn(TypedDict):
    """Somebody who was drawn."""

    episode_id: EpisodeId
    screen_id: ScreenId


@with_words
class DrawView(LeftOut):
    """Who is screened today."""

    drawn: list[Drawn]
    """Who was drawn, each with the screen."""
    not_drawn: int
    """How many were not drawn."""


class Ordered(TypedDict):
    """A screen that was ordered."""

    screen_id: ScreenId


@with_words
class HandedOn(TypedDict):
    """A link of the chain of custody."""

    custody_sequence: int
    """The number of the link."""


class Interpreted(TypedDict):
    """What was made of a result."""

    classification: str


@with_words
class ScreenView(TypedDict):
    """How far a screen is."""

    stage: str | None
    """How far the laboratory is; null before the first result."""
    closed: bool
    """Whether nothing more is expected."""


SCREEN = Fields(Screen)


@with_words
class BreathTested(TypedDict):
    """A breath test."""

    screen_id: ScreenId
    outcome: BreathOutcome
    """What the test means; the first positive is to be repeated."""
    mark: str | None
    """The mark of transport rules that the value reaches, in g/210 L; null below them."""


# --- support and incentives -------------------------------------------------------------------------------


class MeetingLogged(TypedDict):
    """A meeting."""

    meeting_id: str


class FamilyLogged(TypedDict):
    """A session with the family."""

    session_id: SessionId


@with_words
class Rewarded(TypedDict):
    """A reward."""

    person_id: str
    """The person whose ledger takes it."""
    cents_before_cap: int
    """What it is worth before the cap of the year."""


class EntryId(TypedDict):
    """The entry's id."""

    entry_id: str


@with_words
class LedgerView(TypedDict):
    """A person's ledger."""

    entries: dict[str, Annotated[dict[str, Any], Together(EntryId, LedgerEntry)]]
    """Each reward, by what it is for."""
    total_cents: dict[str, int]
    """What was earned in each year."""

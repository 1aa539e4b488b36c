"""Incentives: for the target behavior alone, at once, and never above the person's cap of the year. Pure.

An episode knows what was done and what it is worth; the ledger is the person's, because the cap is: two episodes of one
person share it. Whole cents. What is earned stays earned; an unexpected positive or a refusal only sets the next one
back to its base. Source: docs/domain.md 3.11 (Incentives); the cap is SAMHSA's of January 2025, per person and, as a
house rule, calendar year of the facility.
"""

from __future__ import annotations

from typing import Final

from pydantic import Field

from services.attendance.episode import reward_ladder
from services.attendance.episode.episode_state import EpisodeState, in_care
from services.attendance.episode.values import Earned, Paid, TakenOut, WentBack
from services.attendance.screening import specimens
from shared import calendar
from shared.contracts import attendance
from shared.contracts.attendance import LedgerCorrection
from shared.contracts.codes import Value
from shared.contracts.event import OpenEnum
from shared.contracts.terms import IncentiveTerms
from shared.decision import Cause, Decision, Events, Handoff, Handoffs, State, derive_id
from shared.errors import Refused, Unknown

PAID_MAX: Final = 1_000
"""More rewards than one episode can hold."""


class TargetBehavior(OpenEnum):
    """What may be rewarded; the program's terms name what is."""

    SCREEN = "screen"
    ATTENDANCE = "attendance"
    UNKNOWN = "unknown"


class LedgerEntry(Value):
    """One reward as the ledger took it."""

    episode_id: str
    year: int
    cents: int
    """What the cap left of it."""


class LedgerState(State):
    """The rewards of one person, from all their episodes."""

    entries: dict[str, LedgerEntry] = Field(default_factory=dict[str, LedgerEntry])

    def total_cents(self, year: int) -> int:
        """What was earned in one year."""
        return sum(entry.cents for entry in self.entries.values() if entry.year == year)


# --- an episode ------------------------------------------------------------------------------------------


def earn(
    state: EpisodeState, behavior: TargetBehavior, of: str, cause: Cause
) -> Decision[EpisodeState]:
    """Reward one screen or one session, once, if it is what the program rewards."""
    admission = in_care(state)
    terms = state.terms.incentives or IncentiveTerms()
    if behavior.value not in terms.behaviors:
        raise Refused(
            "not-the-target-behavior",
            "The program does not reward this.",
            hint="Reward what the program's terms name, and nothing else.",
        )
    cents = _worth(state, behavior, of, terms)
    key = f"{behavior.value}:{of}"
    if key in state.paid:
        raise Refused(
            "already-rewarded",
            "This was rewarded before.",
            hint="Nothing is left to do: GET /incentives/{person_id} shows it.",
        )
    if len(state.paid) >= PAID_MAX:
        raise Refused(
            "ledger-full",
            "No more rewards can be kept for this episode.",
            hint="Tell the operators: more than a thousand rewards of one episode are a mistake.",
        )
    year = calendar.local_day(cause.now, admission.time_zone).year
    paid = Paid(cents=cents, cap_cents=terms.cap_cents, year=year)
    return Decision(
        state.replace(paid={**state.paid, key: paid}),
        handoffs=(_earned(admission.person_id, cause.subject_id, key, paid),),
        answer={"person_id": admission.person_id, "cents_before_cap": cents},
    )


def _worth(state: EpisodeState, behavior: TargetBehavior, of: str, terms: IncentiveTerms) -> int:
    """What a behavior that was shown is worth. Raises `Refused` for one that was not."""
    if behavior is TargetBehavior.ATTENDANCE:
        seen = state.seen.get(of)
        if seen is None:
            raise Unknown("session")
        if not seen.status.is_present:
            raise Refused(
                "behavior-not-shown",
                "The person was not there.",
                hint="Reward a session that the person attended.",
            )
        return terms.attendance_cents
    screen = state.screens.get(of)
    if screen is None:
        raise Unknown("screen")
    cents = reward_ladder.worth_of(of, specimens.row_of(state), terms)
    if cents is None or not screen.is_interpreted:
        raise Refused(
            "behavior-not-shown",
            "The screen was not interpreted as negative or as expected.",
            hint="Reward a screen after its interpretation.",
        )
    return cents


def _earned(person_id: str, episode_id: str, key: str, paid: Paid) -> Handoff:
    body = Earned(
        key=f"{episode_id}/{key}",
        episode_id=episode_id,
        cents=paid.cents,
        cap_cents=paid.cap_cents,
        year=paid.year,
    )
    return Handoff(f"person/{person_id}", body)


def taken_back(state: EpisodeState, why: LedgerCorrection, cause: Cause) -> Handoffs:
    """The episode should never have been, or was another person's: its entries leave the person's ledger."""
    if not state.paid or state.admission is None:
        return ()
    keys = tuple(f"{cause.subject_id}/{key}" for key in state.paid)
    return (Handoff(f"person/{state.admission.person_id}", TakenOut(keys=keys, why=why)),)


def given_back(state: EpisodeState, cause: Cause) -> Handoffs:
    """The episode was no mistake after all: its entries are in the person's ledger again."""
    if state.admission is None:
        return ()
    person_id = state.admission.person_id
    return tuple(_earned(person_id, cause.subject_id, key, one) for key, one in state.paid.items())


def moved(state: EpisodeState, person_id: str, cause: Cause) -> Handoffs:
    """The episode is another person's: so are its entries, as far as that person's cap leaves them."""
    if state.admission is None or state.admission.person_id == person_id:
        return ()
    entered = tuple(
        _earned(person_id, cause.subject_id, key, paid) for key, paid in state.paid.items()
    )
    return (*taken_back(state, LedgerCorrection.PERSON_CORRECTED, cause), *entered)


# --- a person's ledger -----------------------------------------------------------------------------------


def entry_id(key: str) -> str:
    """What events call an entry: the same reward always has the same id."""
    return derive_id("ledger-entry", key)


def earned(state: LedgerState, body: Earned, _cause: Cause) -> Decision[LedgerState]:
    """Take a reward as far as the cap of its year leaves it. Nothing is published when it leaves nothing."""
    if body.key in state.entries:
        return Decision(state)
    left = max(0, body.cap_cents - state.total_cents(body.year))
    cents = min(body.cents, left)
    entry = LedgerEntry(episode_id=body.episode_id, year=body.year, cents=cents)
    state = state.replace(entries={**state.entries, body.key: entry})
    if cents == 0:
        return Decision(state)
    event = attendance.IncentiveEarned(
        episode_id=body.episode_id,
        entry_id=entry_id(body.key),
        amount_cents=cents,
        year=body.year,
        total_cents=state.total_cents(body.year),
        cap_cents=body.cap_cents,
    )
    return Decision(state, (event,))


def went_back(state: LedgerState, body: WentBack, _cause: Cause) -> Decision[LedgerState]:
    """The next reward starts from its base, or does not after all; what is earned stays."""
    said = attendance.IncentiveResetUndone if body.undone else attendance.IncentiveReset
    event = said(
        episode_id=body.episode_id,
        screen_id=body.screen_id,
        next_cents=body.next_cents,
        year=body.year,
        total_cents=state.total_cents(body.year),
        cap_cents=body.cap_cents,
    )
    return Decision(state, (event,))


def taken_out(state: LedgerState, body: TakenOut, _cause: Cause) -> Decision[LedgerState]:
    """These entries were not this person's. What was published of them is taken back one by one."""
    events: Events = ()
    for key in body.keys:
        entry = state.entries.get(key)
        if entry is None:
            continue
        left = {name: other for name, other in state.entries.items() if name != key}
        state = state.replace(entries=left)
        if entry.cents == 0:
            continue  # nothing was published of it
        undone = attendance.IncentiveUndone(
            episode_id=entry.episode_id,
            entry_id=entry_id(key),
            amount_cents=entry.cents,
            year=entry.year,
            total_cents=state.total_cents(entry.year),
            cause=body.why,
        )
        events += (undone,)
    return Decision(state, events)

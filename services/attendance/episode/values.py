"""Values that an episode stores of breath tests, mutual support, the family, the draw and incentives. No rules."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime

from pydantic import Field

from shared import calendar
from shared.contracts.attendance import (
    BreathOutcome,
    FamilySessionKind,
    Fellowship,
    LedgerCorrection,
)
from shared.contracts.codes import Value
from shared.contracts.event import OpenEnum
from shared.decision import HandoffBody


class Transport(OpenEnum):
    """How somebody who should not drive got away."""

    FAMILY_OR_FRIEND = "family_or_friend"
    RIDE_ARRANGED = "ride_arranged"
    PUBLIC_TRANSIT = "public_transit"
    STAYED_UNTIL_NEGATIVE = "stayed_until_negative"
    EMERGENCY_SERVICES = "emergency_services"
    DECLINED = "declined"
    UNKNOWN = "unknown"


class WithdrawalSigns(OpenEnum):
    """What the check for withdrawal found."""

    NONE = "none"
    MILD = "mild"
    REFERRED = "referred"
    UNKNOWN = "unknown"


class BreathTest(Value):
    """One breath test. The value and the device stay here."""

    tested_at: datetime
    mg_per_210l: int
    """Milligrams of alcohol per 210 litres of breath: 10 is 0.010 g/210 L."""
    device_id: str
    outcome: BreathOutcome
    retest_of: str | None = None
    transport: Transport | None = None
    withdrawal_signs: WithdrawalSigns | None = None


class Support(Value):
    """Mutual support: what the patient chose, and how many meetings there were per week."""

    opted_out: bool = False
    alternatives: tuple[Fellowship, ...] = ()
    """What the patient goes to instead, or also."""
    logged: dict[str, date] = Field(default_factory=dict[str, date])
    """The day of each meeting, by its id."""

    def weeks(self) -> dict[str, int]:
        """How many meetings there were, by the Monday of their week."""
        counted = Counter(calendar.monday_of(day).isoformat() for day in self.logged.values())
        return dict(sorted(counted.items()))


class FamilyVisit(Value):
    """Somebody's part in one family session."""

    session_id: str
    attendee_id: str
    at: datetime
    kind: FamilySessionKind | None
    minutes_attended: int
    patient_present: bool


class Paid(Value):
    """One reward that was handed to the person's ledger. How much of it the cap left stands there."""

    cents: int
    cap_cents: int
    year: int


class Draw(Value):
    """The random draw that a person takes part in. Nothing about future draws is stored."""

    since: datetime
    """When the person was first in a draw: from then on the longest time between screens is watched."""
    last_on: date
    """The last local day on which there was a draw: one a day."""


# --- handoffs of an episode to the ledger of its person ---------------------------------------------------


class Earned(HandoffBody):
    """To a person's ledger: this much was earned, as far as the cap of the year leaves it."""

    key: str
    episode_id: str
    cents: int
    cap_cents: int
    year: int


class WentBack(HandoffBody):
    """To a person's ledger: the next reward starts from its base again, or does not after all."""

    episode_id: str
    screen_id: str
    """What counted against it."""
    undone: bool = False
    next_cents: int
    cap_cents: int
    year: int


class TakenOut(HandoffBody):
    """To a person's ledger: these entries were another person's, or never earned."""

    keys: tuple[str, ...]
    why: LedgerCorrection

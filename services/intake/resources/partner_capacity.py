"""What partners can take: as of when it was reported, and for how long the report counts. Pure.

One record per facility of ours, under an id of its own: it is about places, and nobody's person or group. A statement
that is too old is shown as stale, never hidden: registries go stale, and the reader has to know:
docs/domain.md 5.3 (Capacity).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import Field

from shared.contracts.codes import LevelOfCare, Value
from shared.contracts.intake import PartnerKind
from shared.decision import Cause, Decision, State, derive_id
from shared.errors import Invalid, Refused

PARTNERS_MAX: Final = 500
CLOCKS_APART: Final = timedelta(minutes=5)


class Statement(Value):
    """What one partner can take at one level."""

    partner_id: str
    kind: PartnerKind
    level: LevelOfCare | None
    places_free: int
    as_of: datetime
    believed_for: timedelta

    @property
    def key(self) -> str:
        """The place's name within the record."""
        level = "any" if self.level is None else f"{self.level.edition}-{self.level.code}"
        return f"{self.partner_id}:{self.kind.value}:{level}"

    @property
    def stale_from(self) -> datetime:
        """From then on somebody has to ask again."""
        return self.as_of + self.believed_for


class CapacityState(State):
    """What is known of all partners of one facility."""

    statements: dict[str, Statement] = Field(default_factory=dict[str, Statement])


def subject(facility_id: str) -> str:
    """The record of a facility's knowledge of its partners."""
    return f"partners/{derive_id('partners', facility_id)}"


def state_capacity(state: CapacityState, new: Statement, cause: Cause) -> Decision[CapacityState]:
    """A partner reports what it can take. A report about an earlier time does not replace one about a later time."""
    if new.as_of > cause.now + CLOCKS_APART:
        raise Invalid(
            "as-of-in-future", "The time of the report is in the future.", hint="Check as_of."
        )
    before = state.statements.get(new.key)
    if before is not None and before.as_of > new.as_of:
        raise Refused(
            "newer-statement-known",
            "Something later is known of this place.",
            hint="Read it; state the present capacity.",
        )
    if before is None and len(state.statements) >= PARTNERS_MAX:
        raise Refused("too-many-partners", "No more partners are kept.", hint="Ask an operator.")
    return Decision(state.replace(statements={**state.statements, new.key: new}))


def capacity_view(
    state: CapacityState, now: datetime, kind: PartnerKind | None, level_code: str | None
) -> list[dict[str, Any]]:
    """What is known, the freshest first, each with whether it may still be believed."""
    found = [
        s
        for s in state.statements.values()
        if kind in (None, s.kind)
        and (level_code is None or s.level is None or s.level.code == level_code)
    ]
    found.sort(key=lambda s: (s.stale_from <= now, -s.as_of.timestamp(), s.key))
    return [
        {
            **s.model_dump(mode="json", exclude={"believed_for"}),
            "stale_from": s.stale_from.isoformat(),
            "stale": s.stale_from <= now,
        }
        for s in found
    ]

"""On which days a facility is closed: a record of its own, told to every group. Pure, like all rules.

Holidays are entered ahead, snow on the day. The record alone decides; a group calls off what is on its calendar on such
a day, and puts it back when the closure is taken back. Source: house rule; decision 17.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from pydantic import Field

from shared.contracts.attendance import CancelledBy
from shared.contracts.codes import Value
from shared.contracts.event import OpenEnum
from shared.decision import Cause, Decision, Handoff, HandoffBody, Handoffs, derive_id
from shared.errors import Invalid
from shared.loops import RetractingState
from shared.retractions import holding, taken_back

DAYS_MAX: Final = 60
"""The longest closure: longer ones are the end of a program."""
CLOSURES_MAX: Final = 400


class ClosureReason(OpenEnum):
    """Why a facility is closed."""

    HOLIDAY = "holiday"
    WEATHER = "weather"
    EMERGENCY = "emergency"
    UNKNOWN = "unknown"


class Closure(Value):
    """Days on which a facility is closed, both inclusive."""

    from_on: date
    until_on: date
    reason: ClosureReason

    @property
    def days(self) -> tuple[date, ...]:
        """Each of them."""
        count = (self.until_on - self.from_on).days + 1
        return tuple(self.from_on + timedelta(days=n) for n in range(count))

    @property
    def cancels_by(self) -> CancelledBy:
        """What a session that it calls off says of it."""
        by_weather = self.reason is ClosureReason.WEATHER
        return CancelledBy.WEATHER if by_weather else CancelledBy.CLOSURE


# --- between the facility and its groups -----------------------------------------------------------------


class GroupListed(HandoffBody):
    """To a facility's closures: this group is to hear of them."""

    group_id: str


class GroupUnlisted(HandoffBody):
    """To a facility's closures: this group has ended."""

    group_id: str
    ended_on: date
    """Its last day; what is entered or taken back later of a day before it still concerns its people."""


class FacilityClosed(HandoffBody):
    """To a group: on these days, and no others, the facility is closed."""

    closures: tuple[Closure, ...]


class ClosuresState(RetractingState):
    """When one facility is closed, and which groups it has."""

    closures: dict[str, Closure] = Field(default_factory=dict[str, Closure])
    groups: tuple[str, ...] = ()
    ended: dict[str, date] = Field(default_factory=dict[str, date])
    """The last day of each group that has ended, for good: a day of then may be put right at any time."""


def closures_id(facility_id: str) -> str:
    """The id of a facility's record of closures."""
    return derive_id("closures", facility_id)


def close_facility(
    state: ClosuresState, closure_id: str, closure: Closure, _cause: Cause
) -> Decision[ClosuresState]:
    """Enter a closure; the same days once more are one closure."""
    if closure.until_on < closure.from_on or len(closure.days) > DAYS_MAX:
        raise Invalid(
            "closure-impossible",
            "A closure ends after it begins, and within sixty days.",
            hint="Check both days; enter a longer closure in parts.",
        )
    if len(state.closures) >= CLOSURES_MAX:
        raise Invalid(
            "too-many-closures",
            "No more closures can be kept.",
            hint="Take back closures that are long over: GET /closures lists them.",
        )
    known = next((key for key, one in state.closures.items() if one == closure), None)
    if known is not None:
        return Decision(state, answer={"closure_id": known})
    state = state.replace(closures={**state.closures, closure_id: closure})
    return Decision(state, (), _told_of(state, closure), {"closure_id": closure_id})


def open_facility(state: ClosuresState, closure_id: str, _cause: Cause) -> Decision[ClosuresState]:
    """Take a closure back: it was a mistake, or the facility opens after all."""
    closure = holding(state, state.closures, closure_id, "closure")
    closures = {key: one for key, one in state.closures.items() if key != closure_id}
    state = taken_back(state.replace(closures=closures), closure_id, "closure")
    return Decision(state, (), _told_of(state, closure))


def group_listed(state: ClosuresState, body: GroupListed, _cause: Cause) -> Decision[ClosuresState]:
    """A group hears of every closure from now on, and of those that are known."""
    state = state.replace(groups=tuple(sorted({*state.groups, body.group_id})))
    return Decision(state, (), _told(state, (body.group_id,)) if state.closures else ())


def group_unlisted(
    state: ClosuresState, body: GroupUnlisted, _cause: Cause
) -> Decision[ClosuresState]:
    """A group that has ended meets on no day from then on, and hears of the days before."""
    groups = tuple(g for g in state.groups if g != body.group_id)
    ended = {**state.ended, body.group_id: body.ended_on}
    return Decision(state.replace(groups=groups, ended=ended))


def _told_of(state: ClosuresState, closure: Closure) -> Handoffs:
    """Every group that is open, or was on one of these days, hears of a change of them."""
    ended = (group for group, on in sorted(state.ended.items()) if on >= closure.from_on)
    return _told(state, (*state.groups, *ended))


def _told(state: ClosuresState, groups: tuple[str, ...]) -> Handoffs:
    body = FacilityClosed(closures=tuple(state.closures.values()))
    return tuple(Handoff(f"group/{group_id}", body) for group_id in groups)

"""A service just large enough to have all that can go wrong.

Two inputs, events that lead to events, commands, handoffs from commands and from events, deadlines, and an index.

Every effect writes down its cause. Exactly once then means: each cause once in the state, and once in what was said.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import ClassVar, Final

from pydantic import AwareDatetime

from shared.contracts.event import CATALOGUE, Event
from shared.decision import Cause, Decision, Handoff, HandoffBody, State
from shared.runtime.core.deadlines import Deadlines, due_for
from shared.runtime.core.handoffs import HandoffRules, handles
from shared.runtime.core.reactions import Reactions, on
from shared.runtime.core.record_kind import RecordKind

OWN: Final = "care.toy"
INPUTS: Final = ("care.north", "care.south")


class _North(Event, source="care.north"):
    pass


class _South(Event, source="care.south"):
    pass


class _Own(Event, source=OWN):
    pass


class Noted(_North):
    """Something to write down; `arms_after` seconds later it is said again. It may concern a neighbour too."""

    weight: int
    arms_after: int = 0
    concerns: str = ""


class Marked(_South):
    """Something to write down, said twice."""

    weight: int


class Written(_Own):
    """A cause was written down."""

    cause_id: str
    nth: int


class Gathered(_Own, subject="session"):
    """A command fanned out."""

    cause_id: str
    count: int


for _event in (Noted, Marked, Written, Gathered):
    del CATALOGUE[_event.TYPE]  # nobody is to take them for the contract


class Page(State):
    """One subject: every cause that has had its effect, in order."""

    INDEXES: ClassVar[tuple[str, ...]] = ("latest",)
    causes: tuple[str, ...] = ()
    latest: AwareDatetime | None = None

    def index_entries(self) -> Mapping[str, datetime]:
        return {} if self.latest is None else {"latest": self.latest}

    def caused(self, cause_id: str, now: datetime) -> Page:
        """This page after one more cause."""
        return self.replace(causes=(*self.causes, cause_id), latest=now)


class Join(HandoffBody):
    """To a subject on a session's roster, or to a neighbour that an event concerns."""

    weight: int


def _write(state: Page, cause: Cause, times: int = 1) -> Decision[Page]:
    said = tuple(Written(cause_id=cause.id, nth=n) for n in range(times))
    return Decision(state.caused(cause.id, cause.now), said)


def noted(state: Page, event: Noted, cause: Cause) -> Decision[Page]:
    """Write it down, have it said again later, and tell the neighbour that it concerns."""
    written = _write(state, cause)
    state, events = written.state, written.events
    if event.arms_after:
        at = cause.now + timedelta(seconds=event.arms_after)
        state = state.arm(f"again:{cause.id}", at)
    handoffs = (Handoff(event.concerns, Join(weight=1)),) if event.concerns else ()
    return Decision(state, events, handoffs)


def marked(state: Page, _event: Marked, cause: Cause) -> Decision[Page]:
    """Write it down, and say it twice."""
    return _write(state, cause, 2)


def joined(state: Page, _body: Join, cause: Cause) -> Decision[Page]:
    """A neighbour's command reaches this subject."""
    return _write(state, cause)


def said_again(state: Page, armed_by: str, cause: Cause) -> Decision[Page]:
    """Said again, under a name that follows from what armed it."""
    again = f"deadline/again:{armed_by}"
    return Decision(state.caused(again, cause.now), (Written(cause_id=again, nth=0),))


def gather(roster: tuple[str, ...], state: Page, cause: Cause) -> Decision[Page]:
    """A command over several records."""
    handoffs = tuple(Handoff(subject, Join(weight=1)) for subject in roster)
    said = Gathered(cause_id=cause.id, count=len(handoffs))
    return Decision(state.caused(cause.id, cause.now), (said,), handoffs, {"count": len(handoffs)})


KINDS: Final = {
    "episode": RecordKind(Page, Deadlines(due_for("again", said_again))),
    "session": RecordKind(Page),
}
REACTIONS: Final = Reactions(on(Noted, noted), on(Marked, marked))
HANDOFFS: Final = HandoffRules(handles(Join, joined))

"""What outlet keeps of a subject, and its rules: pass an event on and count it, and end a topic. Pure.

The counter of an outlet and the event that waits to be passed on are one write, like a state and its events anywhere.
An event that is heard again, for an outlet that was made since, goes to that one alone: of each the number passed on
last is known.
"""

from __future__ import annotations

import json
from typing import Final

from pydantic import Field

from shared.contracts.attributes import SCHEMA
from shared.contracts.event import Envelope
from shared.contracts.outlets import (
    ENDED_SUBJECT,
    OUT_EARLIER,
    OUT_SEQUENCE,
    SOURCE,
    SUCCESSOR,
    TOPIC_ENDED,
    number_of,
    team_of,
    written,
)
from shared.decision import Cause, Decision, Foreign, PassedOn, State

ENDING: Final = ENDED_SUBJECT
"""The kind of the records that end a topic, one for each partition."""


class StreamState(State):
    """How far each outlet has come with what was published about a subject."""

    passed: dict[str, tuple[int, int]] = Field(default_factory=dict[str, tuple[int, int]])
    """By outlet and source: how many events were passed on, and the source's own number of the last one."""


class EndState(State):
    """What ends one partition of an outlet."""

    ended: bool = False
    successor: str | None = None
    """The topic that was named as the next one."""


def pass_on(state: StreamState, event: Foreign, _cause: Cause) -> Decision[StreamState]:
    """Pass an event on to the outlets that have not got it, with the next number of each."""
    envelope = event.envelope
    headers = tuple(one for one in event.headers if one[0] not in (OUT_SEQUENCE, OUT_EARLIER))
    counted: dict[str, tuple[int, int]] = {}
    passed: list[PassedOn] = []
    for topic in event.topics:
        key = stream_of(topic, envelope.source)
        count, last = state.passed.get(key, (0, 0))
        if envelope.sequence <= last:
            continue
        counted[key] = (count + 1, envelope.sequence)
        added = (*_earlier(state, event, topic), _numbered(count + 1))
        passed.append(PassedOn(topic, (*headers, *added), event.data))
    if not passed:
        return Decision(state)
    return Decision(state.replace(passed={**state.passed, **counted}), passed=tuple(passed))


def _earlier(state: StreamState, event: Foreign, topic: str) -> tuple[tuple[str, bytes], ...]:
    """The header that names the earlier topics of the same team which had this event; none for an event they had not.

    So a team that goes on from one topic to the next knows what it has handled.
    """
    envelope, team = event.envelope, team_of(topic)
    numbers = sorted(
        number_of(before, team)
        for before in event.ended
        if team_of(before) == team
        and envelope.sequence <= state.passed.get(stream_of(before, envelope.source), (0, 0))[1]
    )
    return ((OUT_EARLIER, ",".join(map(str, numbers)).encode()),) if numbers else ()


def end(state: EndState, cause: Cause, topic: str, successor: str | None) -> Decision[EndState]:
    """End one partition of a topic: its last record names the topic that follows, if one does.

    Where none followed at first, and one does later, a second record names it.
    """
    if state.ended and (successor is None or state.successor is not None):
        return Decision(state)
    number = 2 if state.ended else 1
    envelope = Envelope(
        id=cause.derive_id(TOPIC_ENDED),
        source=SOURCE,
        type=TOPIC_ENDED,
        subject=cause.subject,
        sequence=number,
        time=cause.now,
        correlationid=cause.correlation_id,
        causationid=cause.id,
        facilityid=cause.facility_id,
        actorrole=cause.actor_role,
        sensitivity="operational",
        dataschema=f"{SCHEMA}{TOPIC_ENDED}",
    )
    headers = tuple((name, text.encode()) for name, text in envelope.headers().items())
    data = json.dumps({} if successor is None else {SUCCESSOR: successor}).encode()
    last = PassedOn(topic, (*headers, _numbered(number)), data)
    return Decision(state.replace(ended=True, successor=successor), passed=(last,))


def stream_of(topic: str, source: str) -> str:
    """How a state names what an outlet has of a source. Without a dot, which would be a path in the store."""
    return f"{topic}|{source}".replace(".", ":")


def _numbered(number: int) -> tuple[str, bytes]:
    return OUT_SEQUENCE, written(number).encode()

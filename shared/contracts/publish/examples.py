"""An example of each event: a whole record, which is never rewritten once it is published. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any, Final, cast

from ..event import CATALOGUE, Envelope, Event, read_envelope
from . import story
from .schemas import Schema
from .story import example_id

_EXAMPLE_TIME: Final = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


def example_of(event: type[Event]) -> dict[str, Any]:
    """Return a whole record as JSON: headers, key and data."""
    subject = story.subject_of(event.SUBJECT)
    cause = example_id("cause")
    fields = story.consistent(event.NAME, json.loads(event.example().data()))
    data = json.loads(event.parse(json.dumps(fields)).data())
    envelope = Envelope(
        id=example_id(event.TYPE),
        source=event.SOURCE,
        type=event.TYPE,
        subject=subject,
        sequence=1,
        time=_EXAMPLE_TIME,
        correlationid=cause,
        causationid=cause,
        facilityid=story.FACILITY,
        actorrole=story.role_of(event.NAME),
        sensitivity=event.SENSITIVITY,
        dataschema=event.schema_id(),
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        personid=_person(event, data),
    )
    return {"headers": envelope.headers(), "key": subject, "data": data}


def _person(event: type[Event], data: dict[str, Any]) -> str | None:
    """Whom an event about an episode names in its header; other events name nobody there."""
    return data.get("person_id", example_id("person")) if event.SUBJECT == "episode" else None


def check_example(record: dict[str, Any]) -> str | None:
    """Say why a published example no longer holds, or nothing when it does.

    Its data must come back from today's class unchanged: a field or a code that is no longer
    known would be dropped in silence.
    """
    try:
        headers = [(name, str(value).encode()) for name, value in record["headers"].items()]
        envelope = read_envelope(headers, str(record["key"]).encode())
        event = CATALOGUE.get(envelope.type)
        if event is None:
            return f"{envelope.type} is no longer in the catalogue"
        known = json.loads(event.parse(json.dumps(record["data"])).data())
    except ValueError as error:
        return f"no longer parses ({type(error).__name__})"
    lost = list(_lost(record["data"], known))
    return f"no longer understood: {', '.join(lost)}" if lost else None


def _lost(published: object, known: object, path: str = "") -> Iterator[str]:
    if isinstance(published, dict) and isinstance(known, dict):
        theirs, ours = cast("Schema", published), cast("Schema", known)
        for name, value in theirs.items():
            if name in ours:
                yield from _lost(value, ours[name], f"{path}{name}.")
            else:
                yield f"{path}{name}"
    elif isinstance(published, list) and isinstance(known, list):
        pairs = zip_longest(cast("list[object]", published), cast("list[object]", known))
        for one, other in pairs:
            yield from _lost(one, other, f"{path}[].")
    elif published != known:
        yield path.rstrip(".")

"""Turns a Kafka message into the input of a decision of the kit. Never raises, whatever a message contains."""

from __future__ import annotations

from typing import Final, NamedTuple, cast

from ..contracts.event import Envelope, EnvelopeError, read_envelope
from ..contracts.outlets import is_outlet
from .handlers import Handler, Handlers
from .messages import Message, Stream
from .outlets import counted
from .unpacking import Packed

NUMBER_DIGITS_MAX: Final = 18


class Read(NamedTuple):
    """A message as the kit sees it."""

    message: Message
    stream: Stream | None
    """None when the envelope is unreadable: then it belongs nowhere."""
    number: int = 0
    event_id: str = ""
    handler: Handler | None = None
    envelope: Envelope | None = None
    """Of an event that a handler wants; of others only the place in their stream is read."""
    skipped: str = ""
    """Why no handler wants it."""
    error: str = ""
    """The code of what is wrong with the envelope."""


def read(message: Message, handlers: Handlers) -> Read:
    """Read a message as far as it is wanted."""
    if isinstance(message.value, Packed):
        return Read(message, None, error="batch-too-large")
    found = passed_over(message, handlers)
    if found is not None:
        return found
    if is_outlet(message.topic):
        return _of_outlet(message, handlers)
    try:
        envelope = read_envelope(message.headers, message.key)
        _check_place(message, envelope)
    except EnvelopeError as error:
        return Read(message, None, error=error.code)
    return _wanted(
        message, handlers, envelope, (envelope.source, envelope.subject), envelope.sequence
    )


def _of_outlet(message: Message, handlers: Handlers) -> Read:
    """An event as an outlet passes it on: its number is the outlet's, and its stream is of this topic alone."""
    try:
        added = counted(message)
        envelope = read_envelope(added.headers, message.key)
    except EnvelopeError as error:
        return Read(message, None, error=error.code)
    if not envelope.type.startswith(f"{envelope.source}."):
        return Read(message, None, error="source-mismatch")
    stream = (f"{message.topic}/{envelope.source}", envelope.subject)
    found = _wanted(message, handlers, envelope, stream, added.number)
    if found.stream is not None and added.earlier & handlers.followed:
        return found._replace(handler=None, skipped="passed-on-before")
    return found


def _wanted(
    message: Message, handlers: Handlers, envelope: Envelope, stream: Stream, number: int
) -> Read:
    handler = handlers.by_type.get(envelope.type)
    if handler is not None and not envelope.subject.startswith(f"{handler.event.SUBJECT}/"):
        return Read(message, None, error="subject-kind-wrong")
    why = "" if handler is not None else handlers.why_not(envelope.type)
    return Read(message, stream, number, envelope.id, handler, envelope, why)


def passed_over(message: Message, handlers: Handlers) -> Read | None:
    """A well-formed event that no handler wants, read in a fraction of the time; None for any other message."""
    headers, key = message.headers, message.key
    given = cast("dict[str, bytes]", dict(headers))
    try:
        event_type = given["ce_type"].decode()
        number, subject = given["ce_sequence"], given["ce_subject"]
        if (
            event_type in handlers.by_type
            or len(given) != len(headers)
            or subject != key
            or given["ce_source"].decode() != message.topic
            or not event_type.startswith(message.topic)
            or len(number) > NUMBER_DIGITS_MAX
            or int(number) < 1
        ):
            return None
        stream = (message.topic, subject.decode())
        event_id = given["ce_id"].decode()
    except (KeyError, ValueError, AttributeError):
        return None
    why = handlers.why_not(event_type)
    return Read(message, stream, int(number), event_id, None, None, why)


def _check_place(message: Message, envelope: Envelope) -> None:
    if envelope.source != message.topic or not envelope.type.startswith(f"{message.topic}."):
        raise EnvelopeError("source-mismatch", "not this topic's publisher")

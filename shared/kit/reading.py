"""From a Kafka message to what the kit decides about. Never raises, whatever a message contains."""

from __future__ import annotations

from typing import Final, NamedTuple, cast

from ..contracts.event import Envelope, EnvelopeError, read_envelope
from .handlers import Handler, Handlers
from .messages import Message, Stream

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
    found = passed_over(message, handlers)
    if found is not None:
        return found
    try:
        envelope = read_envelope(message.headers, message.key)
        _check_place(message, envelope)
    except EnvelopeError as error:
        return Read(message, None, error=error.code)
    handler = handlers.by_type.get(envelope.type)
    if handler is not None and not envelope.subject.startswith(f"{handler.event.SUBJECT}/"):
        return Read(message, None, error="subject-kind-wrong")
    why = "" if handler is not None else handlers.why_not(envelope.type)
    stream = (envelope.source, envelope.subject)
    return Read(message, stream, envelope.sequence, envelope.id, handler, envelope, why)


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

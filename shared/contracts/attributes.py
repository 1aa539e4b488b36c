"""The attributes of an event's envelope: which texts each of them may have.

Every attribute has a pattern that bounds its length, so that no free text can travel in one. Roles, facilities,
sensitivities and kinds of subjects have a pattern and not a list, so that an older reader takes the words of a newer
publisher: the envelope has no major version.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final

UUID: Final = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
"""A UUID in lower case, as a part of a regular expression. `codes.UUID_PATTERN` is the whole expression."""
FACILITY: Final = "[a-z0-9-]{3,40}"
ROLE: Final = "[a-z][a-z0-9_]{0,39}"
SUBJECT: Final = f"[a-z][a-z0-9]{{0,39}}/{UUID}"
"""What a fact is about. `event.SubjectKind` has the kinds that there are; a reader skips those it does not know."""
SENSITIVITY: Final = "[a-z][a-z0-9-]{0,39}"
SOURCE: Final = "care[.][a-z]{1,40}"
TYPE: Final = f"({SOURCE}[.][a-z0-9-]{{1,80}})[.]v([1-9][0-9]{{0,3}})"
SCHEMA: Final = "urn:throughcare:schema:"
"""An identifier, not a location: what `dataschema` begins with, before the type."""
TRACEPARENT: Final = "(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
"""W3C Trace Context. Whatever else comes in its place is dropped, for nobody's work depends on a trace."""

SEQUENCE_DIGITS: Final = 18
SEQUENCE_WRITTEN: Final = f"(?!0{{{SEQUENCE_DIGITS}}})[0-9]{{{SEQUENCE_DIGITS}}}"
"""A sequence as it is published: padded with zeros, so that the order of the texts is the order of the numbers, as the
CloudEvents sequence extension asks. Readers take it without the zeros too."""

PATTERNS: Final = MappingProxyType(
    {
        "specversion": "1[.]0",
        "id": UUID,
        "source": SOURCE,
        "type": TYPE,
        "subject": SUBJECT,
        "sequence": f"(?!0+$)[0-9]{{1,{SEQUENCE_DIGITS}}}",
        "time": (
            "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?"
            "(Z|[+-][0-9]{2}:[0-9]{2})"
        ),
        "correlationid": UUID,
        "causationid": UUID,
        "facilityid": FACILITY,
        "actorrole": ROLE,
        "sensitivity": SENSITIVITY,
        "dataschema": f"{SCHEMA}{TYPE}",
    }
)
"""The required attributes in their order, each with the regular expression that the whole text matches."""

PERSON: Final = UUID
"""Of the optional `personid`: whom the record is about that published the event, as far as it knows."""

_COMPILED: Final = {name: re.compile(pattern) for name, pattern in PATTERNS.items()}
_TRACEPARENT: Final = re.compile(TRACEPARENT)
_PERSON: Final = re.compile(PERSON)


def legal(name: str, text: str) -> bool:
    """Whether the attribute `name` may have this text."""
    return _COMPILED[name].fullmatch(text) is not None


def trace_or_none(text: str | None) -> str | None:
    """The text when it is a W3C `traceparent`; nothing else may travel on with an event."""
    return text if text is not None and _TRACEPARENT.fullmatch(text) else None


def is_person(text: str) -> bool:
    """Whether the attribute `personid` may have this text."""
    return _PERSON.fullmatch(text) is not None

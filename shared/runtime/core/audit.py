"""Entries of the audit: who did what to which record, when, and the outcome (45 CFR 164.312(b)). Pure.

An entry holds ids, codes, times and the template of a route. It holds no name, no free text and no value of a query. A
stored entry never changes. An entry about an applied command is saved together with the record that the command
changed, so that neither exists without the other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from shared.decision import derive_id

Document = dict[str, Any]
UNCHAINED: Final = "unchained"
"""The stored field that an entry has until a link of a chain holds its digest: the replica that stored it."""
EVERYWHERE: Final = "*"
"""Stands for a facility where an entry is nobody's in particular: every facility's officers see it."""
SUBJECTS_MAX: Final = 500
"""How many records one entry names; a request that shows more leaves several entries."""
APPLIED: Final = "applied"


def now() -> datetime:
    """Wall time as the store keeps it: in milliseconds."""
    wall = datetime.now(UTC)
    return wall.replace(microsecond=wall.microsecond // 1000 * 1000)


def applied(
    begun: Mapping[str, Any], subjects: Sequence[str], number: int, cause_id: str, revision: int
) -> Document:
    """The entry of a command that its record has applied. `begun` is what the request knows; see `Work.audit`."""
    first = subjects[0]
    return {
        "_id": derive_id("audit", begun["request_id"], first, str(number)),
        **begun,
        "kind": "command",
        "outcome": APPLIED,
        "subjects": list(subjects[:SUBJECTS_MAX]),
        "number": number,
        "cause_id": cause_id,
        "revision": revision,
    }


def canonical(entry: Mapping[str, Any]) -> bytes:
    """The one text of an entry that its digest is made of."""
    kept = {name: value for name, value in entry.items() if name != UNCHAINED}
    return json.dumps(kept, sort_keys=True, separators=(",", ":"), default=_text).encode()


def digest(entry: Mapping[str, Any]) -> bytes:
    """SHA-256 of an entry."""
    return sha256(canonical(entry)).digest()


def check(entry: Any) -> None:
    """Raises what a stored entry lets the relay stumble over."""
    if not isinstance(entry["_id"], str) or not isinstance(entry["number"], int):
        raise TypeError("audit")


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds")
    return repr(value)

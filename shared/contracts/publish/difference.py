"""One difference between two contracts."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What has to be done about a difference."""

    BREAKING = "breaking"
    """Refused: publish a new major version beside the old."""
    WORDS = "words"
    """Asked for: somebody says why the words changed and that the meaning did not."""
    ADDITIVE = "additive"
    """Allowed."""


class Difference(NamedTuple):
    """One difference: where, and what a reader would meet. `event` is empty for what concerns the whole contract."""

    kind: Kind
    event: str
    place: str
    what: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.event, self.place, self.what) if part)

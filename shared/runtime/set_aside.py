"""Records that this replica leaves out of its work, so that a fault of one record does not stop the service.

A replica sets a record aside when its stored document can't be read, or when the broker refuses one of its events
because of its size. Everything else continues: sweeps, deadlines, lists and the events of other records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from shared.runtime.logs import log

UNREADABLE: Final = "record-unreadable"
UNPUBLISHED: Final = "event-too-large"
REASONS: Final = {
    UNREADABLE: "The stored record can't be read.",
    UNPUBLISHED: "The broker refuses one of its events for its size.",
}
NAMED_MAX: Final = 1_000
"""How many records are named; of more, the log names each, and the number here stands still."""


class SetAside:
    """Which records are set aside, and why. Kept in memory: the next start tries each of them again."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}

    def add(self, subject: str, reason: str) -> None:
        """Set a record aside; it is logged once."""
        if self._reasons.get(subject) == reason:
            return
        log.error("record.set_aside", subject=subject, reason=reason)
        if len(self._reasons) < NAMED_MAX:
            self._reasons[subject] = reason

    def readable(self, subject: str) -> None:
        """A record that could not be read can be read again."""
        if self._reasons.get(subject) == UNREADABLE:
            del self._reasons[subject]
            log.warning("record.readable", subject=subject)

    def unpublished(self, subject: str) -> bool:
        """Whether one of the record's events can't be published."""
        return self._reasons.get(subject) == UNPUBLISHED

    def counts(self) -> Counter[str]:
        """How many records are set aside, by reason."""
        return Counter(self._reasons.values())

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._reasons))

    def __len__(self) -> int:
        return len(self._reasons)

    def view(self) -> list[dict[str, str]]:
        """What operators see: subjects and reasons."""
        return [{"subject": s, "reason": self._reasons[s]} for s in sorted(self._reasons)]

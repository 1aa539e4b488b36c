"""Records that this replica leaves out of its work, so that a fault of one record does not stop the service.

A replica sets a record aside when its stored document can't be read, or when the broker refuses one of its events
because of its size. Documents of other collections that can't be read are named here too, by collection and id.
Everything else continues: sweeps, deadlines, lists and the events of other records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from time import monotonic
from typing import Final

from shared.runtime.logs import log

UNREADABLE: Final = "record-unreadable"
UNPUBLISHED: Final = "event-too-large"
DOCUMENT_UNREADABLE: Final = "document-unreadable"
REASONS: Final = {
    UNREADABLE: "The stored record can't be read.",
    UNPUBLISHED: "The broker refuses one of its events for its size.",
    DOCUMENT_UNREADABLE: "A stored dead letter, or an entry or link of the audit, can't be read.",
}
MISREAD: Final = (ValueError, LookupError, TypeError, AttributeError, OverflowError)
"""What reading a stored document that is not what it should be raises."""
TRY_AGAIN_SECONDS: Final = 300.0
"""How long a record rests whose event the broker refuses: an operator may put the topic's setting right."""
NAMED_MAX: Final = 1_000
"""How many records are named; of more, the log names each, and the number here stands still."""


class SetAside:
    """Which records are set aside, and why. Kept in memory: the next start tries each of them again."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}
        self._added_at: dict[str, float] = {}

    def add(self, subject: str, reason: str) -> None:
        """Set a record aside; it is logged once."""
        self._added_at[subject] = monotonic()
        if self._reasons.get(subject) == reason:
            return
        log.error("record.set_aside", subject=subject, reason=reason)
        if subject in self._reasons or len(self._reasons) < NAMED_MAX:
            self._reasons[subject] = reason
        else:
            del self._added_at[subject]

    def add_document(self, collection: str, document_id: object) -> None:
        """Set a document of another collection than `records` aside, named by both."""
        self.add(f"{collection}/{document_id}", DOCUMENT_UNREADABLE)

    def document_readable(self, collection: str, document_id: object) -> None:
        """Such a document reads, perhaps again."""
        if self._reasons:
            self.readable(f"{collection}/{document_id}")

    def readable(self, subject: str) -> None:
        """A record or document that could not be read can be read again."""
        if self._reasons.get(subject) in (UNREADABLE, DOCUMENT_UNREADABLE):
            del self._reasons[subject], self._added_at[subject]
            log.warning("record.readable", subject=subject)

    def published(self, subject: str) -> None:
        """What the broker refused for its size has been taken."""
        if self.unpublished(subject):
            del self._reasons[subject], self._added_at[subject]
            log.warning("record.published", subject=subject)

    def unpublished(self, subject: str) -> bool:
        """Whether one of the record's events can't be published."""
        return self._reasons.get(subject) == UNPUBLISHED

    def resting(self, subject: str) -> bool:
        """Whether one of the record's events can't be published, and was tried within the last minutes."""
        tried_at = self._added_at.get(subject, 0.0)
        return self.unpublished(subject) and monotonic() - tried_at < TRY_AGAIN_SECONDS

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

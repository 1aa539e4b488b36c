"""Sequence gaps: an alarm when an event of a subject is missing, because it was lost before it reached this service.

The check considers all envelopes of a partition that were read one after another since its assignment. A service skips
event types that it does not want, so that gaps in its inbox alone prove nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from shared.contracts.event import Envelope
from shared.runtime.logs import log
from shared.runtime.metrics import Metrics

WATCHED_SUBJECTS: Final = 5_000


class SequenceGaps:
    """Watches the numbers of the subjects seen last. An alarm stops nothing: what has arrived can be applied."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._last: OrderedDict[tuple[str, str], int] = OrderedDict()

    def check(self, envelope: Envelope, sequence_max: int) -> None:
        """Compare an event's number with the last one of its subject, and remember it.

        A number above `sequence_max` is not its publisher's: it is neither a gap nor anything to compare with.
        """
        if envelope.sequence > sequence_max:
            return
        key = (envelope.source, envelope.subject)
        last = self._last.get(key)
        if last is not None and envelope.sequence > last + 1:
            self._metrics.sequence_gaps.labels(envelope.source).inc()
            log.error(
                "sequence.gap",
                subject=envelope.subject,
                event_id=envelope.id,
                event_type=envelope.type,
                count=envelope.sequence - last - 1,
            )
        if last is None or envelope.sequence > last:
            self._last[key] = envelope.sequence
            self._last.move_to_end(key)
            if len(self._last) > WATCHED_SUBJECTS:
                self._last.popitem(last=False)

    def forget(self) -> None:
        """The partitions are revoked: another replica reads on."""
        self._last.clear()

"""Writes the audit entries of requests that change no record: reads, refusals and repeats.

One insert writes the entries of all requests that are in flight.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol
from uuid import uuid4

from shared.runtime.core import audit
from shared.runtime.core.audit import EVERYWHERE, Document
from shared.runtime.metrics import Metrics

BATCH_MAX: Final = 500
OTHER_CODE: Final = "other"
CODES: Final = ("token-required", "token-refused", OTHER_CODE)
"""By what a refusal of somebody who is not known is counted."""
Entries = Sequence[Mapping[str, Any]]


class Sink(Protocol):
    """The store, as far as entries need it."""

    async def add_audit_entries(self, entries: Entries) -> None:
        """Insert entries. One that is there already stays as it is. Raises `Unavailable`."""
        ...


class AuditWriter:
    """Group commit: whoever has to be written while an insert is under way goes into the next one, together."""

    def __init__(self, sink: Sink, metrics: Metrics) -> None:
        self._sink = sink
        self._metrics = metrics
        self._pending: list[tuple[Entries, asyncio.Future[None]]] = []
        self._drainer: asyncio.Task[None] | None = None
        self._anonymous: Counter[str] = Counter()
        for code in CODES:  # a counter that appears with its first count shows no increase
            metrics.refused_anonymous.labels(code)

    async def write(self, entries: Entries) -> None:
        """Write entries; returns when the store has acknowledged them. Raises `Unavailable`."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending.append((entries, future))
        if self._drainer is None or self._drainer.done():
            self._drainer = asyncio.create_task(self._drain(), name="audit")
        await future

    async def _drain(self) -> None:
        while self._pending:
            batch, self._pending = self._pending[:BATCH_MAX], self._pending[BATCH_MAX:]
            try:
                await self._sink.add_audit_entries([one for entries, _ in batch for one in entries])
            except Exception as error:  # noqa: BLE001 - raised to each of the callers
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
            else:
                for _, future in batch:
                    if not future.done():
                        future.set_result(None)

    def count_anonymous(self, code: str) -> None:
        """Count a refusal of somebody who is not known. Anybody can cause these: none has an entry of its own."""
        listed = code if code in CODES else OTHER_CODE
        self._metrics.refused_anonymous.labels(listed).inc()
        self._anonymous[listed] += 1

    async def write_anonymous(self) -> None:
        """Write how many unknown callers were refused since the last time, as one entry. Raises `Unavailable`."""
        counts, self._anonymous = self._anonymous, Counter()
        if not counts:
            return
        entry: Document = {
            "_id": str(uuid4()),
            "at": audit.now(),
            "kind": "anonymous",
            "outcome": "refused",
            "facilities": [EVERYWHERE],
            "subjects": [],
            "counts": dict(sorted(counts.items())),
        }
        try:
            await self.write([entry])
        except BaseException:
            self._anonymous.update(counts)
            raise

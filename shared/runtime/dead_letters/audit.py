"""The audit of dead letters: what operators did to dead letters and streams, who and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from shared.decision import derive_id
from shared.runtime.core.store import Document
from shared.runtime.dead_letters.store import DeadLetters
from shared.runtime.logs import log


@dataclass(frozen=True, slots=True)
class Who:
    """The operator who acts, and why: a code, not free text."""

    actor_id: str
    why: str
    facility_id: str = ""
    operates: bool = True
    """Of the operating organisation: may act on every facility's rows, and on those that are nobody's."""

    def may_act_on(self, facility_id: str) -> bool:
        """Whether a row of this facility, empty for none, is theirs to act on."""
        return self.operates or (facility_id != "" and facility_id == self.facility_id)


class Audit:
    """Writes an entry before the first effect, so that an entry without an end shows what was interrupted."""

    def __init__(self, dead_letters: DeadLetters) -> None:
        self._dead_letters: Final = dead_letters

    async def begin(
        self, action: str, who: Who, what: Document, facilities: Iterable[str] = ()
    ) -> str:
        """Write who is about to do what, and to rows of which facilities; returns the entry's id.

        The operators of these facilities see the entry too: what was done to their rows is theirs to know.
        """
        entry = derive_id("audit", str(uuid4()))
        await self._dead_letters.write_audit(
            {
                "_id": entry,
                "at": datetime.now(UTC),
                "actor_id": who.actor_id,
                "facility_id": who.facility_id,
                "why": who.why,
                "action": action,
                "facilities": sorted({one for one in facilities if one}),
                **what,
            }
        )
        log.info("redrive.begun", reason=who.why)
        return entry

    async def seen_by(self, facility_id: str | None, limit: int) -> list[Document]:
        """The latest entries: all, or those by and about one facility, with nothing in them of any other."""
        found = await self._dead_letters.audit(facility_id, limit)
        return found if facility_id is None else [_about(entry, facility_id) for entry in found]

    async def end(self, entry: str, result: Document) -> None:
        """Write how it ended."""
        await self._dead_letters.write_audit(
            {"_id": entry, "ended_at": datetime.now(UTC), "result": result}
        )


def _about(entry: Document, facility_id: str) -> Document:
    """The entry as this facility sees it: without the names and rows of others."""
    shown = entry | {
        "facilities": [one for one in entry.get("facilities", ()) if one == facility_id]
    }
    result: Document = entry.get("result") or {}
    failed: Document | None = result.get("failed")
    if failed is not None and failed.get("facility_id") != facility_id:
        shown["result"] = {name: value for name, value in result.items() if name != "failed"}
    return shown

"""A discard needs two people: one operator requests it with a reason, and another approves it within a day.

The service never learns a discarded fact, so nobody may decide a discard alone. A pending request is an open item of
the facility's operators with a deadline. The service lists it, and raises an alarm when nobody has approved it in time.
A request may name the next event of the stream, which takes the discarded one back; both are then discarded together. A
deployment may let one person do it (`CARE_ONE_PERSON_DISCARD`). It then reports this at each start and in readiness.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from shared.errors import Forbidden, Invalid, Refused, Unavailable, Unknown
from shared.runtime.core.dead_letter import DISCARDED, OPEN, DeadLetter, DiscardRequest
from shared.runtime.core.store import Document
from shared.runtime.dead_letters.audit import Audit, Who
from shared.runtime.dead_letters.redrive import Redriver, already_closed
from shared.runtime.dead_letters.store import DeadLetters, stream_of
from shared.runtime.dead_letters.view import view_of
from shared.runtime.logs import log

APPROVED_WITHIN: Final = timedelta(hours=24)
PENDING_MAX: Final = 500
LOOK_SECONDS: Final = 30.0


def _wall() -> datetime:
    return datetime.now(UTC)


class Discards:
    """Requests and approvals of one service."""

    def __init__(
        self,
        dead_letters: DeadLetters,
        redriver: Redriver,
        *,
        one_person: bool = False,
        now: Callable[[], datetime] = _wall,
    ) -> None:
        self._dead_letters = dead_letters
        self._redriver = redriver
        self._one_person = one_person
        self._now = now
        self._audit = Audit(dead_letters)
        self._alarmed: set[str] = set()
        self.overdue = 0
        """How many requests nobody approved in time, as last looked."""

    async def request(
        self, dead_letter_id: str, who: Who, taken_back_by: str | None = None
    ) -> Document:
        """Ask that a dead letter have no effect; `taken_back_by` is the next in line, which goes with it.

        Raises `Refused` when something before it waits, or somebody has asked already.
        """
        dead_letter = await self._redriver.discardable(dead_letter_id)
        pending = dead_letter.discard
        if pending is not None and self._now() < pending.until:
            raise Refused(
                "discard-requested",
                "A discard of this dead letter is already requested.",
                hint="Approve the request, or redrive the dead letter.",
            )
        if taken_back_by is not None:
            await self._next_in_line(dead_letter, taken_back_by)
        at = self._now()
        request = DiscardRequest(at, who.actor_id, who.why, at + APPROVED_WITHIN, taken_back_by)
        what, whose = {"dead_letter": dead_letter_id}, [dead_letter.facility_id]
        entry = await self._audit.begin("request-discard", who, what, whose)
        await self._dead_letters.request_discard(dead_letter_id, request)
        self._alarmed.discard(dead_letter_id)
        result: Document = {"requested": dead_letter_id, "until": request.until}
        await self._audit.end(entry, result)
        return result

    async def approve(self, dead_letter_id: str, who: Who) -> Document:
        """Discard what another operator has requested, and with it what takes it back. Repeatable after a crash.

        Raises `Forbidden` for the one who requested it, `Refused` when nothing is pending or the day has passed.
        """
        dead_letter = await self._dead_letters.get(dead_letter_id)
        if dead_letter is None:
            raise Unknown("dead-letter")
        request = dead_letter.discard
        if request is None:
            raise Refused(
                "discard-not-requested",
                "Nobody has requested this discard.",
                hint="Request it first.",
            )
        if request.by == who.actor_id and not self._one_person:
            raise Forbidden(
                "second-person-needed",
                "The operator who requested a discard can't approve it.",
                hint="Ask another operator.",
            )
        behind = await self._behind(request)
        if dead_letter.status == OPEN or behind is None:
            if self._now() >= request.until:
                raise Refused(
                    "discard-expired",
                    "The request was not approved in time.",
                    hint="Request it again.",
                )
            result = await self._redriver.discard(dead_letter_id, who)
        elif dead_letter.status == DISCARDED:  # a crash between the two
            result = {"discarded": dead_letter_id, "status": DISCARDED}
        else:
            raise already_closed(dead_letter)
        if behind is not None:
            await self._redriver.discard(behind.id, who)
            result = result | {"with": behind.id}
        return result

    async def pending(self, wanted: Mapping[str, Any], operating_facility: str) -> list[Document]:
        """What waits for an approval, the earliest deadline first: whose it is, until when, and whether it is late."""
        now = self._now()
        return [
            view_of(one)
            | {
                "owner": {
                    "role": "operator",
                    "facility_id": one.facility_id or operating_facility,
                },
                "deadline_at": one.discard.until,
                "overdue": one.discard.until <= now,
            }
            for one in await self._dead_letters.pending(wanted, PENDING_MAX)
            if one.discard is not None
        ]

    async def run(self) -> None:
        """Look for requests that nobody approved in time, for ever; each of them is an alarm once."""
        while True:
            try:
                await self.look()
            except Unavailable:
                log.warning("discards.waiting")
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Count the requests that are late, and log each that has become so."""
        now = self._now()
        late = [
            one
            for one in await self._dead_letters.pending({}, PENDING_MAX)
            if one.discard is not None and one.discard.until <= now
        ]
        for one in late:
            if one.id not in self._alarmed:
                log.error("discard.expired", subject=one.subject, facility_id=one.facility_id)
        self._alarmed = {one.id for one in late}
        self.overdue = len(late)

    async def _next_in_line(self, dead_letter: DeadLetter, other_id: str) -> None:
        stream = stream_of(dead_letter)
        waiting = [] if stream is None else await self._dead_letters.stream(stream, 2)
        if [one.id for one in waiting] != [dead_letter.id, other_id]:
            raise Invalid(
                "not-next-in-line",
                "The dead letter that takes this one back must be the next in the same stream.",
                hint="Discard this one alone, redrive the ones in between, and then decide about the other.",
            )

    async def _behind(self, request: DiscardRequest) -> DeadLetter | None:
        if request.taken_back_by is None:
            return None
        found = await self._dead_letters.get(request.taken_back_by)
        return found if found is not None and found.status == OPEN else None

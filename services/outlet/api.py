"""What a restricted team may ask: the history of a subject, as its topic has it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Annotated, Any, Final, Protocol

from fastapi import APIRouter

from services.outlet.history import HistoryPage, first_offset
from services.outlet.planning import Outlet
from shared.contracts.event import SubjectKind
from shared.contracts.topics import PARTITIONS
from shared.errors import Forbidden
from shared.roles import SUBSCRIBER
from shared.runtime.core.paging import next_field
from shared.runtime.core.partitions import partition_of
from shared.runtime.http.call import Call, SubjectId
from shared.runtime.http.paging import After, Limit
from shared.runtime.http.roles import require_roles
from shared.runtime.http.shown import Paged, shows, with_words
from shared.runtime.kafka.scan import scan

router = APIRouter(tags=["history"])

SCANS_MAX: Final = 4
"""How many pages one replica reads from Kafka at a time; the others wait."""
_scanning: Final = asyncio.Semaphore(SCANS_MAX)


@with_words
class HistoryView(Paged):
    """A page of the history of a subject."""

    subject: str
    topic: str
    """The team's topic."""
    events: list[dict[str, Any]]
    """The events in the order of the topic, each as a structured CloudEvent."""


Team = Annotated[Call, require_roles(SUBSCRIBER)]


class Entitling(Protocol):
    """What outlet passes on to whom."""

    def entitled(self, team: str) -> Outlet | None:
        """The topic that a team reads now; None when it reads none, or its agreement has ended."""
        ...


@router.get("/history/{kind}/{subject_id}")
@shows(HistoryView)
async def history(
    call: Team,
    kind: SubjectKind,
    subject_id: SubjectId,
    limit: Limit = 100,
    after: After = None,
) -> dict[str, Any]:
    """What was passed on to the caller's team about a subject, in the order of its topic, as structured CloudEvents.

    `next`, when it is there, is `after` for the page that follows, which may have no events. A subject of which the
    team gets nothing has an empty history, whether or not it exists.
    """
    call.runtime.ensure_ready()
    outlet = _entitling(call).entitled(call.actor.service)
    if outlet is None:
        raise Forbidden(
            "no-outlet",
            "Nothing is passed on to this team.",
            hint="Ask the operators for the team's file: it may read the services' topics, or its agreement has ended.",
        )
    subject = f"{kind}/{subject_id}"
    call.trail.look_at([subject])
    page = HistoryPage(outlet.topic, subject, limit, first_offset(outlet.topic, after))
    follows = False
    async with _scanning:
        place = outlet.topic, partition_of(subject, PARTITIONS)
        async with aclosing(scan(call.runtime.settings, place, page.offset)) as batches:
            async for batch in batches:
                page.take(batch)
                if page.full:
                    follows = True
                    break
    return {
        "subject": subject,
        "topic": outlet.topic,
        "events": page.events,
        **next_field(page.cursor() if follows else None),
    }


def _entitling(call: Call) -> Entitling:
    return call.request.app.state.runtime.passing

"""Paging of lists over HTTP: `after` and `limit`, the same for each list, and whole lists where all rows are needed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from datetime import datetime
from typing import Annotated, Final, TypeVar

from fastapi import Query

from shared.decision import State
from shared.runtime.core.paging import Page
from shared.runtime.http.call import Call
from shared.runtime.http.subjects import state_of

PAGE_MAX: Final = 500
S = TypeVar("S", bound=State)

Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]
After = Annotated[str | None, Query(description="`next` of the page before, as it came.")]
"""Not restricted here: whatever text it is, the store alone says whether it is a cursor."""


def states(page: Page, kind: type[S]) -> list[tuple[str, S]]:
    """Subject and state of each record of a page, all of this kind."""
    return [(record.subject, state_of(record, kind)) for record in page.records]


async def all_pages(
    call: Call,
    index: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = PAGE_MAX,
) -> AsyncIterator[Page]:
    """All records of the caller's facility in an index, page by page: as many as are wanted are read."""
    after: str | None = None
    while True:
        page = await call.page(index, after, limit, since=since, until=until)
        yield page
        after = page.next
        if after is None:
            return


def left_out_field(left_out: Collection[str]) -> dict[str, list[str]]:
    """For an answer over HTTP: `left_out` names the records that could not be read here, when there are any."""
    return {"left_out": sorted(left_out)} if left_out else {}

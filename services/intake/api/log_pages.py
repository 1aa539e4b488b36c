"""One page of the accounting of disclosures, over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from services.intake.person import accounting
from services.intake.person.accounting import Accounting, Disclosure, EntryState
from shared.errors import Invalid
from shared.runtime.http.call import Call
from shared.runtime.http.json_answer import JsonAnswer
from shared.runtime.http.subjects import Subject

PageQuery = Annotated[int | None, Query(ge=1, le=100_000)]


async def log_page(
    call: Call, subject: Subject[Accounting], name: str, page: int | None, state: EntryState
) -> JsonAnswer:
    """The latest page of a log, or the one asked for; where nothing was ever logged, an empty one."""
    pages = (await _latest(call, subject)).pages + 1
    _, found = await entries_of(call, subject, page)
    entries = [entry.model_dump(mode="json") for entry in found if entry.state is state]
    return JsonAnswer({name: entries, "page": page or pages, "pages": pages})


async def entries_of(
    call: Call, subject: Subject[Accounting], page: int | None
) -> tuple[Subject[Accounting], tuple[Disclosure, ...]]:
    """The entries of a page, the latest unless one is named, and the record that has them."""
    latest = await _latest(call, subject)
    pages = latest.pages + 1
    if page is not None and page > pages:
        raise Invalid("no-such-page", "The log has no such page.", hint=f"It has {pages}.")
    if page is None or page == pages:
        return subject, latest.entries
    filed = Subject(accounting.page_subject(subject.name, page), subject.state)
    return filed, (await call.state(filed)).entries


async def _latest(call: Call, subject: Subject[Accounting]) -> Accounting:
    found = await call.state_if_any(subject)
    return subject.state() if found is None else found

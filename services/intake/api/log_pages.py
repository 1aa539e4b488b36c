"""Intake over HTTP: one page of the accounting."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response
from fastapi.responses import JSONResponse

from services.intake.person import accounting
from shared.errors import Invalid
from shared.runtime.http.call import Call
from shared.runtime.http.subjects import Subject

PageQuery = Annotated[int | None, Query(ge=1, le=100_000)]


async def log_page(
    call: Call, subject: Subject[accounting.Accounting], name: str, page: int | None
) -> Response:
    """The latest page of a log, or the one asked for; where nothing was ever logged, an empty one."""
    log = await call.state_if_any(subject)
    if log is None:
        log = subject.state()
    pages = log.pages + 1
    if page is not None and page > pages:
        raise Invalid("no-such-page", "The log has no such page.", hint=f"It has {pages}.")
    if page is not None and page < pages:
        log = await call.state(Subject(accounting.page_subject(subject.name, page), subject.state))
    entries = [entry.model_dump(mode="json") for entry in log.entries]
    return JSONResponse({name: entries, "page": page or pages, "pages": pages})

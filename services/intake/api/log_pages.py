"""Intake over HTTP: one page of a log that is only ever added to."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Response
from fastapi.responses import JSONResponse

from services.intake.person import audit
from shared.errors import Invalid
from shared.runtime.http.call import Call

PageQuery = Annotated[int | None, Query(ge=1, le=100_000)]


async def log_page(
    call: Call, subject: str, name: str, page: int | None, nothing: audit.Log
) -> Response:
    """The latest page of a log, or the one asked for; where nothing was ever logged, an empty one."""
    found = (await call.runtime.store.load([subject]))[subject]
    log: Any = nothing if found.is_new else (await call.record(subject)).state
    pages: int = log.pages + 1
    if page is not None and page > pages:
        raise Invalid("no-such-page", "The log has no such page.", hint=f"It has {pages}.")
    if page is not None and page < pages:
        log = (await call.record(audit.page_subject(subject, page))).state
    entries = [entry.model_dump(mode="json") for entry in log.entries]
    return JSONResponse(
        {name: entries, "page": page or pages, "pages": pages},
        headers={"Cache-Control": "no-store"},
    )

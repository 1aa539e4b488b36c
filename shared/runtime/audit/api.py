"""Routes for the audit: privacy officers and directors list who did what with the records of their facility."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Protocol

from fastapi import APIRouter, Query

from shared.contracts.codes import UUID_PATTERN, Timestamp
from shared.runtime.audit.keeper import verify
from shared.runtime.audit.store import AuditLog, Wanted
from shared.runtime.core.audit import UNCHAINED
from shared.runtime.http import views
from shared.runtime.http.call import Call
from shared.runtime.http.paging import After, Limit
from shared.runtime.http.roles import require_roles
from shared.runtime.http.shown import shows

router = APIRouter(tags=["audit"])

READERS: Final = ("privacy_officer", "program_director")
Reader = Annotated[Call, require_roles(*READERS)]
SUBJECT_PATTERN: Final = f"^[a-z]{{2,40}}/{UUID_PATTERN.strip('^$')}$"
SubjectQuery = Annotated[str | None, Query(pattern=SUBJECT_PATTERN)]
ActorQuery = Annotated[str | None, Query(pattern=UUID_PATTERN)]
KindQuery = Annotated[str | None, Query(pattern="^[a-z]{3,20}$")]


class AuditedReplica(Protocol):
    """One replica, as those who read its audit see it."""

    @property
    def audit_log(self) -> AuditLog: ...


@router.get("/audit")
@shows(views.AuditView)
async def entries(
    call: Reader,
    subject: SubjectQuery = None,
    actor_id: ActorQuery = None,
    kind: KindQuery = None,
    since: Timestamp | None = None,
    until: Timestamp | None = None,
    limit: Limit = 100,
    after: After = None,
) -> dict[str, Any]:
    """Who did what in this service, the latest first: commands, reads, refusals, and what operators did.

    An entry that is not `chained` yet was stored within the last seconds: a change of it would not be seen. Both
    bounds of the time belong to it. Each service has its own audit.
    """
    call.trail.touched = True
    wanted = Wanted(call.actor.facility_id, subject, actor_id, since, until, kind)
    page = await _log(call).page(wanted, after, limit)
    return {"entries": [_view(entry) for entry in page.entries], **page.next_field}


@router.get("/audit/chains")
@shows(views.ChainsView)
async def chains(call: Reader) -> dict[str, Any]:
    """Check every link of every chain and every entry in them. `breaks` says where something is not what it was."""
    call.trail.touched = True
    found = await verify(_log(call))
    return {
        "chains": found.chains,
        "links": found.links,
        "entries": found.entries,
        "unchained": found.unchained,
        "breaks": [one.view() for one in found.breaks],
    }


def _view(entry: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in entry.items() if name not in ("_id", UNCHAINED)}
    return {"id": entry["_id"], **shown, "chained": UNCHAINED not in entry}


def _log(call: Call) -> AuditLog:
    replica: AuditedReplica = call.request.app.state.runtime
    return replica.audit_log

"""The route that erases a person's identity for good.

It destroys the person's key, so that nobody can decrypt the identity again.
Only the data that names the person is lost. The episodes, consents and disclosures stay, under an id that identifies
nobody any more.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Any, cast

from fastapi import APIRouter
from pydantic import Field

from services.intake.api import views
from services.intake.api.callers import Eraser
from services.intake.api.episodes import settings_of
from services.intake.api.subjects import IDENTITY, PERSON
from services.intake.person import identity
from services.intake.person.identity import AccessPurpose, IdentityState
from services.intake.person.person_state import PersonState
from shared.calendar import local_day
from shared.contracts.codes import PersonId
from shared.errors import Invalid
from shared.runtime.dead_letters.api import OperatedReplica
from shared.runtime.dead_letters.audit import Audit, Who
from shared.runtime.http.call import Body, Call, SubjectId
from shared.runtime.http.json_answer import JsonAnswer, RecordAnswer
from shared.runtime.http.shown import shows
from shared.runtime.http.subjects import state_of
from shared.runtime.vault.vault import Erased

router = APIRouter(tags=["identity"])


class Erase(Body):
    """Whom, once more, so that nobody is erased by a slip; and why, as a code."""

    confirm_person_id: PersonId
    why: Annotated[
        str, Field(pattern="^[a-z0-9-]{3,60}$", description="A reason code, not free text.")
    ]


@router.get("/people/{person_id}/erasure")
@shows(views.ErasureView)
async def read_erasure(call: Eraser, person_id: SubjectId) -> JsonAnswer:
    """Whether the person's identity is erased, and what an erasure would mean now. Shows nothing of the identity."""
    person = state_of(await call.record(PERSON(person_id)), PersonState)
    record = (await call.runtime.store.load([IDENTITY(person_id).name]))[IDENTITY(person_id).name]
    erased_at = state_of(record, IdentityState).erased_at
    key = (await call.runtime.vault.keys([person_id])).get(person_id)
    if isinstance(key, Erased):
        erased_at = key.at
    gone_on = _last_copy_gone_on(call, erased_at or call.runtime.clock.now())
    view: dict[str, Any] = {
        "status": "known" if erased_at is None else "erased",
        "erased_at": None if erased_at is None else erased_at.isoformat(),
        "open_episodes": sum(person.episodes.values()),
        "last_copy_gone_on": gone_on.isoformat(),
    }
    return JsonAnswer(view)


@router.post("/people/{person_id}/erasure")
@shows(views.ErasedView)
async def erase_identity(call: Eraser, person_id: SubjectId, body: Erase) -> RecordAnswer:
    """Erase who the person is: name, birth date, contacts, and whom they were disclosed to by name. For good.

    The key is destroyed first: from then on nobody reads what it sealed, whatever happens to the rest. Repeatable.
    """
    call.trail.purpose = AccessPurpose.ERASURE
    await call.record(PERSON(person_id))
    if body.confirm_person_id != person_id:
        raise Invalid(
            "confirmation-differs",
            "The confirmation names another person. Nothing was erased.",
            hint="State the same id in the path and in confirm_person_id.",
        )
    subject, runtime = IDENTITY(person_id), call.runtime
    await call.check_command(subject)
    replica = cast("OperatedReplica", runtime)
    audit = Audit(replica.dead_letters)
    entry = await audit.begin(
        "erase", Who(call.actor.id, body.why, call.actor.facility_id), {"subject": subject.name}
    )
    erased_at = await runtime.vault.erase(person_id, call.actor.facility_id, runtime.clock.now())
    gone_on = _last_copy_gone_on(call, erased_at)
    answer = await call.execute(
        subject,
        lambda state, cause: identity.erase(state, erased_at, gone_on, cause),
    )
    await audit.end(entry, {"erased_at": erased_at, "last_copy_gone_on": gone_on.isoformat()})
    return answer


def _last_copy_gone_on(call: Call, erased_at: datetime) -> date:
    """The day on which the last backup of the key database that may have the key is thrown away."""
    return local_day(erased_at + timedelta(days=settings_of(call).key_backup_days), call.time_zone)

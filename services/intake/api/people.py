"""Routes for the identity of people. The service writes every access to the audit before it shows anything.

`sealed.py` encrypts (seals) identifying data before a rule receives it, and decrypts it for callers who may read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import Field, ValidationError

from services.intake.api import views
from services.intake.api.callers import Anyone, Finder
from services.intake.api.sealed import (
    key_for_command,
    open_identity,
    open_personnel,
    seal_identity,
)
from services.intake.api.subjects import IDENTITY, PERSON
from services.intake.person import identity
from services.intake.person.identity import (
    CONTACTS_MAX,
    AccessPurpose,
    Contact,
    Identity,
    IdentityState,
    Language,
    Name,
)
from shared.contracts.codes import Day
from shared.errors import RecordIsNewer, RecordUnreadable, Unknown
from shared.runtime.http.call import Body, Call, SubjectId
from shared.runtime.http.json_answer import JsonAnswer, RecordAnswer
from shared.runtime.http.paging import left_out_field
from shared.runtime.http.shown import shows
from shared.runtime.http.subjects import state_of
from shared.runtime.vault.sealing import PersonKey, SealBroken
from shared.runtime.vault.vault import Erased, key_missing

router = APIRouter(tags=["identity"])

MATCHES_MAX: Final = 50
CANDIDATES_MAX: Final = 500


class WriteIdentity(Body):
    """Who the person is, whole: what is left out is no longer known."""

    purpose: AccessPurpose = AccessPurpose.REGISTRATION
    given_name: Name
    family_name: Name
    born_on: Day
    contacts: Annotated[list[Contact], Field(max_length=CONTACTS_MAX)] = Field(
        default_factory=list[Contact]
    )
    language: Language = "en"


class FindPerson(Body):
    """Whom to look for. In the body, so that no name is ever part of a URL."""

    given_name: Name
    family_name: Name
    born_on: Day


@router.put("/people/{person_id}/identity")
async def write_identity(call: Anyone, person_id: SubjectId, body: WriteIdentity) -> RecordAnswer:
    """Write down who the person is, or correct it."""
    call.trail.purpose = body.purpose
    identity.permit(body.purpose, call.actor.role, writing=True)
    await call.record(PERSON(person_id))
    new = Identity(
        given_name=body.given_name,
        family_name=body.family_name,
        born_on=body.born_on,
        contacts=tuple(body.contacts),
        language=body.language,
    )
    today = call.today
    identity.check_birth_date(new, today)
    key = await key_for_command(call, person_id)
    sealed = seal_identity(key, person_id, new)
    # Before it is saved, so that whoever is stored is found; what the index finds is compared.
    words = identity.index_words(new)
    await call.runtime.vault.add_to_index(person_id, call.actor.facility_id, words)
    return await call.execute(
        IDENTITY(person_id),
        lambda state, cause: identity.write(state, new, sealed, today, cause),
        digest=key.digest,
    )


@router.get("/people/{person_id}/identity")
@shows(views.IDENTITY, views.IdentityShown, whole=True)
async def read_identity(
    call: Anyone, person_id: SubjectId, purpose: Annotated[AccessPurpose, Query()]
) -> RecordAnswer:
    """Who the person is, for a purpose, which stands in the audit."""
    call.trail.purpose = purpose
    identity.permit(purpose, call.actor.role)
    await call.record(PERSON(person_id))
    record = await call.record(IDENTITY(person_id))
    shown = await _shown(call, person_id, state_of(record, IdentityState), purpose)
    return RecordAnswer(shown, record.revision)


@router.post("/people/matches")
@shows(views.MatchesView)
async def find_person(call: Finder, body: FindPerson) -> JsonAnswer:
    """Is this person known here? By exact name and day of birth. Answers ids only; the audit has who was found.

    `left_out` names those who may be meant, and whose record can't be read.
    """
    call.trail.purpose = AccessPurpose.REGISTRATION
    left_out: set[str] = set()
    found = await _found(call, identity.Sought(**dict(body)), left_out)
    call.trail.show(IDENTITY(person_id).name for person_id in found)
    return JsonAnswer({"person_ids": found, **left_out_field(left_out)})


def identity_view(
    known: Identity, personnel: Mapping[str, str], purpose: AccessPurpose
) -> dict[str, Any]:
    """What is shown. The names of emergency personnel are shown for the review of what they were told."""
    safe = known.safe_channel
    view = {
        "status": "known",
        **known.model_dump(mode="json"),
        "safe_channel": None if safe is None else safe.model_dump(mode="json"),
    }
    if purpose is AccessPurpose.PRIVACY_REVIEW:
        view["emergency_personnel"] = dict(personnel)
    return view


def erased_view(erased_at: datetime) -> dict[str, Any]:
    """What is shown of somebody whose identity was erased."""
    return {"status": "erased", "erased_at": erased_at.isoformat()}


async def _shown(
    call: Call, person_id: str, state: IdentityState, purpose: AccessPurpose
) -> dict[str, Any]:
    """What is sealed, opened. Raises `Unavailable` or `SealBroken` when it can't be, though nobody was erased."""
    if state.erased_at is not None:
        return erased_view(state.erased_at)
    key = (await call.runtime.vault.keys([person_id])).get(person_id)
    if isinstance(
        key, Erased
    ):  # on a replica that is ahead, or in a store that is older than the erasure
        return erased_view(key.at)
    if state.sealed is None:
        raise Unknown("identity")
    if key is None:
        raise key_missing()
    known = open_identity(key, person_id, state.sealed)
    personnel: dict[str, str] = {}
    if purpose is AccessPurpose.PRIVACY_REVIEW:
        personnel = {
            personnel_id: open_personnel(key, person_id, personnel_id, sealed)
            for personnel_id, sealed in state.personnel.items()
        }
    return identity_view(known, personnel, purpose)


async def _found(call: Call, sought: identity.Sought, left_out: set[str]) -> tuple[str, ...]:
    """The people of this facility who match. The blind index finds who may, the rule compares what is sealed."""
    runtime, facility_id = call.runtime, call.actor.facility_id
    words = identity.sought_words(sought)
    subjects = {
        IDENTITY(person_id).name: person_id
        for person_id in await runtime.vault.find(facility_id, words, CANDIDATES_MAX)
    }
    if not subjects:
        return ()
    records = await runtime.store.load(subjects)
    keys = await runtime.vault.keys(subjects.values())
    found: list[str] = []
    for subject, person_id in subjects.items():
        record, key = records[subject], keys.get(person_id)
        if record.is_new or record.facility_id != facility_id or not isinstance(key, PersonKey):
            continue
        try:
            sealed = state_of(record, IdentityState).sealed
            known = None if sealed is None else open_identity(key, person_id, sealed)
        except (RecordUnreadable, RecordIsNewer, SealBroken, ValidationError):
            left_out.add(subject)
            continue
        if known is not None and identity.matches(sought, known):
            found.append(person_id)
    return tuple(found[:MATCHES_MAX])

"""Intake over HTTP: who a person is. Every access is in the audit before anything is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse
from pydantic import Field

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
from shared.errors import Unknown
from shared.runtime.http.call import Body, Call, SubjectId, require_roles
from shared.runtime.http.paging import all_pages, states
from shared.runtime.http.subjects import state_of

router = APIRouter(tags=["identity"])

MATCHES_MAX: Final = 50
Anyone = Annotated[Call, require_roles()]
"""Who may is decided by purpose and role together, in `identity.ALLOWED`."""
Finder = Annotated[
    Call, require_roles(*identity.ALLOWED[AccessPurpose.REGISTRATION], "privacy_officer")
]


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
async def write_identity(call: Anyone, person_id: SubjectId, body: WriteIdentity) -> Response:
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
    return await call.execute(
        IDENTITY(person_id),
        lambda state, cause: identity.write(state, new, cause),
    )


@router.get("/people/{person_id}/identity")
async def read_identity(
    call: Anyone, person_id: SubjectId, purpose: Annotated[AccessPurpose, Query()]
) -> Response:
    """Who the person is, for a purpose, which stands in the audit."""
    call.trail.purpose = purpose
    identity.permit(purpose, call.actor.role)
    await call.record(PERSON(person_id))
    record = await call.record(IDENTITY(person_id))
    state = state_of(record, IdentityState)
    if state.identity is None:
        raise Unknown("identity")
    answer = JSONResponse(identity_view(state.identity, state.personnel, purpose))
    answer.headers["ETag"] = f'"{record.revision}"'
    return answer


@router.post("/people/matches")
async def find_person(call: Finder, body: FindPerson) -> Response:
    """Is this person known here? By exact name and day of birth. Answers ids only; the audit has who was found."""
    call.trail.purpose = AccessPurpose.REGISTRATION
    found = await _found(call, identity.Sought(**dict(body)))
    call.trail.show(IDENTITY(person_id).name for person_id in found)
    return JSONResponse({"person_ids": found})


def identity_view(
    known: Identity, personnel: Mapping[str, str], purpose: AccessPurpose
) -> dict[str, Any]:
    """What is shown. The names of emergency personnel are shown for the review of what they were told."""
    safe = known.safe_channel
    view = {
        **known.model_dump(mode="json"),
        "safe_channel": None if safe is None else safe.model_dump(mode="json"),
    }
    if purpose is AccessPurpose.PRIVACY_REVIEW:
        view["emergency_personnel"] = dict(personnel)
    return view


async def _found(call: Call, sought: identity.Sought) -> tuple[str, ...]:
    """The people of this facility who match. The store finds the day of birth, the rule compares the names."""
    found: list[str] = []
    day = identity.born_at(sought.born_on)
    async for page in all_pages(call, identity.BORN_INDEX, since=day, until=day):
        found += [
            subject.partition("/")[2]
            for subject, state in states(page, IdentityState)
            if state.identity is not None and identity.matches(sought, state.identity)
        ]
    return tuple(found[:MATCHES_MAX])

"""Intake over HTTP: who a person is. Every access is written down before anything is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, cast
from uuid import uuid4

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from services.intake.api.log_pages import PageQuery, log_page
from services.intake.api.subjects import ACCESSES, IDENTITY, PERSON, searches_of
from services.intake.person import audit, identity
from services.intake.person.audit import Access, AccessKind, AccessLog, AccessMade, AccessPurpose
from services.intake.person.identity import (
    CONTACTS_MAX,
    Contact,
    Identity,
    IdentityState,
    Language,
    Name,
)
from shared.contracts.codes import Day
from shared.decision import Cause, Decision, Handoff
from shared.errors import Unknown
from shared.runtime.core.record import CommandKey, Decide, Work
from shared.runtime.http.call import Body, Call, SubjectId, require_roles
from shared.runtime.http.paging import all_pages, states
from shared.runtime.http.subjects import Subject, state_of

router = APIRouter(tags=["identity"])

MATCHES_MAX: Final = 50
PrivacyOfficer = Annotated[Call, require_roles("privacy_officer")]
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
        lambda state, cause: identity.write(state, new, body.purpose, cause),
        wait_for_handoffs=True,
    )


@router.get("/people/{person_id}/identity")
async def read_identity(
    call: Anyone, person_id: SubjectId, purpose: Annotated[AccessPurpose, Query()]
) -> Response:
    """Who the person is, for a purpose. The access is written down first."""
    identity.permit(purpose, call.actor.role)
    await call.record(PERSON(person_id))
    await _note(call, ACCESSES(person_id), purpose)
    record = await call.record(IDENTITY(person_id))
    state = state_of(record, IdentityState)
    if state.identity is None:
        raise Unknown("identity")
    answer = JSONResponse(identity_view(state.identity, state.personnel, purpose))
    answer.headers["ETag"] = f'"{record.revision}"'
    return answer


@router.get("/people/{person_id}/identity/accesses")
async def read_accesses(
    call: PrivacyOfficer, person_id: SubjectId, page: PageQuery = None
) -> Response:
    """Who saw, wrote or found this identity, why and when."""
    await call.record(PERSON(person_id))
    return await log_page(call, ACCESSES(person_id), "accesses", page)


@router.post("/people/matches")
async def find_person(call: Finder, body: FindPerson) -> Response:
    """Is this person known here? By exact name and day of birth. Answers ids only; each search is written down."""
    sought = identity.Sought(**dict(body))
    found = await _found(call, sought)

    def rule(state: audit.SearchLog, cause: Cause) -> Decision[audit.SearchLog]:
        access = identity.access(AccessKind.SEARCHED, AccessPurpose.REGISTRATION, cause)
        decision = audit.noted(state, access.replace(found=found), cause)
        matched = AccessMade(access=access.replace(kind=AccessKind.MATCHED))
        matches = tuple(Handoff(ACCESSES(person_id).name, matched) for person_id in found)
        return Decision(
            decision.state, (), (*decision.handoffs, *matches), {"person_ids": [*found]}
        )

    return await call.execute(searches_of(call, call.actor.id), rule, wait_for_handoffs=True)


@router.get("/staff/{staff_id}/searches")
async def read_searches(
    call: PrivacyOfficer, staff_id: SubjectId, page: PageQuery = None
) -> Response:
    """Whom a member of staff has looked for and found."""
    return await log_page(call, searches_of(call, staff_id), "searches", page)


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


async def _note(call: Call, subject: Subject[AccessLog], purpose: AccessPurpose) -> None:
    """Write the access down. When that fails, nothing is shown."""
    call.runtime.ensure_ready()
    reading = str(uuid4())  # a question has no Idempotency-Key: each one is an access of its own

    def rule(state: AccessLog, cause: Cause) -> Decision[AccessLog]:
        access: Access = identity.access(AccessKind.READ, purpose, cause)
        return audit.noted(state, access, cause)

    await call.runtime.reactor.execute(
        Work(
            subject=subject.name,
            cause_id=reading,
            correlation_id=reading,
            facility_id=call.actor.facility_id,
            actor_id=call.actor.id,
            actor_role=call.actor.role,
            now=call.runtime.clock.now(),
            decide=cast("Decide", rule),
            command=CommandKey(reading, ""),
        )
    )


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

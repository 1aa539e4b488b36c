"""Intake over HTTP: consents of a person."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, Field

from services.intake import consents
from services.intake.api import Staff, Team
from shared.contracts.codes import Day, FacilityId, PersonId, Sha256
from shared.contracts.intake import (
    ConsentExpiry,
    ConsentKind,
    ConsentPurpose,
    InformationCategory,
)
from shared.runtime.http import Body, SubjectId

router = APIRouter(tags=["consents"])


class GrantConsent(Body):
    """What the signed form says; the form itself stays elsewhere."""

    person_id: PersonId
    kind: ConsentKind
    recipients: Annotated[list[FacilityId], Field(min_length=1, max_length=50)]
    categories: Annotated[list[InformationCategory], Field(min_length=1, max_length=20)]
    purpose: ConsentPurpose
    effective_at: AwareDatetime
    expires_on: Day | None = None
    expires_with: ConsentExpiry | None = None
    signed_on: Day
    document_sha256: Sha256


class OfPerson(Body):
    """Whose consent it is."""

    person_id: PersonId


@router.post("/consents", status_code=201)
async def grant_consent(call: Staff, body: GrantConsent) -> Response:
    """Record a signed consent."""
    new = consents.NewConsent(**body.model_dump(exclude={"person_id"}))
    return await call.execute(
        f"person/{body.person_id}",
        lambda state, cause: consents.grant(state, new, cause),
        status=201,
    )


@router.post("/consents/{consent_id}/revoke")
async def revoke_consent(call: Staff, consent_id: SubjectId, body: OfPerson) -> Response:
    """Record that the person took a consent back."""
    return await call.execute(
        f"person/{body.person_id}",
        lambda state, cause: consents.revoke(state, consent_id, cause),
    )


@router.post("/consents/{consent_id}/expire")
async def expire_consent(call: Staff, consent_id: SubjectId, body: OfPerson) -> Response:
    """Record that the event that ends a consent has come, such as the final disposition of a case."""
    return await call.execute(
        f"person/{body.person_id}",
        lambda state, cause: consents.expire(state, consent_id, cause),
    )


@router.get("/people/{person_id}/consents")
async def read_consents(call: Team, person_id: SubjectId) -> Response:
    """The consents of a person, those that have ended too."""
    return await call.read(f"person/{person_id}", consents_view)


def consents_view(state: consents.PersonState) -> dict[str, Any]:
    """The consents of a person by id."""
    return {
        "consents": {
            consent_id: consent.model_dump(mode="json")
            for consent_id, consent in state.consents.items()
        }
    }

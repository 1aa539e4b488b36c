"""Intake over HTTP: consents of a person, and what was disclosed about them."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AwareDatetime, Field

from services.intake.api.episodes import Staff, Team
from services.intake.api.log_pages import PageQuery, log_page
from services.intake.api.sealed import key_for_command, seal_personnel
from services.intake.api.subjects import ACCOUNTING, EPISODE, IDENTITY, PERSON
from services.intake.person import consents, disclosures, identity, person_state
from services.intake.person.identity import Name
from services.intake.person.person_state import Signatory, Statement
from shared.contracts.codes import (
    UUID_PATTERN,
    ActorId,
    Code,
    Day,
    EpisodeId,
    FacilityId,
    NoticeVersion,
    PersonId,
    Sha256,
)
from shared.contracts.event import OpenEnum
from shared.contracts.intake import (
    ConsentExpiry,
    ConsentKind,
    ConsentPurpose,
    DisclosureBasis,
    EmergencyNature,
    InformationCategory,
)
from shared.errors import Invalid
from shared.runtime.http.call import Body, Call, OfEpisode, SubjectId, require_roles

router = APIRouter(tags=["consents"])

Accountant = Annotated[Call, require_roles("privacy_officer", "clinician")]
Reviewer = Annotated[
    Call, require_roles("privacy_officer", "clinical_supervisor", "program_director")
]
Categories = Annotated[list[InformationCategory], Field(min_length=1, max_length=20)]
IdQuery = Annotated[str, Query(pattern=UUID_PATTERN)]


class GrantConsent(Body):
    """What the signed form says; the form itself stays elsewhere."""

    person_id: PersonId
    kind: ConsentKind
    discloser_id: FacilityId
    recipients: Annotated[list[FacilityId], Field(min_length=1, max_length=49)]
    intermediary_id: FacilityId | None = None
    categories: Categories
    purpose: ConsentPurpose
    effective_at: AwareDatetime
    expires_on: Day | None = None
    expires_with: ConsentExpiry | None = None
    statements: Annotated[list[Statement], Field(max_length=10)]
    signed_by: Signatory = Signatory.PATIENT
    signed_on: Day
    document_sha256: Sha256


class OfPerson(Body):
    """Whose consent it is."""

    person_id: PersonId


class _Told(Body):
    """What was told, to whom, by whom and when."""

    person_id: PersonId
    episode_id: EpisodeId
    recipient_id: FacilityId
    categories: Categories
    discloser_id: ActorId
    disclosed_at: AwareDatetime
    notice_version: NoticeVersion = disclosures.NOTICE_VERSION


class DiscloseInEmergency(_Told):
    """What 42 CFR 2.51 asks to be written down at once. The name stays in the identity record."""

    personnel_name: Name
    personnel_role: Code
    nature: EmergencyNature


class RecordDisclosure(_Told):
    """What was told on another ground than an emergency."""

    basis: DisclosureBasis
    purpose: ConsentPurpose
    recipient_class: FacilityId | None = None
    order_on: date | None = None


class ConsentQuestion:
    """To whom, what, what for. A code that is not on its list is refused, never guessed."""

    def __init__(
        self,
        person_id: IdQuery,
        recipient: Annotated[str, Query(pattern=r"^[a-z0-9-]{3,40}$")],
        category: InformationCategory,
        purpose: ConsentPurpose,
        recipient_class: Annotated[str | None, Query(pattern=r"^[a-z0-9-]{3,40}$")] = None,
    ) -> None:
        for code in (category, purpose):
            _listed(code)
        self.person_id = person_id
        self.asked = person_state.Asked(
            recipient_id=recipient,
            recipient_class=recipient_class,
            category=category,
            purpose=purpose,
        )


# --- consents -------------------------------------------------------------------------------------------


@router.post("/consents", status_code=201)
async def grant_consent(call: Staff, body: GrantConsent) -> Response:
    """Record a signed consent."""
    new = person_state.NewConsent(**body.model_dump(exclude={"person_id"}))
    return await call.execute(
        PERSON(body.person_id),
        lambda state, cause: consents.grant(state, new, cause),
        status=201,
    )


@router.post("/consents/{consent_id}/revoke")
async def revoke_consent(call: Staff, consent_id: SubjectId, body: OfPerson) -> Response:
    """Record that the person took a consent back."""
    return await call.execute(
        PERSON(body.person_id),
        lambda state, cause: consents.revoke(state, consent_id, cause),
    )


@router.post("/consents/{consent_id}/expire")
async def expire_consent(call: Staff, consent_id: SubjectId, body: OfPerson) -> Response:
    """Record that the event that ends a consent has come, such as the final disposition of a case."""
    return await call.execute(
        PERSON(body.person_id),
        lambda state, cause: consents.expire(state, consent_id, cause),
    )


@router.get("/consents/check")
async def check_consent(
    call: Team, question: Annotated[ConsentQuestion, Depends(ConsentQuestion)]
) -> Response:
    """May this be told to this recipient for this purpose now? Only when one consent says all of it."""
    now = call.runtime.clock.now()
    return await call.read(
        PERSON(question.person_id),
        lambda state: consents.check(state, question.asked, now),
    )


@router.get("/people/{person_id}/consents")
async def read_consents(call: Team, person_id: SubjectId) -> Response:
    """The consents of a person, those that have ended too."""
    return await call.read(PERSON(person_id), consents_view)


def consents_view(state: person_state.PersonState) -> dict[str, Any]:
    """The consents of a person by id."""
    return {
        "consents": {
            consent_id: consent.model_dump(mode="json")
            for consent_id, consent in state.consents.items()
        }
    }


# --- disclosures ----------------------------------------------------------------------------------------


@router.post("/disclosures/emergency", status_code=201)
async def disclose_in_emergency(call: Team, body: DiscloseInEmergency) -> Response:
    """Record what medical personnel were told without consent in an emergency. Somebody reviews it within a day."""
    await call.record(PERSON(body.person_id))
    personnel_id = call.new_id("personnel")
    given = body.model_dump(exclude={"person_id", "personnel_name"})
    new = disclosures.Emergency(**given, personnel_id=personnel_id)
    key = await key_for_command(call, body.person_id)
    sealed = seal_personnel(key, body.person_id, personnel_id, body.personnel_name)
    # The name goes to the identity record alone, in a command of its own: a handoff would carry it.
    await call.execute(
        IDENTITY(body.person_id),
        lambda state, cause: identity.name_personnel(state, personnel_id, sealed, cause),
        digest=key.digest,
    )
    return await call.execute(
        PERSON(body.person_id),
        lambda state, cause: disclosures.emergency(state, new, cause),
        status=201,
        wait_for_handoffs=True,
        digest=key.digest,
    )


@router.post("/disclosures/{disclosure_id}/review")
async def review_disclosure(call: Reviewer, disclosure_id: SubjectId, body: OfEpisode) -> Response:
    """Say that an emergency disclosure was looked at by somebody who answers for it."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: disclosures.reviewed(state, disclosure_id, cause),
    )


@router.post("/disclosures", status_code=201)
async def record_disclosure(call: Team, body: RecordDisclosure) -> Response:
    """Record what was told on a ground other than an emergency: a consent, a contract, an audit, a court order."""
    new = disclosures.Ordinary(**body.model_dump(exclude={"person_id"}))
    return await call.execute(
        PERSON(body.person_id),
        lambda state, cause: disclosures.record(state, new, cause),
        status=201,
        wait_for_handoffs=True,
    )


@router.get("/disclosures")
async def read_disclosures(
    call: Accountant, person_id: IdQuery, page: PageQuery = None
) -> Response:
    """The accounting: everything that was told about a person, on every ground, the latest page unless one is named."""
    await call.record(PERSON(person_id))
    return await log_page(call, ACCOUNTING(person_id), "disclosures", page)


def _listed(code: OpenEnum) -> None:
    if code.name == "UNKNOWN":
        raise Invalid(
            "code-not-listed", "A code is not on its list.", hint="See the API's documentation."
        )

"""Routes for organisations outside the program.

The operating organisation registers them, and every facility looks them up.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi import Path as InPath
from pydantic import Field, StrictBool

from services.intake.api import views
from services.intake.api.callers import Anyone, Operating
from services.intake.api.subjects import partner_of
from services.intake.person.may_disclose import Agreement, Partner
from services.intake.resources import partners
from services.intake.resources.partners import PartnerState
from shared.contracts.attributes import FACILITY
from shared.contracts.codes import Day, FacilityId
from shared.contracts.intake import (
    AgreementKind,
    PartnerKind,
    PartnerProgram,
    RecipientClass,
)
from shared.errors import Invalid, Unknown
from shared.runtime.core.record import Record
from shared.runtime.http.call import Body, Call, SubjectId
from shared.runtime.http.json_answer import RecordAnswer
from shared.runtime.http.paging import After, Limit, states
from shared.runtime.http.shown import shows
from shared.runtime.http.subjects import state_of

router = APIRouter(tags=["partners"])

PartnerPath = Annotated[str, InPath(pattern=f"^{FACILITY}$")]


class RegisterPartner(Body):
    """What the organisation is, whole: what is left out it is not."""

    kind: PartnerKind
    recipient_class: RecipientClass | None = None
    covered_entity: StrictBool = False
    programs: Annotated[tuple[PartnerProgram, ...], Field(max_length=50)] = ()


class RecordAgreement(Body):
    """What a facility and the organisation have agreed in writing."""

    facility_id: FacilityId
    kind: AgreementKind
    from_on: Day
    until_on: Day | None = None


class EndAgreement(Body):
    """The last day on which it holds."""

    until_on: Day


@router.put("/partners/{partner_id}")
@shows(views.PartnerSaid)
async def register_partner(
    call: Operating, partner_id: PartnerPath, body: RegisterPartner
) -> RecordAnswer:
    """Say what an organisation is: its kind, its class of recipients, what it offers. For every facility."""
    new = Partner(partner_id=partner_id, **dict(body))
    return await call.execute(
        partner_of(partner_id), lambda state, cause: partners.register(state, new, cause)
    )


@router.post("/partners/{partner_id}/agreements", status_code=201)
@shows(views.AgreementRecorded)
async def record_agreement(
    call: Operating, partner_id: PartnerPath, body: RecordAgreement
) -> RecordAnswer:
    """Record an agreement of a facility with the organisation, such as one of a qualified service organisation."""
    new = Agreement(**dict(body))
    return await call.execute(
        partner_of(partner_id), lambda state, cause: partners.agree(state, new, cause), status=201
    )


@router.post("/partners/{partner_id}/agreements/{agreement_id}/end")
async def end_agreement(
    call: Operating, partner_id: PartnerPath, agreement_id: SubjectId, body: EndAgreement
) -> RecordAnswer:
    """Say with which day an agreement ends."""
    return await call.execute(
        partner_of(partner_id),
        lambda state, cause: partners.end_agreement(state, agreement_id, body.until_on, cause),
    )


@router.get("/partners")
@shows(views.PartnersView)
async def list_partners(call: Anyone, limit: Limit = 100, after: After = None) -> dict[str, Any]:
    """All organisations that are registered, each with the agreements of the caller's facility."""
    page = await call.runtime.store.by_index(
        partners.PARTNER_INDEX, call.runtime.settings.operating_facility, after, limit
    )
    found = [
        {"subject": subject, **partners.partner_view(state, call.actor.facility_id)}
        for subject, state in states(page, PartnerState)
    ]
    return {"partners": found, **page.next_field}


@router.get("/partners/{partner_id}")
@shows(views.PARTNER, views.Agreements, whole=True)
async def read_partner(call: Anyone, partner_id: PartnerPath) -> RecordAnswer:
    """What an organisation is, with the agreements of the caller's facility."""
    record = (await _records(call, [partner_id]))[partner_id]
    if state_of(record, PartnerState).known is None:
        raise Unknown("partner")
    view = partners.partner_view(state_of(record, PartnerState), call.actor.facility_id)
    return RecordAnswer(view, record.revision)


# --- for the other routes --------------------------------------------------------------------------------


async def known_partners(call: Call, partner_ids: Iterable[str]) -> dict[str, Partner]:
    """Those of these that are registered, by their codes, as the caller's facility sees them: itself never."""
    found = {
        partner_id: state_of(record, PartnerState).seen_by(call.actor.facility_id)
        for partner_id, record in (await _records(call, partner_ids)).items()
    }
    return {partner_id: partner for partner_id, partner in found.items() if partner is not None}


async def registered(call: Call, field: str, *partner_ids: str | None) -> dict[str, Partner]:
    """These organisations, by their codes. The caller's own facility needs no registration.

    Raises `Invalid`, which names the field: nothing that a caller makes up reaches the bus.
    """
    wanted = {one for one in partner_ids if one is not None}
    known = await known_partners(call, wanted)
    if wanted - set(known) - {call.actor.facility_id}:
        raise Invalid(
            "partner-not-registered",
            f"{field} names an organisation that is not registered.",
            hint="Have the operating organisation register it (PUT /partners/{id}), or correct the code.",
        )
    return known


async def partner(call: Call, field: str, partner_id: str) -> Partner:
    """One organisation outside, which is registered. Raises as `registered` does."""
    known = await registered(call, field, partner_id)
    if partner_id not in known:
        raise Invalid(
            "partner-not-registered",
            f"{field} names the own facility, which is no partner of its own.",
            hint="Name an organisation outside.",
        )
    return known[partner_id]


async def _records(call: Call, partner_ids: Iterable[str]) -> dict[str, Record]:
    subjects = {one: partner_of(one).name for one in partner_ids}
    found = await call.runtime.store.load([*subjects.values()]) if subjects else {}
    for record in found.values():
        if record.unusable is not None:
            raise record.unusable
    return {one: found[name] for one, name in subjects.items()}

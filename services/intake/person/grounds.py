"""Lawful grounds of a disclosure beside consent, and what each of them asks for. Pure.

A table: the law behind each row is named. See docs/domain.md 4.7 (Other grounds).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from services.intake.person.may_disclose import Partner
from shared.contracts.codes import Value
from shared.contracts.intake import (
    AgreementKind,
    DisclosureBasis,
    InformationCategory,
    PartnerKind,
)
from shared.errors import Invalid, Refused


class Evidence(Value):
    """What a ground may ask for beside what was disclosed to whom."""

    order_on: date | None = None
    """The day of the court order."""
    incident_on: date | None = None
    """The day of the crime, or on which the abuse was learned of."""
    requested_on: date | None = None
    """The day on which the person asked for it."""
    died_on: date | None = None
    """The day of the person's death."""
    deidentified: bool = False
    """Nothing of it leads back to the person."""


class Ground(Value):
    """What has to be true of a disclosure on this ground."""

    evidence: str | None = None
    """The field of `Evidence` that it asks for, and that no other ground has."""
    agreement: AgreementKind | None = None
    """What the facility and the partner must have agreed in writing by then."""
    to: tuple[PartnerKind, ...] = ()
    """To whom alone; anybody when empty."""
    categories: tuple[InformationCategory, ...] = ()
    """Of what alone; anything when empty."""
    to_patient: bool = False
    """The person received it, and no organisation."""
    consent: bool = False
    """A consent has to allow it beside."""


GROUNDS: Final[Mapping[DisclosureBasis, Ground]] = {
    DisclosureBasis.CONSENT: Ground(consent=True),
    # 2.11, 2.12(c)(4): a qualified service organisation, by a written agreement.
    DisclosureBasis.QSO: Ground(agreement=AgreementKind.QSOA),
    # 2.53: who audits or evaluates agrees in writing to use it for nothing else.
    DisclosureBasis.AUDIT: Ground(agreement=AgreementKind.AUDIT),
    # 2.61 to 2.67: an order of a court.
    DisclosureBasis.COURT: Ground(evidence="order_on"),
    # 2.52: by whoever has agreed to the conditions of research.
    DisclosureBasis.RESEARCH: Ground(agreement=AgreementKind.RESEARCH),
    # 2.12(c)(5): to law enforcement, of a crime on the premises or against staff: that the person is a patient.
    DisclosureBasis.CRIME_ON_PREMISES: Ground(
        evidence="incident_on",
        to=(PartnerKind.GOVERNMENT,),
        categories=(InformationCategory.PRESENCE,),
    ),
    # 2.12(c)(6): the report that state law asks for, and no record beside it.
    DisclosureBasis.CHILD_ABUSE_REPORT: Ground(
        evidence="incident_on",
        to=(PartnerKind.GOVERNMENT,),
        categories=(InformationCategory.PRESENCE,),
    ),
    # 2.23: the person's own access.
    DisclosureBasis.PATIENT_ACCESS: Ground(evidence="requested_on", to_patient=True),
    # 2.36: to the state's prescription monitoring, of medication, with the person's consent.
    DisclosureBasis.PDMP: Ground(
        to=(PartnerKind.GOVERNMENT,),
        categories=(InformationCategory.MEDICATION,),
        consent=True,
    ),
    # 2.15(b): vital statistics, and inquiries into the cause of death.
    DisclosureBasis.DECEASED: Ground(evidence="died_on", to=(PartnerKind.GOVERNMENT,)),
    # 2.54: to a public health authority, without anything that identifies.
    DisclosureBasis.PUBLIC_HEALTH: Ground(evidence="deidentified", to=(PartnerKind.GOVERNMENT,)),
}
"""Every ground but the emergency, which has a form of its own (2.51)."""


def check(
    basis: DisclosureBasis,
    partner: Partner | None,
    categories: tuple[InformationCategory, ...],
    evidence: Evidence,
    day: date,
    zone: str,
) -> Ground:
    """The ground, when everything that it asks for is there on the facility's `day` of the disclosure.

    Raises `Invalid` or `Refused`, which names what is missing.
    """
    ground = GROUNDS.get(basis)
    if ground is None:
        raise Invalid(
            "emergency-has-its-own-form",
            "An emergency disclosure has a form of its own.",
            hint="Use POST /disclosures/emergency.",
        )
    _evidence(ground, evidence, day)
    if (partner is None) is not ground.to_patient:
        raise Invalid(
            "recipient-not-of-ground",
            "The person receives what they ask for themselves, and an organisation everything else.",
            hint="State recipient_id, except with basis patient_access.",
        )
    if ground.to and (partner is None or partner.kind not in ground.to):
        raise Invalid(
            "recipient-not-of-ground",
            "On this ground only certain kinds of organisation may be told.",
            hint=f"The partner's kind must be one of: {', '.join(ground.to)}.",
        )
    if ground.categories and not set(categories) <= set(ground.categories):
        raise Invalid(
            "category-not-of-ground",
            "On this ground less may be disclosed.",
            hint=f"State no other categories than: {', '.join(ground.categories)}.",
        )
    if ground.agreement is not None and not _agreed(partner, ground.agreement, day, zone):
        raise Refused(
            "agreement-missing",
            "No agreement of this kind was on file and in force with this organisation on that day.",
            hint=f"Have the agreement recorded (kind {ground.agreement.value}), or name the right ground.",
        )
    return ground


def _agreed(partner: Partner | None, kind: AgreementKind, day: date, zone: str) -> bool:
    return partner is not None and partner.has_agreed(kind, day, zone)


def _evidence(ground: Ground, evidence: Evidence, day: date) -> None:
    given: dict[str, Any] = {name: value for name, value in evidence if value not in (None, False)}
    if set(given) != ({ground.evidence} if ground.evidence else set()):
        named = (
            ground.evidence or "none of order_on, incident_on, requested_on, died_on, deidentified"
        )
        raise Invalid(
            "ground-mismatch",
            "Each ground has the evidence that it asks for, and no other.",
            hint=f"With this basis, state: {named}.",
        )
    if any(isinstance(value, date) and value > day for value in given.values()):
        raise Invalid(
            "ground-in-future",
            f"{ground.evidence} lies after the disclosure.",
            hint="Check both days.",
        )

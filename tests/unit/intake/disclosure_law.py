"""The law on consent, once more and built otherwise: written from the regulation without sight of `may_disclose`.

Each paragraph of 42 CFR 2.31, 2.33 and 2.35 that can forbid a disclosure is one objection. A consent allows a
disclosure when no paragraph objects to it; the person allows it when one of their consents does. Days are the
facility's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from services.intake.person.may_disclose import Consent, Partner
from shared.contracts.intake import (
    ConsentKind,
    ConsentPurpose,
    InformationCategory,
    PartnerKind,
    RecipientClass,
)

WORDS_OF_THE_FUTURE = {
    ConsentPurpose.UNKNOWN,
    InformationCategory.UNKNOWN,
    RecipientClass.UNKNOWN,
    PartnerKind.UNKNOWN,
    ConsentKind.UNKNOWN,
}


@dataclass(frozen=True)
class Question:
    """Who discloses, to whom, what, what for, when, and where the clock hangs."""

    discloser_id: str
    partner: Partner
    categories: tuple[InformationCategory, ...]
    purpose: ConsentPurpose
    at: datetime
    zone: str

    @property
    def day(self) -> date:
        """The day on the facility's wall."""
        return self.at.astimezone(ZoneInfo(self.zone)).date()


Objection = Callable[[Consent, Question], bool]


def not_named(consent: Consent, asked: Question) -> bool:
    """2.31(a)(4): neither the partner nor a class that it belongs to and that this form may name."""
    names = {consent.intermediary_id, *consent.recipients} - {one.value for one in RecipientClass}
    if asked.partner.partner_id in names:
        return False
    its_class = asked.partner.recipient_class
    if its_class is None or its_class.value not in consent.recipients:
        return True
    general = {
        RecipientClass.TREATING_PROVIDERS,
        RecipientClass.PAYERS,
        RecipientClass.OPERATIONS_CONTRACTORS,
    }
    of_form = {
        ConsentKind.TPO: general,
        ConsentKind.SPECIFIC: set(RecipientClass),
        ConsentKind.INTERMEDIARY: {RecipientClass.TREATING_PROVIDERS},
    }
    return its_class not in of_form.get(consent.kind, set())


def another_discloses(consent: Consent, asked: Question) -> bool:
    """2.31(a)(2): the form names who may disclose, and it is not the one who wants to."""
    return asked.discloser_id != consent.discloser_id


def not_described(consent: Consent, asked: Question) -> bool:
    """2.31(a)(3): something of it is not described on the form."""
    return not asked.categories or not set(asked.categories) <= set(consent.categories)


def another_purpose(consent: Consent, asked: Question) -> bool:
    """2.31(a)(5), 2.33(b): a consent for treatment, payment and operations is one for all three of them.

    Among those who treat, treatment is also its coordination (45 CFR 164.501).
    """
    three = {ConsentPurpose.TREATMENT, ConsentPurpose.PAYMENT, ConsentPurpose.OPERATIONS}
    if consent.kind is ConsentKind.TPO and consent.purpose in three:
        treats = asked.partner.recipient_class is RecipientClass.TREATING_PROVIDERS
        coordinates = treats and asked.purpose is ConsentPurpose.CARE_COORDINATION
        return asked.purpose not in three and not coordinates
    return asked.purpose is not consent.purpose


def notes_on_another_form(consent: Consent, asked: Question) -> bool:
    """2.31(b): counseling notes have a form of their own, and that form has nothing else."""
    others = [one for one in asked.categories if one is not InformationCategory.COUNSELING_NOTES]
    if consent.kind is ConsentKind.NOTES:
        return bool(others)
    return len(others) < len(asked.categories)


def proceedings_on_another_form(consent: Consent, asked: Question) -> bool:
    """2.31(d): a use in proceedings against the person has a form of its own."""
    against = asked.purpose is ConsentPurpose.LEGAL_PROCEEDINGS
    return against is not (consent.kind is ConsentKind.LEGAL)


def no_monitor(consent: Consent, asked: Question) -> bool:
    """2.35: a consent of criminal justice is for those who monitor a disposition, and for nobody else."""
    courts = {asked.partner.kind, *(program.kind for program in asked.partner.programs)}
    return consent.kind is ConsentKind.CRIMINAL_JUSTICE and PartnerKind.COURT not in courts


def not_yet(consent: Consent, asked: Question) -> bool:
    """2.31(a)(8), 2.33: before the signature, or before the form begins, nothing was consented to."""
    return asked.day < consent.signed_on or asked.at < consent.effective_at


def over(consent: Consent, asked: Question) -> bool:
    """2.31(a)(6)-(7): it was taken back, its event has come, or its last day is over."""
    ends = [consent.revoked_at, consent.expired_at, consent.ends_at]
    past_its_day = consent.expires_on is not None and asked.day > consent.expires_on
    return past_its_day or any(end is not None and end <= asked.at for end in ends)


def not_understood(consent: Consent, asked: Question) -> bool:
    """A word that this version does not know allows nothing."""
    words = {asked.purpose, *asked.categories, consent.kind, consent.purpose}
    return bool(words & WORDS_OF_THE_FUTURE)


OBJECTIONS: tuple[Objection, ...] = (
    *(not_named, another_discloses, not_described, another_purpose, notes_on_another_form),
    *(proceedings_on_another_form, no_monitor, not_yet, over, not_understood),
)


def lawful(consents: Mapping[str, Consent], asked: Question) -> set[str]:
    """The ids of the consents to which no paragraph objects."""
    return {key for key, consent in consents.items() if not any(_objections(consent, asked))}


def _objections(consent: Consent, asked: Question) -> Iterable[bool]:
    return (objects(consent, asked) for objects in OBJECTIONS)

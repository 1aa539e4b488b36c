"""What somebody wants to disclose, and the handoffs that ask for it: to the partner, to the person, and back. Pure."""

from __future__ import annotations

from services.intake.person.may_disclose import Allowed, Partner
from shared.contracts.codes import Value
from shared.contracts.intake import ConsentPurpose, InformationCategory, WithheldReason
from shared.decision import HandoffBody, derive_id


def partner_id_of(code: str) -> str:
    """The id of the record of an organisation, by its code."""
    return derive_id("partner", code)


def partner_subject(code: str) -> str:
    """The record of an organisation, by its code."""
    return f"partner/{partner_id_of(code)}"


class Request(Value):
    """Somebody wants to disclose something: under which id, of which episode, to whom, what, what for."""

    delivery_id: str
    person_id: str
    episode_id: str
    recipient_id: str
    categories: tuple[InformationCategory, ...]
    purpose: ConsentPurpose
    discloser_id: str
    consent_id: str | None = None
    """Only this consent is looked at; None: whichever the person gave."""


class AskPartner(HandoffBody):
    """To a partner: may this be disclosed to you? It says what it is, and the person decides."""

    request: Request


class AskPerson(HandoffBody):
    """To a person: may this be disclosed to this partner?"""

    request: Request
    partner: Partner | None


class Answered(HandoffBody):
    """To an episode: what was asked may be disclosed, or may not."""

    request: Request
    allowed: Allowed | None = None
    withheld: WithheldReason | None = None
    report_due: bool = False
    """Its sender has not said yet what became of it."""

"""Generated questions about disclosures: a person's consents, an organisation, what, what for, when. For any oracle."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any, Final

from services.intake.person.may_disclose import Consent, Partner
from shared.contracts.codes import Value
from shared.contracts.intake import (
    ConsentExpiry,
    ConsentKind,
    ConsentPurpose,
    InformationCategory,
    PartnerKind,
    RecipientClass,
)
from tests.unit.support import uid

ZONES: Final = (
    "America/New_York",
    "Pacific/Guam",
    "America/Los_Angeles",
    "UTC",
    "Pacific/Kiritimati",
)
NOON: Final = datetime(2026, 3, 8, 12, tzinfo=UTC)
"""Of the day on which clocks change in the United States."""
DISCLOSER: Final = "harbor-iop"
"""The facility that asks."""
CODES: Final = ("one-house", "two-house", "a-court", "an-exchange")
PURPOSES: Final = tuple(one for one in ConsentPurpose if one.name != "UNKNOWN")
CATEGORIES: Final = tuple(one for one in InformationCategory if one.name != "UNKNOWN")
CLASSES: Final = tuple(one for one in RecipientClass if one.name != "UNKNOWN")
KINDS: Final = tuple(one for one in ConsentKind if one.name != "UNKNOWN")


class Case(Value):
    """One question."""

    consents: dict[str, Consent]
    partner: Partner | None
    categories: tuple[InformationCategory, ...]
    purpose: ConsentPurpose
    at: datetime
    zone: str


def cases(count: int, seed: int = 1) -> Iterator[Case]:
    """As many cases; the same for the same seed. Near every limit, so that about a third is allowed."""
    luck = Random(seed)
    for _ in range(count):
        yield _case(luck)


def _case(luck: Random) -> Case:
    partner = Partner(
        partner_id=luck.choice(CODES),
        kind=luck.choice([PartnerKind.COURT, PartnerKind.OUTPATIENT, PartnerKind.CONTRACTOR]),
        recipient_class=luck.choice([None, *CLASSES, *[RecipientClass.TREATING_PROVIDERS] * 6]),
        covered_entity=luck.random() < 0.5,
    )
    question = (
        tuple(luck.sample(CATEGORIES, luck.choice([1, 1, 1, 2]))),
        luck.choice(PURPOSES),
        NOON + timedelta(minutes=luck.randrange(-2 * 24 * 60, 2 * 24 * 60)),
    )
    held = {
        uid(f"consent {number}"): _consent(luck, partner, *question)
        for number in range(luck.choice([0, 1, 1, 1, 2, 3]))
    }
    return Case(
        consents=held,
        partner=None if luck.random() < 0.02 else partner,
        categories=question[0],
        purpose=question[1],
        at=question[2],
        zone=luck.choice(ZONES),
    )


def _consent(
    luck: Random,
    partner: Partner,
    categories: tuple[InformationCategory, ...],
    purpose: ConsentPurpose,
    at: datetime,
) -> Consent:
    kind = luck.choice(KINDS)

    def mostly(right: Any, other: Any) -> Any:
        return right if luck.random() < 0.85 else other

    def near(hours: int) -> datetime:
        return at + timedelta(minutes=luck.randrange(-hours * 60, 12 * 60))

    def day(most: int) -> date:
        return (at + timedelta(days=luck.randrange(-1, most))).date()

    recipients = mostly(
        (luck.choice([partner.partner_id, partner.recipient_class or partner.partner_id]),),
        (luck.choice([*CODES, *CLASSES]),),
    )
    named = mostly(categories, tuple(luck.sample(CATEGORIES, 2)))
    return Consent(
        kind=kind,
        discloser_id=mostly(DISCLOSER, "another-iop"),
        recipients=recipients,
        intermediary_id="an-exchange" if kind is ConsentKind.INTERMEDIARY else None,
        categories=mostly((*named, luck.choice(CATEGORIES)), named[:1]),
        purpose=mostly(purpose, luck.choice(PURPOSES)),
        effective_at=mostly(near(400), at + timedelta(minutes=luck.randrange(-2, 3))),
        expires_on=mostly(None, day(3)),
        expires_with=luck.choice([None, ConsentExpiry.NONE, ConsentExpiry.END_OF_TREATMENT]),
        signed_on=mostly((at - timedelta(days=luck.randrange(1, 400))).date(), day(3)),
        document_sha256="9f" * 32,
        ends_at=mostly(None, near(12)),
        revoked_at=mostly(None, near(12)),
        expired_at=mostly(None, near(12)),
    )

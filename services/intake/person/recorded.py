"""Disclosures that are recorded after they were made: in an emergency, or on another ground. Pure.

42 CFR 2.51 (emergencies); see docs/domain.md 4.4 (Emergency) and 4.7 (Other grounds).
"""

from __future__ import annotations

from datetime import datetime
from itertools import count

from services.intake.handoffs import ReviewAsked
from services.intake.person import grounds
from services.intake.person.accounting import Disclosed, Disclosure
from services.intake.person.disclosures import (
    CLOCKS_APART,
    NOTICE_VERSION,
    accounted,
    published,
    refusal,
    relied_on,
    remembered,
    theirs,
)
from services.intake.person.grounds import Evidence
from services.intake.person.may_disclose import Partner, Withheld, may_disclose
from services.intake.person.person_state import PersonState
from shared import calendar
from shared.contracts import intake
from shared.contracts.codes import Value
from shared.contracts.intake import (
    ConsentPurpose,
    DisclosureBasis,
    EmergencyNature,
    InformationCategory,
)
from shared.decision import Cause, Decision, Handoff, Handoffs, derive_id
from shared.errors import Invalid


class NewDisclosure(Value):
    """What was disclosed, whatever the ground."""

    episode_id: str
    categories: tuple[InformationCategory, ...]
    discloser_id: str
    disclosed_at: datetime
    notice_version: str | None = None
    """The notice that went along; with consent it is the one that has to, unless another is stated."""


class Emergency(NewDisclosure):
    """What was disclosed to medical personnel without consent, in an emergency."""

    recipient_id: str
    personnel_id: str
    personnel_role: str
    nature: EmergencyNature


class Ordinary(NewDisclosure):
    """What was disclosed on another ground."""

    recipient_id: str | None
    """None: the person."""
    basis: DisclosureBasis
    purpose: ConsentPurpose
    evidence: Evidence = Evidence()


def emergency(state: PersonState, new: Emergency, cause: Cause) -> Decision[PersonState]:
    """A disclosure to medical personnel without consent: published, accounted for, reviewed later (42 CFR 2.51)."""
    _possible(state, new, cause)
    disclosure_id = cause.derive_id("disclosure")
    made = intake.EmergencyDisclosureMade(
        disclosure_id=disclosure_id,
        episode_id=new.episode_id,
        recipient_id=new.recipient_id,
        personnel_id=new.personnel_id,
        disclosed_by_id=new.discloser_id,
        categories=new.categories,
        nature=new.nature,
        notice_version=new.notice_version,
        disclosed_at=new.disclosed_at,
    )
    row = Disclosure(
        **dict(new),
        disclosure_id=disclosure_id,
        recorded_at=cause.now,
        basis=DisclosureBasis.EMERGENCY,
    )
    look = Handoff(f"episode/{new.episode_id}", ReviewAsked(disclosure_id=disclosure_id))
    return Decision(
        state,
        (made, published(row)),
        (accounted(Disclosed(disclosure=row), cause), look),
        {"disclosure_id": disclosure_id},
    )


def record(
    state: PersonState, new: Ordinary, partner: Partner | None, cause: Cause
) -> Decision[PersonState]:
    """A disclosure that was made on another ground than an emergency; `partner` is None when the person received it.

    One that comes again, to the moment and in every word, has its entry.
    """
    _possible(state, new, cause)
    disclosure_id, digest = _entry_id(state, new, cause)
    if disclosure_id in state.reported:
        return Decision(state, answer={"disclosure_id": disclosure_id})
    day = calendar.local_day(new.disclosed_at, state.time_zone)
    if partner is not None:
        partner = partner.as_of(new.disclosed_at)
    ground = grounds.check(new.basis, partner, new.categories, new.evidence, day, state.time_zone)
    looks: Handoffs = ()
    row = Disclosure(**dict(new), disclosure_id=disclosure_id, recorded_at=cause.now)
    if ground.consent:
        found = may_disclose(
            state.consents,
            cause.facility_id,
            partner,
            new.categories,
            new.purpose,
            new.disclosed_at,
            state.time_zone,
        )
        if isinstance(found, Withheld):
            raise refusal(found)
        row = row.replace(
            consent_id=found.consent_id,
            document_sha256=found.obligations.document_sha256,
            notice_version=new.notice_version or NOTICE_VERSION,
        )
        if _before_its_consent(state, row):
            look = ReviewAsked(disclosure_id=disclosure_id)
            looks = (Handoff(f"episode/{new.episode_id}", look),)
        state = relied_on(state, found.consent_id)
    entered = accounted(Disclosed(disclosure=row), cause)
    state = remembered(state, disclosure_id, digest)
    return Decision(state, (published(row),), (entered, *looks), {"disclosure_id": disclosure_id})


def _before_its_consent(state: PersonState, row: Disclosure) -> bool:
    """The consent was recorded only after the disclosure: whether it was signed before, a person looks at."""
    assert row.consent_id is not None
    assert row.disclosed_at is not None
    recorded_at = state.consents[row.consent_id].recorded_at
    return recorded_at is not None and row.disclosed_at < recorded_at


def _entry_id(state: PersonState, new: Ordinary, cause: Cause) -> tuple[str, str]:
    """The id of the entry that this has or would have, and a digest of it. One that was a mistake is not its entry."""
    said = new.model_dump_json()
    ids = (derive_id("disclosure", cause.subject, said, str(number)) for number in count())
    return next(one for one in ids if one not in state.undone), derive_id("disclosed", said)[:8]


def _possible(state: PersonState, new: NewDisclosure, cause: Cause) -> None:
    theirs(state, new.episode_id)
    if new.disclosed_at > cause.now + CLOCKS_APART:
        raise Invalid(
            "disclosure-in-future",
            "A disclosure cannot be recorded before it was made.",
            hint="Give the time at which it was made.",
        )

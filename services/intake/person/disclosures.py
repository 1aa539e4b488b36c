"""Disclosures: what was disclosed to somebody outside, on what ground, and the accounting of it. Pure.

42 CFR 2.51 (emergencies), 2.24 and 2.25 (accounting); see docs/domain.md 4.4 (Emergency) and 4.5 (Accounting). Kept
from the first day, for everything: the accounting is only ever added to.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from services.intake.episode import episode_state
from services.intake.episode.episode_state import EpisodeState
from services.intake.handoffs import EmergencyTold
from services.intake.person import person_state
from services.intake.person.accounting import Disclosed, Disclosure
from services.intake.person.person_state import Asked, PersonState
from shared import loops
from shared.contracts import intake
from shared.contracts.codes import IntakeLoop, Value
from shared.contracts.intake import (
    ConsentPurpose,
    DisclosureBasis,
    EmergencyNature,
    InformationCategory,
)
from shared.decision import Cause, Decision, Handoff
from shared.errors import Forbidden, Invalid, Unknown

NOTICE_VERSION: Final = "part2-2024"
"""The redisclosure notice that goes along unless another is stated (42 CFR 2.32)."""
CLOCKS_APART: Final = timedelta(minutes=5)
NEEDS_ORDER: Final = DisclosureBasis.COURT


class NewDisclosure(Value):
    """What was disclosed, whatever the ground."""

    episode_id: str
    recipient_id: str
    categories: tuple[InformationCategory, ...]
    discloser_id: str
    disclosed_at: datetime
    notice_version: str = NOTICE_VERSION


class Emergency(NewDisclosure):
    """What was disclosed to medical personnel without consent, in an emergency."""

    personnel_id: str
    personnel_role: str
    nature: EmergencyNature


class Ordinary(NewDisclosure):
    """What was disclosed on another ground."""

    basis: DisclosureBasis
    purpose: ConsentPurpose
    recipient_class: str | None = None
    order_on: date | None = None


def emergency(state: PersonState, new: Emergency, cause: Cause) -> Decision[PersonState]:
    """A disclosure to medical personnel without consent: published, accounted for, reviewed later (42 CFR 2.51)."""
    _possible(state, new, cause)
    disclosure_id = cause.derive_id("disclosure")
    made = intake.EmergencyDisclosureMade(
        disclosure_id=disclosure_id,
        episode_id=new.episode_id,
        recipient_id=new.recipient_id,
        personnel_id=new.personnel_id,
        discloser_id=new.discloser_id,
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
    look = Handoff(f"episode/{new.episode_id}", EmergencyTold(disclosure_id=disclosure_id))
    return Decision(
        state,
        (made, _recorded(row)),
        (_accounted(row, cause), look),
        {"disclosure_id": disclosure_id},
    )


def record(state: PersonState, new: Ordinary, cause: Cause) -> Decision[PersonState]:
    """A disclosure on another ground than an emergency. By consent, one must have allowed all of it."""
    _possible(state, new, cause)
    _grounded(new)
    disclosure_id = cause.derive_id("disclosure")
    consents = (
        [_allowing(state, new, category) for category in new.categories]
        if new.basis is DisclosureBasis.CONSENT
        else []
    )
    row = Disclosure(
        **{name: value for name, value in new if name not in ("purpose", "recipient_class")},
        disclosure_id=disclosure_id,
        recorded_at=cause.now,
        consent_id=consents[0] if consents else None,
    )
    relied = {
        consent_id: state.consents[consent_id].replace(relied_on=True) for consent_id in consents
    }
    state = state.replace(consents={**state.consents, **relied}) if relied else state
    return Decision(
        state, (_recorded(row),), (_accounted(row, cause),), {"disclosure_id": disclosure_id}
    )


# --- afterwards, on the episode -------------------------------------------------------------------------


def emergency_told(
    state: EpisodeState, body: EmergencyTold, cause: Cause
) -> Decision[EpisodeState]:
    """Somebody who took no part reviews what was disclosed, and why. House rule."""
    return Decision(
        loops.open_loop(state, IntakeLoop.EMERGENCY_DISCLOSURE, body.disclosure_id, cause)
    )


def reviewed(state: EpisodeState, disclosure_id: str, _cause: Cause) -> Decision[EpisodeState]:
    """An emergency disclosure was looked at."""
    episode_state.standing(state)
    if state.loop(IntakeLoop.EMERGENCY_DISCLOSURE, disclosure_id) is None:
        raise Unknown("open-disclosure")
    state, cleared = loops.close(state, IntakeLoop.EMERGENCY_DISCLOSURE, disclosure_id)
    return Decision(state, cleared)


# --- what has to be true --------------------------------------------------------------------------------


def _possible(state: PersonState, new: NewDisclosure, cause: Cause) -> None:
    person_state.known(state)
    if new.episode_id not in state.episodes:
        raise Invalid(
            "episode-not-theirs", "The episode is not this person's.", hint="Check the id."
        )
    if new.disclosed_at > cause.now + CLOCKS_APART:
        raise Invalid(
            "disclosure-in-future",
            "A disclosure cannot be recorded before it was made.",
            hint="Give the time at which it was made.",
        )


def _grounded(new: Ordinary) -> None:
    """A court order has a day; an emergency has a form of its own."""
    if new.basis is DisclosureBasis.EMERGENCY:
        raise Invalid(
            "emergency-has-its-own-form",
            "An emergency disclosure has a form of its own.",
            hint="Use POST /disclosures/emergency.",
        )
    if (new.order_on is not None) is not (new.basis is NEEDS_ORDER):
        raise Invalid(
            "order-mismatch",
            "A court order is named exactly where it is the ground.",
            hint="State order_on with basis court, and with no other.",
        )


def _allowing(state: PersonState, new: Ordinary, category: InformationCategory) -> str:
    """The consent that allowed it at the time of the disclosure."""
    asked = Asked(
        recipient_id=new.recipient_id,
        recipient_class=new.recipient_class,
        category=category,
        purpose=new.purpose,
    )
    found = person_state.permitted_by(state, asked, new.disclosed_at)
    if found is None:
        raise Forbidden(
            "consent-missing",
            "No consent of this person allowed all of this at that time.",
            hint="Record the consent first; a disclosure without any ground goes to the privacy officer.",
        )
    return found


def _recorded(row: Disclosure) -> intake.DisclosureRecorded:
    return intake.DisclosureRecorded(
        disclosure_id=row.disclosure_id,
        episode_id=row.episode_id,
        recipient_id=row.recipient_id,
        categories=row.categories,
        basis=row.basis,
        consent_id=row.consent_id,
        notice_version=row.notice_version,
        disclosed_at=row.disclosed_at,
    )


def _accounted(row: Disclosure, cause: Cause) -> Handoff:
    return Handoff(f"accounting/{cause.subject_id}", Disclosed(disclosure=row))

"""The accounting, which is only ever added to: what was disclosed to whom. Pure: no clock, no ids, no I/O.

An entry begins as `allowed` when it was only allowed, and becomes `made` or `not_made` by the sender's report. It is
never removed: one that was a mistake is marked as one. The accounting is a record of its own, beside the person's. When
it is full, what is settled in it moves to a page, which is a record again, so that nothing is ever dropped and no
record outgrows its limit.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import AwareDatetime, Field

from services.intake.handoffs import ReviewAsked
from services.intake.person.grounds import Evidence
from shared.contracts.codes import Value
from shared.contracts.intake import (
    ConsentPurpose,
    DisclosureBasis,
    EmergencyNature,
    InformationCategory,
    MistakeReason,
    NotMadeReason,
)
from shared.decision import Cause, Decision, Handoff, HandoffBody, State, derive_id

ENTRIES_PER_PAGE: Final = 500


class EntryState(StrEnum):
    """How far it came with a disclosure."""

    ALLOWED = "allowed"
    MADE = "made"
    NOT_MADE = "not_made"


class Mistake(Value):
    """The entry should not stand here: of what kind the mistake was, and when somebody said so."""

    reason: MistakeReason
    marked_at: AwareDatetime


class Disclosure(Value):
    """One row of the accounting: what was disclosed to whom, when, on what ground, by whom."""

    disclosure_id: str
    """Of what was allowed beforehand, the sender's id of the delivery."""
    state: EntryState = EntryState.MADE
    disclosed_at: AwareDatetime | None = None
    """None unless it was made."""
    recorded_at: AwareDatetime
    recipient_id: str | None
    """None: the person."""
    categories: tuple[InformationCategory, ...]
    basis: DisclosureBasis
    purpose: ConsentPurpose | None = None
    discloser_id: str
    notice_version: str | None = None
    """The redisclosure notice that went along; None where none did (42 CFR 2.32 asks for it with consent)."""
    episode_id: str | None = None
    consent_id: str | None = None
    document_sha256: str | None = None
    """Digest of the form, a copy or the scope of which went along."""
    personnel_id: str | None = None
    personnel_role: str | None = None
    nature: EmergencyNature | None = None
    evidence: Evidence | None = None
    """What the ground asked for, where it is not a consent."""
    not_made: NotMadeReason | None = None
    mistake: Mistake | None = None


class Accounting(State):
    """Every disclosure about one person."""

    entries: tuple[Disclosure, ...] = ()
    pages: int = 0
    """How many full pages there are beside the entries in this record."""


class Disclosed(HandoffBody):
    """To an accounting: there is a further entry."""

    disclosure: Disclosure


class EntrySettled(HandoffBody):
    """To an accounting: this is what became of an entry that was allowed."""

    disclosure: Disclosure


class RevokedBefore(HandoffBody):
    """To an accounting: the person had taken this consent back by then, as is recorded only now."""

    consent_id: str
    revoked_at: AwareDatetime
    until: AwareDatetime | None = None
    """Its end that was known before: what was made from then on was looked at for that."""


class DisclosuresFiled(HandoffBody):
    """To a page: these entries are yours."""

    entries: tuple[Disclosure, ...] = Field(max_length=ENTRIES_PER_PAGE)


def page_subject(subject: str, number: int) -> str:
    """The record of a full page, from 1."""
    return f"{subject.partition('/')[0]}/{derive_id('page', subject, str(number))}"


def disclosed(state: Accounting, body: Disclosed, cause: Cause) -> Decision[Accounting]:
    """Add an entry; a full accounting makes a page of what is settled in it."""
    known = (*state.entries, body.disclosure)
    settled = [one for one in state.entries if one.state is not EntryState.ALLOWED]
    if len(known) <= ENTRIES_PER_PAGE or not settled:
        return Decision(state.replace(entries=known))
    page = Handoff(
        page_subject(cause.subject, state.pages + 1), DisclosuresFiled(entries=tuple(settled))
    )
    left = tuple(one for one in known if one not in settled)
    return Decision(state.replace(entries=left, pages=state.pages + 1), handoffs=(page,))


def settled(state: Accounting, body: EntrySettled, cause: Cause) -> Decision[Accounting]:
    """What was allowed was made, or was not; or what was made was a mistake. What was just filed is on a page."""
    new = body.disclosure
    if all(one.disclosure_id != new.disclosure_id for one in state.entries):
        if not state.pages:
            return Decision(state)
        return Decision(state, handoffs=(Handoff(page_subject(cause.subject, state.pages), body),))
    entries = (new if one.disclosure_id == new.disclosure_id else one for one in state.entries)
    return Decision(state.replace(entries=tuple(entries)))


def revoked_before(state: Accounting, body: RevokedBefore, cause: Cause) -> Decision[Accounting]:
    """What was made under the consent from then on is somebody's to look at, on whichever page it stands."""
    reviews = (
        Handoff(f"episode/{one.episode_id}", ReviewAsked(disclosure_id=one.disclosure_id))
        for one in state.entries
        if one.consent_id == body.consent_id
        and one.mistake is None
        and one.episode_id is not None
        and one.disclosed_at is not None
        and body.revoked_at <= one.disclosed_at
        and (body.until is None or one.disclosed_at < body.until)
    )
    numbers = range(1, state.pages + 1)
    pages = (Handoff(page_subject(cause.subject, number), body) for number in numbers)
    return Decision(state, handoffs=(*reviews, *pages))


def disclosures_filed(
    state: Accounting, body: DisclosuresFiled, _cause: Cause
) -> Decision[Accounting]:
    """A page is written once."""
    return Decision(state.replace(entries=body.entries))

"""The accounting, which is only ever added to: what was disclosed to whom. Pure: no clock, no ids, no I/O.

It is a record of its own, beside the person's. When it is full its entries move to a page, which
is a record again, so that nothing is ever dropped and no record outgrows its limit.
"""

from __future__ import annotations

from datetime import date
from typing import Final

from pydantic import AwareDatetime, Field

from shared.contracts.codes import Value
from shared.contracts.intake import DisclosureBasis, EmergencyNature, InformationCategory
from shared.decision import Cause, Decision, Handoff, HandoffBody, State, derive_id

ENTRIES_PER_PAGE: Final = 500


class Disclosure(Value):
    """One row of the accounting: what was disclosed to whom, when, on what ground, by whom."""

    disclosure_id: str
    disclosed_at: AwareDatetime
    recorded_at: AwareDatetime
    recipient_id: str
    categories: tuple[InformationCategory, ...]
    basis: DisclosureBasis
    discloser_id: str
    notice_version: str
    episode_id: str | None = None
    consent_id: str | None = None
    personnel_id: str | None = None
    personnel_role: str | None = None
    nature: EmergencyNature | None = None
    order_on: date | None = None
    """The day of the court order, where one is the ground."""


class Accounting(State):
    """Every disclosure about one person."""

    entries: tuple[Disclosure, ...] = ()
    pages: int = 0
    """How many full pages there are beside the entries in this record."""


class Disclosed(HandoffBody):
    """To an accounting: there was a disclosure."""

    disclosure: Disclosure


class DisclosuresFiled(HandoffBody):
    """To a page: these entries are yours."""

    entries: tuple[Disclosure, ...] = Field(max_length=ENTRIES_PER_PAGE)


def page_subject(subject: str, number: int) -> str:
    """The record of a full page, from 1."""
    return f"{subject.partition('/')[0]}/{derive_id('page', subject, str(number))}"


def disclosed(state: Accounting, body: Disclosed, cause: Cause) -> Decision[Accounting]:
    """Add a disclosure; a full accounting makes a page of what it has."""
    if len(state.entries) < ENTRIES_PER_PAGE:
        return Decision(state.replace(entries=(*state.entries, body.disclosure)))
    page = Handoff(
        page_subject(cause.subject, state.pages + 1), DisclosuresFiled(entries=state.entries)
    )
    return Decision(
        state.replace(entries=(body.disclosure,), pages=state.pages + 1), handoffs=(page,)
    )


def disclosures_filed(
    state: Accounting, body: DisclosuresFiled, _cause: Cause
) -> Decision[Accounting]:
    """A page is written once."""
    return Decision(state.replace(entries=body.entries))

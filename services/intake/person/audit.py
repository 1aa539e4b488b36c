"""Logs that are only ever added to: who saw an identity, what was disclosed to whom. Pure: no clock, no ids, no I/O.

A log is a record of its own, beside the record that it is about. When it is full its entries move to a page, which
is a record again, so that nothing is ever dropped and no record outgrows its limit.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import ClassVar, Final, TypeVar

from pydantic import AwareDatetime, Field

from shared.contracts.codes import Value
from shared.contracts.intake import DisclosureBasis, EmergencyNature, InformationCategory
from shared.decision import Cause, Decision, Handoff, HandoffBody, State, derive_id

ENTRIES_PER_PAGE: Final = 500


class AccessPurpose(StrEnum):
    """Why somebody looks at an identity. A closed list of this service; it never leaves it."""

    REGISTRATION = "registration"
    TREATMENT = "treatment"
    CONTACT = "contact"
    EMERGENCY = "emergency"
    CORRECTION = "correction"
    PRIVACY_REVIEW = "privacy_review"
    ERASURE = "erasure"


class AccessKind(StrEnum):
    """What was done with the identity."""

    READ = "read"
    WRITTEN = "written"
    MATCHED = "matched"
    SEARCHED = "searched"
    ERASED = "erased"


class Access(Value):
    """One access: who, in which role, why, when. Never what was seen."""

    at: AwareDatetime
    actor_id: str
    role: str
    kind: AccessKind
    purpose: AccessPurpose
    found: tuple[str, ...] = ()
    """The people that a search led to, by id."""


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


class Log(State):
    """Something that is only ever added to."""

    KIND: ClassVar[str]
    pages: int = 0
    """How many full pages there are beside the entries in this record."""


class AccessLog(Log):
    """Every access to one identity."""

    KIND: ClassVar[str] = "accesses"
    entries: tuple[Access, ...] = ()


class SearchLog(AccessLog):
    """Every search by one member of staff."""

    KIND: ClassVar[str] = "searches"


class Accounting(Log):
    """Every disclosure about one person."""

    KIND: ClassVar[str] = "accounting"
    entries: tuple[Disclosure, ...] = ()


class AccessMade(HandoffBody):
    """To a log of accesses: there was one."""

    access: Access


class Disclosed(HandoffBody):
    """To an accounting: there was a disclosure."""

    disclosure: Disclosure


class AccessesFiled(HandoffBody):
    """To a page: these entries are yours."""

    entries: tuple[Access, ...] = Field(max_length=ENTRIES_PER_PAGE)


class DisclosuresFiled(HandoffBody):
    """To a page: these entries are yours."""

    entries: tuple[Disclosure, ...] = Field(max_length=ENTRIES_PER_PAGE)


A = TypeVar("A", bound=AccessLog)


def page_subject(subject: str, number: int) -> str:
    """The record of a log's full page, from 1."""
    return f"{subject.partition('/')[0]}/{derive_id('page', subject, str(number))}"


def noted(state: A, access: Access, cause: Cause) -> Decision[A]:
    """Add an access; a full log makes a page of what it has."""
    if len(state.entries) < ENTRIES_PER_PAGE:
        return Decision(state.replace(entries=(*state.entries, access)))
    page = Handoff(
        page_subject(cause.subject, state.pages + 1), AccessesFiled(entries=state.entries)
    )
    return Decision(state.replace(entries=(access,), pages=state.pages + 1), handoffs=(page,))


def access_made(state: A, body: AccessMade, cause: Cause) -> Decision[A]:
    """An access that another record knows of."""
    return noted(state, body.access, cause)


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


def accesses_filed(state: A, body: AccessesFiled, _cause: Cause) -> Decision[A]:
    """A page is written once."""
    return Decision(state.replace(entries=body.entries))


def disclosures_filed(
    state: Accounting, body: DisclosuresFiled, _cause: Cause
) -> Decision[Accounting]:
    """A page is written once."""
    return Decision(state.replace(entries=body.entries))

"""What the routes of intake answer, beside what every answer about a record has."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal, NotRequired

from typing_extensions import TypedDict

from services.intake.episode.values import Assessment, Outbound, Recommendation, Referral, Stage
from services.intake.person.accounting import Disclosure
from services.intake.person.identity import Contact, Identity
from services.intake.person.may_disclose import Consent, Obligations
from services.intake.resources.care_teams import StaffRecord
from services.intake.resources.partner_capacity import Statement
from services.intake.resources.partners import Agreement, Partner
from shared.contracts.codes import (
    AgreementId,
    AssessmentId,
    ConsentId,
    DeliveryId,
    DisclosureId,
    EpisodeId,
    FacilityId,
    GroupId,
    LevelOfCare,
    PersonId,
    ReferralId,
)
from shared.runtime.http.shown import Fields, LeftOut, Paged, PagedNow, Together, with_words
from shared.runtime.http.views import LoopView

# --- referrals and episodes -------------------------------------------------------------------------------


class Received(TypedDict):
    """A referral that was received."""

    episode_id: EpisodeId
    person_id: PersonId


class AssessmentScheduled(TypedDict):
    """An assessment that has a time."""

    assessment_id: AssessmentId


RECOMMENDED = Fields(Recommendation, without=("offered", "signed_by_id"))


@with_words
class Recommended(TypedDict):
    """Whether the level suits now."""

    eligible: bool
    """Whether the program suits the person."""
    flags: list[str]
    """What the rules of the level point out, as codes."""


class Admitted(TypedDict):
    """An admission."""

    level: LevelOfCare


ASSESSED = Annotated[dict[str, Any], Together(Fields(Assessment, without=("ratings",)))]


@with_words
class EpisodeView(TypedDict):
    """What a record of an episode does not store as it is shown."""

    stage: Stage
    """How far the episode has come."""
    assessment: ASSESSED | None
    """The latest one, without its ratings."""


@with_words
class ReferralRow(TypedDict):
    """A referral in a list."""

    episode_id: EpisodeId
    person_id: str
    """The person; empty while nobody is known."""
    state: Stage
    """The `stage` of its episode."""
    received_at: datetime | None
    loop: LoopView | None
    """Its most urgent open loop; null when none is open."""


REFERRAL = Fields(
    Referral,
    only=("urgency", "source_kind", "source_facility_id", "requested_level", "outcome"),
    certain=False,
)


@with_words
class ReferralsView(PagedNow):
    """A page of referrals."""

    referrals: list[Annotated[dict[str, Any], Together(ReferralRow, REFERRAL)]]
    """The referrals, the oldest first."""


@with_words
class OutboundRow(TypedDict):
    """A referral to a partner in a list."""

    referral_id: ReferralId
    episode_id: EpisodeId
    state: str
    """How far it has come."""
    sent_at: datetime
    loop: LoopView | None
    """Its open loop; null when none is open."""


OUTBOUND = Fields(Outbound, only=("target_kind", "target_facility_id", "outcome"))


@with_words
class OutboundView(PagedNow):
    """A page of referrals to partners."""

    referrals: list[Annotated[dict[str, Any], Together(OutboundRow, OUTBOUND)]]
    """The referrals; whoever was first referred comes first."""


# --- consents and disclosures -----------------------------------------------------------------------------


class ConsentGiven(TypedDict):
    """A consent that was recorded."""

    consent_id: ConsentId


@with_words
class Notice(TypedDict):
    """The notice that goes along with what is disclosed (42 CFR 2.32)."""

    notice_version: str
    notice: str
    """The words of the notice."""


GOES_ALONG = Annotated[dict[str, Any], Together(Notice, Obligations)]


@with_words
class CheckView(TypedDict):
    """Whether something may be told now."""

    allowed: bool
    """Whether one consent says all of it."""
    consent_id: ConsentId | None
    """The consent that allows it; null when none does."""
    code: Literal["consent-holds", "consent-missing"]
    """The same as a code."""
    reason: str | None
    """Why not, as a code; null when it is allowed."""
    obligations: GOES_ALONG | None
    """What has to go along; null when nothing may be told."""
    as_of: datetime


@with_words
class ConsentsView(TypedDict):
    """The consents of a person."""

    consents: dict[str, Consent]
    """Each consent by its id."""


class Disclosed(TypedDict):
    """An entry of the accounting."""

    disclosure_id: DisclosureId


@with_words
class DisclosureAllowed(TypedDict):
    """What was allowed."""

    delivery_id: DeliveryId
    consent_id: ConsentId
    obligations: GOES_ALONG
    """What has to go along."""


@with_words
class ReferralSent(TypedDict):
    """A referral to a partner, as a consent allows it."""

    referral_id: ReferralId
    episode_id: EpisodeId
    consent_id: ConsentId
    obligations: GOES_ALONG
    """What has to go along."""


@with_words
class DisclosuresView(TypedDict):
    """A page of the accounting."""

    disclosures: list[Disclosure]
    """The entries of the page in their order."""
    page: int
    """The number of the page; the first is 1."""
    pages: int
    """How many pages there are."""


# --- people -----------------------------------------------------------------------------------------------


@with_words
class IdentityShown(TypedDict):
    """Who a person is; of an identity that was erased, when."""

    status: Literal["known", "erased"]
    """`erased`: nothing of the identity is left."""
    safe_channel: NotRequired[Contact | None]
    """The contact that may be used without risk; null when there is none."""
    emergency_personnel: NotRequired[dict[str, str]]
    """By id, the names of those who were told in an emergency; for a privacy review."""
    erased_at: NotRequired[datetime]


IDENTITY = Fields(Identity, certain=False)


@with_words
class MatchesView(LeftOut):
    """Who may be meant."""

    person_ids: list[PersonId]
    """The people who match."""


@with_words
class ErasureView(TypedDict):
    """Whether an identity is erased, and what an erasure would mean now."""

    status: Literal["known", "erased"]
    """Whether the identity is erased."""
    erased_at: datetime | None
    open_episodes: int
    """How many of the person's episodes are open."""
    last_copy_gone_on: date
    """The day on which the last backup that may have the key is thrown away."""


@with_words
class ErasedView(TypedDict):
    """An erasure."""

    erased_at: datetime
    last_copy_gone_on: date
    """The day on which the last backup that may have the key is thrown away."""


# --- staff, waiting, partners -----------------------------------------------------------------------------


class AbsencePlanned(TypedDict):
    """An absence that was planned."""

    absence_id: str


@with_words
class HandedOver(TypedDict):
    """A hand-over that was begun."""

    episodes: int
    """How many episodes are handed over."""


STAFF = Fields(StaffRecord, only=("absences", "holds"))


class Joined(TypedDict):
    """A place in a line."""

    waitlist_id: str


class Offered(TypedDict):
    """A place that is offered."""

    offer_id: str
    expires_at: datetime


@with_words
class Place(TypedDict):
    """Somebody's place in a line."""

    position: int
    """1 is the next."""
    waitlist_id: str
    episode_id: EpisodeId
    since: datetime


class OfferedPlace(TypedDict):
    """A place that somebody is offered."""

    waitlist_id: str
    episode_id: EpisodeId


@with_words
class LineView(TypedDict):
    """A line as staff see it."""

    track: str
    group_id: GroupId | None
    seats_min: int | None
    seats_max: int | None
    seats_free: int | None
    """How many seats are free; null where the line is no group's."""
    waiting: list[Place]
    """Who waits, in the order of the line."""
    offered: list[OfferedPlace]
    """Who is offered a place."""


@with_words
class Stale(TypedDict):
    """Until when a statement may be believed."""

    stale_from: datetime
    stale: bool
    """Whether somebody has to ask again."""


@with_words
class CapacityView(TypedDict):
    """What partners can take."""

    capacity: list[
        Annotated[dict[str, Any], Together(Fields(Statement, without=("believed_for",)), Stale)]
    ]
    """The freshest statement first; what is too old to be believed comes last."""
    now: datetime


class PartnerSaid(TypedDict):
    """An organisation that was described."""

    partner_id: FacilityId


class AgreementRecorded(TypedDict):
    """An agreement."""

    agreement_id: AgreementId


PARTNER = Fields(Partner, without=("agreements", "earlier"))


@with_words
class Agreements(TypedDict):
    """The agreements of the caller's facility."""

    agreements: dict[str, Agreement]
    """Each agreement by its id."""


class PartnerSubject(TypedDict):
    """The record of an organisation."""

    subject: str


@with_words
class PartnersView(Paged):
    """A page of organisations."""

    partners: list[Annotated[dict[str, Any], Together(PartnerSubject, PARTNER, Agreements)]]
    """The organisations that are registered."""

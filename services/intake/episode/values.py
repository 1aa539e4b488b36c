"""What an episode stores of each step of the path. Values alone; the rules stand beside them."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from enum import StrEnum

from pydantic import Field

from services.intake.episode.levels import Derivation, Rating
from shared.contracts.codes import AsamEdition, CoOccurring, LevelOfCare, Population, Urgency, Value
from shared.contracts.intake import (
    ConsentPurpose,
    OverrideReason,
    PartnerKind,
    ReferralOutcome,
    Severity,
)
from shared.loops import Loop


class Stage(StrEnum):
    """How far an episode has come for intake, in one word: the furthest it has reached, or how it ended."""

    RECEIVED = "received"
    ACKNOWLEDGED = "acknowledged"
    AWAITING_ASSESSMENT = "awaiting_assessment"
    EMERGENCY = "emergency"
    ASSESSED = "assessed"
    INELIGIBLE = "ineligible"
    ELIGIBLE = "eligible"
    PLACED = "placed"
    WAITLISTED = "waitlisted"
    OFFERED = "offered"
    ADMITTED = "admitted"
    ORIENTED = "oriented"
    DECLINED = "declined"
    CLOSED = "closed"
    """The referral ended neither by an admission here nor by a refusal."""
    DISCHARGED = "discharged"
    ENTERED_IN_ERROR = "entered_in_error"
    """Also a second referral that was merged into the first."""


class NewReferral(Value):
    """What a referrer states."""

    source_kind: PartnerKind
    source_facility_id: str | None
    urgency: Urgency
    requested_level: LevelOfCare | None


class Referral(NewReferral):
    """The inbound referral. Its loop is open until an outcome is known; acknowledging closes nothing."""

    received_at: datetime
    acknowledged_at: datetime | None = None
    outcome: ReferralOutcome | None = None


class Assessment(Value):
    """One assessment. Ratings stay here; levels, drivers and flags travel."""

    assessment_id: str
    starts_at: datetime
    completed_at: datetime | None = None
    edition: AsamEdition | None = None
    ratings: dict[int, Rating] = Field(default_factory=dict[int, Rating])
    severity: Severity | None = None
    co_occurring: CoOccurring | None = None
    imminent_danger: bool = False
    derivation: Derivation | None = None
    """Missing in imminent danger: then no level is recommended by rule."""


class Recommendation(Value):
    """What a clinician signed, and whether this program suits the person now."""

    level: LevelOfCare
    unmet: tuple[str, ...]
    """Conditions that are not met."""
    signed_by_id: str
    offered: tuple[str, ...] = ()
    """The codes of the levels that were offered here when it was signed."""
    program: str | None = None
    """The program that was applied to; None: any of the facility."""
    risks: tuple[str, ...] = ()
    """What the plan has to reckon with. It excludes nobody."""
    reasons: tuple[str, ...] = ()
    """What speaks for an outpatient program beside the need."""
    step_down_from: PartnerKind | None = None
    """The more intensive care that the person comes from; None: the program stands alone."""
    override: OverrideReason | None = None
    """Why a clinician takes the person although conditions are unmet."""

    @property
    def eligible(self) -> bool:
        """Nothing is unmet, or a clinician decided otherwise and gave the reason."""
        return not self.unmet or self.override is not None


class LevelHeard(Value):
    """A change of level that plans published, and what it replaced, for the case that it is taken back."""

    to_level: LevelOfCare
    effective_at: datetime
    offered_before: tuple[str, ...]
    """The codes of the program's levels until then."""
    searched: Loop | None = None
    """Who looked for another place until then."""


class Admission(Value):
    """The beginning of treatment."""

    level: LevelOfCare
    population: Population
    admitted_at: datetime
    program: str
    length_weeks: int
    time_zone: str
    court_involved: bool
    terms_version: str
    """The version of the program's terms, which stay with the episode."""
    offered: tuple[str, ...] = ()
    """The codes of the program's levels."""
    levels: tuple[LevelHeard, ...] = ()
    """Changes of level that hold, from the first to the last."""
    prior_episode_id: str | None = None
    oriented_at: datetime | None = None


class OutboundStage(StrEnum):
    """How far a referral to a partner has come."""

    ASKED = "asked"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    CLOSED = "closed"
    """It is known what became of it."""


class Outbound(Value):
    """A referral to a partner. Its loop is open until an outcome is known; accepting closes nothing."""

    target_kind: PartnerKind
    target_facility_id: str
    target_level: LevelOfCare | None = None
    purpose: ConsentPurpose
    consent_id: str
    sent_at: datetime
    not_made: bool = False
    """It never reached the partner, as its sender reported."""
    accepted_at: datetime | None = None
    rejected_at: datetime | None = None
    reminders: int = 0
    outcome: ReferralOutcome | None = None

    @property
    def answers_for(self) -> bool:
        """Whoever asks the same again is answered with it: the partner has it, and has not said no."""
        over = self.not_made or self.rejected_at is not None
        return self.outcome is None and not over

    @property
    def stage(self) -> OutboundStage:
        """How far it has come: by what it is listed."""
        if self.outcome is not None:
            return OutboundStage.CLOSED
        if self.rejected_at is not None:
            return OutboundStage.REJECTED
        return OutboundStage.ASKED if self.accepted_at is None else OutboundStage.ACCEPTED


class PlaceOffer(Value):
    """A place that is offered to somebody who waits, until it lapses."""

    offer_id: str
    group_id: str | None
    offered_at: datetime
    expires_at: datetime


class Waiting(Value):
    """One person's place on a waiting list: a group's, or a track's."""

    ticket: str
    """The id of this waiting."""
    line_id: str
    """The record of the waiting list."""
    track: str
    group_id: str | None
    since: datetime
    offer_lasts: timedelta
    chances: int
    """How many offers may lapse; with the last one the waiting ends."""
    interim: tuple[str, ...] = ()
    """What is done for the person meanwhile."""
    position: int | None = None
    """The place on the list when it was joined; None until the list has handed it over."""
    offer: PlaceOffer | None = None
    passed_by: bool = False
    """Nobody calls the person now (`circumstances.py`): the list does not have them meanwhile."""


class Seat(Value):
    """A seat in a group, as attendance publishes it: for good, or held until then."""

    hold_expires_at: datetime | None


class UseReport(Value):
    """A return to use that was reported. It resets nothing."""

    report_id: str
    heard_at: datetime
    overdose: bool
    occurred_on: date | None

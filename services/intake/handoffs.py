"""What a record of intake leaves for another one. Not part of the contract."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import AwareDatetime

from shared.contracts.codes import LevelOfCare, Population, Value
from shared.contracts.intake import ConsentPurpose, NotMadeReason, PartnerKind
from shared.contracts.terms import ProgramTerms
from shared.decision import HandoffBody


class ReferralAllowed(HandoffBody):
    """To an episode: a partner may be asked to take the person, under this consent."""

    referral_id: str
    person_id: str
    target_kind: PartnerKind
    target_facility_id: str
    target_level: LevelOfCare | None
    purpose: ConsentPurpose
    consent_id: str = ""
    respond_within: timedelta


class DeliveryReported(HandoffBody):
    """To a person: what became of something that was allowed. Without a reason it was made, at that moment."""

    delivery_id: str
    made_at: AwareDatetime | None = None
    not_made: NotMadeReason | None = None


class ReportHeard(HandoffBody):
    """To an episode: the accounting knows what became of this."""

    delivery_id: str
    made: bool = True


class EpisodeOpened(HandoffBody):
    """To a person: you have an episode."""

    episode_id: str
    time_zone: str = "UTC"
    """Of the facility."""


class EpisodeEnded(HandoffBody):
    """To a person: an episode of yours has ended."""

    episode_id: str
    ended_at: datetime


class EpisodeReopened(HandoffBody):
    """To a person: the end of an episode of yours is taken back."""

    episode_id: str
    ended_at: datetime


class LineLeft(HandoffBody):
    """To a waiting list: this person has left it."""

    ticket: str
    episode_id: str
    taken: bool
    """They accepted a place, which attendance will publish."""


class Readmitted(HandoffBody):
    """To an episode: the person was admitted again, in another episode."""

    episode_id: str


class LineJoined(HandoffBody):
    """To a waiting list: this person has joined it."""

    ticket: str
    episode_id: str
    track: str
    since: datetime
    offer_lasts: timedelta


class OfferMade(HandoffBody):
    """To a waiting list: staff offered this person a place out of turn."""

    ticket: str
    episode_id: str


class Lined(HandoffBody):
    """To an episode: this is your place on the waiting list."""

    ticket: str
    position: int


class PlaceOffered(HandoffBody):
    """To an episode: a place is yours until then, if you accept it."""

    ticket: str
    offer_id: str
    group_id: str | None
    expires_at: datetime


class SeatChanged(HandoffBody):
    """To a group's waiting list: this person has a seat, or no longer has one."""

    episode_id: str
    has_seat: bool


class EpisodeLeft(HandoffBody):
    """To a person: this episode was never yours."""

    episode_id: str
    left_at: AwareDatetime


class EpisodeJoined(HandoffBody):
    """To a person: this episode is yours; it was written down as another's."""

    episode_id: str
    open: bool
    program: str | None = None
    """Where it is admitted; None while it is not."""


class Admitting(Value):
    """An admission that may take place when the person's record grants it, under the program's terms of that day."""

    program: str
    level: LevelOfCare
    population: Population
    court_involved: bool
    length_weeks: int
    time_zone: str
    prior_episode_id: str | None
    terms: ProgramTerms
    offered: tuple[str, ...]
    """The codes of the program's levels."""


class Granted(HandoffBody):
    """To an episode: the person may be admitted, for they have no other open episode in the program."""

    person_id: str
    admitting: Admitting


class AdmittedTo(HandoffBody):
    """To a person: the program that this episode is admitted to; None: to none, so that a grant comes back."""

    episode_id: str
    program: str | None


class PlaceHeld(HandoffBody):
    """To an episode: this one has the person's place in the program, which is you or another."""

    person_id: str
    holder_id: str


class ReadmissionUndone(HandoffBody):
    """To the episode before: the person was not admitted again after all."""

    episode_id: str


class ReviewAsked(HandoffBody):
    """To an episode: somebody has to look at what was disclosed in an emergency, or after its consent had ended."""

    disclosure_id: str


class ReviewWithdrawn(HandoffBody):
    """To an episode: that entry was a mistake, so that nobody has to look at what was disclosed."""

    disclosure_id: str


class Held(HandoffBody):
    """To a member of staff: you hold this role for this episode."""

    episode_id: str
    role: str


class Released(HandoffBody):
    """To a member of staff: you no longer hold this role for this episode."""

    episode_id: str
    role: str


class HandedOver(HandoffBody):
    """To an episode: who held this role of yours gives it to a colleague."""

    role: str
    from_id: str
    to_id: str

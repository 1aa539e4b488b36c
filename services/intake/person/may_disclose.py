"""May this be disclosed to this partner, for this purpose, at this moment? The one place that decides it. Pure.

42 CFR 2.13 (no more than the purpose needs), 2.31 (what a consent says), 2.32 (what goes along), 2.33 and 2.35 (who
may receive); see docs/domain.md 4.2 (Consent) and 4.3 (Disclosure). It fails closed: one consent has to say
all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from pydantic import AwareDatetime

from shared import calendar
from shared.contracts.codes import Value
from shared.contracts.intake import (
    AgreementKind,
    ConsentExpiry,
    ConsentKind,
    ConsentPurpose,
    InformationCategory,
    MistakeReason,
    PartnerKind,
    PartnerProgram,
    RecipientClass,
    WithheldReason,
)

TPO_PURPOSES: Final = (
    ConsentPurpose.TREATMENT,
    ConsentPurpose.PAYMENT,
    ConsentPurpose.OPERATIONS,
)
TPO_CLASSES: Final = (
    RecipientClass.TREATING_PROVIDERS,
    RecipientClass.PAYERS,
    RecipientClass.OPERATIONS_CONTRACTORS,
)
"""2.31(a)(4)(i): the classes of a consent for treatment, payment and operations."""
CLASSES: Final[Mapping[ConsentKind, tuple[RecipientClass, ...]]] = {
    ConsentKind.TPO: TPO_CLASSES,
    # 2.31(a)(4)(i): the name of the person, or class of persons, to whom a disclosure is to be made.
    ConsentKind.SPECIFIC: tuple(one for one in RecipientClass if one.name != "UNKNOWN"),
    # 2.31(a)(4)(ii): an intermediary's participants by name, or as those who treat the person.
    ConsentKind.INTERMEDIARY: (RecipientClass.TREATING_PROVIDERS,),
}
"""Which classes of recipients a form may name. The others name each recipient."""


# --- what is asked about ---------------------------------------------------------------------------------


class Agreement(Value):
    """What a facility and a partner have agreed in writing, from when until when; both days belong to it."""

    facility_id: str
    kind: AgreementKind
    from_on: date
    until_on: date | None = None
    recorded_at: AwareDatetime | None = None
    """Since when it is on file; None until it is recorded."""

    def holds_on(self, day: date, zone: str) -> bool:
        """It was on file and in force on this day of the facility; what is recorded later counts from then."""
        if self.recorded_at is None or day < calendar.local_day(self.recorded_at, zone):
            return False
        return self.from_on <= day and (self.until_on is None or day <= self.until_on)


class Standing(Value):
    """What an organisation is, from some time on."""

    kind: PartnerKind
    recipient_class: RecipientClass | None = None
    covered_entity: bool = False
    """HIPAA binds it: under a consent for treatment, payment and operations it may disclose further."""
    programs: tuple[PartnerProgram, ...] = ()
    since: AwareDatetime | None = None
    """Since when that is registered; None until it is."""


class Partner(Standing):
    """An organisation outside, as its record says, with the agreements of the facility that asks."""

    partner_id: str
    agreements: tuple[Agreement, ...] = ()
    earlier: tuple[Standing, ...] = ()
    """What it was registered as before, the earliest first."""

    @property
    def standing(self) -> Standing:
        """What it is registered as now."""
        return Standing.model_validate(self.model_dump(include=set(Standing.model_fields)))

    def as_of(self, at: datetime) -> Partner:
        """What it was registered as at this moment.

        Before it was registered it was of no class, and not known to be bound by HIPAA.
        """
        standings = (*self.earlier, self.standing)
        until_then = [one for one in standings if one.since is not None and one.since <= at]
        unregistered = standings[0].replace(recipient_class=None, covered_entity=False)
        return self.replace(**dict([unregistered, *until_then][-1]))

    @property
    def kinds(self) -> tuple[PartnerKind, ...]:
        """Every kind of place that it is."""
        return (self.kind, *(program.kind for program in self.programs))

    def has_agreed(self, kind: AgreementKind, day: date, zone: str) -> bool:
        """An agreement of this kind with the facility was on file and in force on this day."""
        return any(one.kind is kind and one.holds_on(day, zone) for one in self.agreements)


class Statement(StrEnum):
    """What the form informs the person of before they sign."""

    RIGHT_TO_REVOKE = "right_to_revoke"
    REDISCLOSURE = "redisclosure"
    CONSEQUENCES_OF_REFUSAL = "consequences_of_refusal"


class Signatory(StrEnum):
    """Who signed."""

    PATIENT = "patient"
    GUARDIAN = "guardian"
    REPRESENTATIVE = "representative"


class RevocationWay(StrEnum):
    """How the person took a consent back."""

    WRITTEN = "written"
    ELECTRONIC = "electronic"
    ORAL = "oral"


class NewConsent(Value):
    """What the signed form contains: every element of 42 CFR 2.31(a), beside the patient, whose record this is."""

    kind: ConsentKind
    discloser_id: str = ""
    """Who may disclose: a facility."""
    recipients: tuple[str, ...]
    """Who may receive: partners, and classes of them; of an intermediary's consent, its participants."""
    intermediary_id: str | None = None
    categories: tuple[InformationCategory, ...]
    purpose: ConsentPurpose
    effective_at: datetime
    expires_on: date | None
    expires_with: ConsentExpiry | None
    statements: tuple[Statement, ...] = ()
    signed_by: tuple[Signatory, ...] = (Signatory.PATIENT,)
    signed_on: date
    document_sha256: str

    @property
    def all_recipients(self) -> tuple[str, ...]:
        """Every permitted recipient, an intermediary first."""
        return (
            *(() if self.intermediary_id is None else (self.intermediary_id,)),
            *self.recipients,
        )


class Revocation(Value):
    """That the person took a consent back: from when, how, and since when that is on record."""

    revoked_at: AwareDatetime
    revoked_by: RevocationWay | None = None
    """How it was revoked."""
    recorded_at: AwareDatetime | None = None
    undone_at: AwareDatetime | None = None
    """When it was taken back as a mistake; None while it holds."""
    undone_for: MistakeReason | None = None
    """The kind of mistake; None while it holds."""

    def covers(self, at: datetime) -> bool:
        """The consent was revoked at this moment, by what was on record."""
        return self.revoked_at <= at and (self.undone_at is None or at < self.undone_at)


class Consent(NewConsent):
    """A consent. It holds from `effective_at`, and not before the day of its signature, until it ends."""

    recorded_at: AwareDatetime | None = None
    """Since when it is on file."""
    made: int = 0
    """How much was disclosed under it, without what was a mistake."""
    ends_at: AwareDatetime | None = None
    """When it ends with the treatment, as far as that has ended."""
    revoked_at: datetime | None = None
    revoked_by: RevocationWay | None = None
    """How it was revoked."""
    revocation_recorded_at: datetime | None = None
    expired_at: datetime | None = None
    revocations: tuple[Revocation, ...] = ()
    """Earlier words on when it was revoked, and revocations that were a mistake."""
    undone_at: AwareDatetime | None = None
    """When it was marked as a mistake: it was never given, or not by this person."""
    undone_for: MistakeReason | None = None
    """The kind of mistake because of which the consent was taken back; None while it was none."""

    @property
    def form(self) -> NewConsent:
        """What the signed form contains, without what became of it."""
        return NewConsent.model_validate(self.model_dump(include=set(NewConsent.model_fields)))

    @property
    def relied_on(self) -> bool:
        """Something was disclosed under it."""
        return self.made > 0

    @property
    def ended(self) -> bool:
        """It was revoked, or has expired, or was a mistake."""
        ends = (self.revoked_at, self.expired_at, self.undone_at)
        return any(end is not None for end in ends)

    @property
    def ends(self) -> tuple[datetime, ...]:
        """When it has ended, by each of its ends that is recorded."""
        return tuple(end for end in (self.revoked_at, self.expired_at) if end is not None)

    def with_revocation_aside(
        self, undone_at: datetime | None = None, undone_for: MistakeReason | None = None
    ) -> Consent:
        """The consent without the word on its revocation that holds, which is kept beside it, as a mistake or not."""
        if self.revoked_at is None:
            return self
        known = Revocation(
            revoked_at=self.revoked_at,
            revoked_by=self.revoked_by,
            recorded_at=self.revocation_recorded_at,
            undone_at=undone_at,
            undone_for=undone_for,
        )
        return self.replace(
            revocations=(*self.revocations, known),
            revoked_at=None,
            revoked_by=None,
            revocation_recorded_at=None,
        )

    def holds(self, at: datetime, zone: str) -> bool:
        """At this moment it was signed, has begun and has not ended, whether or not its end has been noticed yet.

        A form without the hour of its signature counts from the beginning of that day of the facility, and its last
        day ends when that day of the facility does.
        """
        begun = self.effective_at <= at and self.signed_on <= calendar.local_day(at, zone)
        return begun and not self.has_ended(at, zone)

    def has_ended(self, at: datetime, zone: str) -> bool:
        """By this moment one of its ends had come, whether or not that had been noticed.

        One that was a mistake held at no moment. While a revocation was on record that was a mistake, it did not hold.
        """
        if self.undone_at is not None or any(one.covers(at) for one in self.revocations):
            return True
        last = None if self.expires_on is None else calendar.end_of_day(self.expires_on, zone)
        ends = (last, self.ends_at, self.revoked_at, self.expired_at)
        return any(end is not None and end <= at for end in ends)

    def names(self, partner: Partner) -> bool:
        """It names this partner, or the class that the partner belongs to, where its form may name a class.

        What a court's consent allows, courts alone receive (42 CFR 2.35).
        """
        by_name = partner.partner_id in self.all_recipients
        by_class = (
            partner.recipient_class in CLASSES.get(self.kind, ())
            and partner.recipient_class in self.recipients
        )
        of_its_form = (
            self.kind is not ConsentKind.CRIMINAL_JUSTICE or partner.kind is PartnerKind.COURT
        )
        return (by_name or by_class) and of_its_form

    def covers(self, categories: Collection[InformationCategory]) -> bool:
        """It allows every one of these. Counseling notes are allowed by a form of their own alone (2.31(b))."""
        about_notes = {one is InformationCategory.COUNSELING_NOTES for one in categories}
        of_its_form = about_notes == {self.kind is ConsentKind.NOTES}
        return of_its_form and set(categories) <= set(self.categories)

    def serves(self, purpose: ConsentPurpose, partner: Partner) -> bool:
        """It was given for this purpose. One for treatment, payment and operations serves all three.

        To those who treat the person, coordinating care is treatment (45 CFR 164.501).
        """
        if (purpose is ConsentPurpose.LEGAL_PROCEEDINGS) is not (self.kind is ConsentKind.LEGAL):
            return False
        if self.kind is not ConsentKind.TPO or self.purpose not in TPO_PURPOSES:
            return purpose is self.purpose
        treats = partner.recipient_class is RecipientClass.TREATING_PROVIDERS
        coordinates = purpose is ConsentPurpose.CARE_COORDINATION and treats
        return purpose in TPO_PURPOSES or coordinates


# --- the answer ------------------------------------------------------------------------------------------


class Obligations(Value):
    """What goes along with what is disclosed (42 CFR 2.32): the notice, and the scope of the consent."""

    categories: tuple[InformationCategory, ...]
    """What is disclosed, and nothing else."""
    purpose: ConsentPurpose
    document_sha256: str
    """Digest of the signed form: a copy goes along, or categories and purpose as its clear explanation."""
    may_redisclose: bool
    """As HIPAA permits, except against the person: the partner is bound by HIPAA and the consent is a TPO one."""


class Allowed(Value):
    """It may be disclosed, under this consent."""

    consent_id: str
    obligations: Obligations


class Withheld(Value):
    """It may not: this is the first thing that no consent has."""

    reason: WithheldReason


def may_disclose(
    consents: Mapping[str, Consent],
    discloser_id: str,
    partner: Partner | None,
    categories: tuple[InformationCategory, ...],
    purpose: ConsentPurpose,
    at: datetime,
    zone: str,
) -> Allowed | Withheld:
    """Whether one consent lets this facility tell all of this to this partner at this moment, and what goes along.

    A consent for another facility to disclose allows this one nothing (42 CFR 2.31(a)(2)). `zone` is the time zone of
    the facility that discloses. Where several consents allow it, the one with the narrowest form is relied upon, so
    that a general one is not where a specific one was given.
    """
    if partner is None:
        return Withheld(reason=WithheldReason.PARTNER_UNKNOWN)
    known = partner
    steps: tuple[tuple[WithheldReason, Callable[[Consent], bool]], ...] = (
        (WithheldReason.RECIPIENT_NOT_NAMED, lambda one: one.names(known)),
        (WithheldReason.DISCLOSER_NOT_NAMED, lambda one: one.discloser_id == discloser_id),
        (WithheldReason.NOT_IN_FORCE, lambda one: one.holds(at, zone)),
        (WithheldReason.CATEGORY_NOT_COVERED, lambda one: one.covers(categories)),
        (WithheldReason.PURPOSE_NOT_COVERED, lambda one: one.serves(purpose, known)),
    )
    left = dict(consents)
    for reason, has in steps:
        left = {key: one for key, one in left.items() if has(one)}
        if not left:
            return Withheld(reason=reason)
    consent_id = min(left, key=lambda key: (left[key].kind is ConsentKind.TPO, key))
    consent = left[consent_id]
    return Allowed(
        consent_id=consent_id,
        obligations=Obligations(
            categories=categories,
            purpose=purpose,
            document_sha256=consent.document_sha256,
            may_redisclose=consent.kind is ConsentKind.TPO and known.covered_entity,
        ),
    )

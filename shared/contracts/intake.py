"""What intake says: referral, consent, assessment, placement, admission, partner loops.

Code lists that only intake uses stand first, then the events in the order of the path.
"""

from __future__ import annotations

from pydantic import Field

from .codes import (
    ActorId,
    AgreementId,
    AsamEdition,
    AssessmentId,
    Clearance,
    ConditionCode,
    ConsentId,
    CoOccurring,
    Count,
    Day,
    DeliveryId,
    Dimension,
    DisclosureId,
    Drivers,
    EpisodeId,
    Escalation,
    FacilityId,
    GroupId,
    IntakeLoop,
    Level,
    LevelOfCare,
    LoopId,
    MistakeReason,
    NoticeVersion,
    PersonId,
    Population,
    ProgramCode,
    ReferralId,
    Role,
    RuleCode,
    Sha256,
    StaffId,
    Timestamp,
    TimeZoneName,
    TrackCode,
    Urgency,
    Value,
    VersionCode,
    WaitlistId,
)
from .event import Event, OpenEnum
from .terms import ProgramTerms

_EVERYONE = ("plans", "attendance", "followup")
_RECIPIENTS = ["northside-court"]
_LEVEL = {"system": "asam", "edition": "4", "code": "2.1"}


class PartnerKind(OpenEnum):
    """What kind of place refers a person in, or receives one."""

    WITHDRAWAL_MANAGEMENT = "withdrawal_management"
    RESIDENTIAL = "residential"
    INPATIENT = "inpatient"
    PARTIAL_HOSPITALIZATION = "partial_hospitalization"
    INTENSIVE_OUTPATIENT = "intensive_outpatient"
    OUTPATIENT = "outpatient"
    OPIOID_TREATMENT = "opioid_treatment"
    SOBER_LIVING = "sober_living"
    EMERGENCY_DEPARTMENT = "emergency_department"
    PRIMARY_CARE = "primary_care"
    PSYCHIATRY = "psychiatry"
    LABORATORY = "laboratory"
    COURT = "court"
    FAMILY_AGENCY = "family_agency"
    PAYER = "payer"
    PEER_ORGANIZATION = "peer_organization"
    CONTRACTOR = "contractor"
    GOVERNMENT = "government"
    RESEARCH = "research"
    SELF = "self"
    UNKNOWN = "unknown"


class RecipientClass(OpenEnum):
    """A class of persons whom a consent may name in place of a partner's own id."""

    TREATING_PROVIDERS = "treating-providers"
    PAYERS = "payers"
    OPERATIONS_CONTRACTORS = "operations-contractors"
    RECOVERY_RESIDENCES = "recovery-residences"
    PEER_ORGANIZATIONS = "peer-organizations"
    UNKNOWN = "unknown"


class AgreementKind(OpenEnum):
    """What a facility and a partner have agreed in writing."""

    QSOA = "qsoa"
    BUSINESS_ASSOCIATE = "business_associate"
    AUDIT = "audit"
    RESEARCH = "research"
    UNKNOWN = "unknown"


class WithheldReason(OpenEnum):
    """Why something may not be disclosed: the first thing that no consent of the person has."""

    NOT_IN_FORCE = "not_in_force"
    RECIPIENT_NOT_NAMED = "recipient_not_named"
    DISCLOSER_NOT_NAMED = "discloser_not_named"
    CATEGORY_NOT_COVERED = "category_not_covered"
    PURPOSE_NOT_COVERED = "purpose_not_covered"
    PARTNER_UNKNOWN = "partner_unknown"
    PERSON_CHANGED = "person_changed"
    DELIVERY_DIFFERS = "delivery_differs"
    TOO_MANY_UNREPORTED = "too_many_unreported"
    UNKNOWN = "unknown"


class NotMadeReason(OpenEnum):
    """Why something that was allowed was not disclosed after all."""

    WITHDRAWN = "withdrawn"
    NOT_DELIVERED = "not_delivered"
    EPISODE_CLOSED = "episode_closed"
    UNKNOWN = "unknown"


class DeclineReason(OpenEnum):
    """Why a referral went no further."""

    NO_CAPACITY = "no_capacity"
    LEVEL_NOT_OFFERED = "level_not_offered"
    OUT_OF_AREA = "out_of_area"
    PAYER = "payer"
    PATIENT_CHOICE = "patient_choice"
    DUPLICATE = "duplicate"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"


class ConsentKind(OpenEnum):
    """The form of consent; each has rules of its own."""

    TPO = "tpo"
    SPECIFIC = "specific"
    CRIMINAL_JUSTICE = "cjs"
    INTERMEDIARY = "intermediary"
    NOTES = "notes"
    LEGAL = "legal"
    UNKNOWN = "unknown"


class ConsentPurpose(OpenEnum):
    """What the recipient may use it for."""

    TREATMENT = "treatment"
    PAYMENT = "payment"
    OPERATIONS = "operations"
    MONITORING = "monitoring"
    CARE_COORDINATION = "care_coordination"
    FAMILY_INVOLVEMENT = "family_involvement"
    LEGAL_PROCEEDINGS = "legal_proceedings"
    UNKNOWN = "unknown"


class ConsentExpiry(OpenEnum):
    """The event that ends a consent, where no day does."""

    NONE = "none"
    END_OF_TREATMENT = "end_of_treatment"
    FINAL_DISPOSITION = "final_disposition"
    UNKNOWN = "unknown"


class InformationCategory(OpenEnum):
    """What may be, or was, disclosed."""

    PRESENCE = "presence"
    REFERRAL_STATUS = "referral_status"
    ATTENDANCE = "attendance"
    LEVEL_OF_CARE = "level_of_care"
    TREATMENT_PLAN = "treatment_plan"
    SCREENS = "screens"
    MEDICATION = "medication"
    DISCHARGE = "discharge"
    AFTERCARE = "aftercare"
    COUNSELING_NOTES = "counseling_notes"
    UNKNOWN = "unknown"


class DisclosureBasis(OpenEnum):
    """The legal ground of a disclosure."""

    CONSENT = "consent"
    EMERGENCY = "emergency"
    QSO = "qso"
    AUDIT = "audit"
    COURT = "court"
    RESEARCH = "research"
    CRIME_ON_PREMISES = "crime_on_premises"
    CHILD_ABUSE_REPORT = "child_abuse_report"
    PATIENT_ACCESS = "patient_access"
    PDMP = "pdmp"
    DECEASED = "deceased"
    PUBLIC_HEALTH = "public_health"
    UNKNOWN = "unknown"


class EmergencyNature(OpenEnum):
    """What the emergency was."""

    OVERDOSE = "overdose"
    WITHDRAWAL = "withdrawal"
    SUICIDE_RISK = "suicide_risk"
    MEDICAL = "medical"
    VIOLENCE = "violence"
    UNKNOWN = "unknown"


class EmergencyAction(OpenEnum):
    """The emergency pathway that was taken."""

    CALL_911 = "911"
    CALL_988 = "988"
    EMERGENCY_DEPARTMENT = "ed"
    WITHDRAWAL_MANAGEMENT = "wm"
    UNKNOWN = "unknown"


class Severity(OpenEnum):
    """The severity of the disorder, kept apart from the level of care."""

    MILD = "mild"
    MODERATE = "moderate"
    SEVERE = "severe"
    UNKNOWN = "unknown"


class OverrideReason(OpenEnum):
    """Why a clinician decided against the eligibility rules."""

    CLINICAL_JUDGEMENT = "clinical_judgement"
    CONTINUITY_OF_CARE = "continuity_of_care"
    COURT_ORDER = "court_order"
    PAYER_AUTHORIZATION = "payer_authorization"
    UNKNOWN = "unknown"


class GapReason(OpenEnum):
    """Why the actual level differs from the recommended one."""

    PATIENT_CHOICE = "patient_choice"
    CAPACITY = "capacity"
    PAYER = "payer"
    COURT = "court"
    DISTANCE = "distance"
    SERVICE_ABSENT = "service_absent"
    UNKNOWN = "unknown"


class WaitlistExit(OpenEnum):
    """How the waiting ended."""

    ACCEPTED = "accepted"
    DECLINED = "declined"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    REFERRED_ELSEWHERE = "referred_elsewhere"
    UNKNOWN = "unknown"


class RejectionReason(OpenEnum):
    """Why a partner did not take a person."""

    NO_BED = "no_bed"
    NOT_ELIGIBLE = "not_eligible"
    PAYER = "payer"
    INCOMPLETE = "incomplete"
    UNKNOWN = "unknown"


class ReferralOutcome(OpenEnum):
    """How a referral's loop closed. Accepted is not an outcome: only arriving is."""

    ADMITTED = "admitted"
    DECLINED = "declined"
    NO_SHOW = "no_show"
    LOST = "lost"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class IntakeEvent(Event, source="care.intake"):
    """A fact that intake publishes."""


class ReferralReceived(IntakeEvent, consumers=("followup",)):
    """A person was referred, and from now on there is an episode.

    Followup starts its clocks, partners learns whose consents count. Episode: none > referred.
    """

    referral_id: ReferralId
    """The inbound referral."""
    person_id: PersonId
    """The person; links the episode to consents and to earlier episodes."""
    source_kind: PartnerKind = Field(examples=["withdrawal_management"])
    """What kind of place referred."""
    source_facility_id: FacilityId | None = Field(default=None, examples=["harbor-detox"])
    """The referring facility, unless the person came alone."""
    received_at: Timestamp
    """When it arrived; the clock of the acknowledgement starts here."""
    urgency: Urgency = Field(examples=["urgent"])
    """How fast the person has to be seen."""
    requested_level: LevelOfCare | None = Field(default=None, examples=[_LEVEL])
    """The level that the referrer asked for."""
    time_zone: TimeZoneName
    """Of the facility: in it the days before the admission begin and end."""


class ReferralAcknowledged(IntakeEvent):
    """Someone took the referral on.

    Partners tells the referrer, reporting measures the wait. Episode: referred > acknowledged.
    """

    referral_id: ReferralId
    """The inbound referral."""
    acknowledged_at: Timestamp
    """When it was taken on."""
    minutes_to_acknowledge: Count
    """Minutes from receipt to acknowledgement."""


class ReferralDeclined(IntakeEvent, consumers=("followup",)):
    """The referral goes no further here.

    Partners tells the referrer, followup checks that an alternative was reached. Episode: > closed.
    """

    referral_id: ReferralId
    """The inbound referral."""
    reason: DeclineReason = Field(examples=["no_capacity"])
    """Why."""
    alternatives: tuple[FacilityId, ...] = Field(
        default=(), max_length=20, examples=[["river-outpatient"]]
    )
    """Facilities that were offered instead."""


class ConsentGranted(IntakeEvent, subject="person"):
    """The person allowed a disclosure.

    Partners asks for what it covers, reporting counts it; intake alone decides by it. Consent: > active.
    """

    consent_id: ConsentId
    """The consent."""
    kind: ConsentKind = Field(examples=["specific"])
    """The form of consent."""
    recipients: tuple[FacilityId, ...] = Field(min_length=1, max_length=50, examples=[_RECIPIENTS])
    """Who may receive, by facility or by recipient class."""
    categories: tuple[InformationCategory, ...] = Field(
        min_length=1, max_length=20, examples=[["attendance"]]
    )
    """What may be disclosed."""
    purpose: ConsentPurpose = Field(examples=["monitoring"])
    """What for."""
    effective_at: Timestamp
    """From when it holds."""
    expires_on: Day | None = Field(default=None, examples=["2027-03-02"])
    """The last day it holds, where a day was named."""
    expires_with: ConsentExpiry | None = Field(default=None, examples=["final_disposition"])
    """The event that ends it, where one was named."""
    document_sha256: Sha256
    """Digest of the signed form, which stays with intake."""


class ConsentRevoked(IntakeEvent, subject="person"):
    """The person took a consent back.

    Nothing more may be sent under it, and what is queued is dropped. Consent: active > revoked.
    """

    consent_id: ConsentId
    """The consent."""
    revoked_at: Timestamp
    """From when it no longer holds."""
    in_reliance: bool = Field(examples=[True])
    """Whether something was already disclosed under it; that stays in the accounting."""


class ConsentUndone(IntakeEvent, subject="person"):
    """The person never gave this consent: it was recorded for the wrong person, or was not signed.

    Nothing more may be sent under it, and what is queued is dropped; reporting no longer counts it. Retracts
    `ConsentGranted`. Consent: any > none.
    """

    consent_id: ConsentId
    """The consent."""
    in_reliance: bool = Field(examples=[True])
    """Whether something was already disclosed under it: that stays in the accounting, and is reviewed."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """Why."""


class ConsentRevocationUndone(IntakeEvent, subject="person"):
    """The person did not take the consent back: the revocation was recorded by mistake, and the consent holds again.

    Partners asks for what it covers again, reporting counts it. Retracts `ConsentRevoked` of that moment, from now on:
    while it was on record nothing was allowed. An earlier revocation or an end of the consent holds all the same.
    Consent: revoked > active.
    """

    consent_id: ConsentId
    """The consent."""
    revoked_at: Timestamp
    """The revocation that was none."""
    reason: MistakeReason = Field(examples=["not_intended"])
    """Why."""


class ConsentExpired(IntakeEvent, subject="person"):
    """A consent ended by its day or its event.

    Nothing more may be sent under it. Consent: active > expired.
    """

    consent_id: ConsentId
    """The consent."""
    expired_at: Timestamp
    """From when it no longer holds."""
    in_reliance: bool = Field(examples=[True])
    """Whether something was disclosed under it; that stays in the accounting."""


class ConsentExpiryUndone(IntakeEvent, subject="person"):
    """The end of treatment that ended a consent is taken back, so the consent holds again.

    Partners asks for what it covers again, reporting counts it. Retracts `ConsentExpired` of the consent, by rule: a
    person gave the reason for what was taken back of the episode. Consent: expired > active.
    """

    consent_id: ConsentId
    """The consent."""
    recipients: tuple[FacilityId, ...] = Field(min_length=1, max_length=50, examples=[_RECIPIENTS])
    """Who may receive, by facility or by recipient class."""
    categories: tuple[InformationCategory, ...] = Field(
        min_length=1, max_length=20, examples=[["attendance"]]
    )
    """What may be disclosed."""
    effective_at: Timestamp
    """From when it holds."""
    expires_on: Day | None = Field(default=None, examples=["2027-03-02"])
    """The last day it holds, where a day was named."""


class DisclosureAllowed(IntakeEvent, consumers=("plans",)):
    """What was asked for may be disclosed now: the person's consents were looked at by who keeps them.

    Plans begins the transfer that it asked for, partners delivers. Delivery: asked > allowed.
    """

    delivery_id: DeliveryId
    """What the sender calls it."""
    recipient_id: FacilityId
    """Who may receive it."""
    categories: tuple[InformationCategory, ...] = Field(
        min_length=1, max_length=20, examples=[["referral_status"]]
    )
    """What may be disclosed, and nothing else."""
    purpose: ConsentPurpose = Field(examples=["care_coordination"])
    """What for."""
    consent_id: ConsentId
    """The consent that allows it."""
    document_sha256: Sha256
    """Digest of the signed form, a copy of which or whose scope goes along (42 CFR 2.32)."""
    notice_version: NoticeVersion
    """The redisclosure notice that goes along."""
    decided_at: Timestamp
    """When it was decided; another day is asked anew."""


class DisclosureWithheld(IntakeEvent, consumers=("plans",)):
    """What was asked for may not be disclosed.

    Plans looks for another way, partners drops the delivery. Delivery: asked > withheld.
    """

    delivery_id: DeliveryId
    """What the sender calls it."""
    recipient_id: FacilityId
    """Who does not receive it."""
    reason: WithheldReason = Field(examples=["not_in_force"])
    """What is missing."""
    decided_at: Timestamp
    """When it was decided."""


class DisclosureRecorded(IntakeEvent, subject="person"):
    """Something about the person went to someone outside.

    Reporting keeps the accounting that the person may ask for. No transition.
    """

    disclosure_id: DisclosureId
    """The disclosure."""
    episode_id: EpisodeId | None = Field(
        default=None, examples=["5d2b4f5e-0f0c-5c59-9d53-0b6d9f3c2a11"]
    )
    """The episode it was about, unless it was about the person as such."""
    recipient_id: FacilityId | None = Field(default=None, examples=["harbor-detox"])
    """Who received it; absent where it was the patient."""
    categories: tuple[InformationCategory, ...] = Field(
        min_length=1, max_length=20, examples=[["attendance"]]
    )
    """What was disclosed."""
    basis: DisclosureBasis = Field(examples=["consent"])
    """The legal ground."""
    consent_id: ConsentId | None = Field(
        default=None, examples=["0f6c2f5a-6f4a-5a35-8f0d-7d4f8a1b2c33"]
    )
    """The consent it rests on, where it rests on one."""
    notice_version: NoticeVersion | None = Field(default=None, examples=["part2-2024"])
    """The redisclosure notice that went along, as it does with consent (42 CFR 2.32); absent where none did."""
    disclosed_at: Timestamp
    """When."""


class DisclosureUndone(IntakeEvent, subject="person"):
    """An entry of the accounting was a mistake: it stays there, and is marked.

    Reporting no longer counts it. Retracts `DisclosureRecorded`.
    """

    disclosure_id: DisclosureId
    """The disclosure."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """What kind of mistake it was."""


class EmergencyDisclosureMade(IntakeEvent, subject="person"):
    """Medical personnel were told without consent, in an emergency.

    Reporting keeps the accounting, which must name all of this. No transition.
    """

    disclosure_id: DisclosureId
    """The disclosure."""
    episode_id: EpisodeId | None = Field(
        default=None, examples=["5d2b4f5e-0f0c-5c59-9d53-0b6d9f3c2a11"]
    )
    """The episode it was about."""
    recipient_id: FacilityId
    """The facility that received it, with which the personnel are affiliated."""
    personnel_id: ActorId
    """The person who was told; the name stays with intake."""
    discloser_id: ActorId
    """Who told."""
    categories: tuple[InformationCategory, ...] = Field(
        min_length=1, max_length=20, examples=[["medication"]]
    )
    """What was disclosed."""
    nature: EmergencyNature = Field(examples=["overdose"])
    """What the emergency was."""
    notice_version: NoticeVersion | None = Field(default=None, examples=["part2-2024"])
    """The redisclosure notice that went along; absent where none did, for without consent none has to."""
    disclosed_at: Timestamp
    """When."""


class AssessmentScheduled(IntakeEvent, consumers=("followup",)):
    """The first assessment has a time.

    Followup reminds, and notices when nobody came. Episode: acknowledged > awaiting assessment.
    """

    assessment_id: AssessmentId
    """The assessment."""
    starts_at: Timestamp
    """When it is to begin."""


class AssessmentCompleted(IntakeEvent, consumers=("plans",)):
    """The biopsychosocial and dimensional assessment is done. Ratings stay with intake.

    Plans takes the drivers as problems and as the exit test. Episode: > assessed.
    """

    assessment_id: AssessmentId
    """The assessment."""
    edition: AsamEdition = Field(examples=["4"])
    """The edition it was made by."""
    wm_need: LevelOfCare | None = Field(
        default=None, examples=[{"system": "asam", "edition": "4", "code": "1.7"}]
    )
    """The setting that withdrawal needs, decided on its own; absent when none."""
    co_occurring: CoOccurring = Field(examples=["capable"])
    """How much integrated mental-health care is needed."""
    severity: Severity = Field(examples=["moderate"])
    """The severity of the disorder."""
    drivers: Drivers
    """The dimensions that set the level."""
    rule_version: VersionCode
    """The version of the rule table that was used."""


class ImminentDangerIdentified(IntakeEvent, consumers=("plans", "followup")):
    """Serious harm is likely within hours to days; no level is recommended by rule.

    Plans stops what is scheduled, followup tracks the emergency loop. Episode: > emergency.
    """

    assessment_id: AssessmentId
    """The assessment in which it was found."""
    dimension: Dimension = Field(examples=[{"edition": "4", "number": 3}])
    """Where the danger lies."""
    action: EmergencyAction = Field(examples=["ed"])
    """The pathway that was taken."""


class LevelRecommended(IntakeEvent, consumers=("plans",)):
    """A clinician signed the least intensive level that meets every need.

    Plans prepares for it. Episode: assessed > recommended.
    """

    assessment_id: AssessmentId
    """The assessment it rests on."""
    level: Level
    """The recommended level."""
    drivers: Drivers
    """The dimensions that set it."""
    clinician_id: ActorId
    """Who signed."""


class EligibilityDetermined(IntakeEvent, consumers=("followup",)):
    """It is decided whether this program suits the person now.

    Followup sees to it that "no" leads somewhere else. Episode: > eligible or ineligible.
    """

    eligible: bool = Field(examples=[True])
    """The decision."""
    unmet: tuple[ConditionCode, ...] = Field(default=(), max_length=20, examples=[["stable-home"]])
    """Eligibility rules that are not met."""
    override: OverrideReason | None = Field(default=None, examples=["clinical_judgement"])
    """Why the decision differs from the rules, where it does."""


class PlacementDecided(IntakeEvent, consumers=("plans",)):
    """It is decided which level the person really goes to.

    Plans works with it, reporting counts the gaps and their causes. Episode: > placed.
    """

    recommended_level: Level
    """The level that was recommended."""
    actual_level: Level
    """The level that was chosen."""
    gap_reason: GapReason | None = Field(default=None, examples=["capacity"])
    """Why they differ, where they do."""


class WaitlistJoined(IntakeEvent, consumers=("attendance", "followup")):
    """The person waits for a place.

    Attendance sees the demand, followup keeps contact meanwhile. Episode: eligible > waitlisted.
    """

    waitlist_id: WaitlistId
    """The waiting, by the id that intake's HTTP uses."""
    track: TrackCode
    """The track waited for."""
    position: int = Field(ge=1, le=10_000, examples=[3])
    """The place in the line, from 1."""
    group_id: GroupId | None = Field(
        default=None, examples=["7a1e0c1e-53f7-5f5b-9c39-6b2f3f6f9d20"]
    )
    """The group waited for, where it is one group and not any of the track."""


class WaitlistOffered(IntakeEvent, consumers=("attendance", "followup")):
    """A place is offered for a limited time.

    Attendance keeps the seat, followup reaches the person. Waiting: waiting > offered.
    """

    waitlist_id: WaitlistId
    """The waiting, by the id that intake's HTTP uses."""
    track: TrackCode
    """The track of the place."""
    group_id: GroupId | None = Field(
        default=None, examples=["7a1e0c1e-53f7-5f5b-9c39-6b2f3f6f9d20"]
    )
    """The group that has the seat, where one is held."""
    offer_expires_at: Timestamp
    """When the offer lapses and goes to the next person."""


class WaitlistLeft(IntakeEvent, consumers=("attendance", "followup")):
    """The person no longer waits.

    Attendance frees or confirms the seat, followup stops interim contact. Waiting: > ended.
    """

    waitlist_id: WaitlistId
    """The waiting, by the id that intake's HTTP uses."""
    track: TrackCode
    """The track that was waited for."""
    reason: WaitlistExit = Field(examples=["accepted"])
    """How the waiting ended."""
    group_id: GroupId | None = Field(
        default=None, examples=["7a1e0c1e-53f7-5f5b-9c39-6b2f3f6f9d20"]
    )
    """The group whose place was accepted, or that was waited for."""


_TERMS = {
    "version": "2026.1",
    "individual_every_days": 7,
    "screen_every_days": 7,
    "screen_every_days_stable": 30,
}


class PatientAdmitted(IntakeEvent, consumers=("plans", "attendance", "followup")):
    """The person is admitted; carries what every other service needs to begin.

    Readmission is a new episode that names the old one. Episode: > admitted.
    """

    person_id: PersonId
    """The person; consents and incentive caps are theirs."""
    level: Level
    """The level of care at admission."""
    population: Population = Field(examples=["adult"])
    """Which hours band and forms apply."""
    admitted_at: Timestamp
    """When treatment began."""
    prior_episode_id: EpisodeId | None = Field(
        default=None, examples=["1c9f7c56-3a0b-5d0e-8f5a-2a5f1f0e7b44"]
    )
    """The episode that this one continues, at a readmission."""
    court_involved: bool = Field(examples=[False])
    """Whether treatment is a condition set by a court."""
    program: ProgramCode
    """The program, whose profile sets thresholds and forms."""
    length_weeks: int = Field(ge=1, le=104, examples=[16])
    """Planned length of stay in weeks; a plan, not a limit."""
    time_zone: TimeZoneName
    """The facility's IANA time zone, in which days and weeks are counted."""
    terms: ProgramTerms | None = Field(default=None, examples=[_TERMS])
    """What the program asks and promises, pinned to this episode; missing: the house rules."""


class OrientationCompleted(IntakeEvent, consumers=("plans", "attendance")):
    """The person knows the schedule and the rules, and got the confidentiality notice.

    Attendance opens groups to them, plans may collect signatures. Episode: admitted > oriented.
    """

    completed_at: Timestamp
    """When."""
    rules_accepted: tuple[RuleCode, ...] = Field(
        max_length=50, examples=[["attendance", "screens"]]
    )
    """The program rules that were accepted."""
    part2_notice_at: Timestamp
    """When the confidentiality notice was given."""


class ReferralSent(IntakeEvent, consumers=("plans", "followup")):
    """A partner facility is asked to take the person.

    Partners delivers it, followup watches the answer, plans hands over to nobody else. Outbound referral: > requested.
    """

    referral_id: ReferralId
    """The outbound referral."""
    target_kind: PartnerKind = Field(examples=["residential"])
    """What kind of place is asked."""
    target_facility_id: FacilityId
    """The facility that is asked."""
    target_level: LevelOfCare | None = Field(
        default=None, examples=[{"system": "asam", "edition": "4", "code": "3.5"}]
    )
    """The level that is asked for, where the place has one."""
    consent_id: ConsentId
    """The consent that allows asking."""
    response_due_at: Timestamp
    """When an answer is due."""


class PartnerReferralAccepted(IntakeEvent, consumers=("plans", "followup")):
    """The partner will take the person; that alone closes nothing.

    Plans prepares the hand-over, followup watches the arrival. Outbound: requested > accepted.
    """

    referral_id: ReferralId
    """The outbound referral."""
    accepted_at: Timestamp
    """When the partner agreed."""
    appointment_at: Timestamp | None = Field(default=None, examples=["2026-03-04T16:00:00Z"])
    """The first appointment, where one is booked."""


class PartnerReferralRejected(IntakeEvent, consumers=("plans", "followup")):
    """The partner will not take the person.

    Plans looks for another place, followup keeps the loop open. Outbound: requested > rejected.
    """

    referral_id: ReferralId
    """The outbound referral."""
    rejected_at: Timestamp
    """When the partner refused."""
    reason: RejectionReason | None = Field(default=None, examples=["no_bed"])
    """Why, where the partner said."""


class ReferralLoopOverdue(IntakeEvent, consumers=("followup",)):
    """A referral is past its deadline and still has no outcome.

    Followup acts, reporting counts. Alert; retracted by `ReferralLoopClosed`.
    """

    referral_id: ReferralId
    """The referral, inbound or outbound."""
    hours_open: Count
    """Whole hours since it was received or sent."""


class ReferralLoopClosed(IntakeEvent, consumers=("plans", "followup")):
    """What became of a referral is known.

    Partners tells the referrer, the others stop waiting. Referral: > closed.
    """

    referral_id: ReferralId
    """The referral, inbound or outbound."""
    outcome: ReferralOutcome = Field(examples=["admitted"])
    """How it ended."""
    hours_open: Count
    """Whole hours from receipt or sending to the outcome."""


# --- partners -------------------------------------------------------------------------------------------


class PartnerProgram(Value):
    """One kind of care that a partner offers."""

    kind: PartnerKind = Field(examples=["residential"])
    """What kind of place it is."""
    level: LevelOfCare | None = Field(
        default=None, examples=[{"system": "asam", "edition": "4", "code": "3.5"}]
    )
    """The level of care, where it has one."""


class PartnerRegistered(IntakeEvent, subject="partner", sensitivity="operational"):
    """An organisation is known from now on, and as what; a later one replaces all of an earlier one.

    Partners opens a connection, reporting names it. Partner: > registered.
    """

    code: FacilityId
    """By which events name it."""
    kind: PartnerKind = Field(examples=["residential"])
    """What kind of organisation it is."""
    recipient_class: RecipientClass | None = Field(default=None, examples=["treating-providers"])
    """The class of recipients that it belongs to, where it belongs to one."""
    covered_entity: bool = Field(examples=[True])
    """Whether HIPAA binds it, so that it may disclose further under HIPAA."""
    programs: tuple[PartnerProgram, ...] = Field(
        max_length=50, examples=[[{"kind": "residential", "level": None}]]
    )
    """What it offers beside its kind."""


class PartnerAgreementRecorded(IntakeEvent, subject="partner", sensitivity="operational"):
    """A facility and a partner have an agreement in writing.

    Partners relies on it, reporting lists it. Agreement: > in force.
    """

    agreement_id: AgreementId
    """The agreement."""
    code: FacilityId
    """The partner."""
    with_facility_id: FacilityId
    """The facility that agreed."""
    kind: AgreementKind = Field(examples=["qsoa"])
    """What was agreed."""
    from_on: Day
    """The first day on which it holds."""
    until_on: Day | None = Field(default=None, examples=["2027-03-02"])
    """The last day on which it holds, where one was named."""


class PartnerAgreementEnded(IntakeEvent, subject="partner", sensitivity="operational"):
    """An agreement holds no longer after a day.

    Partners stops relying on it. Agreement: in force > ended.
    """

    agreement_id: AgreementId
    """The agreement."""
    code: FacilityId
    """The partner."""
    until_on: Day
    """The last day on which it holds."""


# --- who looks after whom --------------------------------------------------------------------------------


class CareTeamAssigned(IntakeEvent, consumers=("plans", "attendance", "followup")):
    """A member of staff takes over a role for this episode.

    Whatever that role owns of the episode stands on this person's work list from now on, in every service. The latest
    of a role holds, until `CareTeamRoleVacated`.
    """

    role: Role = Field(examples=["case_manager"])
    """The role."""
    staff_id: StaffId
    """Who takes it."""


class CareTeamRoleVacated(IntakeEvent, consumers=("plans", "attendance", "followup")):
    """Nobody in person has a role for this episode any more.

    Ends `CareTeamAssigned` of the role: in every service its work falls to whoever has the role at the facility.
    """

    role: Role = Field(examples=["case_manager"])
    """The role."""


class StaffAbsencePlanned(
    IntakeEvent,
    subject="staff",
    sensitivity="operational",
    consumers=("plans", "attendance", "followup"),
):
    """A member of staff will be away, and a deputy acts for them.

    An owner who is away is no owner: every service puts their work on the deputy's list meanwhile. The subject stands
    for this member of staff at this facility; who works at two has two.
    """

    absence_id: LoopId
    """The absence."""
    absent_id: StaffId
    """Who will be away."""
    from_at: Timestamp
    """When it begins."""
    until_at: Timestamp
    """When it ends."""
    deputy_id: StaffId
    """Who acts meanwhile."""


class StaffAbsenceEnded(
    IntakeEvent,
    subject="staff",
    sensitivity="operational",
    consumers=("plans", "attendance", "followup"),
):
    """The absence is called off, or ends early.

    Every service puts the work back on the owner's own list.
    """

    absence_id: LoopId
    """The absence."""
    absent_id: StaffId
    """Who is there again."""


# --- mistakes: compensating facts, never edits -----------------------------------------------------------


class EpisodeEnteredInError(IntakeEvent, consumers=_EVERYONE):
    """This episode should never have existed: nothing of it is waited for any more, and nothing of it counts.

    Every service closes its open loops of the episode and takes no further commands on it. Episode: any > void.
    """

    reason: MistakeReason = Field(examples=["wrong_person"])
    """Why."""


class EpisodePersonCorrected(IntakeEvent, consumers=_EVERYONE):
    """The episode belongs to another person than was entered.

    What happened in it stands; whose it is changes, for consents, incentives and everything else that is a person's.
    """

    was_person_id: PersonId
    """The person that was entered."""
    person_id: PersonId
    """The person it belongs to."""


class ReferralMerged(IntakeEvent, consumers=_EVERYONE):
    """This referral is a second one of the same person.

    The other episode goes on, and every service closes what it waits for in this one. Episode: any > merged.
    """

    into_episode_id: EpisodeId
    """The episode that goes on."""


class EpisodeEnteredInErrorUndone(IntakeEvent, consumers=_EVERYONE):
    """That the episode was entered in error was itself a mistake: it goes on as it was.

    Retracts `EpisodeEnteredInError`. Every service restores what it had put aside, and catches up with what came
    meanwhile; plans asks a clinician to look at it. Episode: void > as before.
    """

    reason: MistakeReason = Field(examples=["wrong_person"])
    """Why."""


class ReferralMergedUndone(IntakeEvent, consumers=_EVERYONE):
    """This referral was not a second one of the same person: it goes on beside the other episode.

    Retracts `ReferralMerged`. Every service restores what it had put aside. Episode: merged > as before.
    """

    into_episode_id: EpisodeId
    """The episode into which it had been merged."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """Why."""


class AdmissionUndone(IntakeEvent, consumers=_EVERYONE):
    """The admission is taken back; the person is where they were before it.

    Every service forgets the admission and what it began because of it. Episode: admitted > placed.
    """

    admitted_at: Timestamp
    """The admission that is taken back."""
    reason: MistakeReason = Field(examples=["not_intended"])
    """Why."""


class LoopEscalated(Escalation, IntakeEvent):
    """An open loop of intake missed a deadline and has a new owner.

    The operations view shows it, reporting counts it. Loop: open > escalated, one step further.
    """

    loop: IntakeLoop = Field(examples=["referral_acknowledgement"])
    """What is waited for."""


class EscalationCleared(Clearance, IntakeEvent):
    """An escalation of intake no longer stands.

    Retracts every `LoopEscalated` of the same loop. Loop: escalated > closed.
    """

    loop: IntakeLoop = Field(examples=["referral_acknowledgement"])
    """What was waited for."""

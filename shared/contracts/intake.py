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
    """A kind of organization or person that refers people or receives them."""

    WITHDRAWAL_MANAGEMENT = "withdrawal_management", "A withdrawal-management program."
    RESIDENTIAL = "residential", "A residential program."
    INPATIENT = "inpatient", "A hospital with inpatient care."
    PARTIAL_HOSPITALIZATION = "partial_hospitalization", "A partial-hospitalization program."
    INTENSIVE_OUTPATIENT = "intensive_outpatient", "An intensive outpatient program."
    OUTPATIENT = "outpatient", "An outpatient program."
    OPIOID_TREATMENT = "opioid_treatment", "An opioid treatment program."
    SOBER_LIVING = "sober_living", "A recovery residence."
    EMERGENCY_DEPARTMENT = "emergency_department", "An emergency department."
    PRIMARY_CARE = "primary_care", "A primary-care practice."
    PSYCHIATRY = "psychiatry", "A psychiatric practice."
    LABORATORY = "laboratory", "A laboratory."
    COURT = "court", "A court."
    FAMILY_AGENCY = "family_agency", "An agency for families or children."
    PAYER = "payer", "A payer, such as a health insurer."
    PEER_ORGANIZATION = "peer_organization", "An organization of peers."
    CONTRACTOR = "contractor", "A contractor of the facility."
    GOVERNMENT = "government", "A government agency."
    RESEARCH = "research", "A research organization."
    SELF = "self", "The person themselves."
    UNKNOWN = "unknown"


class RecipientClass(OpenEnum):
    """A class of recipients that a consent may name in place of a partner."""

    TREATING_PROVIDERS = "treating-providers", "Providers that treat the person."
    PAYERS = "payers", "Payers of the treatment."
    OPERATIONS_CONTRACTORS = "operations-contractors", "Contractors for the facility's operations."
    RECOVERY_RESIDENCES = "recovery-residences", "Recovery residences."
    PEER_ORGANIZATIONS = "peer-organizations", "Organizations of peers."
    UNKNOWN = "unknown"


class AgreementKind(OpenEnum):
    """A kind of written agreement between a facility and a partner."""

    QSOA = "qsoa", "A qualified service organization agreement (42 CFR Part 2)."
    BUSINESS_ASSOCIATE = "business_associate", "A business associate agreement (HIPAA)."
    AUDIT = "audit", "An agreement about an audit or evaluation."
    RESEARCH = "research", "An agreement about research."
    UNKNOWN = "unknown"


class WithheldReason(OpenEnum):
    """The first condition of a disclosure that no consent of the person meets."""

    NOT_IN_FORCE = "not_in_force", "No consent is in force at the time."
    RECIPIENT_NOT_NAMED = "recipient_not_named", "No consent names the recipient."
    DISCLOSER_NOT_NAMED = "discloser_not_named", "No consent names this facility as the discloser."
    CATEGORY_NOT_COVERED = "category_not_covered", "No consent covers every requested category."
    PURPOSE_NOT_COVERED = "purpose_not_covered", "No consent covers the purpose."
    PARTNER_UNKNOWN = "partner_unknown", "The recipient is no registered partner."
    PERSON_CHANGED = "person_changed", "The episode belongs to another person by now."
    DELIVERY_DIFFERS = (
        "delivery_differs",
        "The request has the id of an earlier request with other content.",
    )
    TOO_MANY_UNREPORTED = (
        "too_many_unreported",
        "Too many allowed disclosures have not been reported yet.",
    )
    UNKNOWN = "unknown"


class NotMadeReason(OpenEnum):
    """The reason why an allowed disclosure was not made."""

    WITHDRAWN = "withdrawn", "The sender withdrew it."
    NOT_DELIVERED = "not_delivered", "It could not be delivered."
    EPISODE_CLOSED = "episode_closed", "The episode ended."
    UNKNOWN = "unknown"


class DeclineReason(OpenEnum):
    """The reason why a referral was declined."""

    NO_CAPACITY = "no_capacity", "The facility has no free place."
    LEVEL_NOT_OFFERED = "level_not_offered", "The facility does not offer the level of care."
    OUT_OF_AREA = "out_of_area", "The person lives outside the area."
    PAYER = "payer", "The payer does not cover the treatment."
    PATIENT_CHOICE = "patient_choice", "The person decided against it."
    DUPLICATE = "duplicate", "The referral is a duplicate."
    UNREACHABLE = "unreachable", "The person could not be reached."
    UNKNOWN = "unknown"


class ConsentKind(OpenEnum):
    """The form of a consent. Each form has its own rules."""

    TPO = "tpo", "A general consent for treatment, payment and health-care operations."
    SPECIFIC = "specific", "A consent for named recipients and a named purpose."
    CRIMINAL_JUSTICE = "cjs", "A consent to disclosures to the criminal-justice system."
    INTERMEDIARY = "intermediary", "A consent to disclosures through an intermediary."
    NOTES = "notes", "A consent to disclosures of counseling notes."
    LEGAL = "legal", "A consent to use in legal proceedings."
    UNKNOWN = "unknown"


class ConsentPurpose(OpenEnum):
    """A purpose for which a recipient may use information."""

    TREATMENT = "treatment", "Treatment."
    PAYMENT = "payment", "Payment."
    OPERATIONS = "operations", "Health-care operations."
    MONITORING = "monitoring", "Monitoring by a court or another authority."
    CARE_COORDINATION = "care_coordination", "Coordination of care."
    FAMILY_INVOLVEMENT = "family_involvement", "Involvement of the family."
    LEGAL_PROCEEDINGS = "legal_proceedings", "Legal proceedings."
    UNKNOWN = "unknown"


class ConsentExpiry(OpenEnum):
    """An event that ends a consent."""

    NONE = "none", "No event ends the consent."
    END_OF_TREATMENT = "end_of_treatment", "The end of the treatment."
    FINAL_DISPOSITION = "final_disposition", "The final disposition of the criminal case."
    UNKNOWN = "unknown"


class InformationCategory(OpenEnum):
    """A category of information about a person."""

    PRESENCE = "presence", "Whether the person is in treatment."
    REFERRAL_STATUS = "referral_status", "The status of a referral."
    ATTENDANCE = "attendance", "Attendance at sessions."
    LEVEL_OF_CARE = "level_of_care", "The level of care."
    TREATMENT_PLAN = "treatment_plan", "The treatment plan."
    SCREENS = "screens", "Screens and their interpretation."
    MEDICATION = "medication", "Medication."
    DISCHARGE = "discharge", "The discharge."
    AFTERCARE = "aftercare", "Aftercare."
    COUNSELING_NOTES = "counseling_notes", "Counseling notes."
    UNKNOWN = "unknown"


class DisclosureBasis(OpenEnum):
    """The legal ground of a disclosure."""

    CONSENT = "consent", "A consent of the person."
    EMERGENCY = "emergency", "A medical emergency (42 CFR 2.51)."
    QSO = "qso", "A qualified service organization agreement."
    AUDIT = "audit", "An audit or evaluation."
    COURT = "court", "A court order."
    RESEARCH = "research", "Research."
    CRIME_ON_PREMISES = "crime_on_premises", "A crime on the premises or against staff."
    CHILD_ABUSE_REPORT = "child_abuse_report", "A report of suspected child abuse."
    PATIENT_ACCESS = "patient_access", "Access by the person themselves."
    PDMP = "pdmp", "A report to a prescription drug monitoring program."
    DECEASED = "deceased", "A report of a death."
    PUBLIC_HEALTH = "public_health", "A report to a public-health authority."
    UNKNOWN = "unknown"


class EmergencyNature(OpenEnum):
    """The nature of an emergency."""

    OVERDOSE = "overdose", "An overdose."
    WITHDRAWAL = "withdrawal", "Dangerous withdrawal."
    SUICIDE_RISK = "suicide_risk", "A risk of suicide."
    MEDICAL = "medical", "Another medical emergency."
    VIOLENCE = "violence", "Violence."
    UNKNOWN = "unknown"


class EmergencyAction(OpenEnum):
    """An emergency pathway that the staff took."""

    CALL_911 = "911", "The emergency number 911 was called."
    CALL_988 = "988", "The crisis line 988 was called."
    EMERGENCY_DEPARTMENT = "ed", "The person was sent to an emergency department."
    WITHDRAWAL_MANAGEMENT = "wm", "The person was sent to withdrawal management."
    UNKNOWN = "unknown"


class Severity(OpenEnum):
    """The severity of a substance use disorder. It does not determine the level of care."""

    MILD = "mild", "A mild disorder."
    MODERATE = "moderate", "A moderate disorder."
    SEVERE = "severe", "A severe disorder."
    UNKNOWN = "unknown"


class OverrideReason(OpenEnum):
    """The reason why a clinician decided against the eligibility rules."""

    CLINICAL_JUDGEMENT = "clinical_judgement", "The clinician judges differently."
    CONTINUITY_OF_CARE = "continuity_of_care", "The care should not be interrupted."
    COURT_ORDER = "court_order", "A court ordered the treatment."
    PAYER_AUTHORIZATION = "payer_authorization", "The payer authorized the treatment."
    UNKNOWN = "unknown"


class GapReason(OpenEnum):
    """The reason why the actual level of care differs from the recommended one."""

    PATIENT_CHOICE = "patient_choice", "The person decided for another level."
    CAPACITY = "capacity", "No place is free at the recommended level."
    PAYER = "payer", "The payer does not cover the recommended level."
    COURT = "court", "A court decided for another level."
    DISTANCE = "distance", "The recommended level is offered too far away."
    SERVICE_ABSENT = "service_absent", "The recommended level is not offered in the area."
    UNKNOWN = "unknown"


class WaitlistExit(OpenEnum):
    """The reason why a wait for a place ended."""

    ACCEPTED = "accepted", "The person accepted a place."
    DECLINED = "declined", "The person declined a place."
    EXPIRED = "expired", "An offer lapsed without an answer."
    WITHDRAWN = "withdrawn", "The person no longer waits."
    REFERRED_ELSEWHERE = "referred_elsewhere", "The person was referred to another place."
    UNKNOWN = "unknown"


class RejectionReason(OpenEnum):
    """The reason why a partner did not take a person."""

    NO_BED = "no_bed", "The partner has no free bed."
    NOT_ELIGIBLE = "not_eligible", "The person does not meet the partner's conditions."
    PAYER = "payer", "The payer does not cover the treatment there."
    INCOMPLETE = "incomplete", "The referral was incomplete."
    UNKNOWN = "unknown"


class ReferralOutcome(OpenEnum):
    """The outcome of a referral. That a partner accepts a person is no outcome; only the arrival is."""

    ADMITTED = "admitted", "The person was admitted."
    DECLINED = "declined", "The referral was declined."
    NO_SHOW = "no_show", "The person did not come."
    LOST = "lost", "Contact with the person was lost."
    CANCELLED = "cancelled", "The referral was cancelled."
    UNKNOWN = "unknown"


class IntakeEvent(Event, source="care.intake"):
    """A fact that the intake service publishes."""


class ReferralReceived(IntakeEvent, consumers=("followup",)):
    """A referral of a person was received, and an episode began.

    The first event of every episode. An episode is one path of one person from a referral to the end of aftercare.
    """

    referral_id: ReferralId
    """Identifies the inbound referral."""
    person_id: PersonId
    """Identifies the person. It connects the episode with the person's consents and other episodes."""
    source_kind: PartnerKind = Field(examples=["withdrawal_management"])
    """The kind of place that referred the person."""
    source_facility_id: FacilityId | None = Field(default=None, examples=["harbor-detox"])
    """Identifies the facility that referred the person. Absent if no facility did, for example if the person came
    alone."""
    received_at: Timestamp
    """The time at which the referral was received. The time to acknowledge it counts from here."""
    urgency: Urgency = Field(examples=["urgent"])
    """How soon the person has to be seen."""
    requested_level: LevelOfCare | None = Field(default=None, examples=[_LEVEL])
    """The level of care for which the referral asks. Absent if it names none."""
    time_zone: TimeZoneName
    """The IANA time zone of the facility, in which days and weeks are counted."""


class ReferralAcknowledged(IntakeEvent):
    """A member of staff took on the referral.

    Published once for each episode.
    """

    referral_id: ReferralId
    """Identifies the inbound referral."""
    acknowledged_at: Timestamp
    """The time at which the referral was taken on."""
    minutes_to_acknowledge: Count
    """The whole minutes from receipt to acknowledgement."""


class ReferralDeclined(IntakeEvent, consumers=("followup",)):
    """The facility declined the referral.

    Published when the facility decides not to take the person.
    """

    referral_id: ReferralId
    """Identifies the inbound referral."""
    reason: DeclineReason = Field(examples=["no_capacity"])
    """The reason why the referral was declined."""
    alternatives: tuple[FacilityId, ...] = Field(
        default=(), max_length=20, examples=[["river-outpatient"]]
    )
    """The facilities that were offered to the person instead. The list is empty if none was offered."""


class ConsentGranted(IntakeEvent, subject="person"):
    """The person consented to a disclosure of information about them.

    Published when the signed form is recorded. `ConsentRevoked` and `ConsentExpired` end the consent. The event is no
    permission to disclose: `DisclosureAllowed` answers a concrete request.
    """

    consent_id: ConsentId
    """Identifies the consent."""
    kind: ConsentKind = Field(examples=["specific"])
    """The form of the consent."""
    recipients: tuple[FacilityId, ...] = Field(min_length=1, max_length=50, examples=[_RECIPIENTS])
    """Who may receive information: ids of partners or codes of classes of recipients."""
    categories: tuple[InformationCategory, ...] = Field(
        min_length=1, max_length=20, examples=[["attendance"]]
    )
    """The categories of information that may be disclosed."""
    purpose: ConsentPurpose = Field(examples=["monitoring"])
    """The purpose for which the recipient may use the information."""
    effective_at: Timestamp
    """The time from which the consent holds."""
    expires_on: Day | None = Field(default=None, examples=["2027-03-02"])
    """The last day on which the consent holds, in the facility's time zone. Absent if the consent names no day."""
    expires_with: ConsentExpiry | None = Field(default=None, examples=["final_disposition"])
    """The event that ends the consent. Absent if the consent names none."""
    document_sha256: Sha256
    """The SHA-256 digest of the signed form, in hexadecimal. The form itself is not published."""


class ConsentRevoked(IntakeEvent, subject="person"):
    """The person revoked a consent.

    Nothing may be disclosed under the consent after `revoked_at`, and what waits to be sent has to be dropped.
    """

    consent_id: ConsentId
    """Identifies the consent."""
    revoked_at: Timestamp
    """The time from which the consent no longer holds."""
    in_reliance: bool = Field(examples=[True])
    """Whether something was disclosed under the consent before. Such a disclosure stays in the accounting."""


class ConsentUndone(IntakeEvent, subject="person"):
    """A consent was retracted because the person had never given it.

    Retracts `ConsentGranted`, for example because it was recorded for the wrong person or was not signed. Nothing may
    be disclosed under it any more.
    """

    consent_id: ConsentId
    """Identifies the consent."""
    in_reliance: bool = Field(examples=[True])
    """Whether something was disclosed under the consent. Such a disclosure stays in the accounting and is reviewed."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """The kind of mistake."""


class ConsentRevocationUndone(IntakeEvent, subject="person"):
    """A revocation was retracted because it had been recorded by mistake, so that the consent holds again.

    Retracts `ConsentRevoked` of that time, from now on. No disclosure was allowed while the revocation was on record.
    An earlier revocation or the end of the consent still holds.
    """

    consent_id: ConsentId
    """Identifies the consent."""
    revoked_at: Timestamp
    """The time of the retracted revocation."""
    reason: MistakeReason = Field(examples=["not_intended"])
    """The kind of mistake."""


class ConsentExpired(IntakeEvent, subject="person"):
    """A consent ended by its last day or by the event that it names.

    Nothing may be disclosed under the consent after `expired_at`. `ConsentExpiryUndone` retracts it.
    """

    consent_id: ConsentId
    """Identifies the consent."""
    expired_at: Timestamp
    """The time from which the consent no longer holds."""
    in_reliance: bool = Field(examples=[True])
    """Whether something was disclosed under the consent before. Such a disclosure stays in the accounting."""


class ConsentExpiryUndone(IntakeEvent, subject="person"):
    """The end of treatment that had ended a consent was taken back, so the consent holds again.

    Retracts `ConsentExpired` of the consent. Published by rule; the event that took back the end of treatment has the
    reason.
    """

    consent_id: ConsentId
    """Identifies the consent."""
    recipients: tuple[FacilityId, ...] = Field(min_length=1, max_length=50, examples=[_RECIPIENTS])
    """Who may receive information: ids of partners or codes of classes of recipients."""
    categories: tuple[InformationCategory, ...] = Field(
        min_length=1, max_length=20, examples=[["attendance"]]
    )
    """The categories of information that may be disclosed."""
    effective_at: Timestamp
    """The time from which the consent has held."""
    expires_on: Day | None = Field(default=None, examples=["2027-03-02"])
    """The last day on which the consent holds, in the facility's time zone. Absent if the consent names no day."""


class DisclosureAllowed(IntakeEvent, consumers=("plans",)):
    """A requested disclosure is allowed by a consent of the person.

    Published as the answer to a request such as `TransferRequested`, after a check of the person's consents. It holds
    for the day on which it was decided.
    """

    delivery_id: DeliveryId
    """Identifies the request, with the id that the requesting service chose."""
    recipient_id: FacilityId
    """Identifies the partner that may receive the information."""
    categories: tuple[InformationCategory, ...] = Field(
        min_length=1, max_length=20, examples=[["referral_status"]]
    )
    """The categories of information that may be disclosed. Nothing else may be."""
    purpose: ConsentPurpose = Field(examples=["care_coordination"])
    """The purpose for which the recipient may use the information."""
    consent_id: ConsentId
    """Identifies the consent that allows the disclosure."""
    document_sha256: Sha256
    """The SHA-256 digest of the signed form, in hexadecimal. A copy of the form, or its scope, accompanies the
    disclosure (42 CFR 2.32)."""
    notice_version: NoticeVersion
    """The version of the redisclosure notice that has to accompany the disclosure."""
    decided_at: Timestamp
    """The time of the decision. A disclosure on another day needs a new request."""


class DisclosureWithheld(IntakeEvent, consumers=("plans",)):
    """A requested disclosure is not allowed by any consent of the person.

    Published as the answer to a request such as `TransferRequested`.
    """

    delivery_id: DeliveryId
    """Identifies the request, with the id that the requesting service chose."""
    recipient_id: FacilityId
    """Identifies the partner that must not receive the information."""
    reason: WithheldReason = Field(examples=["not_in_force"])
    """The first condition that no consent of the person meets."""
    decided_at: Timestamp
    """The time of the decision."""


class DisclosureRecorded(IntakeEvent, subject="person"):
    """A disclosure of information about the person was entered in the accounting of disclosures.

    The person may ask for this accounting. `DisclosureUndone` retracts it.
    """

    disclosure_id: DisclosureId
    """Identifies the entry in the accounting of disclosures."""
    episode_id: EpisodeId | None = Field(
        default=None, examples=["5d2b4f5e-0f0c-5c59-9d53-0b6d9f3c2a11"]
    )
    """Identifies the episode that the information is about. Absent if it is about the person as such."""
    recipient_id: FacilityId | None = Field(default=None, examples=["harbor-detox"])
    """Identifies the partner that received the information. Absent if the person themselves received it."""
    categories: tuple[InformationCategory, ...] = Field(
        min_length=1, max_length=20, examples=[["attendance"]]
    )
    """The categories of information that were disclosed."""
    basis: DisclosureBasis = Field(examples=["consent"])
    """The legal ground of the disclosure."""
    consent_id: ConsentId | None = Field(
        default=None, examples=["0f6c2f5a-6f4a-5a35-8f0d-7d4f8a1b2c33"]
    )
    """Identifies the consent on which the disclosure rests. Absent if it rests on another ground."""
    notice_version: NoticeVersion | None = Field(default=None, examples=["part2-2024"])
    """The version of the redisclosure notice that accompanied the disclosure (42 CFR 2.32). Absent if none did."""
    disclosed_at: Timestamp
    """The time of the disclosure."""


class DisclosureUndone(IntakeEvent, subject="person"):
    """An entry in the accounting of disclosures was a mistake.

    Retracts `DisclosureRecorded` or `EmergencyDisclosureMade` with the same `disclosure_id`. The entry stays in the
    accounting and is marked.
    """

    disclosure_id: DisclosureId
    """Identifies the entry in the accounting of disclosures."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """The kind of mistake that is taken back."""


class EmergencyDisclosureMade(IntakeEvent, subject="person"):
    """Information about the person was disclosed to medical personnel without consent, in an emergency.

    Published for each such disclosure (42 CFR 2.51). `DisclosureUndone` retracts it.
    """

    disclosure_id: DisclosureId
    """Identifies the entry in the accounting of disclosures."""
    episode_id: EpisodeId | None = Field(
        default=None, examples=["5d2b4f5e-0f0c-5c59-9d53-0b6d9f3c2a11"]
    )
    """Identifies the episode that the information is about. Absent if it is about the person as such."""
    recipient_id: FacilityId
    """Identifies the partner with which the medical personnel are affiliated."""
    personnel_id: ActorId
    """Identifies the member of the medical personnel who received the information. The name is not published."""
    disclosed_by_id: ActorId
    """Identifies the member of staff who made the disclosure."""
    categories: tuple[InformationCategory, ...] = Field(
        min_length=1, max_length=20, examples=[["medication"]]
    )
    """The categories of information that were disclosed."""
    nature: EmergencyNature = Field(examples=["overdose"])
    """The nature of the emergency."""
    notice_version: NoticeVersion | None = Field(default=None, examples=["part2-2024"])
    """The version of the redisclosure notice that accompanied the disclosure. Absent if none did, because a
    disclosure without consent needs none."""
    disclosed_at: Timestamp
    """The time of the disclosure."""


class AssessmentScheduled(IntakeEvent, consumers=("followup",)):
    """The first assessment of the person was scheduled.

    Published for each appointment; the latest one holds.
    """

    assessment_id: AssessmentId
    """Identifies the assessment."""
    starts_at: Timestamp
    """The time at which the assessment is to begin."""


class AssessmentCompleted(IntakeEvent, consumers=("plans",)):
    """The biopsychosocial and dimensional assessment of the person was completed.

    The event carries the results that other services act on. It carries no ratings.
    """

    assessment_id: AssessmentId
    """Identifies the assessment."""
    edition: AsamEdition = Field(examples=["4"])
    """The edition of the ASAM Criteria that the assessment follows."""
    withdrawal_level: LevelOfCare | None = Field(
        default=None, examples=[{"system": "asam", "edition": "4", "code": "1.7"}]
    )
    """The level of care that withdrawal management needs, decided apart from the other needs. Absent if none is
    needed."""
    co_occurring: CoOccurring = Field(examples=["capable"])
    """How much integrated mental-health care the person needs."""
    severity: Severity = Field(examples=["moderate"])
    """The severity of the substance use disorder."""
    drivers: Drivers
    """The dimensions of the assessment that determine the level of care."""
    rule_version: VersionCode
    """The version of the table of rules that derived the level of care."""


class ImminentDangerIdentified(IntakeEvent, consumers=("plans", "followup")):
    """An assessment found that serious harm to the person is likely within hours to days.

    Published in place of a recommendation: no level of care is recommended by rule.
    """

    assessment_id: AssessmentId
    """Identifies the assessment."""
    dimension: Dimension = Field(examples=[{"edition": "4", "number": 3}])
    """The dimension of the assessment in which the danger lies."""
    action: EmergencyAction = Field(examples=["ed"])
    """The emergency pathway that the staff took."""


class LevelRecommended(IntakeEvent, consumers=("plans",)):
    """A clinician recommended the least intensive level of care that meets every need.

    Published when the clinician signs the recommendation; the latest one holds.
    """

    assessment_id: AssessmentId
    """Identifies the assessment on which the recommendation rests."""
    level: Level
    """The recommended level of care."""
    drivers: Drivers
    """The dimensions of the assessment that determine the level of care."""
    signed_by_id: ActorId
    """Identifies the clinician who signed the recommendation."""


class EligibilityDetermined(IntakeEvent, consumers=("followup",)):
    """It was decided whether this program suits the person now.

    Published together with `LevelRecommended`; the latest one holds.
    """

    eligible: bool = Field(examples=[True])
    """Whether the program suits the person now."""
    unmet: tuple[ConditionCode, ...] = Field(default=(), max_length=20, examples=[["stable-home"]])
    """The eligibility conditions of the program that are not met. The list is empty if all are met."""
    override_reason: OverrideReason | None = Field(default=None, examples=["clinical_judgement"])
    """The reason why the decision differs from the program's eligibility rules. Absent if it does not differ."""


class PlacementDecided(IntakeEvent, consumers=("plans",)):
    """It was decided to which level of care the person goes.

    Published after the recommendation. The two levels may differ, for a reason.
    """

    recommended_level: Level
    """The level of care that was recommended."""
    actual_level: Level
    """The level of care to which the person goes."""
    gap_reason: GapReason | None = Field(default=None, examples=["capacity"])
    """The reason why the two levels differ. Absent if they are equal."""


class WaitlistJoined(IntakeEvent, consumers=("attendance", "followup")):
    """The person joined a waiting list.

    Published once for each time that the person waits. `WaitlistLeft` ends it.
    """

    waitlist_id: WaitlistId
    """Identifies this wait of the person for a place."""
    track: TrackCode
    """The track of the program for which the person waits."""
    position: int = Field(ge=1, le=10_000, examples=[3])
    """The position of the person on the waiting list, counted from 1."""
    group_id: GroupId | None = Field(
        default=None, examples=["7a1e0c1e-53f7-5f5b-9c39-6b2f3f6f9d20"]
    )
    """Identifies the group for which the person waits. Absent if any group of the track will do."""


class WaitlistOffered(IntakeEvent, consumers=("attendance", "followup")):
    """A place was offered to the person for a limited time.

    Published for each offer to a person on a waiting list.
    """

    waitlist_id: WaitlistId
    """Identifies this wait of the person for a place."""
    track: TrackCode
    """The track of the program in which the place is."""
    group_id: GroupId | None = Field(
        default=None, examples=["7a1e0c1e-53f7-5f5b-9c39-6b2f3f6f9d20"]
    )
    """Identifies the group in which a seat is held for the person. Absent if no seat is held."""
    offer_expires_at: Timestamp
    """The time at which the offer lapses and goes to the next person."""


class WaitlistLeft(IntakeEvent, consumers=("attendance", "followup")):
    """The person left the waiting list.

    Ends `WaitlistJoined` with the same `waitlist_id`.
    """

    waitlist_id: WaitlistId
    """Identifies this wait of the person for a place."""
    track: TrackCode
    """The track of the program for which the person waited."""
    reason: WaitlistExit = Field(examples=["accepted"])
    """The reason why the wait ended."""
    group_id: GroupId | None = Field(
        default=None, examples=["7a1e0c1e-53f7-5f5b-9c39-6b2f3f6f9d20"]
    )
    """Identifies the group whose place was accepted or for which the person waited. Absent if it was no particular
    group."""


_TERMS = {
    "version": "2026.1",
    "individual_every_days": 7,
    "screen_every_days": 7,
    "screen_every_days_stable": 30,
}


class PatientAdmitted(IntakeEvent, consumers=("plans", "attendance", "followup")):
    """The person was admitted to a program.

    Published once for each admission, with what is needed to begin treatment. A readmission is a new episode that names
    the earlier one. `AdmissionUndone` retracts it.
    """

    person_id: PersonId
    """Identifies the person, to whom consents and incentives belong."""
    level: Level
    """The level of care at the admission."""
    population: Population = Field(examples=["adult"])
    """The population of the person, which determines required hours and forms."""
    admitted_at: Timestamp
    """The time at which treatment began."""
    prior_episode_id: EpisodeId | None = Field(
        default=None, examples=["1c9f7c56-3a0b-5d0e-8f5a-2a5f1f0e7b44"]
    )
    """Identifies the earlier episode of the person, at a readmission. Absent at a first admission."""
    court_involved: bool = Field(examples=[False])
    """Whether a court made the treatment a condition."""
    program: ProgramCode
    """The program to which the person is admitted."""
    length_weeks: int = Field(ge=1, le=104, examples=[16])
    """The planned length of stay, in weeks. It is a plan and no limit."""
    time_zone: TimeZoneName
    """The IANA time zone of the facility, in which days and weeks are counted."""
    terms: ProgramTerms | None = Field(default=None, examples=[_TERMS])
    """The terms of the program at the admission, which hold for the whole episode. Absent if the default terms hold."""


class OrientationCompleted(IntakeEvent, consumers=("plans", "attendance")):
    """The orientation of the person was completed.

    The person knows the schedule and the rules of the program and has received the notice of confidentiality.
    """

    completed_at: Timestamp
    """The time at which the orientation was completed."""
    rules_accepted: tuple[RuleCode, ...] = Field(
        max_length=50, examples=[["attendance", "screens"]]
    )
    """The rules of the program that the person accepted."""
    part2_notice_at: Timestamp
    """The time at which the person received the notice of confidentiality under 42 CFR Part 2."""


class ReferralSent(IntakeEvent, consumers=("plans", "followup")):
    """A partner facility was asked to take the person.

    Published for each outbound referral. `PartnerReferralAccepted` or `PartnerReferralRejected` is the answer.
    """

    referral_id: ReferralId
    """Identifies the outbound referral."""
    target_kind: PartnerKind = Field(examples=["residential"])
    """The kind of place that is asked."""
    target_facility_id: FacilityId
    """Identifies the partner facility that is asked."""
    target_level: LevelOfCare | None = Field(
        default=None, examples=[{"system": "asam", "edition": "4", "code": "3.5"}]
    )
    """The level of care that is asked for. Absent if the kind of place has none."""
    consent_id: ConsentId
    """Identifies the consent that allows this referral."""
    response_due_at: Timestamp
    """The time by which the partner should answer."""


class PartnerReferralAccepted(IntakeEvent, consumers=("plans", "followup")):
    """A partner facility agreed to take the person.

    The outbound referral stays open until the person arrives there.
    """

    referral_id: ReferralId
    """Identifies the outbound referral."""
    accepted_at: Timestamp
    """The time at which the partner accepted."""
    appointment_at: Timestamp | None = Field(default=None, examples=["2026-03-04T16:00:00Z"])
    """The time of the first appointment at the partner. Absent if none is booked."""


class PartnerReferralRejected(IntakeEvent, consumers=("plans", "followup")):
    """A partner facility refused to take the person.

    Published when the refusal is recorded.
    """

    referral_id: ReferralId
    """Identifies the outbound referral."""
    rejected_at: Timestamp
    """The time at which the partner refused."""
    reason: RejectionReason | None = Field(default=None, examples=["no_bed"])
    """The reason for the refusal. Absent if the partner gave none."""


class ReferralLoopOverdue(IntakeEvent, consumers=("followup",)):
    """An outbound referral is past its deadline and has no outcome yet.

    Published by rule at the deadline, and again on later days for a limited number of times. `ReferralLoopClosed` of
    the referral ends it.
    """

    referral_id: ReferralId
    """Identifies the outbound referral."""
    hours_open: Count
    """The whole hours since the referral was sent."""


class ReferralLoopClosed(IntakeEvent, consumers=("plans", "followup")):
    """The outcome of a referral is known.

    Published once for each referral, inbound or outbound.
    """

    referral_id: ReferralId
    """Identifies the referral, inbound or outbound."""
    outcome: ReferralOutcome = Field(examples=["admitted"])
    """The outcome of the referral."""
    hours_open: Count
    """The whole hours from receipt or sending of the referral to its outcome."""


# --- partners -------------------------------------------------------------------------------------------


class PartnerProgram(Value):
    """A program that a partner offers."""

    kind: PartnerKind = Field(examples=["residential"])
    """The kind of care that the program offers."""
    level: LevelOfCare | None = Field(
        default=None, examples=[{"system": "asam", "edition": "4", "code": "3.5"}]
    )
    """The level of care of the program. Absent if the kind has none."""


class PartnerRegistered(IntakeEvent, subject="partner", sensitivity="operational"):
    """A partner organization was registered, or its registration was replaced.

    Published for each registration; the latest one replaces all earlier ones.
    """

    partner_id: FacilityId
    """Identifies the partner. Events that name a facility use the same id."""
    kind: PartnerKind = Field(examples=["residential"])
    """The kind of organization."""
    recipient_class: RecipientClass | None = Field(default=None, examples=["treating-providers"])
    """The class of recipients to which the partner belongs, for consents that name a class. Absent if it belongs to
    none."""
    covered_entity: bool = Field(examples=[True])
    """Whether the partner is a covered entity under HIPAA, so that it may redisclose as HIPAA permits."""
    programs: tuple[PartnerProgram, ...] = Field(
        max_length=50, examples=[[{"kind": "residential", "level": None}]]
    )
    """The programs that the partner offers beside its main kind."""


class PartnerAgreementRecorded(IntakeEvent, subject="partner", sensitivity="operational"):
    """A written agreement between a facility and a partner was recorded.

    `PartnerAgreementEnded` with the same `agreement_id` ends it.
    """

    agreement_id: AgreementId
    """Identifies the agreement."""
    partner_id: FacilityId
    """Identifies the partner. Events that name a facility use the same id."""
    facility_id: FacilityId
    """Identifies the facility that made the agreement."""
    kind: AgreementKind = Field(examples=["qsoa"])
    """The kind of agreement."""
    from_on: Day
    """The first day on which the agreement holds, in the facility's time zone."""
    until_on: Day | None = Field(default=None, examples=["2027-03-02"])
    """The last day on which the agreement holds, in the facility's time zone. Absent if the agreement names no end."""


class PartnerAgreementEnded(IntakeEvent, subject="partner", sensitivity="operational"):
    """The last day of an agreement between a facility and a partner was set.

    Ends `PartnerAgreementRecorded` with the same `agreement_id`.
    """

    agreement_id: AgreementId
    """Identifies the agreement."""
    partner_id: FacilityId
    """Identifies the partner. Events that name a facility use the same id."""
    until_on: Day
    """The last day on which the agreement holds, in the facility's time zone."""


# --- who looks after whom --------------------------------------------------------------------------------


class CareTeamAssigned(IntakeEvent, consumers=("plans", "attendance", "followup")):
    """A member of staff took over a role for this episode.

    The tasks of the role about this episode belong to this member of staff from now on. The latest event of a role
    holds, until `CareTeamRoleVacated`.
    """

    role: Role = Field(examples=["case_manager"])
    """The role that is taken over."""
    staff_id: StaffId
    """Identifies the member of staff who takes over the role."""


class CareTeamRoleVacated(IntakeEvent, consumers=("plans", "attendance", "followup")):
    """A role for this episode has no named member of staff any more.

    Ends `CareTeamAssigned` of the role. The tasks belong to everybody who has the role at the facility.
    """

    role: Role = Field(examples=["case_manager"])
    """The role that has no named member of staff any more."""


class StaffAbsencePlanned(
    IntakeEvent,
    subject="staff",
    sensitivity="operational",
    consumers=("plans", "attendance", "followup"),
):
    """An absence of a member of staff was planned, with a deputy.

    During the absence, the tasks of the absent person belong to the deputy. The subject stands for one member of staff
    at one facility. `StaffAbsenceEnded` ends it.
    """

    absence_id: LoopId
    """Identifies the absence."""
    staff_id: StaffId
    """Identifies the member of staff who will be absent."""
    from_at: Timestamp
    """The time at which the absence begins."""
    until_at: Timestamp
    """The time at which the absence ends."""
    deputy_id: StaffId
    """Identifies the member of staff who takes over the tasks during the absence."""


class StaffAbsenceEnded(
    IntakeEvent,
    subject="staff",
    sensitivity="operational",
    consumers=("plans", "attendance", "followup"),
):
    """An absence of a member of staff was called off or ended early.

    Ends `StaffAbsencePlanned` with the same `absence_id`.
    """

    absence_id: LoopId
    """Identifies the absence."""
    staff_id: StaffId
    """Identifies the member of staff who is back."""


# --- mistakes: compensating facts, never edits -----------------------------------------------------------


class EpisodeEnteredInError(IntakeEvent, consumers=_EVERYONE):
    """The episode was entered in error and should never have existed.

    Nothing about the episode counts, and no task about it stays open. `EpisodeEnteredInErrorUndone` retracts it.
    """

    reason: MistakeReason = Field(examples=["wrong_person"])
    """The kind of mistake that is taken back."""


class EpisodePersonCorrected(IntakeEvent, consumers=_EVERYONE):
    """The episode belongs to another person than was entered.

    The facts of the episode stay valid. They belong to `person_id` from now on, together with consents, incentives and
    everything else of a person.
    """

    previous_person_id: PersonId
    """Identifies the person to whom the episode belonged by mistake."""
    person_id: PersonId
    """Identifies the person to whom the episode belongs."""


class ReferralMerged(IntakeEvent, consumers=_EVERYONE):
    """The referral is a second referral of the same person, and another episode goes on in its place.

    No task about this episode stays open. `ReferralMergedUndone` retracts it.
    """

    into_episode_id: EpisodeId
    """Identifies the episode that goes on. It is another episode than the subject."""


class EpisodeEnteredInErrorUndone(IntakeEvent, consumers=_EVERYONE):
    """The record that the episode was entered in error was itself a mistake.

    Retracts `EpisodeEnteredInError`. The episode goes on from its earlier state.
    """

    reason: MistakeReason = Field(examples=["wrong_person"])
    """The kind of mistake that is taken back."""


class ReferralMergedUndone(IntakeEvent, consumers=_EVERYONE):
    """The referral was not a second referral of the same person.

    Retracts `ReferralMerged`. The episode goes on beside the other one.
    """

    into_episode_id: EpisodeId
    """Identifies the episode into which this one had been merged."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """The kind of mistake that is taken back."""


class AdmissionUndone(IntakeEvent, consumers=_EVERYONE):
    """The admission was a mistake.

    Retracts `PatientAdmitted`. The episode is where it was before the admission.
    """

    admitted_at: Timestamp
    """The `admitted_at` of the `PatientAdmitted` that is retracted."""
    reason: MistakeReason = Field(examples=["not_intended"])
    """The kind of mistake that is taken back."""


class LoopEscalated(Escalation, IntakeEvent):
    """An open task about the episode missed its deadline, and the next role owns it.

    Published for each step of the escalation. `EscalationCleared` with the same `loop_id` retracts all steps.
    """

    loop: IntakeLoop = Field(examples=["referral_acknowledgement"])
    """The kind of task."""


class EscalationCleared(Clearance, IntakeEvent):
    """The escalation of a task about the episode ended.

    Retracts every `LoopEscalated` with the same `loop_id`.
    """

    loop: IntakeLoop = Field(examples=["referral_acknowledgement"])
    """The kind of task."""

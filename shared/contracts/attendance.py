"""What attendance says: groups, seats, sessions, roll calls, hours, screens, incentives.

Code lists that only attendance uses stand first, then the events in the order of the path.
"""

from __future__ import annotations

from typing import Final

from pydantic import Field

from .codes import (
    ActorId,
    AttendanceLoop,
    AttendeeId,
    Cents,
    Clearance,
    Count,
    Day,
    EpisodeId,
    Escalation,
    GroupId,
    LedgerEntryId,
    MeetingId,
    MistakeReason,
    Modality,
    PanelCode,
    ScreenId,
    SessionId,
    SessionMinutes,
    Timestamp,
    TopicCode,
    TrackCode,
    Value,
    WeekMinutes,
)
from .event import Event, OpenEnum

_GROUP_ID = "7a1e0c1e-53f7-5f5b-9c39-6b2f3f6f9d20"


class SessionMode(OpenEnum):
    """Where a session takes place."""

    ON_SITE = "onsite"
    TELEHEALTH = "tele"
    UNKNOWN = "unknown"


class CancelledBy(OpenEnum):
    """Who cancelled a session. What the program cancels is never held against a patient."""

    PROGRAM = "program"
    CLINICIAN = "clinician"
    PATIENT = "patient"
    WEATHER = "weather"
    CLOSURE = "closure"
    UNKNOWN = "unknown"


class Arrival(OpenEnum):
    """How a person took part in a session."""

    ATTENDED = "attended"
    LATE = "late"
    LEFT_EARLY = "left_early"
    UNKNOWN = "unknown"


class Absence(OpenEnum):
    """How a person missed a session."""

    EXCUSED = "excused"
    NO_SHOW = "no_show"
    UNKNOWN = "unknown"


class AttendanceStatus(OpenEnum):
    """What a roll call says of one person."""

    ATTENDED = "attended"
    LATE = "late"
    LEFT_EARLY = "left_early"
    EXCUSED = "excused"
    NO_SHOW = "no_show"
    UNKNOWN = "unknown"

    def __init__(self, value: str) -> None:
        self.is_present: Final = value in ("attended", "late", "left_early")
        """The person was there, for the whole session or for a part of it."""


class Participation(OpenEnum):
    """How actively a person took part."""

    ACTIVE = "active"
    PARTIAL = "partial"
    PASSIVE = "passive"
    NOT_RATED = "not_rated"
    UNKNOWN = "unknown"


class CorrectionReason(OpenEnum):
    """Why an attendance record was corrected."""

    ENTERED_IN_ERROR = "entered_in_error"
    WRONG_PERSON = "wrong_person"
    LATE_DOCUMENTATION = "late_documentation"
    EXCUSE_VERIFIED = "excuse_verified"
    OVERLAP = "overlap"
    """Another session of the person took place at the same time: what both cover is credited once."""
    UNKNOWN = "unknown"


class SeatReleaseReason(OpenEnum):
    """Why a seat became free."""

    HOLD_EXPIRED = "hold_expired"
    WITHDRAWN = "withdrawn"
    MOVED = "moved"
    EPISODE_CLOSED = "episode_closed"
    UNKNOWN = "unknown"


class Matrix(OpenEnum):
    """What is tested."""

    URINE = "urine"
    BREATH = "breath"
    ORAL = "oral"
    UNKNOWN = "unknown"


class ScreenReason(OpenEnum):
    """Why a screen was ordered."""

    RANDOM = "random"
    FOR_CAUSE = "for_cause"
    BASELINE = "baseline"
    RETEST = "retest"
    UNKNOWN = "unknown"


class CustodyHolder(OpenEnum):
    """Who holds a specimen."""

    COLLECTOR = "collector"
    STORAGE = "storage"
    COURIER = "courier"
    LABORATORY = "laboratory"
    UNKNOWN = "unknown"


class NotProvidedKind(OpenEnum):
    """Why there is no specimen. None of these says anything about use."""

    REFUSED = "refused"
    UNABLE = "unable"
    NO_SHOW = "no_show"
    EXCUSED = "excused"
    UNKNOWN = "unknown"


class ScreenStage(OpenEnum):
    """How certain a result is."""

    PRESUMPTIVE = "presumptive"
    DEFINITIVE = "definitive"
    UNKNOWN = "unknown"


class SpecimenValidity(OpenEnum):
    """Whether the specimen can be judged at all."""

    VALID = "valid"
    DILUTE = "dilute"
    SUBSTITUTED = "substituted"
    ADULTERATED = "adulterated"
    INVALID = "invalid"
    UNKNOWN = "unknown"


class BreathOutcome(OpenEnum):
    """What a breath test says; the measured value stays with attendance."""

    NEGATIVE = "negative"
    POSITIVE = "positive"
    RETEST = "retest"
    UNKNOWN = "unknown"


class ScreenClass(OpenEnum):
    """What a clinician made of a result."""

    NEGATIVE = "negative"
    EXPECTED_POSITIVE = "expected_positive"
    UNEXPECTED_POSITIVE = "unexpected_positive"
    EXPECTED_ABSENT = "expected_absent"
    INVALID = "invalid"
    UNKNOWN = "unknown"


class Fellowship(OpenEnum):
    """A mutual-support fellowship, secular ones included."""

    AA = "aa"
    NA = "na"
    SMART = "smart"
    LIFERING = "lifering"
    RECOVERY_DHARMA = "recovery_dharma"
    CELEBRATE_RECOVERY = "celebrate_recovery"
    OTHER = "other"
    UNKNOWN = "unknown"


class FamilySessionKind(OpenEnum):
    """What a family or another supporter took part in."""

    EDUCATION = "education"
    INDIVIDUAL = "individual"
    GROUP = "group"
    UNKNOWN = "unknown"


class Verification(OpenEnum):
    """How a support meeting was verified."""

    SELF = "self"
    SIGNED = "signed"
    DIGITAL = "digital"
    UNKNOWN = "unknown"


class PauseEnd(OpenEnum):
    """How a pause ended."""

    OVER = "over"
    LIFTED = "lifted"
    CORRECTED = "corrected"
    UNKNOWN = "unknown"


class LedgerCorrection(OpenEnum):
    """What happened to an episode, so that what was earned in it leaves the ledger of a person."""

    ENTERED_IN_ERROR = "entered_in_error"
    MERGED = "merged"
    PERSON_CORRECTED = "person_corrected"
    ADMISSION_UNDONE = "admission_undone"
    UNKNOWN = "unknown"


class GroupCapacity(Value):
    """The seats of a group, which is the event's subject."""

    track: TrackCode
    """The track that the group belongs to."""
    seats_min: int = Field(ge=1, le=50, examples=[2])
    """The fewest people that make it a group."""
    seats_max: int = Field(ge=1, le=50, examples=[12])
    """The most people it takes."""
    seats_taken: int = Field(ge=0, le=50, examples=[2])
    """Seats taken or held."""


class AttendanceEvent(Event, source="care.attendance"):
    """A fact that attendance publishes."""


class GroupOpened(
    GroupCapacity,
    AttendanceEvent,
    subject="group",
    consumers=("intake", "plans"),
    sensitivity="operational",
):
    """A group takes people.

    Intake offers places, plans knows what there is. Group: none > open.
    """


class GroupFilled(
    GroupCapacity,
    AttendanceEvent,
    subject="group",
    consumers=("intake", "plans"),
    sensitivity="operational",
):
    """The last seat of a group is taken.

    Intake switches to the waiting list. Group: open > full.
    """


class GroupBelowMinimum(
    GroupCapacity,
    AttendanceEvent,
    subject="group",
    consumers=("intake", "plans"),
    sensitivity="operational",
):
    """Too few people are left to make a group.

    Intake offers the seats, plans may have to reschedule. Group: open > below minimum.
    """


class SeatReserved(AttendanceEvent, consumers=("intake",)):
    """The person has, or for a while holds, a seat.

    Intake can admit. Seat: free > held or taken.
    """

    group_id: GroupId
    """The group."""
    seats_left: int = Field(ge=0, le=50, examples=[3])
    """Free seats left in the group."""
    hold_expires_at: Timestamp | None = Field(default=None, examples=["2026-03-04T17:00:00Z"])
    """When the hold lapses; absent for a seat that is taken for good."""


class SeatReleased(AttendanceEvent, consumers=("intake",)):
    """The person's seat is free again.

    Intake offers it to the next who waits. Seat: held or taken > free.
    """

    group_id: GroupId
    """The group."""
    seats_left: int = Field(ge=0, le=50, examples=[1])
    """Free seats in the group."""
    reason: SeatReleaseReason = Field(examples=["hold_expired"])
    """Why."""


class SessionScheduled(
    AttendanceEvent, subject="session", consumers=("plans", "followup"), sensitivity="operational"
):
    """A session will take place.

    Plans and followup know what is coming. Session: none > scheduled.
    """

    group_id: GroupId | None = Field(default=None, examples=[_GROUP_ID])
    """The group that meets, for a group session."""
    modality: Modality = Field(examples=["group"])
    """The kind of session."""
    topic: TopicCode | None = Field(default=None, examples=["relapse-prevention"])
    """The topic, where there is one."""
    starts_at: Timestamp
    """When it begins."""
    minutes_planned: SessionMinutes
    """Planned minutes."""
    counts_toward_hours: bool = Field(examples=[True])
    """Whether its minutes count toward the week."""
    mode: SessionMode = Field(examples=["onsite"])
    """Where it takes place."""


class SessionCancelled(
    AttendanceEvent, subject="session", consumers=("plans", "followup"), sensitivity="operational"
):
    """A session will not take place.

    Plans and followup do not count it against anyone. The later of two says who it was; `SessionCancellationUndone`
    retracts it. Session: scheduled > cancelled.
    """

    group_id: GroupId | None = Field(default=None, examples=[_GROUP_ID])
    """The group that would have met."""
    modality: Modality = Field(examples=["group"])
    """The kind of session."""
    starts_at: Timestamp
    """When it would have begun."""
    minutes_planned: SessionMinutes
    """Minutes that were planned, and are now no longer offered."""
    cancelled_by: CancelledBy = Field(examples=["program"])
    """Who cancelled."""


class SessionRescheduled(
    AttendanceEvent, subject="session", consumers=("plans", "followup"), sensitivity="operational"
):
    """A session will take place at another time.

    Plans and followup know when it is now. Session: scheduled > scheduled.
    """

    group_id: GroupId | None = Field(default=None, examples=[_GROUP_ID])
    """The group that meets, for a group session."""
    starts_at: Timestamp
    """When it begins now."""
    minutes_planned: SessionMinutes
    """Planned minutes."""


class SessionCancellationUndone(
    AttendanceEvent, subject="session", consumers=("plans", "followup"), sensitivity="operational"
):
    """A session takes place after all.

    Retracts `SessionCancelled` of the session, by a person's word or because its closure was taken back; no reason is
    asked for. Plans and followup know of it again. Session: cancelled > scheduled.
    """

    starts_at: Timestamp
    """When it begins."""


class SessionAttended(AttendanceEvent, consumers=("plans", "followup")):
    """The person took part in a session or, where `family_only` is true, their family did without them.

    Plans counts progress, followup knows that there is contact. Session: scheduled > recorded.
    """

    session_id: SessionId
    """The session."""
    starts_at: Timestamp
    """When the session began."""
    modality: Modality = Field(examples=["group"])
    """The kind of session."""
    arrival: Arrival = Field(examples=["attended"])
    """Whole, late or left early."""
    minutes_credited: SessionMinutes
    """Minutes credited; toward the week only where the session counts, and never where only the family was there."""
    participation: Participation = Field(examples=["active"])
    """How actively the person took part."""
    family_only: bool = Field(examples=[False])
    """True of a session of the family without the patient, who was neither there nor absent; false of every other."""


class SessionMissed(AttendanceEvent, consumers=("plans", "followup")):
    """The person was expected and did not come or, where `family_only` is true, only their family was expected.

    Followup reaches out the same day, plans watches the pattern. Session: scheduled > recorded.
    """

    session_id: SessionId
    """The session."""
    starts_at: Timestamp
    """When the session began."""
    modality: Modality = Field(examples=["group"])
    """The kind of session."""
    absence: Absence = Field(examples=["no_show"])
    """Excused or not."""
    family_only: bool = Field(examples=[False])
    """True of a session of the family without the patient, who was neither there nor absent; false of every other."""


class AttendanceCorrected(AttendanceEvent, consumers=("plans", "followup")):
    """What was recorded about a session, of the family alone where `family_only` is true, was wrong; this mends it.

    Plans recounts, followup stops chasing a miss that was none. Closed weeks are evaluated again.
    """

    session_id: SessionId
    """The session."""
    status_before: AttendanceStatus = Field(examples=["no_show"])
    """What was recorded."""
    status_after: AttendanceStatus = Field(examples=["attended"])
    """What holds now."""
    minutes_before: SessionMinutes = Field(examples=[0])
    """Minutes credited until now."""
    minutes_after: SessionMinutes
    """Minutes credited from now on."""
    reason: CorrectionReason = Field(examples=["entered_in_error"])
    """Why."""
    family_only: bool = Field(examples=[False])
    """True of a session of the family without the patient, who was neither there nor absent; false of every other."""


class AbsenceThresholdReached(AttendanceEvent, consumers=("plans", "followup")):
    """Absences add up to something that someone has to act on.

    Plans reviews, followup goes a tier up. Episode: at risk; ends with the next `SessionAttended`.
    """

    reached_at: Timestamp
    """When they did."""
    absences_consecutive: Count
    """Unexcused absences in a row."""
    absences_last_14_days: Count
    """Unexcused absences within the last 14 days."""
    days_silent: Count
    """Whole days without any contact."""


class AbsenceThresholdUndone(AttendanceEvent, consumers=("plans",)):
    """Absences had not added up after all: a correction, or a roll that came late, says so.

    Retracts `AbsenceThresholdReached`, by rule: `AttendanceCorrected` has the reason where one was given. Plans asks
    for no review because of it.
    """

    reached_at: Timestamp
    """The threshold that had not been reached."""


class ParticipationPaused(AttendanceEvent, consumers=("plans", "followup")):
    """The person is in no group for a while, because unexcused absences reached what the program's terms say.

    Plans reviews it, followup sees to it that the person hears it from somebody. Only where a program has such a
    policy. Episode: active > paused; ended by `ParticipationResumed`.
    """

    absences_unexcused: Count = Field(examples=[6])
    """Unexcused absences since the admission, or since the last pause."""
    paused_at: Timestamp
    """From when on."""
    resumes_at: Timestamp = Field(examples=["2026-03-23T15:00:00Z"])
    """When the person may come again, unless somebody lifts the pause before."""


class ParticipationResumed(AttendanceEvent, consumers=("plans", "followup")):
    """The person may come to groups again.

    Retracts `ParticipationPaused`: plans and followup stop waiting for it. Episode: paused > active.
    """

    resumed_at: Timestamp
    """From when on."""
    reason: PauseEnd = Field(examples=["over"])
    """Whether its time was over, somebody lifted it, or an absence that led to it was none."""


class WeeklyHoursEvaluated(AttendanceEvent, consumers=("plans", "followup")):
    """A week's minutes are counted; after a correction once more, and the later one holds.

    Plans judges the intensity, followup sees whether it is short, reporting shows the delivery. Week: open > closed.
    """

    week_starts_on: Day
    """The Monday of the week, in the facility's time zone."""
    minutes_threshold: WeekMinutes
    """Minutes that the level asks for in this week."""
    minutes_scheduled: WeekMinutes
    """Minutes that were scheduled for the person."""
    minutes_offered: WeekMinutes
    """Minutes that took place; less than scheduled where the program cancelled."""
    minutes_credited: WeekMinutes
    """Minutes that the person took part in."""
    met: bool = Field(examples=[True])
    """Whether the credited minutes reach the threshold."""
    prorated: bool = Field(examples=[False])
    """Whether the threshold is reduced for a first or last week."""
    minutes_ceiling: WeekMinutes | None = Field(default=None, examples=[1200])
    """Planned minutes from which on the week is one of a higher level of care; absent where there is no such limit."""
    over_ceiling: bool | None = Field(default=None, examples=[True])
    """True when the scheduled minutes reach the ceiling; absent otherwise."""


class WeeklyHoursShortfallDetected(AttendanceEvent, consumers=("plans", "followup")):
    """A week is, or is going to be, below its threshold.

    Followup books a make-up, plans reviews. Leads to a review, never to a discharge by itself.
    """

    week_starts_on: Day
    """The Monday of the week, in the facility's time zone."""
    minutes_short: WeekMinutes = Field(examples=[120])
    """Minutes missing to the threshold."""
    projected: bool = Field(examples=[True])
    """Whether the week still runs, so that a make-up is possible."""


class ScreenOrdered(AttendanceEvent, consumers=("followup",)):
    """The person was notified of a screen; the schedule ahead stays secret.

    Followup knows of the visit. Screen: none > ordered.
    """

    screen_id: ScreenId
    """The screen."""
    matrix: Matrix = Field(examples=["urine"])
    """What is tested."""
    panel: PanelCode
    """The panel of analytes."""
    reason: ScreenReason = Field(examples=["random"])
    """Why."""
    window_ends_at: Timestamp
    """When the specimen is due."""


class SpecimenCollected(AttendanceEvent):
    """A specimen was taken and sealed.

    The laboratory expects it. Screen: ordered > in custody.
    """

    screen_id: ScreenId
    """The screen."""
    collected_at: Timestamp
    """When."""
    observed: bool = Field(examples=[False])
    """Whether the collection was observed."""
    temperature_in_range: bool | None = Field(default=None, examples=[True])
    """Whether the temperature was in range in time; absent where it is not measured."""
    custody_sequence: int = Field(ge=1, le=100, examples=[1])
    """The place in the chain of custody, from 1."""


class CustodyTransferred(AttendanceEvent):
    """A specimen went from one hand to the next.

    The laboratory sees the unbroken chain. Screen: in custody > in custody.
    """

    screen_id: ScreenId
    """The screen."""
    transferred_at: Timestamp
    """When."""
    holder: CustodyHolder = Field(examples=["courier"])
    """Who holds it now."""
    custody_sequence: int = Field(ge=1, le=100, examples=[2])
    """The place in the chain of custody, from 1."""


class ScreenNotProvided(AttendanceEvent, consumers=("plans",)):
    """There is no specimen, which is never the same as use.

    Plans reviews a refusal. Screen: ordered > closed.
    """

    screen_id: ScreenId
    """The screen."""
    kind: NotProvidedKind = Field(examples=["unable"])
    """Why there is none."""


class ScreenNotProvidedUndone(AttendanceEvent, consumers=("plans",)):
    """That there is no specimen was recorded by mistake.

    Retracts `ScreenNotProvided`: plans reviews no refusal that was none. Screen: closed > ordered.
    """

    screen_id: ScreenId
    """The screen."""
    kind: NotProvidedKind = Field(examples=["refused"])
    """What had been recorded."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """Why it is taken back."""


class ScreenResulted(AttendanceEvent, consumers=("plans",)):
    """A result came back; analytes and concentrations stay with attendance.

    Plans sees validity and stage, and waits for the interpretation. Screen: > resulted.
    """

    screen_id: ScreenId
    """The screen."""
    stage: ScreenStage = Field(examples=["presumptive"])
    """How certain the result is."""
    validity: SpecimenValidity = Field(examples=["valid"])
    """Whether the specimen can be judged."""
    panel: PanelCode
    """The panel of analytes."""


class ScreenOrderUndone(AttendanceEvent, consumers=("followup",)):
    """A screen was ordered by mistake: nobody is expected for it.

    Retracts `ScreenOrdered`: followup knows of no visit. Screen: ordered > none.
    """

    screen_id: ScreenId
    """The screen."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """Why it is taken back."""


class SpecimenUndone(AttendanceEvent, consumers=("followup",)):
    """The specimen was none of this person's for this screen: it is waited for again.

    Retracts `SpecimenCollected` and the links of its chain; what was found in it is retracted by `ResultUndone` and
    `InterpretationUndone`. The laboratory drops it, followup knows of the visit. Screen: > ordered.
    """

    screen_id: ScreenId
    """The screen."""
    collected_at: Timestamp
    """The collection that is taken back."""
    window_ends_at: Timestamp
    """When the specimen is due."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """Why it is taken back."""


class ResultUndone(AttendanceEvent, consumers=("plans",)):
    """A result belongs to another specimen.

    Retracts `ScreenResulted` of this stage: plans forgets that the specimen could not be judged. What another stage
    said holds, and is said again. Screen: resulted > in custody.
    """

    screen_id: ScreenId
    """The screen."""
    stage: ScreenStage = Field(examples=["presumptive"])
    """Which of its results it was."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """Why it is taken back."""


class BreathTestRecorded(AttendanceEvent, consumers=("plans",)):
    """A breath test was done; value and device stay with attendance.

    Plans reviews a positive one. Screen: > resulted.
    """

    screen_id: ScreenId
    """The screen."""
    tested_at: Timestamp
    """When."""
    outcome: BreathOutcome = Field(examples=["negative"])
    """What it says."""
    retest_of: ScreenId | None = Field(
        default=None, examples=["c4b1e2ce-6b57-5a0f-9a3a-1f4d9d0c5e77"]
    )
    """The screen that this one repeats."""


class BreathTestUndone(AttendanceEvent, consumers=("plans",)):
    """A breath test was recorded by mistake.

    Retracts `BreathTestRecorded`: plans forgets a positive that was none. Screen: > none.
    """

    screen_id: ScreenId
    """The screen."""
    retest_of: ScreenId | None = Field(
        default=None, examples=["c4b1e2ce-6b57-5a0f-9a3a-1f4d9d0c5e77"]
    )
    """The screen that it repeated."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """Why it is taken back."""


class ScreenInterpreted(AttendanceEvent, consumers=("plans", "followup")):
    """A clinician said what a result means; of one screen the latest holds.

    Plans and followup act on this and never on a raw result. Screen: resulted > final.
    """

    screen_id: ScreenId
    """The screen."""
    collected_at: Timestamp
    """When the specimen was taken: what it shows is of that time."""
    classification: ScreenClass = Field(examples=["expected_positive"])
    """What it means."""
    reviewer_id: ActorId
    """Who interpreted it."""


class ScreenFailed(AttendanceEvent, consumers=("plans",)):
    """A screen is an unexpected positive. Published with `ScreenInterpreted`: react to one only.

    Never for a prescribed, dilute or refused one. Plans requests a clinical review. Retracted by the next
    `ScreenInterpreted` of the screen, or by `InterpretationUndone`. Screen: final.
    """

    screen_id: ScreenId
    """The screen."""
    collected_at: Timestamp
    """When the specimen was taken."""
    matrix: Matrix = Field(examples=["urine"])
    """What was tested."""
    reviewer_id: ActorId
    """Who interpreted it."""


class InterpretationUndone(AttendanceEvent, consumers=("plans", "followup")):
    """What a clinician said of a result was a mistake; it waits to be interpreted again.

    Retracts `ScreenInterpreted` and `ScreenFailed` of the screen. Screen: final > resulted.
    """

    screen_id: ScreenId
    """The screen."""
    reason: MistakeReason = Field(examples=["not_intended"])
    """Why it is taken back."""


class MutualSupportLogged(AttendanceEvent, consumers=("plans",)):
    """The person was at a mutual-support meeting.

    Plans counts it toward goals; it never counts toward hours. No transition.
    """

    meeting_id: MeetingId
    """The meeting."""
    fellowship: Fellowship = Field(examples=["smart"])
    """The fellowship."""
    attended_on: Day
    """The day of the meeting."""
    verification: Verification = Field(examples=["self"])
    """How it was verified."""


class MutualSupportUndone(AttendanceEvent, consumers=("plans",)):
    """A mutual-support meeting was recorded by mistake.

    Retracts `MutualSupportLogged`: plans does not count it. No transition.
    """

    meeting_id: MeetingId
    """The meeting."""
    reason: MistakeReason = Field(examples=["duplicate"])
    """Why it is taken back."""


class MutualSupportRequirementSet(AttendanceEvent, consumers=("plans",)):
    """The person chose what mutual support is asked of them: fellowships of their own choice, or none at all.

    Plans asks for no meetings at the end of who opted out. The latest choice holds; opting out has no consequence.
    """

    opted_out: bool = Field(examples=[True])
    """Whether the person goes to no meetings, by their own choice."""
    meetings_per_week: int = Field(ge=0, le=14, examples=[0])
    """Meetings per week that are asked for now."""


class FamilySessionAttended(AttendanceEvent, consumers=("plans",)):
    """A family member or other supporter took part in a session.

    Plans counts it as family involvement. No transition.
    """

    session_id: SessionId
    """The session."""
    attendee_id: AttendeeId
    """Who came; the name stays with intake."""
    minutes_attended: SessionMinutes = Field(examples=[90])
    """Minutes of the session."""
    patient_present: bool = Field(examples=[True])
    """Whether the patient was there; only then do the minutes count."""
    kind: FamilySessionKind | None = Field(default=None, examples=["education"])
    """What it was; absent where it was not said."""


class FamilySessionUndone(AttendanceEvent, consumers=("plans",)):
    """That somebody of the family took part was recorded by mistake.

    Retracts `FamilySessionAttended`: plans does not count it. No transition.
    """

    session_id: SessionId
    """The session."""
    attendee_id: AttendeeId
    """Who had been recorded."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """Why it is taken back."""


class IncentiveLedger(Value):
    """What the incentive ledger of a person, who is the event's subject, says after the event."""

    episode_id: EpisodeId
    """The episode in which it happened."""
    year: int = Field(ge=2000, le=9999, examples=[2026])
    """The calendar year of the facility that the total is of."""
    total_cents: Cents = Field(examples=[4500])
    """What the person has earned in that year after this event, in cents."""


class IncentiveEarned(IncentiveLedger, AttendanceEvent, subject="person"):
    """The person earned an incentive for the target behaviour.

    Reporting watches the cap. Retracted by `IncentiveUndone`. Ledger: + amount.
    """

    entry_id: LedgerEntryId
    """The entry in the ledger."""
    amount_cents: Cents
    """The amount of this entry in cents, as far as the cap left it."""
    cap_cents: Cents = Field(examples=[75000])
    """The most that a person may earn in a year, in cents."""


class IncentiveUndone(IncentiveLedger, AttendanceEvent, subject="person"):
    """An incentive that the person earned is taken out of their ledger, because its episode is not theirs or never was.

    Retracts `IncentiveEarned` of the entry, by rule: the fact that `cause` names says who corrected what and why.
    Reporting no longer counts it. Ledger: - amount.
    """

    entry_id: LedgerEntryId
    """The entry that is taken out."""
    amount_cents: Cents
    """The amount of the entry in cents, which counts no longer."""
    cause: LedgerCorrection = Field(examples=["admission_undone"])
    """What happened to the episode."""


class IncentiveReset(IncentiveLedger, AttendanceEvent, subject="person"):
    """The next incentive starts again from its base amount; what is earned stays.

    Reporting watches the cap. Retracted by `IncentiveResetUndone`. Ledger: unchanged.
    """

    screen_id: ScreenId
    """The screen or breath test because of which."""
    next_cents: Cents = Field(examples=[250])
    """What the next incentive is worth now, in cents."""
    cap_cents: Cents = Field(examples=[75000])
    """The most that a person may earn in a year, in cents."""


class IncentiveResetUndone(IncentiveLedger, AttendanceEvent, subject="person"):
    """The screen because of which the next incentive started again counts against nobody any more.

    Retracts `IncentiveReset` of the screen, by rule: the screen was interpreted anew, or a fact about it was taken back
    by a fact that says why. Ledger: unchanged.
    """

    screen_id: ScreenId
    """The screen or breath test because of which it had."""
    next_cents: Cents = Field(examples=[375])
    """What the next incentive is worth now, in cents."""
    cap_cents: Cents = Field(examples=[75000])
    """The most that a person may earn in a year, in cents."""


class LoopEscalated(Escalation, AttendanceEvent):
    """An open loop of attendance missed a deadline and has a new owner.

    The operations view shows it, reporting counts it. Loop: open > escalated, one step further.
    """

    loop: AttendanceLoop = Field(examples=["screen_interpretation"])
    """What is waited for."""


class EscalationCleared(Clearance, AttendanceEvent):
    """An escalation of attendance no longer stands.

    Retracts every `LoopEscalated` of the same loop. Loop: escalated > closed.
    """

    loop: AttendanceLoop = Field(examples=["screen_interpretation"])
    """What was waited for."""


# --- loops of sessions and groups, which are subjects of their own ---------------------------------------


class SessionLoopEscalated(
    Escalation,
    AttendanceEvent,
    subject="session",
    sensitivity="operational",
):
    """An open loop about a session, such as a roll that nobody calls, missed a deadline and has a new owner.

    The operations view shows it, reporting counts it. Loop: open > escalated, one step further.
    """

    loop: AttendanceLoop = Field(examples=["roll_call"])
    """What is waited for."""


class SessionEscalationCleared(
    Clearance,
    AttendanceEvent,
    subject="session",
    sensitivity="operational",
):
    """An escalation about a session no longer stands.

    Retracts every `SessionLoopEscalated` of the same loop. Loop: escalated > closed.
    """

    loop: AttendanceLoop = Field(examples=["roll_call"])
    """What was waited for."""


class GroupLoopEscalated(
    Escalation,
    AttendanceEvent,
    subject="group",
    sensitivity="operational",
):
    """An open loop about a group, such as one with too few people, missed a deadline and has a new owner.

    The operations view shows it, reporting counts it. Loop: open > escalated, one step further.
    """

    loop: AttendanceLoop = Field(examples=["group_size"])
    """What is waited for."""


class GroupEscalationCleared(
    Clearance,
    AttendanceEvent,
    subject="group",
    sensitivity="operational",
):
    """An escalation about a group no longer stands.

    Retracts every `GroupLoopEscalated` of the same loop. Loop: escalated > closed.
    """

    loop: AttendanceLoop = Field(examples=["group_size"])
    """What was waited for."""

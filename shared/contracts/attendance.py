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
    """The place where a session is held."""

    ON_SITE = "onsite", "At the facility."
    TELEHEALTH = "tele", "By telehealth."
    UNKNOWN = "unknown"


class CancelledBy(OpenEnum):
    """Who or what cancelled a session. A cancelled session counts against nobody."""

    PROGRAM = "program", "The program cancelled it."
    CLINICIAN = "clinician", "The clinician who leads it cancelled it."
    PATIENT = "patient", "The person cancelled an individual session."
    WEATHER = "weather", "The weather prevented it."
    CLOSURE = "closure", "The facility is closed at that time."
    UNKNOWN = "unknown"


class Arrival(OpenEnum):
    """How a person took part in a session."""

    ATTENDED = "attended", "The person attended the whole session."
    LATE = "late", "The person came late."
    LEFT_EARLY = "left_early", "The person left early."
    UNKNOWN = "unknown"


class Absence(OpenEnum):
    """How a person missed a session."""

    EXCUSED = "excused", "The person was absent with an excuse."
    NO_SHOW = "no_show", "The person was absent without an excuse."
    UNKNOWN = "unknown"


class AttendanceStatus(OpenEnum):
    """The recorded attendance of one person at a session."""

    ATTENDED = "attended", "The person attended the whole session."
    LATE = "late", "The person came late."
    LEFT_EARLY = "left_early", "The person left early."
    EXCUSED = "excused", "The person was absent with an excuse."
    NO_SHOW = "no_show", "The person was absent without an excuse."
    UNKNOWN = "unknown"

    def __init__(self, value: str, _meaning: str = "") -> None:
        self.is_present: Final = value in ("attended", "late", "left_early")
        """The person was there, for the whole session or for a part of it."""


class Participation(OpenEnum):
    """How actively a person took part in a session."""

    ACTIVE = "active", "The person took an active part."
    PARTIAL = "partial", "The person took part at times."
    PASSIVE = "passive", "The person was present and took no part."
    NOT_RATED = "not_rated", "Nobody rated the participation."
    UNKNOWN = "unknown"


class CorrectionReason(OpenEnum):
    """The reason why recorded attendance was corrected."""

    ENTERED_IN_ERROR = "entered_in_error", "The record was entered in error."
    WRONG_PERSON = "wrong_person", "The record belongs to another person."
    LATE_DOCUMENTATION = "late_documentation", "The documentation arrived late."
    EXCUSE_VERIFIED = "excuse_verified", "An excuse was verified."
    OVERLAP = (
        "overlap",
        "Another session of the person took place at the same time; minutes that both cover are credited once.",
    )
    UNKNOWN = "unknown"


class SeatReleaseReason(OpenEnum):
    """The reason why a seat became free."""

    HOLD_EXPIRED = "hold_expired", "A temporary hold lapsed."
    WITHDRAWN = (
        "withdrawn",
        "The person no longer wants the seat, or the reservation was taken back.",
    )
    MOVED = "moved", "The person moved to another group or facility, or the group was closed."
    EPISODE_CLOSED = "episode_closed", "The episode ended."
    UNKNOWN = "unknown"


class Matrix(OpenEnum):
    """The kind of specimen that is tested."""

    URINE = "urine", "Urine."
    BREATH = "breath", "Breath."
    ORAL = "oral", "Oral fluid."
    UNKNOWN = "unknown"


class ScreenReason(OpenEnum):
    """The reason why a screen was ordered."""

    RANDOM = "random", "The screen was drawn at random."
    FOR_CAUSE = "for_cause", "An observation called for the screen."
    BASELINE = "baseline", "The screen is the first one after the admission."
    RETEST = "retest", "The screen repeats an earlier one."
    UNKNOWN = "unknown"


class CustodyHolder(OpenEnum):
    """A holder of a specimen."""

    COLLECTOR = "collector", "The person who collected the specimen."
    STORAGE = "storage", "The storage of the facility."
    COURIER = "courier", "A courier."
    LABORATORY = "laboratory", "The laboratory."
    UNKNOWN = "unknown"


class NotProvidedKind(OpenEnum):
    """The reason why there is no specimen. None of the reasons means substance use."""

    REFUSED = "refused", "The person refused."
    UNABLE = "unable", "The person was unable to provide a specimen."
    NO_SHOW = "no_show", "The person did not come."
    EXCUSED = "excused", "The person was excused."
    UNKNOWN = "unknown"


class ScreenStage(OpenEnum):
    """The certainty of a result."""

    PRESUMPTIVE = "presumptive", "A first test, which a definitive one may correct."
    DEFINITIVE = "definitive", "A definitive test."
    UNKNOWN = "unknown"


class SpecimenValidity(OpenEnum):
    """Whether a specimen can be judged."""

    VALID = "valid", "The specimen can be judged."
    DILUTE = "dilute", "The specimen is diluted."
    SUBSTITUTED = "substituted", "The specimen is not of the person."
    ADULTERATED = "adulterated", "Something was added to the specimen."
    INVALID = "invalid", "The laboratory cannot judge the specimen."
    UNKNOWN = "unknown"


class BreathOutcome(OpenEnum):
    """The outcome of a breath test for alcohol. The measured value is not published."""

    NEGATIVE = "negative", "The value is below the program's limit."
    POSITIVE = "positive", "The value reaches the limit again in a second test."
    RETEST = "retest", "The value reaches the limit in a first test, which has to be repeated."
    UNKNOWN = "unknown"


class ScreenClass(OpenEnum):
    """The clinical meaning of a result, as a clinician interpreted it."""

    NEGATIVE = "negative", "No substance was found and none was expected."
    EXPECTED_POSITIVE = "expected_positive", "Only expected substances were found."
    UNEXPECTED_POSITIVE = "unexpected_positive", "A substance was found that is not expected."
    EXPECTED_ABSENT = "expected_absent", "An expected substance was not found."
    INVALID = "invalid", "The result cannot be interpreted."
    UNKNOWN = "unknown"


class Fellowship(OpenEnum):
    """A mutual-support fellowship, religious or secular."""

    AA = "aa", "Alcoholics Anonymous."
    NA = "na", "Narcotics Anonymous."
    SMART = "smart", "SMART Recovery."
    LIFERING = "lifering", "LifeRing Secular Recovery."
    RECOVERY_DHARMA = "recovery_dharma", "Recovery Dharma."
    CELEBRATE_RECOVERY = "celebrate_recovery", "Celebrate Recovery."
    OTHER = "other", "Another fellowship."
    UNKNOWN = "unknown"


class FamilySessionKind(OpenEnum):
    """The kind of session in which a family member or supporter took part."""

    EDUCATION = "education", "A session that teaches families."
    INDIVIDUAL = "individual", "A session with one family."
    GROUP = "group", "A session with several families."
    UNKNOWN = "unknown"


class Verification(OpenEnum):
    """How the attendance of a mutual-support meeting was verified."""

    SELF = "self", "The person reported it."
    SIGNED = "signed", "Somebody at the meeting signed for it."
    DIGITAL = "digital", "It was verified digitally."
    UNKNOWN = "unknown"


class PauseEnd(OpenEnum):
    """The reason why a pause ended."""

    OVER = "over", "The time of the pause was over."
    LIFTED = "lifted", "A member of staff ended the pause early."
    CORRECTED = "corrected", "A correction showed that the pause had no ground."
    UNKNOWN = "unknown"


class LedgerCorrection(OpenEnum):
    """The correction of an episode that removes its incentives from a person's ledger."""

    ENTERED_IN_ERROR = "entered_in_error", "The episode was entered in error."
    MERGED = "merged", "The episode was merged into another one."
    PERSON_CORRECTED = "person_corrected", "The episode belongs to another person."
    ADMISSION_UNDONE = "admission_undone", "The admission was undone."
    UNKNOWN = "unknown"


class GroupCapacity(Value):
    """The seats of a group. The group is the subject of the event."""

    track: TrackCode
    """The track of the program that the group belongs to, such as an evening track."""
    seats_min: int = Field(ge=1, le=50, examples=[2])
    """The smallest number of people with which the group may take place."""
    seats_max: int = Field(ge=1, le=50, examples=[12])
    """The number of seats in the group."""
    seats_taken: int = Field(ge=0, le=50, examples=[2])
    """The number of seats that are taken or held after this event."""


class AttendanceEvent(Event, source="care.attendance"):
    """A fact that the attendance service publishes."""


class GroupOpened(
    GroupCapacity,
    AttendanceEvent,
    subject="group",
    consumers=("intake", "plans"),
    sensitivity="operational",
):
    """A group was opened and accepts people.

    Published once for each group.
    """


class GroupFilled(
    GroupCapacity,
    AttendanceEvent,
    subject="group",
    consumers=("intake", "plans"),
    sensitivity="operational",
):
    """The last free seat of a group was taken or held.

    Published each time that the group becomes full. `SeatReleased` shows that a seat became free.
    """


class GroupBelowMinimum(
    GroupCapacity,
    AttendanceEvent,
    subject="group",
    consumers=("intake", "plans"),
    sensitivity="operational",
):
    """A group has fewer people than its minimum.

    Published when the number of people in an open group falls below `seats_min`.
    """


class SeatReserved(AttendanceEvent, consumers=("intake",)):
    """A seat in a group was reserved for the person, for good or for a limited time.

    Published when a seat is held for an offer and when the seat is taken. `SeatReleased` ends the reservation.
    """

    group_id: GroupId
    """Identifies the group in which the seat is reserved."""
    seats_left: int = Field(ge=0, le=50, examples=[3])
    """The number of free seats in the group after this event."""
    hold_expires_at: Timestamp | None = Field(default=None, examples=["2026-03-04T17:00:00Z"])
    """The time at which a temporary hold lapses. Absent if the seat is taken for good."""


class SeatReleased(AttendanceEvent, consumers=("intake",)):
    """The person's seat in a group became free.

    Published when a hold lapses, when the person leaves or changes the group, and when the episode ends. Ends
    `SeatReserved` of the group.
    """

    group_id: GroupId
    """Identifies the group in which the seat became free."""
    seats_left: int = Field(ge=0, le=50, examples=[1])
    """The number of free seats in the group after this event."""
    reason: SeatReleaseReason = Field(examples=["hold_expired"])
    """The reason why the seat became free."""


class SessionScheduled(
    AttendanceEvent, subject="session", consumers=("plans", "followup"), sensitivity="operational"
):
    """A session was put on the schedule.

    Published once for each session, before it takes place.
    """

    group_id: GroupId | None = Field(default=None, examples=[_GROUP_ID])
    """Identifies the group that meets. Absent if the session is not a group's."""
    modality: Modality = Field(examples=["group"])
    """The kind of session."""
    topic: TopicCode | None = Field(default=None, examples=["relapse-prevention"])
    """The topic of the session. Absent if it has none."""
    starts_at: Timestamp
    """The time at which the session begins."""
    minutes_planned: SessionMinutes
    """The planned length of the session, in minutes."""
    counts_toward_hours: bool = Field(examples=[True])
    """Whether the minutes of the session count toward the hours of the week."""
    mode: SessionMode = Field(examples=["onsite"])
    """The place where the session is held: on site or by telehealth."""


class SessionCancelled(
    AttendanceEvent, subject="session", consumers=("plans", "followup"), sensitivity="operational"
):
    """A session was cancelled and will not take place.

    A cancelled session counts against nobody. If a session is cancelled twice, the later event holds.
    `SessionCancellationUndone` retracts it.
    """

    group_id: GroupId | None = Field(default=None, examples=[_GROUP_ID])
    """Identifies the group that would have met. Absent if the session is not a group's."""
    modality: Modality = Field(examples=["group"])
    """The kind of session."""
    starts_at: Timestamp
    """The time at which the session would have begun."""
    minutes_planned: SessionMinutes
    """The planned length of the cancelled session, in minutes. These minutes are no longer offered."""
    cancelled_by: CancelledBy = Field(examples=["program"])
    """Who or what cancelled the session."""


class SessionRescheduled(
    AttendanceEvent, subject="session", consumers=("plans", "followup"), sensitivity="operational"
):
    """A scheduled session was moved to another time or was given another length.

    The values of this event replace those of the earlier `SessionScheduled` or `SessionRescheduled`.
    """

    group_id: GroupId | None = Field(default=None, examples=[_GROUP_ID])
    """Identifies the group that meets. Absent if the session is not a group's."""
    starts_at: Timestamp
    """The new time at which the session begins."""
    minutes_planned: SessionMinutes
    """The new planned length of the session, in minutes."""


class SessionCancellationUndone(
    AttendanceEvent, subject="session", consumers=("plans", "followup"), sensitivity="operational"
):
    """The cancellation of a session was taken back, so the session takes place after all.

    Retracts `SessionCancelled` of the session. Published when a member of staff takes the cancellation back, or when
    the closure that cancelled the session is taken back. It carries no reason.
    """

    starts_at: Timestamp
    """The time at which the session begins."""


class SessionAttended(AttendanceEvent, consumers=("plans", "followup")):
    """The person took part in a session; if `family_only` is true, the family took part without the person.

    Published when attendance is recorded, once for each person and session. `AttendanceCorrected` replaces it.
    """

    session_id: SessionId
    """Identifies the session."""
    starts_at: Timestamp
    """The time at which the session began."""
    modality: Modality = Field(examples=["group"])
    """The kind of session."""
    arrival: Arrival = Field(examples=["attended"])
    """Whether the person attended the whole session, came late or left early."""
    minutes_credited: SessionMinutes
    """The minutes credited to the person. They count toward the week only if the session does, and never if
    `family_only` is true."""
    participation: Participation = Field(examples=["active"])
    """How actively the person took part, as rated by the staff."""
    family_only: bool = Field(examples=[False])
    """True if the session was for the family without the person, who was then neither present nor absent. False for
    every other session."""


class SessionMissed(AttendanceEvent, consumers=("plans", "followup")):
    """The person was expected at a session and did not come; if `family_only` is true, only the family was expected.

    Published when the absence is recorded, once for each person and session. `AttendanceCorrected` replaces it.
    """

    session_id: SessionId
    """Identifies the session."""
    starts_at: Timestamp
    """The time at which the session began."""
    modality: Modality = Field(examples=["group"])
    """The kind of session."""
    absence: Absence = Field(examples=["no_show"])
    """Whether the absence was excused."""
    family_only: bool = Field(examples=[False])
    """True if the session was for the family without the person, who was then neither present nor absent. False for
    every other session."""


class AttendanceCorrected(AttendanceEvent, consumers=("plans", "followup")):
    """The recorded attendance of the person at a session was corrected.

    Replaces what `SessionAttended`, `SessionMissed` or an earlier correction states about the session. If `family_only`
    is true, the record is about the family without the person. Weeks that are already evaluated are evaluated again.
    """

    session_id: SessionId
    """Identifies the session."""
    status_before: AttendanceStatus = Field(examples=["no_show"])
    """The attendance that was recorded before the correction."""
    status_after: AttendanceStatus = Field(examples=["attended"])
    """The attendance that holds after the correction."""
    minutes_before: SessionMinutes = Field(examples=[0])
    """The minutes credited to the person before the correction."""
    minutes_after: SessionMinutes
    """The minutes credited to the person after the correction."""
    reason: CorrectionReason = Field(examples=["entered_in_error"])
    """The reason for the correction."""
    family_only: bool = Field(examples=[False])
    """True if the session was for the family without the person, who was then neither present nor absent. False for
    every other session."""


class AbsenceThresholdReached(AttendanceEvent, consumers=("plans", "followup")):
    """The person's absences reached a limit of the program's terms.

    Published when consecutive unexcused absences or days without contact reach a limit. `AbsenceThresholdUndone`
    retracts it.
    """

    reached_at: Timestamp
    """The time at which the limit was reached. It identifies the event to its retraction."""
    absences_consecutive: Count
    """The number of consecutive unexcused absences."""
    absences_last_14_days: Count
    """The number of unexcused absences within the 14 days before `reached_at`."""
    days_silent: Count
    """The number of whole days without contact with the person."""


class AbsenceThresholdUndone(AttendanceEvent, consumers=("plans",)):
    """The person's absences had not reached the limit after all.

    Retracts the `AbsenceThresholdReached` with the same `reached_at`. Published when a correction or attendance that is
    recorded late shows it. The reason stands in `AttendanceCorrected` where a correction was made.
    """

    reached_at: Timestamp
    """The `reached_at` of the `AbsenceThresholdReached` that is retracted."""


class ParticipationPaused(AttendanceEvent, consumers=("plans", "followup")):
    """The person attends no groups for a while, because unexcused absences reached the limit of the program's terms.

    Published only for programs that have this policy. `ParticipationResumed` ends the pause.
    """

    absences_unexcused: Count = Field(examples=[6])
    """The number of unexcused absences since the admission, or since the end of the last pause."""
    paused_at: Timestamp
    """The time at which the pause begins."""
    resumes_at: Timestamp = Field(examples=["2026-03-23T15:00:00Z"])
    """The time at which the pause is planned to end. A member of staff may end it earlier."""


class ParticipationResumed(AttendanceEvent, consumers=("plans", "followup")):
    """The person may attend groups again.

    Ends `ParticipationPaused`. Published when the time of the pause is over, when a member of staff lifts it, and when
    a correction shows that it had no ground.
    """

    resumed_at: Timestamp
    """The time from which the person may attend groups again."""
    reason: PauseEnd = Field(examples=["over"])
    """The reason why the pause ended."""


class WeeklyHoursEvaluated(AttendanceEvent, consumers=("plans", "followup")):
    """The minutes of one week of the episode were counted and compared with the level's threshold.

    Published when the week is over, and again after a correction. The latest event about a week holds.
    """

    week_starts_on: Day
    """The Monday on which the week begins, in the facility's time zone."""
    minutes_threshold: WeekMinutes
    """The minutes that the person's level of care requires in this week."""
    minutes_scheduled: WeekMinutes
    """The minutes of the sessions that were scheduled for the person in this week."""
    minutes_offered: WeekMinutes
    """The minutes of the sessions that took place. They are fewer than scheduled if the program cancelled sessions."""
    minutes_credited: WeekMinutes
    """The minutes of the week that are credited to the person."""
    met: bool = Field(examples=[True])
    """Whether the credited minutes reach the threshold."""
    prorated: bool = Field(examples=[False])
    """Whether the threshold is reduced because the week is an incomplete one, such as the first or the last."""
    minutes_ceiling: WeekMinutes | None = Field(default=None, examples=[1200])
    """The scheduled minutes from which the week belongs to a higher level of care. Absent if the level has no such
    limit."""
    ceiling_reached: bool = Field(examples=[False])
    """Whether the scheduled minutes reach `minutes_ceiling`. False if there is no such limit."""


class WeeklyHoursShortfallDetected(AttendanceEvent, consumers=("plans", "followup")):
    """The minutes of a week are below the threshold, or are going to be.

    Published during the week as a projection and after the week as a fact. A shortfall never ends an episode by itself.
    """

    week_starts_on: Day
    """The Monday on which the week begins, in the facility's time zone."""
    minutes_short: WeekMinutes = Field(examples=[120])
    """The number of minutes that are missing to reach the threshold."""
    projected: bool = Field(examples=[True])
    """True if the week is not over, so that the missing minutes can still be made up. False if the week is over."""


class ScreenOrdered(AttendanceEvent, consumers=("followup",)):
    """The person was notified that a screen has been ordered.

    A screen is a test for substances. Published at the notification and not before, because the schedule of random
    screens is secret.
    """

    screen_id: ScreenId
    """Identifies the screen."""
    matrix: Matrix = Field(examples=["urine"])
    """The kind of specimen that is to be tested."""
    panel: PanelCode
    """The panel, which is the list of analytes that the laboratory tests for."""
    reason: ScreenReason = Field(examples=["random"])
    """The reason why the screen was ordered."""
    window_ends_at: Timestamp
    """The time until which the specimen has to be collected."""


class SpecimenCollected(AttendanceEvent):
    """A specimen for a screen was collected and sealed.

    Published when the collection is recorded. It begins the chain of custody of the specimen.
    """

    screen_id: ScreenId
    """Identifies the screen."""
    collected_at: Timestamp
    """The time at which the specimen was collected."""
    observed: bool = Field(examples=[False])
    """Whether a member of staff observed the collection directly."""
    temperature_in_range: bool | None = Field(default=None, examples=[True])
    """Whether the temperature of the specimen was measured in time and lies in the accepted range. Absent if it is
    not measured for this kind of specimen."""
    custody_sequence: int = Field(ge=1, le=100, examples=[1])
    """The position of this step in the chain of custody of the specimen, counted from 1."""


class CustodyTransferred(AttendanceEvent):
    """A specimen went from one holder to the next.

    Published for each step of the chain of custody.
    """

    screen_id: ScreenId
    """Identifies the screen."""
    transferred_at: Timestamp
    """The time at which the specimen changed hands."""
    holder: CustodyHolder = Field(examples=["courier"])
    """The kind of holder who has the specimen after this step."""
    custody_sequence: int = Field(ge=1, le=100, examples=[2])
    """The position of this step in the chain of custody of the specimen, counted from 1."""


class ScreenNotProvided(AttendanceEvent, consumers=("plans",)):
    """The person provided no specimen for a screen.

    A missing specimen is never equal to substance use. `ScreenNotProvidedUndone` retracts it.
    """

    screen_id: ScreenId
    """Identifies the screen."""
    kind: NotProvidedKind = Field(examples=["unable"])
    """The reason why there is no specimen."""


class ScreenNotProvidedUndone(AttendanceEvent, consumers=("plans",)):
    """The record that the person provided no specimen was a mistake.

    Retracts `ScreenNotProvided` of the screen, which waits for its specimen again.
    """

    screen_id: ScreenId
    """Identifies the screen."""
    kind: NotProvidedKind = Field(examples=["refused"])
    """The reason for the missing specimen that had been recorded."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """The kind of mistake that is taken back."""


class ScreenResulted(AttendanceEvent, consumers=("plans",)):
    """The laboratory returned a result for a screen.

    The event states whether there is a result and of which quality. It carries no analytes and no concentrations.
    `ScreenInterpreted` gives the clinical meaning.
    """

    screen_id: ScreenId
    """Identifies the screen."""
    stage: ScreenStage = Field(examples=["presumptive"])
    """The certainty of the result: a first test or a definitive one."""
    validity: SpecimenValidity = Field(examples=["valid"])
    """Whether the specimen can be judged, and if not, why."""
    panel: PanelCode
    """The panel, which is the list of analytes that the laboratory tests for."""


class ScreenOrderUndone(AttendanceEvent, consumers=("followup",)):
    """An order of a drug screen was retracted because it had been recorded by mistake.

    Retracts `ScreenOrdered`. Nobody is expected to give a specimen for this screen.
    """

    screen_id: ScreenId
    """Identifies the screen."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """The kind of mistake."""


class SpecimenUndone(AttendanceEvent, consumers=("followup",)):
    """The collection of a specimen was retracted because it had been recorded by mistake.

    Retracts `SpecimenCollected` and the `CustodyTransferred` events of this specimen. `ResultUndone` and
    `InterpretationUndone` retract what was found in it. The screen is ordered again, and a specimen is due.
    """

    screen_id: ScreenId
    """Identifies the screen."""
    collected_at: Timestamp
    """The time of the retracted collection."""
    window_ends_at: Timestamp
    """The time by which a specimen is due."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """The kind of mistake."""


class ResultUndone(AttendanceEvent, consumers=("plans",)):
    """A laboratory result was retracted because it belongs to another specimen.

    Retracts `ScreenResulted` of this stage. A result of another stage still holds and is published again.
    """

    screen_id: ScreenId
    """Identifies the screen."""
    stage: ScreenStage = Field(examples=["presumptive"])
    """The stage of the retracted result."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """The kind of mistake."""


class BreathTestRecorded(AttendanceEvent, consumers=("plans",)):
    """A breath test for alcohol was taken.

    The event carries the outcome. It carries neither the measured value nor the device. `BreathTestUndone` retracts it.
    """

    screen_id: ScreenId
    """Identifies the breath test, which is a kind of screen."""
    tested_at: Timestamp
    """The time at which the breath test was taken."""
    outcome: BreathOutcome = Field(examples=["negative"])
    """The outcome of the test by the program's limit."""
    retest_of_screen_id: ScreenId | None = Field(
        default=None, examples=["c4b1e2ce-6b57-5a0f-9a3a-1f4d9d0c5e77"]
    )
    """Identifies the breath test that this one repeats. Absent if it repeats none."""


class BreathTestUndone(AttendanceEvent, consumers=("plans",)):
    """The record of a breath test was a mistake.

    Retracts `BreathTestRecorded` of the screen.
    """

    screen_id: ScreenId
    """Identifies the breath test, which is a kind of screen."""
    retest_of_screen_id: ScreenId | None = Field(
        default=None, examples=["c4b1e2ce-6b57-5a0f-9a3a-1f4d9d0c5e77"]
    )
    """Identifies the breath test that this one repeats. Absent if it repeats none."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """The kind of mistake that is taken back."""


class ScreenInterpreted(AttendanceEvent, consumers=("plans", "followup")):
    """A clinician interpreted the result of a screen.

    Published for each interpretation; the latest one of a screen holds. `InterpretationUndone` retracts it.
    """

    screen_id: ScreenId
    """Identifies the screen."""
    collected_at: Timestamp
    """The time at which the specimen was collected. The interpretation is about this time."""
    classification: ScreenClass = Field(examples=["expected_positive"])
    """The clinical meaning of the result."""
    interpreted_by_id: ActorId
    """Identifies the clinician who interpreted the result."""


class ScreenFailed(AttendanceEvent, consumers=("plans",)):
    """A clinician interpreted the result of a screen as an unexpected positive.

    Published together with `ScreenInterpreted` of the same screen, so react to one of the two only. It is never
    published for a prescribed substance, a dilute specimen or a refusal. The next `ScreenInterpreted` of the screen
    replaces it, and `InterpretationUndone` retracts it.
    """

    screen_id: ScreenId
    """Identifies the screen."""
    collected_at: Timestamp
    """The time at which the specimen was collected."""
    matrix: Matrix = Field(examples=["urine"])
    """The kind of specimen that was tested."""
    interpreted_by_id: ActorId
    """Identifies the clinician who interpreted the result."""


class InterpretationUndone(AttendanceEvent, consumers=("plans", "followup")):
    """The interpretation of a screen's result was a mistake.

    Retracts `ScreenInterpreted` and `ScreenFailed` of the screen, which waits for an interpretation again.
    """

    screen_id: ScreenId
    """Identifies the screen."""
    reason: MistakeReason = Field(examples=["not_intended"])
    """The kind of mistake that is taken back."""


class MutualSupportLogged(AttendanceEvent, consumers=("plans",)):
    """The person attended a meeting of a mutual-support fellowship.

    A meeting counts toward goals and never toward the hours of a week. `MutualSupportUndone` retracts it.
    """

    meeting_id: MeetingId
    """Identifies the record of the meeting."""
    fellowship: Fellowship = Field(examples=["smart"])
    """The fellowship that held the meeting."""
    attended_on: Day
    """The day of the meeting, in the facility's time zone."""
    verification: Verification = Field(examples=["self"])
    """How the attendance of the meeting was verified."""


class MutualSupportUndone(AttendanceEvent, consumers=("plans",)):
    """The record of a mutual-support meeting was a mistake.

    Retracts `MutualSupportLogged` of the meeting.
    """

    meeting_id: MeetingId
    """Identifies the record of the meeting."""
    reason: MistakeReason = Field(examples=["duplicate"])
    """The kind of mistake that is taken back."""


class MutualSupportRequirementSet(AttendanceEvent, consumers=("plans",)):
    """The person chose how much mutual support the program asks of them.

    Published for each choice; the latest one holds. To opt out has no consequence for the person.
    """

    opted_out: bool = Field(examples=[True])
    """Whether the person chose to attend no meetings."""
    meetings_per_week: int = Field(ge=0, le=14, examples=[0])
    """The number of meetings per week that the program asks for from now on. It is 0 if the person opted out."""


class FamilySessionAttended(AttendanceEvent, consumers=("plans",)):
    """A family member or another supporter of the person took part in a session.

    Published once for each attendee and session. `FamilySessionUndone` retracts it.
    """

    session_id: SessionId
    """Identifies the session."""
    attendee_id: AttendeeId
    """Identifies the supporter who took part. The name is not published."""
    minutes_attended: SessionMinutes = Field(examples=[90])
    """The minutes of the session that the supporter attended."""
    patient_present: bool = Field(examples=[True])
    """Whether the person in treatment took part. The minutes count toward the person's week only if this is true."""
    kind: FamilySessionKind | None = Field(default=None, examples=["education"])
    """The kind of family session. Absent if it was not recorded."""


class FamilySessionUndone(AttendanceEvent, consumers=("plans",)):
    """The record that a family member or supporter took part in a session was a mistake.

    Retracts `FamilySessionAttended` of the same session and attendee.
    """

    session_id: SessionId
    """Identifies the session."""
    attendee_id: AttendeeId
    """Identifies the supporter who had been recorded."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """The kind of mistake that is taken back."""


class IncentiveLedger(Value):
    """The state of the person's ledger of incentives after the event. The person is the subject of the event."""

    episode_id: EpisodeId
    """Identifies the episode to which the incentive belongs."""
    year: int = Field(ge=2000, le=9999, examples=[2026])
    """The calendar year of the totals, in the facility's time zone."""
    total_cents: Cents = Field(examples=[4500])
    """The sum of everything that the person has earned in this year, after this event, in US cents."""


class IncentiveEarned(IncentiveLedger, AttendanceEvent, subject="person"):
    """The person earned an incentive for a behavior that the program rewards.

    Published for each entry of the person's ledger. `IncentiveUndone` retracts it.
    """

    entry_id: LedgerEntryId
    """Identifies the entry in the person's ledger."""
    amount_cents: Cents
    """The amount of this entry, in US cents. The yearly cap may have reduced it."""
    cap_cents: Cents = Field(examples=[75000])
    """The maximum that one person may earn in one calendar year, in US cents."""


class IncentiveUndone(IncentiveLedger, AttendanceEvent, subject="person"):
    """An incentive was removed from the person's ledger, because its episode is not theirs or is not valid.

    Retracts `IncentiveEarned` with the same `entry_id`. Published by rule after a correction of the episode; the event
    of that correction has its reason.
    """

    entry_id: LedgerEntryId
    """Identifies the entry that is removed from the person's ledger."""
    amount_cents: Cents
    """The amount of the removed entry, in US cents. It is no longer part of `total_cents`."""
    cause: LedgerCorrection = Field(examples=["admission_undone"])
    """The correction of the episode that led to the removal."""


class IncentiveReset(IncentiveLedger, AttendanceEvent, subject="person"):
    """The amount of the person's next incentive was set back to the base amount.

    Published because of a screen. What the person has earned stays. `IncentiveResetUndone` retracts it.
    """

    screen_id: ScreenId
    """Identifies the screen or breath test that led to the reset."""
    next_cents: Cents = Field(examples=[250])
    """The amount of the person's next incentive after this event, in US cents."""
    cap_cents: Cents = Field(examples=[75000])
    """The maximum that one person may earn in one calendar year, in US cents."""


class IncentiveResetUndone(IncentiveLedger, AttendanceEvent, subject="person"):
    """The screen that set back the amount of the next incentive no longer counts against the person.

    Retracts `IncentiveReset` of the same screen. Published by rule when the screen is interpreted anew or when a fact
    about it is retracted.
    """

    screen_id: ScreenId
    """Identifies the screen or breath test that had led to the reset."""
    next_cents: Cents = Field(examples=[375])
    """The amount of the person's next incentive after this event, in US cents."""
    cap_cents: Cents = Field(examples=[75000])
    """The maximum that one person may earn in one calendar year, in US cents."""


class LoopEscalated(Escalation, AttendanceEvent):
    """An open task about the episode missed its deadline, and the next role owns it.

    Published for each step of the escalation. `EscalationCleared` with the same `loop_id` retracts all steps.
    """

    loop: AttendanceLoop = Field(examples=["screen_interpretation"])
    """The kind of task."""


class EscalationCleared(Clearance, AttendanceEvent):
    """The escalation of a task about the episode ended.

    Retracts every `LoopEscalated` with the same `loop_id`.
    """

    loop: AttendanceLoop = Field(examples=["screen_interpretation"])
    """The kind of task."""


# --- loops of sessions and groups, which are subjects of their own ---------------------------------------


class SessionLoopEscalated(
    Escalation,
    AttendanceEvent,
    subject="session",
    sensitivity="operational",
):
    """An open task about a session missed its deadline, and the next role owns it.

    An example is a session whose attendance nobody recorded. Published for each step of the escalation.
    `SessionEscalationCleared` with the same `loop_id` retracts all steps.
    """

    loop: AttendanceLoop = Field(examples=["roll_call"])
    """The kind of task."""


class SessionEscalationCleared(
    Clearance,
    AttendanceEvent,
    subject="session",
    sensitivity="operational",
):
    """The escalation of a task about a session ended.

    Retracts every `SessionLoopEscalated` with the same `loop_id`.
    """

    loop: AttendanceLoop = Field(examples=["roll_call"])
    """The kind of task."""


class GroupLoopEscalated(
    Escalation,
    AttendanceEvent,
    subject="group",
    sensitivity="operational",
):
    """An open task about a group missed its deadline, and the next role owns it.

    An example is a group with too few people. Published for each step of the escalation. `GroupEscalationCleared` with
    the same `loop_id` retracts all steps.
    """

    loop: AttendanceLoop = Field(examples=["group_size"])
    """The kind of task."""


class GroupEscalationCleared(
    Clearance,
    AttendanceEvent,
    subject="group",
    sensitivity="operational",
):
    """The escalation of a task about a group ended.

    Retracts every `GroupLoopEscalated` with the same `loop_id`.
    """

    loop: AttendanceLoop = Field(examples=["group_size"])
    """The kind of task."""

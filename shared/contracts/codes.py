"""Ids, code lists and small values that the publishers' files are written in.

Every code list is an `OpenEnum`: a writer picks a listed member, a reader turns a member it does
not know into `UNKNOWN`. A string that is not a code list always has a pattern, and a code that a
caller sends is registered beforehand (`RegisteredIn`), so that no free text, and with it no
personal data, can reach the bus.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, Literal, Self
from uuid import NAMESPACE_URL, uuid5

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    JsonValue,
    model_validator,
)
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from .attributes import FACILITY, UUID
from .event import OpenEnum
from .times import day_written, instant_written

UUID_PATTERN: Final = f"^{UUID}$"
CODE_PATTERN: Final = r"^[a-z0-9][a-z0-9_.-]{0,39}$"


@dataclass(frozen=True, slots=True)
class RegisteredIn:
    """Of a code: it is registered beforehand, under this name, in what the facility has configured.

    A caller's code is looked up there, so that nothing a caller makes up reaches the bus. A reader takes any code of
    the pattern, for it does not know what others have registered.
    """

    registry: str

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Name the registry in the published schema."""
        schema = handler(core)
        schema["x-registered"] = self.registry
        return schema


REGISTRIES: Final = {
    "partners": "the partners that intake has registered, and the facility itself",
    "notices": "the redisclosure notices of the directory",
    "metrics": "the metrics of goals in the directory",
    "rules": "`rules` of the programs, and of the directory",
    "topics": "`topics` of the programs, and of the directory",
    "tracks": "`tracks` of the programs, and of the directory",
    "elements": "`aftercare.elements` of the programs, and of the directory",
    "panels": "the laboratory's panels, `screens.panels` of the programs, and the directory",
    "analytes": "the laboratory's analytes, and the directory",
    "programs": "the programs themselves: `program` and `aliases`",
    "conditions": "`eligibility` of the programs, and the levels of care that one does not offer",
    "criteria": "`graduation.criteria` of the programs, and the usual ones",
    "behaviors": "`further.behaviors` of the programs",
    "versions": "`version` of the programs, and of the facility's tables",
    "time-zones": "the IANA time zone database",
}
"""Where each kind of registered code stands. The directory is `CARE_DIRECTORY`, the programs are `CARE_PROGRAMS`."""


def _uuid(kind: str) -> FieldInfo:
    example = str(uuid5(NAMESPACE_URL, f"urn:throughcare:example:{kind}"))
    info: FieldInfo = Field(pattern=UUID_PATTERN, examples=[example])
    return info


def _code(example: str, pattern: str = CODE_PATTERN) -> FieldInfo:
    info: FieldInfo = Field(pattern=pattern, examples=[example])
    return info


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # at the ends of the calendar; pydantic reports a ValueError as invalid
        raise ValueError("the moment is outside the calendar") from None


# --- ids: opaque, and never derived from anything outside the product -------------------------

ActorId = Annotated[str, _uuid("actor")]
AgreementId = Annotated[str, _uuid("agreement")]
AftercarePlanId = Annotated[str, _uuid("aftercare-plan")]
AssessmentId = Annotated[str, _uuid("assessment")]
AttendeeId = Annotated[str, _uuid("attendee")]
CheckInId = Annotated[str, _uuid("check-in")]
CircumstanceId = Annotated[str, _uuid("circumstance")]
ConsentId = Annotated[str, _uuid("consent")]
DeliveryId = Annotated[str, _uuid("delivery")]
DisclosureId = Annotated[str, _uuid("disclosure")]
EpisodeId = Annotated[str, _uuid("episode")]
EventId = Annotated[str, _uuid("event")]
GoalId = Annotated[str, _uuid("goal")]
GroupId = Annotated[str, _uuid("group")]
LedgerEntryId = Annotated[str, _uuid("ledger-entry")]
LoopId = Annotated[str, _uuid("loop")]
MeetingId = Annotated[str, _uuid("meeting")]
PersonId = Annotated[str, _uuid("person")]
PlanId = Annotated[str, _uuid("plan")]
ReengagementId = Annotated[str, _uuid("reengagement")]
ReferralId = Annotated[str, _uuid("referral")]
ReportId = Annotated[str, _uuid("report")]
ReviewId = Annotated[str, _uuid("review")]
ScreenId = Annotated[str, _uuid("screen")]
SessionId = Annotated[str, _uuid("session")]
StaffId = Annotated[str, _uuid("staff")]
TransitionId = Annotated[str, _uuid("transition")]
WaitlistId = Annotated[str, _uuid("waitlist")]
FacilityId = Annotated[str, _code("harbor-detox", f"^{FACILITY}$"), RegisteredIn("partners")]

# --- codes that a facility registers, so that they cannot be listed here -----------------------

AnalyteCode = Annotated[str, _code("buprenorphine"), RegisteredIn("analytes")]
BehaviorCode = Annotated[str, _code("screen"), RegisteredIn("behaviors")]
ConditionCode = Annotated[str, _code("stable-home"), RegisteredIn("conditions")]
CriterionCode = Annotated[str, _code("goals-met"), RegisteredIn("criteria")]
ElementCode = Annotated[str, _code("crisis-contacts"), RegisteredIn("elements")]
MetricCode = Annotated[str, _code("support-meetings"), RegisteredIn("metrics")]
NoticeVersion = Annotated[str, _code("part2-2024"), RegisteredIn("notices")]
PanelCode = Annotated[str, _code("urine-12"), RegisteredIn("panels")]
ProgramCode = Annotated[str, _code("iop-adult"), RegisteredIn("programs")]
RuleCode = Annotated[str, _code("attendance"), RegisteredIn("rules")]
TopicCode = Annotated[str, _code("relapse-prevention"), RegisteredIn("topics")]
TrackCode = Annotated[str, _code("evening-adult"), RegisteredIn("tracks")]
VersionCode = Annotated[str, _code("2026.1"), RegisteredIn("versions")]
Sha256 = Annotated[str, _code("9f" * 32, r"^[0-9a-f]{64}$")]
TimeZoneName = Annotated[
    str,
    _code("America/Chicago", r"^[A-Za-z]{2,20}(/[A-Za-z0-9_+-]{1,30}){0,2}$"),
    RegisteredIn("time-zones"),
]
Code = Annotated[str, _code("evening-adult")]
"""A code of no registry: it stays within its service, and is in no event."""

# --- numbers and times ------------------------------------------------------------------------

Timestamp = Annotated[
    AwareDatetime,
    BeforeValidator(instant_written),
    AfterValidator(_in_utc),
    Field(examples=["2026-03-02T15:00:00Z"]),
]
Day = Annotated[date, BeforeValidator(day_written), Field(examples=["2026-03-09"])]
WeekMinutes = Annotated[int, Field(ge=0, le=7 * 24 * 60, examples=[540])]
SessionMinutes = Annotated[int, Field(ge=0, le=24 * 60, examples=[180])]
Cents = Annotated[int, Field(ge=0, le=1_000_000, examples=[500])]
Count = Annotated[int, Field(ge=0, le=100_000, examples=[2])]
Quantity = Annotated[float, Field(allow_inf_nan=False, ge=-1e9, le=1e9, examples=[3.0])]


class Value(BaseModel):
    """A small immutable value inside an event."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    def replace(self, **changes: Any) -> Self:
        """This value with some fields replaced. The new values are trusted: they are not validated."""
        return self.model_copy(update=changes)


# --- level of care ----------------------------------------------------------------------------

AsamEdition = Literal["3", "4"]

LEVEL_CODES: Final[dict[AsamEdition, frozenset[str]]] = {
    "3": frozenset(
        [
            *("0.5", "1", "2.1", "2.5", "3.1", "3.3", "3.5", "3.7", "4"),
            *("1-WM", "2-WM", "3.2-WM", "3.7-WM", "4-WM"),
        ]
    ),
    "4": frozenset(["1.0", "1.5", "1.7", "2.1", "2.5", "2.7", "3.1", "3.5", "3.7", "4.0"]),
}
"""The level codes of each edition. 3rd-edition withdrawal management has levels of its own."""


def _codes_by_edition(schema: JsonDict) -> None:
    editions: list[JsonValue] = []
    for edition, codes in LEVEL_CODES.items():
        editions.append(
            {"properties": {"edition": {"const": edition}, "code": {"enum": [*sorted(codes)]}}}
        )
    schema["oneOf"] = editions


_LEVEL_EXAMPLE: Final = {"system": "asam", "edition": "4", "code": "2.1"}


class LevelOfCare(Value):
    """A level of care. A bare number is none, because it means different levels on different scales."""

    # Closed for readers too: docs/decisions/0019-levels-are-closed.md.
    model_config = ConfigDict(json_schema_extra=_codes_by_edition)

    system: Literal["asam"] = Field(examples=["asam"])
    """The system of the level: the criteria of the American Society of Addiction Medicine (ASAM)."""
    edition: AsamEdition = Field(examples=["4"])
    """The edition of the criteria. Levels of different editions are never converted."""
    code: str = Field(pattern=r"^[0-4](\.[0-9])?(-WM)?$", examples=["2.1"])
    """The code of the level in that edition."""

    @model_validator(mode="after")
    def _code_is_of_the_edition(self) -> Self:
        if self.code not in LEVEL_CODES[self.edition]:
            raise ValueError("the code is not a level of this edition")
        return self

    def seed_tier(self) -> str:
        """Return what the five-step scale calls it: a label for people, never for a decision."""
        if self.code.endswith("-WM"):
            return "withdrawal management"
        if self.code in {"2.5", "2.7"}:
            return "tier 3, slightly higher"
        if self.code == "0.5":
            return "tier 1"
        return f"tier {int(self.code[0]) + 1}"


class Dimension(Value):
    """A dimension of the ASAM assessment. Editions number their dimensions differently."""

    edition: AsamEdition = Field(examples=["4"])
    """The edition of the ASAM Criteria to which the number belongs."""
    number: int = Field(ge=1, le=6, examples=[4])
    """The number of the dimension in that edition."""


Level = Annotated[LevelOfCare, Field(examples=[_LEVEL_EXAMPLE])]
Drivers = Annotated[
    tuple[Dimension, ...], Field(max_length=6, examples=[[{"edition": "4", "number": 4}]])
]


# --- open loops: the same two facts for every publisher ---------------------------------------


class Role(OpenEnum):
    """The role of somebody who acts or who owns a task. It never names a person."""

    INTAKE_COORDINATOR = (
        "intake_coordinator",
        "Receives referrals and leads people to the admission.",
    )
    COUNSELOR = "counselor", "Leads groups and individual sessions and keeps the treatment plan."
    CLINICIAN = "clinician", "A licensed clinician, who assesses, recommends and decides."
    NURSE = "nurse", "Collects specimens and cares for medical needs."
    CASE_MANAGER = "case_manager", "Coordinates services outside the program and aftercare."
    PEER_SPECIALIST = "peer_specialist", "Supports people from their own experience of recovery."
    CLINICAL_SUPERVISOR = "clinical_supervisor", "Supervises the clinical work of the facility."
    PROGRAM_DIRECTOR = "program_director", "Is responsible for the program."
    PRIVACY_OFFICER = "privacy_officer", "Is responsible for consents and disclosures."
    OPERATOR = "operator", "Runs the software for the facilities."
    PARTNER = "partner", "A partner organization."
    SYSTEM = "system", "The software itself, by rule."
    UNKNOWN = "unknown"


class ClearedReason(OpenEnum):
    """The reason why the escalation of a task ended."""

    RESOLVED = "resolved", "The task was done."
    WITHDRAWN = "withdrawn", "The fact that called for the task was taken back."
    SUPERSEDED = "superseded", "Another fact made the task unnecessary."
    EPISODE_CLOSED = "episode_closed", "The episode ended."
    ENTERED_IN_ERROR = "entered_in_error", "The episode was entered in error."
    UNKNOWN = "unknown"


class Escalation(Value):
    """One step of the escalation of a task."""

    loop_id: LoopId
    """Identifies the open task."""
    owner_role: Role = Field(examples=["case_manager"])
    """The role that owns the task from this step on."""
    step: int = Field(ge=1, le=20, examples=[1])
    """The step of the escalation. Step 1 is the first missed deadline."""
    deadline_at: Timestamp
    """The time at which the next step follows, unless somebody completes the task."""


class Clearance(Value):
    """The end of the escalation of a task."""

    loop_id: LoopId
    """Identifies the task whose escalation ended."""
    step_reached: int = Field(ge=1, le=20, examples=[1])
    """The highest step of the escalation that was published."""
    reason: ClearedReason = Field(examples=["resolved"])
    """The reason why the escalation ended."""


class MistakeReason(OpenEnum):
    """The kind of mistake because of which something is taken back."""

    WRONG_PERSON = "wrong_person", "It was recorded for the wrong person."
    DUPLICATE = "duplicate", "It had been recorded already."
    NOT_INTENDED = "not_intended", "It was recorded unintentionally."
    WRONG_PROGRAM = "wrong_program", "It was recorded for the wrong program."
    TEST_ENTRY = "test_entry", "It was entered as a test."
    OTHER = "other", "None of the other reasons applies."
    UNKNOWN = "unknown"


class IntakeLoop(OpenEnum):
    """A kind of task of the intake service."""

    REFERRAL_ACKNOWLEDGEMENT = "referral_acknowledgement", "Somebody has to take on the referral."
    ASSESSMENT = "assessment", "The person has to be assessed."
    EMERGENCY_RESPONSE = "emergency_response", "An imminent danger needs a response."
    RECOMMENDATION = "recommendation", "A level of care has to be recommended."
    PLACEMENT = "placement", "The place of treatment has to be decided."
    WAITLIST = "waitlist", "The person waits for a place."
    ADMISSION = "admission", "The person has to be admitted."
    REFERRAL_CLOSURE = "referral_closure", "A referral that leads nowhere has to be closed."
    ORIENTATION = "orientation", "The person needs an orientation."
    DOUBLE_ADMISSION = "double_admission", "The person seems to be admitted twice."
    OUTBOUND_REFERRAL = "outbound_referral", "A partner has to answer a referral."
    READMISSION = "readmission", "A requested readmission has to be prepared."
    DISCLOSURE_REVIEW = (
        "disclosure_review",
        "A disclosure without valid consent has to be reviewed.",
    )
    DISCLOSURE_REPORT = (
        "disclosure_report",
        "It has to be reported whether an allowed disclosure was made.",
    )
    MISSING_FACT = "missing_fact", "A fact that another service publishes has not arrived."
    UNKNOWN = "unknown"


class PlansLoop(OpenEnum):
    """A kind of task of the plans service."""

    TREATMENT_PLAN = "treatment_plan", "A treatment plan has to be signed."
    PLAN_REVIEW = "plan_review", "The treatment plan has to be reviewed."
    CLINICAL_REVIEW = "clinical_review", "A clinician has to review the episode."
    LEVEL_CHANGE = "level_change", "A change of the level of care has to be decided."
    NEXT_APPOINTMENT = (
        "next_appointment",
        "The person needs the first appointment at the new level of care.",
    )
    CONTINUED_SERVICE = (
        "continued_service",
        "The continuation of the treatment has to be justified.",
    )
    PROGRAM_HOURS = "program_hours", "The program offered fewer hours than required."
    TRANSFER = "transfer", "A transfer to another facility has to be carried out."
    AFTERCARE_PLAN = "aftercare_plan", "The aftercare plan has to be completed."
    DISCHARGE = "discharge", "The end of the treatment has to be decided."
    MISSING_FACT = "missing_fact", "A fact that another service publishes has not arrived."
    UNKNOWN = "unknown"


class AttendanceLoop(OpenEnum):
    """A kind of task of the attendance service."""

    SEAT = "seat", "The person needs a seat in a group."
    GROUP_SIZE = "group_size", "A group has too few people."
    ROLL_CALL = "roll_call", "The attendance of a session has to be recorded."
    WALK_IN = "walk_in", "A person who came unexpectedly has to be assigned."
    LEADER = "leader", "A session needs a leader."
    SIGN_OFF = "sign_off", "The record of a session has to be signed."
    DOUBLE_BOOKING = "double_booking", "A person is scheduled for two sessions at the same time."
    MAKE_UP = "make_up", "Missing minutes have to be made up."
    SPECIMEN = "specimen", "A specimen has to be collected."
    SCREEN_RESULT = "screen_result", "A laboratory result is due."
    SCREEN_INTERPRETATION = "screen_interpretation", "A clinician has to interpret a result."
    SCREEN_RETEST = "screen_retest", "A screen has to be repeated."
    SCREEN_DUE = "screen_due", "A screen has to be ordered."
    # Nobody waits for it here: the private review of a missing medicine is a clinical review, which plans owns.
    ADHERENCE_REVIEW = (
        "adherence_review",
        "It has to be reviewed whether a prescribed medication is taken.",
    )
    SAFE_DEPARTURE = (
        "safe_departure",
        "A person with a positive breath test has to get home safely.",
    )
    RETURN_AFTER_PAUSE = (
        "return_after_pause",
        "The return of the person after a pause has to be prepared.",
    )
    MISSING_FACT = "missing_fact", "A fact that another service publishes has not arrived."
    UNKNOWN = "unknown"


class FollowupLoop(OpenEnum):
    """A kind of task of the followup service."""

    OUTREACH = "outreach", "The person has to be reached."
    CHECK_IN = "check_in", "A check-in has to take place."
    RISK_RESPONSE = "risk_response", "A risk needs a response."
    AFTERCARE_PLAN = "aftercare_plan", "The elements of aftercare have to be agreed."
    FIRST_APPOINTMENT = (
        "first_appointment",
        "It has to be verified that the first appointment took place.",
    )
    REENGAGEMENT = "reengagement", "The person has to be led back into care."
    LOST_CONTACT = "lost_contact", "Contact with the person is lost and has to be sought."
    CIRCUMSTANCE = (
        "circumstance",
        "A death, imprisonment, hospital stay or move has to be followed up.",
    )
    TIMELY_VISIT = (
        "timely_visit",
        "The person has to be seen in time after an emergency visit or a discharge elsewhere.",
    )
    MISSING_FACT = "missing_fact", "A fact that another service publishes has not arrived."
    UNKNOWN = "unknown"


# --- code lists used by more than one publisher -----------------------------------------------


class Population(OpenEnum):
    """The population of a person, which determines required hours and forms."""

    ADULT = "adult", "The person is treated as an adult."
    ADOLESCENT = "adolescent", "The person is treated as an adolescent."
    UNKNOWN = "unknown"


class CoOccurring(OpenEnum):
    """How much integrated mental-health care a person needs."""

    NONE = "none", "No integrated mental-health care is needed."
    CAPABLE = "capable", "A program that can also treat mental-health conditions is needed."
    ENHANCED = "enhanced", "A program that fully integrates mental-health care is needed."
    UNKNOWN = "unknown"


class Modality(OpenEnum):
    """The kind of a service or session."""

    GROUP = "group", "A group session."
    INDIVIDUAL = "individual", "An individual session."
    FAMILY = "family", "A session with the family."
    PSYCHOEDUCATION = "psychoeducation", "A session that teaches about the disorder and recovery."
    MEDICATION = "medication", "Management of medication."
    CASE_MANAGEMENT = "case_management", "Coordination of services outside the program."
    WELLNESS = "wellness", "A holistic service, such as yoga."
    UNKNOWN = "unknown"


class Urgency(OpenEnum):
    """How soon a person has to be seen."""

    ROUTINE = "routine", "The person can wait for the next regular appointment."
    URGENT = "urgent", "The person has to be seen soon."
    EMERGENT = "emergent", "The person has to be seen at once."
    UNKNOWN = "unknown"


class Milestone(OpenEnum):
    """When a check-in is due, counted from the discharge."""

    HOURS_72 = "hours_72", "72 hours after the discharge."
    DAYS_7 = "days_7", "7 days after the discharge."
    DAYS_14 = "days_14", "14 days after the discharge."
    DAYS_30 = "days_30", "30 days after the discharge."
    DAYS_60 = "days_60", "60 days after the discharge."
    DAYS_90 = "days_90", "90 days after the discharge."
    MONTHS_6 = "months_6", "6 months after the discharge."
    MONTHS_9 = "months_9", "9 months after the discharge."
    MONTHS_12 = "months_12", "12 months after the discharge."
    UNKNOWN = "unknown"

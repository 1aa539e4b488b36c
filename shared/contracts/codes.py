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
    """A level of care. Never a bare number: "3" is IOP on one scale and residential on another."""

    # Closed for readers too: docs/decisions/0019-levels-are-closed.md.
    model_config = ConfigDict(json_schema_extra=_codes_by_edition)

    system: Literal["asam"] = Field(examples=["asam"])
    """The scale: the criteria of the American Society of Addiction Medicine."""
    edition: AsamEdition = Field(examples=["4"])
    """The edition of the criteria; editions coexist and are never converted."""
    code: str = Field(pattern=r"^[0-4](\.[0-9])?(-WM)?$", examples=["2.1"])
    """The level's code in that edition."""

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
    """One assessment dimension. The number alone is ambiguous: editions order them differently."""

    edition: AsamEdition = Field(examples=["4"])
    """The edition that the number belongs to."""
    number: int = Field(ge=1, le=6, examples=[4])
    """The dimension's number in that edition."""


Level = Annotated[LevelOfCare, Field(examples=[_LEVEL_EXAMPLE])]
Drivers = Annotated[
    tuple[Dimension, ...], Field(max_length=6, examples=[[{"edition": "4", "number": 4}]])
]


# --- open loops: the same two facts for every publisher ---------------------------------------


class Role(OpenEnum):
    """Who acts, and who owns a loop: a role, never a person."""

    INTAKE_COORDINATOR = "intake_coordinator"
    COUNSELOR = "counselor"
    CLINICIAN = "clinician"
    NURSE = "nurse"
    CASE_MANAGER = "case_manager"
    PEER_SPECIALIST = "peer_specialist"
    CLINICAL_SUPERVISOR = "clinical_supervisor"
    PROGRAM_DIRECTOR = "program_director"
    PRIVACY_OFFICER = "privacy_officer"
    OPERATOR = "operator"
    PARTNER = "partner"
    SYSTEM = "system"
    UNKNOWN = "unknown"


class ClearedReason(OpenEnum):
    """Why an escalation ended."""

    RESOLVED = "resolved"
    WITHDRAWN = "withdrawn"
    SUPERSEDED = "superseded"
    EPISODE_CLOSED = "episode_closed"
    ENTERED_IN_ERROR = "entered_in_error"
    UNKNOWN = "unknown"


class Escalation(Value):
    """What every `LoopEscalated` says beside the kind of loop."""

    loop_id: LoopId
    """The open loop."""
    owner_role: Role = Field(examples=["case_manager"])
    """The role that owns the loop from this step on."""
    step: int = Field(ge=1, le=20, examples=[1])
    """The step reached: 1 is the first missed deadline."""
    deadline_at: Timestamp
    """When the next step comes unless the loop is closed."""


class Clearance(Value):
    """What every `EscalationCleared` says beside the kind of loop."""

    loop_id: LoopId
    """The loop whose escalation no longer stands."""
    step_reached: int = Field(ge=1, le=20, examples=[1])
    """The highest step that had been announced."""
    reason: ClearedReason = Field(examples=["resolved"])
    """Why it no longer stands."""


class MistakeReason(OpenEnum):
    """Why something is taken back."""

    WRONG_PERSON = "wrong_person"
    DUPLICATE = "duplicate"
    NOT_INTENDED = "not_intended"
    WRONG_PROGRAM = "wrong_program"
    TEST_ENTRY = "test_entry"
    OTHER = "other"
    UNKNOWN = "unknown"


class IntakeLoop(OpenEnum):
    """What intake waits for."""

    REFERRAL_ACKNOWLEDGEMENT = "referral_acknowledgement"
    ASSESSMENT = "assessment"
    EMERGENCY_RESPONSE = "emergency_response"
    RECOMMENDATION = "recommendation"
    PLACEMENT = "placement"
    WAITLIST = "waitlist"
    ADMISSION = "admission"
    REFERRAL_CLOSURE = "referral_closure"
    ORIENTATION = "orientation"
    DOUBLE_ADMISSION = "double_admission"
    OUTBOUND_REFERRAL = "outbound_referral"
    READMISSION = "readmission"
    DISCLOSURE_REVIEW = "disclosure_review"
    DISCLOSURE_REPORT = "disclosure_report"
    MISSING_FACT = "missing_fact"
    UNKNOWN = "unknown"


class PlansLoop(OpenEnum):
    """What plans waits for."""

    TREATMENT_PLAN = "treatment_plan"
    PLAN_REVIEW = "plan_review"
    CLINICAL_REVIEW = "clinical_review"
    LEVEL_CHANGE = "level_change"
    NEXT_APPOINTMENT = "next_appointment"
    CONTINUED_SERVICE = "continued_service"
    PROGRAM_HOURS = "program_hours"
    TRANSFER = "transfer"
    AFTERCARE_PLAN = "aftercare_plan"
    DISCHARGE = "discharge"
    MISSING_FACT = "missing_fact"
    UNKNOWN = "unknown"


class AttendanceLoop(OpenEnum):
    """What attendance waits for."""

    SEAT = "seat"
    GROUP_SIZE = "group_size"
    ROLL_CALL = "roll_call"
    WALK_IN = "walk_in"
    LEADER = "leader"
    SIGN_OFF = "sign_off"
    DOUBLE_BOOKING = "double_booking"
    MAKE_UP = "make_up"
    SPECIMEN = "specimen"
    SCREEN_RESULT = "screen_result"
    SCREEN_INTERPRETATION = "screen_interpretation"
    SCREEN_RETEST = "screen_retest"
    SCREEN_DUE = "screen_due"
    # Nobody waits for it here: the private review of a missing medicine is a clinical review, which plans owns.
    ADHERENCE_REVIEW = "adherence_review"
    SAFE_DEPARTURE = "safe_departure"
    RETURN_AFTER_PAUSE = "return_after_pause"
    MISSING_FACT = "missing_fact"
    UNKNOWN = "unknown"


class FollowupLoop(OpenEnum):
    """What followup waits for."""

    OUTREACH = "outreach"
    CHECK_IN = "check_in"
    RISK_RESPONSE = "risk_response"
    AFTERCARE_PLAN = "aftercare_plan"
    FIRST_APPOINTMENT = "first_appointment"
    REENGAGEMENT = "reengagement"
    LOST_CONTACT = "lost_contact"
    CIRCUMSTANCE = "circumstance"
    TIMELY_VISIT = "timely_visit"
    MISSING_FACT = "missing_fact"
    UNKNOWN = "unknown"


# --- code lists used by more than one publisher -----------------------------------------------


class Population(OpenEnum):
    """Which hours band and forms apply."""

    ADULT = "adult"
    ADOLESCENT = "adolescent"
    UNKNOWN = "unknown"


class CoOccurring(OpenEnum):
    """How much integrated mental-health care is needed."""

    NONE = "none"
    CAPABLE = "capable"
    ENHANCED = "enhanced"
    UNKNOWN = "unknown"


class Modality(OpenEnum):
    """The kind of a service or session."""

    GROUP = "group"
    INDIVIDUAL = "individual"
    FAMILY = "family"
    PSYCHOEDUCATION = "psychoeducation"
    MEDICATION = "medication"
    CASE_MANAGEMENT = "case_management"
    WELLNESS = "wellness"
    UNKNOWN = "unknown"


class Urgency(OpenEnum):
    """How fast someone has to be seen."""

    ROUTINE = "routine"
    URGENT = "urgent"
    EMERGENT = "emergent"
    UNKNOWN = "unknown"


class Milestone(OpenEnum):
    """When a check-in is due, counted from discharge."""

    HOURS_72 = "hours_72"
    DAYS_7 = "days_7"
    DAYS_14 = "days_14"
    DAYS_30 = "days_30"
    DAYS_60 = "days_60"
    DAYS_90 = "days_90"
    MONTHS_6 = "months_6"
    MONTHS_9 = "months_9"
    MONTHS_12 = "months_12"
    UNKNOWN = "unknown"

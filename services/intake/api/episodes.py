"""Routes for inbound referrals, assessments and admission. `outbound_referrals.py` has the referrals to partners."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter
from pydantic import AwareDatetime, Field, StrictBool, StrictInt, field_validator

from services.intake import settings
from services.intake.api import views
from services.intake.api.callers import Assessor, Clinician, Staff, Team
from services.intake.api.partners import registered
from services.intake.api.subjects import EPISODE, PERSON
from services.intake.episode import (
    admissions,
    assessments,
    eligibility,
    episode_state,
    inbound_referrals,
    values,
)
from services.intake.person import places
from services.intake.person.person_state import PersonState
from shared import calendar
from shared.calendar import local_day
from shared.contracts.codes import (
    AsamEdition,
    Code,
    CoOccurring,
    EpisodeId,
    FacilityId,
    LevelOfCare,
    PersonId,
    Population,
    ProgramCode,
    RuleCode,
    TimeZoneName,
    Urgency,
)
from shared.contracts.intake import (
    DeclineReason,
    EmergencyAction,
    GapReason,
    OverrideReason,
    PartnerKind,
    ReferralOutcome,
    Severity,
)
from shared.decision import Cause, Decision
from shared.errors import Invalid, Unknown
from shared.loops import KEPT_BACK
from shared.programs.profile import ProgramProfile
from shared.runtime.http.call import Body, Call, OfEpisode, SubjectId
from shared.runtime.http.json_answer import RecordAnswer
from shared.runtime.http.shown import Fields, shows

router = APIRouter(tags=["intake"])


ON_ITS_WAY: Final = 202

ThirdEdition = Annotated[StrictInt, Field(ge=0, le=4)]
FourthEdition = Annotated[str, Field(pattern=r"^([1-4]\.[0-9]|ANY|EVAL)$")]
DimensionNumber = Literal["1", "2", "3", "4", "5", "6"]


class Nothing(Body):
    pass


class ReceiveReferral(Body):
    person_id: PersonId | None = None
    source_kind: PartnerKind
    source_facility_id: FacilityId | None = None
    urgency: Urgency
    requested_level: LevelOfCare | None = None


class DeclineReferral(Body):
    reason: DeclineReason
    alternatives: Annotated[tuple[FacilityId, ...], Field(max_length=20)] = ()


class CloseReferral(Body):
    outcome: ReferralOutcome


class ScheduleAssessment(OfEpisode):
    starts_at: AwareDatetime


class CompleteAssessment(OfEpisode):
    edition: AsamEdition
    ratings: dict[DimensionNumber, ThirdEdition | FourthEdition]
    severity: Severity
    co_occurring: CoOccurring
    imminent_danger: bool
    danger_action: EmergencyAction | None = None
    danger_dimension: Annotated[int, Field(ge=1, le=6)] | None = None


class Recommend(OfEpisode):
    program: ProgramCode | None = None
    answers: Annotated[dict[Code, StrictBool], Field(max_length=100)] = Field(
        default_factory=dict[str, bool]
    )
    override: OverrideReason | None = None


class DecidePlacement(OfEpisode):
    actual_level: LevelOfCare
    gap_reason: GapReason | None = None


class Admit(OfEpisode):
    population: Population
    court_involved: bool
    program: ProgramCode
    length_weeks: Annotated[int, Field(ge=1, le=104)] | None = None
    time_zone: TimeZoneName
    prior_episode_id: EpisodeId | None = None

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        if not calendar.is_zone(name):
            raise ValueError("not a time zone of the IANA database")
        return name


class CompleteOrientation(Body):
    rules_accepted: Annotated[list[RuleCode], Field(max_length=50)]
    part2_notice_at: AwareDatetime


# --- the inbound referral -------------------------------------------------------------------------------


@router.post("/referrals", status_code=201)
@shows(views.Received)
async def receive_referral(call: Staff, body: ReceiveReferral) -> RecordAnswer:
    """Receive a referral. It opens an episode; its id is also the referral's."""
    if body.person_id is not None:
        await call.record(PERSON(body.person_id))
    await registered(call, "source_facility_id", body.source_facility_id)
    person_id = body.person_id or call.new_id("person")
    zone = call.time_zone
    new = values.NewReferral(**body.model_dump(exclude={"person_id"}))
    return await call.execute(
        EPISODE(call.new_id("episode")),
        lambda state, cause: inbound_referrals.receive(state, new, person_id, cause, zone),
        status=201,
        wait_for_handoffs=True,
    )


@router.post("/referrals/{episode_id}/ack")
async def acknowledge_referral(
    call: Staff, episode_id: SubjectId, _body: Nothing | None = None
) -> RecordAnswer:
    """Take a referral on."""
    return await call.execute(EPISODE(episode_id), inbound_referrals.acknowledge)


@router.post("/referrals/{episode_id}/decline")
async def decline_referral(
    call: Staff, episode_id: SubjectId, body: DeclineReferral
) -> RecordAnswer:
    """Decline a referral, with what was offered instead. The episode ends."""
    await registered(call, "alternatives", *body.alternatives)
    return await call.execute(
        EPISODE(episode_id),
        lambda state, cause: inbound_referrals.decline(
            state, body.reason, body.alternatives, cause
        ),
    )


@router.post("/referrals/{episode_id}/close")
async def close_referral(call: Staff, episode_id: SubjectId, body: CloseReferral) -> RecordAnswer:
    """Say what became of a referral that led to no admission here. The episode ends."""
    return await call.execute(
        EPISODE(episode_id),
        lambda state, cause: inbound_referrals.close(state, body.outcome, cause),
    )


# --- the path to the first day --------------------------------------------------------------------------


@router.post("/assessments", status_code=201)
@shows(views.AssessmentScheduled)
async def schedule_assessment(call: Staff, body: ScheduleAssessment) -> RecordAnswer:
    """Give the assessment a time."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: assessments.schedule(state, body.starts_at, cause),
        status=201,
    )


@router.post("/assessments/{assessment_id}/complete")
async def complete_assessment(
    call: Assessor, assessment_id: SubjectId, body: CompleteAssessment
) -> RecordAnswer:
    """Record what the assessment found. Ratings stay in this service."""
    findings = assessments.Findings(**body.model_dump(exclude={"episode_id"}))
    table = settings.rules(settings_of(call).level_rules)
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: assessments.complete(state, assessment_id, findings, table, cause),
    )


@router.post("/assessments/{assessment_id}/recommendation")
@shows(views.RECOMMENDED, views.Recommended)
async def recommend_level(
    call: Clinician, assessment_id: SubjectId, body: Recommend
) -> RecordAnswer:
    """Sign the recommended level, for one program or any of the facility. The answer says whether it suits now.

    `answers` are the program's eligibility codes, yes or no; a clinician may override what is unmet, with a reason.
    Without a `program` only the level is held against the levels that the facility's programs have: no program's
    conditions are asked for, and none is refused for. Name the program as soon as one is applied to.
    """
    application = _application(call, body)
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: assessments.recommend(state, assessment_id, application, cause),
    )


@router.post("/placements")
async def decide_placement(call: Staff, body: DecidePlacement) -> RecordAnswer:
    """Decide the level that the person really goes to, and why it differs, where it does."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: admissions.place(state, body.actual_level, body.gap_reason, cause),
    )


@router.post("/episodes", status_code=201)
@shows(views.Admitted)
async def admit(call: Staff, body: Admit) -> RecordAnswer:
    """Admit the person. The inbound referral's loop closes with it.

    A person has one open episode in a program: their record grants it, and of two who ask one gets it (409
    `program-has-open-episode` for the other). 202: the grant is on its way to the episode.
    """
    if body.prior_episode_id is not None:
        await _same_person(call, body.episode_id, body.prior_episode_id)
    new = admissions.NewAdmission(**body.model_dump(exclude={"episode_id", "program"}))
    profile = _program(call, body.program)
    subject = EPISODE(body.episode_id)
    await call.check_command(subject)
    episode = await call.state(subject)

    def grant(person: PersonState, cause: Cause) -> Decision[PersonState]:
        asked = admissions.admissible(episode, body.episode_id, new, profile)
        return places.grant(person, body.episode_id, asked, cause)

    asked = await call.execute(
        PERSON(episode.person_id), grant, wait_for_handoffs=True, revision_checked=True
    )
    if asked.status_code == ON_ITS_WAY:
        return asked
    return await call.execute(
        subject,
        lambda state, cause: admissions.admitted(state, profile.program, cause),
        status=201,
        revision_checked=True,
    )


@router.post("/episodes/{episode_id}/orientation")
async def complete_orientation(
    call: Team, episode_id: SubjectId, body: CompleteOrientation
) -> RecordAnswer:
    """Record that the person knows every rule of the program and got the confidentiality notice that holds."""
    asks = _orientation(call, (await call.state(EPISODE(episode_id))).admission)
    return await call.execute(
        EPISODE(episode_id),
        lambda state, cause: admissions.orient(
            state, tuple(body.rules_accepted), body.part2_notice_at, asks, cause
        ),
    )


def _orientation(call: Call, admission: values.Admission | None) -> admissions.OrientationAsks:
    """The rules of the program of the admission, as they were on its day; none where it is no longer described."""
    rules: tuple[str, ...] = ()
    if admission is not None:
        day = local_day(admission.admitted_at, admission.time_zone)
        with suppress(Unknown):
            facility_id = call.actor.facility_id
            rules = call.runtime.programs.current(facility_id, admission.program, day).rules
    since = call.runtime.programs.notice_since(call.actor.facility_id, call.today)
    return admissions.OrientationAsks(rules=rules, notice_since=since, time_zone=call.time_zone)


@router.get("/episodes/{episode_id}")
@shows(Fields(episode_state.EpisodeState, without=KEPT_BACK), views.EpisodeView)
async def read_episode(call: Team, episode_id: SubjectId) -> RecordAnswer:
    """How the episode stands. Ratings are not shown."""
    return await call.read(EPISODE(episode_id), episode_view)


def settings_of(call: Call) -> settings.IntakeSettings:
    """The settings of intake. Raises `TypeError` when the replica was started with another service's."""
    found = call.runtime.settings
    if not isinstance(found, settings.IntakeSettings):
        raise TypeError("intake was not started with its own settings")
    return found


def _program(call: Call, program: str) -> ProgramProfile:
    """The program as it holds today. Raises `Unknown`."""
    return call.runtime.programs.current(call.actor.facility_id, program, call.today)


def _application(call: Call, body: Recommend) -> eligibility.Application:
    """What is applied to: one program, or whatever the facility has."""
    if body.program is not None:
        profile = _program(call, body.program)
        return eligibility.apply_to(profile, body.answers, body.override)
    programs = call.runtime.programs.all_current(call.actor.facility_id, call.today)
    levels = tuple(sorted({profile.level.code for profile in programs}))
    return eligibility.Application(offered=levels, answers=body.answers, override=body.override)


async def _same_person(call: Call, episode_id: str, prior_id: str) -> None:
    episode = await call.state(EPISODE(episode_id))
    prior = await call.state(EPISODE(prior_id))
    if episode.person_id != prior.person_id:
        raise Invalid(
            "prior-episode-invalid",
            "The prior episode is not this person's.",
            hint="Check the id.",
        )


def episode_view(state: episode_state.EpisodeState) -> dict[str, Any]:
    """What staff may see of an episode: everything but the ratings."""
    view = state.model_dump(
        mode="json", exclude={**dict.fromkeys(KEPT_BACK, True), "assessment": {"ratings"}}
    )
    return {"stage": state.stage.value, **view}

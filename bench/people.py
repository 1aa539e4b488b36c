"""What services keep of people before the bench begins, made by the services' own rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from services.attendance.app import SERVICE as ATTENDANCE
from services.attendance.laboratory.interpretation import Report
from services.attendance.screening import screens
from services.attendance.settings import laboratory
from services.followup.app import SERVICE as FOLLOWUP
from services.plans import treatment_plan
from services.plans.app import SERVICE as PLANS
from services.plans.episode_state import Goal
from services.plans.tables import Contributor, GoalOwner
from shared.contracts import intake
from shared.contracts.attendance import ScreenStage, SpecimenValidity
from shared.contracts.codes import Dimension, LevelOfCare, Modality, Population
from shared.contracts.plans import GoalUnit, PlannedService
from shared.contracts.terms import HOUSE
from shared.decision import Cause, Decision, derive_id
from shared.runtime.core.record import Record
from shared.runtime.core.work import CommandKey, Decide, OutcomeStatus, StreamPosition, Work
from shared.runtime.service import Service

FACILITY: Final = "harbor-iop"
LEVEL: Final = LevelOfCare(system="asam", edition="4", code="2.1")


def in_treatment(subject: str, at: datetime, now: datetime) -> Record:
    """What plans keeps of somebody who was admitted at `at` and whose plan both have signed."""
    kept = _admitted(PLANS, subject, at, now)
    _command(PLANS, kept, now, "plan", lambda s, c: treatment_plan.draft(s, _plan(subject, now), c))
    for by_patient in (True, False):

        def sign(state: Any, cause: Any, by_patient: bool = by_patient) -> Any:  # noqa: FBT001
            plan_id = state.plan.plan_id
            return treatment_plan.sign(state, plan_id, by_patient=by_patient, cause=cause)

        _command(PLANS, kept, now, f"sign {by_patient}", sign)
    return _of_old(kept)


def screened(subject: str, at: datetime, now: datetime) -> Record:
    """What attendance keeps of somebody whose positive screen waits to be interpreted."""
    kept = _admitted(ATTENDANCE, subject, at, now)
    new = screens.NewScreen(panel="urine-12")
    _command(ATTENDANCE, kept, now, "screen", lambda s, c: screens.order(s, new, c))
    report = Report(
        stage=ScreenStage.DEFINITIVE, validity=SpecimenValidity.VALID, positives=("cocaine",)
    )
    screen_id, tests = screen_of(kept), laboratory()
    taken = screens.Collection(temperature_in_range=True)
    _command(ATTENDANCE, kept, now, "collect", lambda s, c: screens.collect(s, screen_id, taken, c))
    _command(
        ATTENDANCE,
        kept,
        now,
        "result",
        lambda s, c: screens.record_result(s, screen_id, report, tests, c),
    )
    return _of_old(kept)


def screen_of(kept: Record) -> str:
    """The screen of somebody who was `screened`."""
    [screen_id] = _screens(kept.state)
    return screen_id


def _screens(state: Any) -> Mapping[str, Any]:
    return state.screens


def followed(subject: str, at: datetime, now: datetime) -> Record:
    """What followup keeps of somebody in treatment."""
    return _of_old(_admitted(FOLLOWUP, subject, at, now))


def _admitted(service: Service, subject: str, at: datetime, now: datetime) -> Record:
    kind = service.kinds["episode"]
    kept = Record(subject, kind, kind.state(), facility_id=FACILITY)
    admitted = intake.PatientAdmitted(
        person_id=derive_id("bench", subject, "person"),
        level=LEVEL,
        population=Population.ADULT,
        admitted_at=at,
        court_involved=False,
        program="iop-adult",
        length_weeks=104,  # so that no deadline comes while the bench runs
        time_zone="America/New_York",
        terms=HOUSE.replace(version="2026.1"),
    )
    oriented = intake.OrientationCompleted(
        completed_at=at, rules_accepted=("attendance", "screens"), part2_notice_at=at
    )
    for number, event in enumerate((admitted, oriented), start=1):
        reaction = service.reactions.find(event.TYPE.rpartition(".v")[0])
        if reaction is None:
            continue
        event_id = derive_id("bench", subject, "intake", str(number))

        def rule(state: Any, cause: Any, event: Any = event, heard: Any = reaction.rule) -> Any:
            return heard(state, event, cause)

        apply(service, kept, event_id, now, rule, stream=StreamPosition("intake", number, event_id))
    return kept


def _command(
    service: Service,
    kept: Record,
    now: datetime,
    name: str,
    decide: Callable[[Any, Cause], Decision[Any]],
) -> None:
    key = derive_id("bench", kept.subject, name)
    apply(service, kept, key, now, decide, key=key)


def apply(
    service: Service,
    kept: Record,
    cause_id: str,
    now: datetime,
    decide: Decide,
    *,
    stream: StreamPosition | None = None,
    key: str | None = None,
) -> None:
    """Decide as the service would. Raises when it is not applied: the bench's own history has to be a possible one."""
    work = Work(
        subject=kept.subject,
        cause_id=cause_id,
        correlation_id=cause_id,
        facility_id=FACILITY,
        now=now,
        decide=decide,
        stream=stream,
        command=None if key is None else CommandKey(key, key),
    )
    outcome = kept.apply(work, service.source)
    if outcome.status is not OutcomeStatus.APPLIED:
        raise RuntimeError(f"the bench's own history is not applied: {outcome}")


def _of_old(kept: Record) -> Record:
    """What it handed on was applied, and what it said was on topics that are gone: it counts from one again."""
    kept.new_events.clear()
    kept.new_handoffs.clear()
    kept.next_sequence = 1
    return kept


def copy_of(kept: Record) -> Record:
    """The record as it is now: what comes later must not change it."""
    return Record(
        subject=kept.subject,
        kind=kept.kind,
        state=kept.state,
        revision=kept.revision,
        next_sequence=kept.next_sequence,
        facility_id=kept.facility_id,
        inbox=dict(kept.inbox),
        new_commands=list(kept.new_commands),
        touched=True,
    )


def _plan(subject: str, now: datetime) -> treatment_plan.NewPlan:
    goals = tuple(
        Goal(
            goal_id=derive_id("bench", subject, "goal", str(n)),
            dimension=Dimension(edition="4", number=n),
            metric="support-meetings",
            unit=GoalUnit.PER_WEEK,
            baseline=0,
            target=3,
            due_on=now.date() + timedelta(days=60),
            owner=GoalOwner.PATIENT,
            contributors=(Contributor.PATIENT, Contributor.COUNSELOR),
        )
        for n in (3, 4, 5)
    )
    services = (
        PlannedService(modality=Modality.GROUP, sessions_per_week=3, minutes_per_session=180),
        PlannedService(modality=Modality.INDIVIDUAL, sessions_per_week=1, minutes_per_session=60),
    )
    return treatment_plan.NewPlan(goals=goals, services=services)

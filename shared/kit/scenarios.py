"""Whole paths of made-up people, as the services would publish them: for a subscriber's first try and its tests.

Every event is of the published classes. Ids follow from the fields' names, so that one referral, plan or goal is the
same throughout; times follow the days of the path.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from ..contracts import CATALOGUE, attendance, followup, intake, plans
from ..contracts.attributes import UUID
from ..contracts.event import Event
from .history import BEGIN, History, headers_of
from .messages import Kept

FIRST_DAY: Final = date(2026, 3, 2)
FIRST_HOUR: Final = 15
"""When a path begins, in UTC: as `BEGIN` says."""
DIGEST: Final = "9f" * 32


class Path:
    """One person's path: says its events day by day."""

    def __init__(self, history: History, name: str) -> None:
        self.history = history
        self._name = name
        self._day = 0.0
        self.episode = self._subject("episode")

    def _subject(self, kind: str, *which: object) -> str:
        return self.history.subject(kind, self._name, *which)

    def id(self, word: str, *which: object) -> str:
        """The id of something of this path; of a person, group and so on it is the subject's."""
        return self._subject(word, *which).partition("/")[2]

    @property
    def now(self) -> datetime:
        """Where the path has come to."""
        return BEGIN + timedelta(days=self._day)

    def after(self, days: float) -> datetime:
        """This many days from now."""
        return self.now + timedelta(days=days)

    def day(self, later: int = 0) -> date:
        """The day, so many days from now."""
        return FIRST_DAY + timedelta(days=int(self._day + FIRST_HOUR / 24) + later)

    def wait(self, days: float) -> None:
        """Go on so many days."""
        self._day += days

    def say(self, event: type[Event], about: str | None = None, **fields: Any) -> Kept:
        """Say an event now. Fields that are not given are those of the path, or the published example's."""
        values = {**event.example().model_dump(mode="json"), **self._own(event), **fields}
        known = {name: value for name, value in values.items() if value is not None}
        said = event.model_validate_json(json.dumps(known, default=str))
        subject = about or self._subject(event.SUBJECT)
        person = self.id("person") if event.SUBJECT == "episode" else None
        message = self.history.say(said, subject, time=self.now, personid=person)
        self.wait(1 / 1440)
        return message

    def _own(self, event: type[Event]) -> dict[str, Any]:
        """The ids and times that a required field has on this path."""
        found: dict[str, Any] = {}
        for name, info in event.model_fields.items():
            if not info.is_required():
                found[name] = None
            elif name.endswith("_id") and _is_uuid(info.metadata):
                found[name] = self.id(name.removesuffix("_id"))
            elif info.annotation is datetime:
                found[name] = self.now.isoformat()
            elif info.annotation is date:
                found[name] = self.day().isoformat()
        return found


def _is_uuid(metadata: list[Any]) -> bool:
    return any(UUID in str(getattr(one, "pattern", "")) for one in metadata)


# --- parts of paths ---------------------------------------------------------------------------------


def _admitted(path: Path) -> None:
    """From the referral to the first day, with a seat in a group."""
    say = path.say
    say(intake.ReferralReceived)
    say(intake.ReferralAcknowledged, minutes_to_acknowledge=1)
    say(intake.AssessmentScheduled, starts_at=path.after(1))
    path.wait(1)
    say(intake.AssessmentCompleted)
    say(intake.LevelRecommended)
    say(intake.EligibilityDetermined)
    say(intake.PlacementDecided)
    say(intake.ConsentGranted, document_sha256=DIGEST)
    say(attendance.GroupOpened, seats_taken=3)
    say(attendance.SeatReserved, group_id=path.id("group"), seats_left=8)
    path.wait(1)
    say(intake.PatientAdmitted)
    say(intake.CareTeamAssigned, role="counselor", staff_id=path.id("staff"))
    say(intake.OrientationCompleted)
    goal = {**plans.TreatmentPlanActivated.example().goals[0].model_dump(mode="json")}
    goal |= {"goal_id": path.id("goal"), "due_on": path.day(40)}
    say(plans.TreatmentPlanActivated, goals=[goal], next_review_on=path.day(30))


def _session(path: Path, number: int, *, attended: bool = True, later: float = 2) -> Kept:
    """A session of the group, which the person attends or misses."""
    session, starts = path.id("session", number), path.after(1)
    path.say(
        attendance.SessionScheduled,
        f"session/{session}",
        group_id=path.id("group"),
        starts_at=starts,
    )
    path.wait(1.2)
    event = attendance.SessionAttended if attended else attendance.SessionMissed
    said = path.say(event, session_id=session, starts_at=starts)
    path.wait(later - 1.2)
    return said


def _screen(path: Path, number: int, classification: str) -> Kept:
    """A screen from the order to what a clinician makes of it."""
    screen = {"screen_id": path.id("screen", number)}
    path.say(attendance.ScreenOrdered, **screen, window_ends_at=path.after(1))
    path.wait(0.2)
    collected = path.now
    path.say(attendance.SpecimenCollected, **screen)
    path.wait(0.1)
    path.say(attendance.CustodyTransferred, **screen)
    path.wait(1)
    path.say(attendance.ScreenResulted, **screen)
    return path.say(
        attendance.ScreenInterpreted,
        **screen,
        collected_at=collected,
        classification=classification,
    )


def _week(path: Path, first: int) -> None:
    """Three sessions, and the week's hours."""
    monday = path.day()
    for number in range(first, first + 3):
        _session(path, number)
    path.say(
        attendance.WeeklyHoursEvaluated,
        week_starts_on=monday,
        minutes_threshold=540,
        minutes_scheduled=540,
        minutes_offered=540,
        minutes_credited=540,
        met=True,
    )
    path.wait(1)


def _discharged(path: Path, kind: str) -> datetime:
    """The end of the episode, and of its seat."""
    at = path.now
    path.say(plans.EpisodeDischarged, kind=kind, discharged_at=at)
    path.say(
        attendance.SeatReleased,
        group_id=path.id("group"),
        seats_left=9,
        reason="episode_closed",
    )
    return at


# --- the paths ---------------------------------------------------------------------------------------


def graduation(path: Path) -> None:
    """From the referral through four weeks to graduation, and a year of aftercare."""
    _admitted(path)
    for week in range(4):
        _week(path, 3 * week)
        _screen(path, week, "negative")
    say, plan = path.say, {"aftercare_plan_id": path.id("aftercare_plan")}
    say(plans.GoalUpdated, value=2.0)
    say(plans.TreatmentPlanReviewed, next_review_on=path.day(30))
    say(plans.GoalAchieved, value=3.0)
    say(plans.AftercarePlanDrafted, **plan)
    say(plans.GraduationApproved)
    say(plans.ProgramGraduated, **plan)
    _discharged(path, "graduated")
    say(followup.AftercarePlanActivated, **plan)
    for milestone, days in (("days_7", 7), ("days_30", 23), ("days_90", 60), ("months_12", 275)):
        check_in = {"check_in_id": path.id("check_in", milestone)}
        times: dict[str, Any] = {"opens_at": path.after(days - 1), "due_at": path.after(days)}
        closes = path.after(days + 2)
        say(followup.CheckInScheduled, **check_in, milestone=milestone, **times, closes_at=closes)
        path.wait(days)
        say(followup.CheckInCompleted, **check_in)
    say(followup.AftercareCompleted, check_ins_done=4, check_ins_due=4)


def relapse(path: Path) -> None:
    """Sessions missed, an unexpected positive, a clinical review, and more care for a while."""
    _admitted(path)
    _week(path, 0)
    for number in (3, 4):
        _session(path, number, attended=False)
    say = path.say
    say(
        attendance.AbsenceThresholdReached,
        absences_consecutive=2,
        absences_last_14_days=2,
        days_silent=3,
    )
    say(followup.OutreachEscalated)
    report = path.day()
    say(followup.ReturnToUseReported, occurred_on=report)
    _screen(path, 0, "unexpected_positive")
    failed = say(attendance.ScreenFailed, screen_id=path.id("screen", 0))
    say(
        plans.ClinicalReviewRequested,
        trigger="screen",
        trigger_event_id=headers_of(failed)["ce_id"],
        due_at=path.after(1),
    )
    path.wait(0.5)
    say(plans.ClinicalReviewCompleted, outcome="intensify")
    say(plans.TreatmentPlanReviewed, next_review_on=path.day(14))
    _week(path, 5)
    _screen(path, 1, "negative")


def wrong_discharge(path: Path) -> None:
    """Another person's death is entered here; the discharge is taken back, and care goes on."""
    _admitted(path)
    _week(path, 0)
    circumstance = {"circumstance_id": path.id("circumstance")}
    path.say(followup.CircumstanceRecorded, **circumstance, kind="deceased")
    at = _discharged(path, "deceased")
    path.wait(1)
    path.say(plans.DischargeUndone, kind="deceased", discharged_at=at, reason="wrong_person")
    path.say(followup.CircumstanceUndone, **circumstance, reason="wrong_person")
    path.say(attendance.SeatReserved, group_id=path.id("group"), seats_left=8)
    _week(path, 3)


SCENARIOS: Final[Mapping[str, Callable[[Path], None]]] = MappingProxyType(
    {"graduation": graduation, "relapse": relapse, "wrong-discharge": wrong_discharge}
)
"""The paths by name."""


def play(name: str, history: History, which: str = "") -> list[Kept]:
    """Say a whole path; another `which` is another person. Raises `KeyError` for a name that is none."""
    path = Path(history, f"{name}/{which}")
    SCENARIOS[name](path)
    return history.messages


def every_example(history: History) -> list[Kept]:
    """Say the example of each event type once, about one subject of each kind."""
    for event in CATALOGUE.values():
        history.say(event.example(), history.subject(event.SUBJECT, "example"))
    return history.messages

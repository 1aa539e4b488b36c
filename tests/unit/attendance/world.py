"""What the tests of attendance have in common: an episode's record, sessions, and rolls handed over as they are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from services.attendance.app import SERVICE
from services.attendance.episode import handoffs
from services.attendance.groups import roll, session_state, sessions
from shared.contracts import attendance, intake
from shared.contracts.attendance import AttendanceStatus, CancelledBy, Participation, SessionMode
from shared.contracts.codes import LevelOfCare, Modality, Population
from shared.decision import HandoffBody
from shared.runtime.core.work import Outcome, OutcomeStatus, StreamPosition
from tests.unit.support import EPISODE_ID, START, History, fact, uid

ZONE = "America/New_York"
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
NO_SHOW, EXCUSED = AttendanceStatus.NO_SHOW, AttendanceStatus.EXCUSED
ATTENDED = AttendanceStatus.ATTENDED


def level(code: str = "2.1", edition: str = "3") -> LevelOfCare:
    return LevelOfCare.model_validate({"system": "asam", "edition": edition, "code": code})


def local(text: str, zone: str = ZONE, *, fold: int = 0) -> datetime:
    """A wall time, such as `2026-03-02 18:00`."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


def admission(at: datetime = START, **changes: Any) -> intake.PatientAdmitted:
    told = {"level": level(), "time_zone": ZONE, "population": Population.ADULT}
    return fact(intake.PatientAdmitted, admitted_at=at, **{**told, **changes})


class Episode(History):
    """An episode's record in attendance. What sessions hand over carries their own number, as in the service."""

    def __init__(self, at: datetime = START, **changes: Any) -> None:
        super().__init__(
            SERVICE.source,
            SERVICE.kinds["episode"],
            SERVICE.reactions,
            SERVICE.handoffs,
            now=at,
        )
        self.hear(admission(at, **changes))
        self.hear(fact(intake.OrientationCompleted, completed_at=at))
        self._handed: dict[str, int] = {}
        self.booked: dict[str, handoffs.Booked] = {}
        """What was booked, in its order."""

    def hand(self, session_id: str, body: HandoffBody, *, again: int = 0) -> Outcome:
        number = self._handed[session_id] = self._handed.get(session_id, 0) + 1
        rule = self.handoffs.find(type(body).__name__).rule
        work = self._work(
            uid(f"{session_id}/{number}"),
            self.now,
            lambda state, cause: rule(state, body, cause),
            stream=StreamPosition(
                f"self|session/{session_id}", number, uid(f"{session_id}#{number}")
            ),
        )
        outcome = self.record.apply(work, self.source)
        for _ in range(again):
            assert self.record.apply(work, self.source).status is OutcomeStatus.DUPLICATE
        assert outcome.status is OutcomeStatus.APPLIED, outcome
        return outcome

    def book(
        self,
        starts_at: datetime,
        minutes: int = 180,
        modality: Modality = Modality.GROUP,
        *,
        again: int = 0,
        track_days: tuple[int, ...] = (),
    ) -> handoffs.Booked:
        booked = handoffs.Booked(
            track_days=track_days,
            session_id=uid(starts_at.isoformat()),
            starts_at=starts_at,
            minutes_planned=minutes,
            modality=modality,
        )
        self.hand(booked.session_id, booked, again=again)
        self.booked[booked.session_id] = booked
        return booked

    def roll(
        self,
        booked: handoffs.Booked,
        status: AttendanceStatus = ATTENDED,
        minutes: int | None = None,
        *,
        again: int = 0,
    ) -> Outcome:
        called = handoffs.RollCalled(
            session_id=booked.session_id,
            booked=booked,
            status=status,
            minutes_present=booked.minutes_planned if minutes is None else minutes,
            participation=Participation.ACTIVE,
        )
        return self.hand(booked.session_id, called, again=again)

    def drop(self, booked: handoffs.Booked, by: CancelledBy) -> Outcome:
        return self.hand(
            booked.session_id,
            handoffs.Dropped(session_id=booked.session_id, cancelled_by=by, booked=booked),
        )

    def weeks(self) -> list[attendance.WeeklyHoursEvaluated]:
        return self.of(attendance.WeeklyHoursEvaluated)

    def shortfalls(self) -> list[tuple[int, bool]]:
        told = self.of(attendance.WeeklyHoursShortfallDetected)
        return [(event.minutes_short, event.projected) for event in told]

    def thresholds(self) -> list[int]:
        return [event.absences_consecutive for event in self.of(attendance.AbsenceThresholdReached)]


class Session(History):
    """A session's record."""

    def __init__(self, now: datetime = START) -> None:
        super().__init__(
            SERVICE.source,
            SERVICE.kinds["session"],
            SERVICE.reactions,
            SERVICE.handoffs,
            subject=f"session/{uid('session')}",
            now=now,
        )

    def schedule(self, *roster: str, minutes: int = 180) -> Outcome:
        new = session_state.NewSession(
            group_id=None,
            modality=Modality.GROUP,
            topic=None,
            starts_at=START + HOUR,
            minutes_planned=minutes,
            mode=SessionMode.ON_SITE,
            roster=roster or (EPISODE_ID,),
        )
        return self.command(lambda s, c: sessions.schedule(s, new, c))

    def call(self, **statuses: AttendanceStatus) -> Outcome:
        return self.call_early(None, statuses)

    def call_early(
        self, early: session_state.EarlyRoll | None, statuses: Mapping[str, AttendanceStatus]
    ) -> Outcome:
        entries = [
            session_state.RollEntry(
                episode_id=episode,
                status=status,
                minutes_present=180,
                participation=Participation.ACTIVE,
            )
            for episode, status in statuses.items()
        ]
        return self.command(lambda s, c: roll.call_roll(s, entries, early, c))

    def cancel(self, by: CancelledBy = CancelledBy.PROGRAM) -> Outcome:
        return self.command(lambda s, c: sessions.cancel(s, by, c))

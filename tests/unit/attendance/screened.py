"""What the tests of screens have in common: an episode with a screen, and the steps from order to interpretation."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from services.attendance.laboratory import interpretation
from services.attendance.laboratory.interpretation import Report, Screen, UnableReason
from services.attendance.laboratory.panels import Laboratory, Measurements
from services.attendance.screening import screens
from shared.contracts.attendance import (
    CustodyHolder,
    Matrix,
    NotProvidedKind,
    ScreenClass,
    ScreenReason,
    ScreenStage,
    SpecimenValidity,
)
from shared.contracts.plans import ExpectedAnalyte
from tests.unit.attendance.world import Episode, local

MONDAY = local("2026-03-02 09:00")
VALID, DILUTE = SpecimenValidity.VALID, SpecimenValidity.DILUTE
DEFINITIVE, PRESUMPTIVE = ScreenStage.DEFINITIVE, ScreenStage.PRESUMPTIVE
NEGATIVE, INVALID = ScreenClass.NEGATIVE, ScreenClass.INVALID
EXPECTED, UNEXPECTED = ScreenClass.EXPECTED_POSITIVE, ScreenClass.UNEXPECTED_POSITIVE
ABSENT = ScreenClass.EXPECTED_ABSENT


def prescribed(
    code: str = "buprenorphine",
    since: str = "2026-03-01",
    until: str | None = None,
    *,
    verified: bool = True,
) -> ExpectedAnalyte:
    return ExpectedAnalyte(
        code=code,
        from_on=date.fromisoformat(since),
        until_on=None if until is None else date.fromisoformat(until),
        verified=verified,
    )


def a_report(
    *positives: str,
    stage: ScreenStage = DEFINITIVE,
    validity: SpecimenValidity | None = VALID,
    at: datetime | None = None,
    measured: Measurements | None = None,
) -> Report:
    return Report(
        stage=stage, validity=validity, positives=positives, reported_at=at, measured=measured
    )


def a_screen(
    *positives: str,
    validity: SpecimenValidity = VALID,
    panel: str = "urine-12",
    collected_at: datetime,
) -> Screen:
    result = interpretation.read(
        a_report(*positives, validity=validity), panel, Laboratory(), collected_at
    )
    return Screen(
        matrix=Matrix.URINE,
        panel=panel,
        window_ends_at=collected_at,
        collected_at=collected_at,
        results={DEFINITIVE.value: result},
    )


class Screened(Episode):
    """An episode with one screen."""

    def __init__(self, at: datetime = MONDAY, **changes: Any) -> None:
        super().__init__(at, **changes)
        self.screen_id = self.order()

    def order(self, reason: ScreenReason = ScreenReason.RANDOM, of: str | None = None) -> str:
        new = screens.NewScreen(panel="urine-12", reason=reason, retest_of=of)
        outcome = self.command(lambda s, c: screens.order(s, new, c))
        self.screen_id = outcome.answer["screen_id"]
        return self.screen_id

    @property
    def screen(self) -> Screen:
        return self.state.screens[self.screen_id]

    def collect(self) -> None:
        collection = screens.Collection(temperature_in_range=True)
        self.command(lambda s, c: screens.collect(s, self.screen_id, collection, c))

    def hand_on(self, number: int = 2, holder: CustodyHolder = CustodyHolder.COURIER) -> None:
        self.command(lambda s, c: screens.hand_on(s, self.screen_id, holder, number, c))

    def report(self, report: Report, laboratory: Laboratory | None = None) -> None:
        table = laboratory or Laboratory()
        self.command(lambda s, c: screens.record_result(s, self.screen_id, report, table, c))

    def result(
        self,
        *positives: str,
        validity: SpecimenValidity = VALID,
        stage: ScreenStage = DEFINITIVE,
        at: datetime | None = None,
    ) -> None:
        self.report(a_report(*positives, validity=validity, stage=stage, at=at))

    def interpret(self) -> ScreenClass:
        outcome = self.command(lambda s, c: screens.interpret(s, self.screen_id, c))
        return ScreenClass(outcome.answer["classification"])

    def ask_definitive(self) -> None:
        reason = interpretation.DefinitiveReason.CONTESTED
        self.command(lambda s, c: screens.ask_definitive(s, self.screen_id, reason, c))

    def not_provided(self, kind: NotProvidedKind = NotProvidedKind.REFUSED) -> None:
        reason = UnableReason.SHY_BLADDER if kind is NotProvidedKind.UNABLE else None
        self.command(lambda s, c: screens.not_provided(s, self.screen_id, kind, reason, c))

    def screened(self, *positives: str) -> ScreenClass:
        """A further screen a day later, from order to interpretation."""
        self.at(self.now + timedelta(days=1))
        self.order()
        self.collect()
        self.result(*positives)
        return self.interpret()

    @property
    def open(self) -> list[str]:
        """The kinds of the loops that are open, make-ups of hours left out."""
        return sorted(loop.kind for loop in self.state.loops.values() if loop.kind != "make_up")

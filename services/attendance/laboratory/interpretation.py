"""What a specimen means: whether it is valid, what was found in it, and how that is classified. Pure.

A result is read per analyte, never as "opiates" or "positive": each analyte has its own cutoff, a prescribed one is
expected, and a panel that doesn't test an analyte is no evidence about it. Measurements, concentrations and analytes
stay in this service; only verdicts travel. Source: docs/domain.md 3.6 (Screens).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Final

from pydantic import Field

from services.attendance.laboratory.panels import (
    AnalyteResult,
    Laboratory,
    Measurements,
    positive,
    verdict,
    worse,
)
from shared import calendar
from shared.contracts.attendance import (
    CustodyHolder,
    Matrix,
    NotProvidedKind,
    ScreenClass,
    ScreenReason,
    ScreenStage,
    SpecimenValidity,
)
from shared.contracts.codes import Value
from shared.contracts.event import OpenEnum
from shared.contracts.plans import ExpectedAnalyte


class DefinitiveReason(OpenEnum):
    """Why a definitive test is asked for. Confirming every presumptive result is no good practice."""

    CONTESTED = "contested"
    CONSEQUENTIAL = "consequential"
    CLINICAL_REVIEW = "clinical_review"
    UNKNOWN = "unknown"


class UnableReason(OpenEnum):
    """What was found when somebody was asked why there is no specimen. None of it is a refusal."""

    SHY_BLADDER = "shy_bladder"
    MEDICAL = "medical"
    TRAUMA = "trauma"
    OBSERVATION_DECLINED = "observation_declined"
    NO_CAUSE_FOUND = "no_cause_found"
    UNKNOWN = "unknown"


class Result(Value):
    """One result of a screen at one stage."""

    validity: SpecimenValidity
    positives: tuple[str, ...]
    tested: tuple[str, ...] | None = None
    """What was looked for; None where that is not reported."""
    reported_at: datetime
    measured: Measurements = Measurements()

    def says_the_same(self, other: Result | None) -> bool:
        """The same result, whenever it was reported."""
        return other is not None and other.replace(reported_at=self.reported_at) == self


class Report(Value):
    """What a laboratory, or a cup on site, reports of one specimen."""

    stage: ScreenStage
    validity: SpecimenValidity | None = None
    """The laboratory's verdict; None: the measurements decide."""
    positives: tuple[str, ...] = ()
    analytes: tuple[AnalyteResult, ...] = ()
    measured: Measurements | None = None
    reported_at: datetime | None = None


class Custody(Value):
    """One link of the chain."""

    holder: CustodyHolder
    at: datetime


class Interpretation(Value):
    """What a clinician made of a result, and of which."""

    classification: ScreenClass
    stage: ScreenStage
    of: Result
    at: datetime


class Screen(Value):
    """One screen on its way from order to interpretation. Results stay here."""

    matrix: Matrix
    panel: str
    reason: ScreenReason = ScreenReason.RANDOM
    window_ends_at: datetime
    retest_of: str | None = None
    collected_at: datetime | None = None
    observer_id: str | None = None
    temperature_in_range: bool | None = None
    custody: tuple[Custody, ...] = ()
    """The chain from the collection on: the first link is number 1."""
    results: dict[str, Result] = Field(default_factory=dict[str, Result])
    """The latest result of each stage."""
    definitive_asked_at: datetime | None = None
    definitive_reason: DefinitiveReason | None = None
    definitive_review_id: str | None = None
    """The clinical review that asked for it, where one did."""
    not_provided: NotProvidedKind | None = None
    not_provided_at: datetime | None = None
    unable_reason: UnableReason | None = None
    interpreted: Interpretation | None = None

    @property
    def stage(self) -> ScreenStage | None:
        """The most certain stage that there is a result of."""
        for stage in (ScreenStage.DEFINITIVE, ScreenStage.PRESUMPTIVE):
            if stage.value in self.results:
                return stage
        return None

    @property
    def result(self) -> Result | None:
        """The result that holds: a definitive one outranks a presumptive one, whenever either came."""
        return None if self.stage is None else self.results[self.stage.value]

    @property
    def awaits_definitive(self) -> bool:
        """A definitive test was asked for and is not back."""
        return self.definitive_asked_at is not None and (
            ScreenStage.DEFINITIVE.value not in self.results
        )

    @property
    def is_interpreted(self) -> bool:
        """The result that holds has been interpreted."""
        made, result = self.interpreted, self.result
        return (
            made is not None
            and result is not None
            and made.stage is self.stage
            and result.says_the_same(made.of)
            and not self.awaits_definitive
        )

    @property
    def closed(self) -> bool:
        """Nothing more is expected: there is no specimen, or its result has been interpreted."""
        return self.not_provided is not None or self.is_interpreted


# --- what was found --------------------------------------------------------------------------------------


def read(report: Report, panel: str, laboratory: Laboratory, now: datetime) -> Result:
    """A report as a result: the worse of two verdicts, every analyte by its own cutoff, and what was looked for.

    A report with neither a validity nor a measurement is no evidence about the specimen, and counts as invalid.
    """
    measured = report.measured or Measurements()
    validity = report.validity or SpecimenValidity.INVALID
    if report.measured is not None:
        found = verdict(measured, laboratory.validity)
        validity = found if report.validity is None else worse(report.validity, found)
    positives = set(report.positives)
    positives |= {a.analyte for a in report.analytes if positive(a, report.stage, laboratory)}
    tested = laboratory.looks_for(panel)
    if report.analytes:
        tested = frozenset(a.analyte for a in report.analytes)
    return Result(
        validity=validity,
        positives=tuple(sorted(positives)),
        tested=None if tested is None else tuple(sorted(tested | positives)),
        reported_at=report.reported_at or now,
        measured=measured,
    )


# --- what it means ---------------------------------------------------------------------------------------

METABOLITE: Final[Mapping[str, str]] = {
    "methadone": "eddp",
    "buprenorphine": "norbuprenorphine",
}
"""What a body makes of a medicine that is taken: prescribed with it, and missing where only the medicine is found."""

EXPLAINED: Final[Mapping[str, frozenset[str]]] = {
    "codeine": frozenset({"morphine", "hydrocodone"}),
    "oxycodone": frozenset({"oxymorphone"}),
    "hydrocodone": frozenset({"hydromorphone"}),
    "methamphetamine": frozenset({"amphetamine"}),
    "fentanyl": frozenset({"norfentanyl"}),
}
"""What a prescription explains without calling for it. General knowledge, to confirm with the laboratory."""


def classify(
    screen: Screen, expected: Iterable[ExpectedAnalyte], *, time_zone: str = "UTC"
) -> ScreenClass:
    """What the result that holds means, per analyte, against what is prescribed and verified on the day of collection.

    Anything found that no prescription explains is unexpected; then anything prescribed that was looked for and is
    missing calls for a private adherence review; then what is left is expected, or nothing was found at all. A
    specimen that can't be judged is never positive. Source: docs/domain.md 3.6 (Screens).
    """
    result = screen.result
    if result is None or screen.collected_at is None:
        raise ValueError("a screen without a result can't be classified")
    if result.validity is not SpecimenValidity.VALID:
        return ScreenClass.INVALID
    day = calendar.local_day(screen.collected_at, time_zone)
    current = [a for a in expected if a.verified and _covers(a, day)]
    prescribed = {a.code for a in current if a.companion_of is None}
    called_for = prescribed | {METABOLITE[code] for code in prescribed if code in METABOLITE}
    companions = {a.code for a in current}  # what may show beside what is prescribed, by plans
    explained = called_for.union(
        companions, *(EXPLAINED.get(code, frozenset()) for code in prescribed)
    )
    found, tested = set(result.positives), result.tested
    if found - explained:
        return ScreenClass.UNEXPECTED_POSITIVE
    looked_for = prescribed if tested is None else called_for.intersection(tested)
    if looked_for - found:
        return ScreenClass.EXPECTED_ABSENT
    return ScreenClass.EXPECTED_POSITIVE if found else ScreenClass.NEGATIVE


def _covers(analyte: ExpectedAnalyte, day: date) -> bool:
    return analyte.from_on <= day and (analyte.until_on is None or day <= analyte.until_on)


# --- the row of screens, for incentives --------------------------------------------------------------------

_AS_WANTED: Final = frozenset(
    {ScreenClass.NEGATIVE, ScreenClass.EXPECTED_POSITIVE, ScreenClass.EXPECTED_ABSENT}
)


def row(
    screens: Mapping[str, Screen], against: Iterable[tuple[datetime, str]] = ()
) -> tuple[tuple[str, bool], ...]:
    """The screens that count for or against an incentive, by id, in the order of their specimens.

    `against` are other tests that count against it, with their times: confirmed positive breath tests.

    Nothing unexpected found counts for it, whether a prescribed medicine was found or not: a missing medicine is no
    punishment. An unexpected positive and a refusal count against it; everything else leaves the row as it is.
    """
    placed: list[tuple[datetime, str, bool]] = [(at, key, False) for at, key in against]
    for screen_id, screen in screens.items():
        if screen.not_provided is NotProvidedKind.REFUSED and screen.not_provided_at is not None:
            placed.append((screen.not_provided_at, screen_id, False))
        made = screen.interpreted
        if made is None or screen.collected_at is None:
            continue
        if made.classification in _AS_WANTED:
            placed.append((screen.collected_at, screen_id, True))
        if made.classification is ScreenClass.UNEXPECTED_POSITIVE:
            placed.append((screen.collected_at, screen_id, False))
    return tuple((screen_id, good) for _, screen_id, good in sorted(placed))

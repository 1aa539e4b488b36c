"""A laboratory's tables: what a panel looks for, from where an analyte is found, and when a specimen can't be judged.

Every table is a default that a facility's own laboratory replaces where it differs. A result is read per analyte,
never as "opiates". Source: docs/domain.md 3.6 (Screens); values that are customary but not verified are labelled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import ConfigDict, Field

from shared.contracts.attendance import ScreenStage, SpecimenValidity
from shared.contracts.codes import AnalyteCode, PanelCode, Value
from shared.contracts.event import OpenEnum


class AnalyteOutcome(OpenEnum):
    """The laboratory's outcome for one analyte."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    UNKNOWN = "unknown"


class Measurements(Value):
    """Measurements that show whether a specimen is a person's undiluted urine. Never published."""

    creatinine_mg_dl: float | None = None
    specific_gravity: float | None = None
    ph: float | None = None
    nitrite_ug_ml: float | None = None
    foreign_substance: bool = False


class AnalyteResult(Value):
    """One analyte in one result. Stays here."""

    analyte: str
    outcome: AnalyteOutcome | None = None
    """The laboratory's outcome; None: the concentration decides."""
    concentration_ng_ml: float | None = None
    cutoff_ng_ml: float | None = None
    """The laboratory's own; None: the table's."""


# --- what is looked for, and from where it is found ---------------------------------------------------------

CUTOFFS_NG_ML: Final[Mapping[str, tuple[float, float]]] = {
    "6-acetylmorphine": (10, 10),
    "amphetamine": (500, 250),
    "barbiturates": (300, 200),
    "benzodiazepines": (300, 100),
    "buprenorphine": (10, 5),
    "cannabinoids": (50, 15),
    "cocaine": (150, 100),
    "codeine": (2000, 2000),
    "eddp": (300, 100),
    "ethyl-glucuronide": (500, 100),
    "fentanyl": (1, 1),
    "hydrocodone": (300, 100),
    "mdma": (500, 250),
    "methadone": (300, 100),
    "methamphetamine": (500, 250),
    "morphine": (2000, 2000),
    "norbuprenorphine": (10, 5),
    "norfentanyl": (1, 1),
    "oxycodone": (100, 100),
    "oxymorphone": (100, 100),
    "phencyclidine": (25, 25),
}
"""Presumptive and definitive cutoffs: federal workplace values where there are some, customary clinical ones elsewhere.

Defaults to confirm with the laboratory, which may report its own with each result or in the program's terms.
"""

_CUP: Final = frozenset(
    {
        *("amphetamine", "barbiturates", "benzodiazepines", "buprenorphine", "cannabinoids"),
        *("cocaine", "eddp", "fentanyl", "mdma", "methadone", "methamphetamine", "morphine"),
        *("oxycodone", "phencyclidine"),
    }
)
PANELS: Final[Mapping[str, frozenset[str]]] = {
    "urine-5": frozenset({"amphetamine", "cannabinoids", "cocaine", "morphine", "phencyclidine"}),
    "urine-12": _CUP,
    "urine-confirm": frozenset(CUTOFFS_NG_ML),
    "breath-alcohol": frozenset({"ethanol"}),
}
"""What a panel looks for. A morphine antibody misses fentanyl, buprenorphine, methadone and oxycodone.

A facility's own panels stand in its laboratory's table, or its laboratory reports with the result what was tested.
"""


class ValidityLimits(Value):
    """Between which measurements a urine specimen can be judged.

    Federal workplace limits; the pH below which a specimen counts as adulterated is 3 here and 4 in newer federal
    guidance. Source: docs/domain.md 3.6 (Screens).
    """

    model_config = ConfigDict(extra="forbid")

    creatinine_dilute_mg_dl: float = Field(default=20.0, gt=0)
    gravity_dilute: float = Field(default=1.003, ge=1)
    creatinine_substituted_mg_dl: float = Field(default=2.0, gt=0)
    gravity_substituted_low: float = Field(default=1.001, ge=1)
    gravity_substituted_high: float = Field(default=1.020, ge=1)
    nitrite_adulterated_ug_ml: float = Field(default=500.0, gt=0)
    ph_low: float = Field(default=3.0, ge=0, le=14)
    ph_high: float = Field(default=11.0, ge=0, le=14)


class Cutoff(Value):
    """From which concentration an analyte counts as found, in a first test and in a laboratory's confirmation."""

    model_config = ConfigDict(extra="forbid")

    presumptive_ng_ml: float = Field(gt=0)
    definitive_ng_ml: float = Field(gt=0)


class Laboratory(Value):
    """What a facility's laboratory has in place of the tables of this module. Empty: the tables hold."""

    model_config = ConfigDict(extra="forbid")

    validity: ValidityLimits = ValidityLimits()
    cutoffs: dict[AnalyteCode, Cutoff] = Field(default_factory=dict[str, Cutoff])
    panels: dict[PanelCode, frozenset[AnalyteCode]] = Field(
        default_factory=dict[str, frozenset[str]]
    )

    def looks_for(self, panel: str) -> frozenset[str] | None:
        """What a panel tests; None for a panel that nobody has described."""
        return self.panels.get(panel) or PANELS.get(panel)

    def registered(self) -> dict[str, frozenset[str]]:
        """The codes that callers may use, by registry."""
        panels = {**PANELS, **self.panels}
        analytes = {*CUTOFFS_NG_ML, *self.cutoffs}.union(*panels.values())
        return {"panels": frozenset(panels), "analytes": frozenset(analytes)}

    def cutoff_ng_ml(self, analyte: str, stage: ScreenStage) -> float | None:
        """From which concentration an analyte is found at a stage; None where there is no table for it."""
        own = self.cutoffs.get(analyte)
        pair = CUTOFFS_NG_ML.get(analyte)
        if own is not None:
            pair = (own.presumptive_ng_ml, own.definitive_ng_ml)
        if pair is None:
            return None
        return pair[1] if stage is ScreenStage.DEFINITIVE else pair[0]


def positive(result: AnalyteResult, stage: ScreenStage, laboratory: Laboratory) -> bool:
    """Whether an analyte counts as found: by the laboratory's outcome, else by its concentration and the cutoff."""
    if result.outcome is not None:
        return result.outcome is AnalyteOutcome.POSITIVE
    if result.concentration_ng_ml is None:
        return False
    at = result.cutoff_ng_ml or laboratory.cutoff_ng_ml(result.analyte, stage)
    return at is None or result.concentration_ng_ml >= at


# --- whether it can be judged ----------------------------------------------------------------------------

_WORST_FIRST: Final = (
    SpecimenValidity.ADULTERATED,
    SpecimenValidity.SUBSTITUTED,
    SpecimenValidity.INVALID,
    SpecimenValidity.DILUTE,
    SpecimenValidity.VALID,
)


def verdict(measured: Measurements, limits: ValidityLimits) -> SpecimenValidity:
    """Whether a specimen is a person's undiluted urine, by its measurements. What was not measured is no evidence.

    Federal workplace limits by default (docs/domain.md 3.6): adulterated before substituted before dilute.
    """
    if measured.foreign_substance or _not_a_body_s(measured, limits):
        return SpecimenValidity.ADULTERATED
    creatinine, gravity = measured.creatinine_mg_dl, measured.specific_gravity
    if creatinine is None or gravity is None:
        return SpecimenValidity.VALID
    if creatinine < limits.creatinine_substituted_mg_dl and not (
        limits.gravity_substituted_low < gravity < limits.gravity_substituted_high
    ):
        return SpecimenValidity.SUBSTITUTED
    if creatinine < limits.creatinine_dilute_mg_dl and gravity < limits.gravity_dilute:
        return SpecimenValidity.DILUTE
    return SpecimenValidity.VALID


def _not_a_body_s(measured: Measurements, limits: ValidityLimits) -> bool:
    nitrite, ph = measured.nitrite_ug_ml, measured.ph
    if nitrite is not None and nitrite >= limits.nitrite_adulterated_ug_ml:
        return True
    return ph is not None and not limits.ph_low <= ph < limits.ph_high


def worse(one: SpecimenValidity, other: SpecimenValidity) -> SpecimenValidity:
    """The worse of two verdicts: the laboratory's, and that of the measurements."""
    return min(one, other, key=_WORST_FIRST.index)


TEMPERATURE_F: Final = (90.0, 100.0)
TEMPERATURE_WITHIN_MINUTES: Final = 4
"""A fresh specimen is between 90 and 100 °F within four minutes. Customary in collection; not verified."""


def temperature_in_range(temperature_f: float, read_after_minutes: float) -> bool | None:
    """Whether the temperature is that of a fresh specimen; None when it was read too late to show anything."""
    if read_after_minutes > TEMPERATURE_WITHIN_MINUTES:
        return None
    low, high = TEMPERATURE_F
    return low <= temperature_f <= high

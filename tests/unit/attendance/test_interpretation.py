"""Tables: when a specimen can't be judged, from where an analyte is found, and what a result means per analyte."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.attendance import settings
from services.attendance.laboratory import interpretation
from services.attendance.laboratory.interpretation import Report
from services.attendance.laboratory.panels import (
    CUTOFFS_NG_ML,
    PANELS,
    AnalyteOutcome,
    AnalyteResult,
    Cutoff,
    Laboratory,
    Measurements,
    ValidityLimits,
    temperature_in_range,
    verdict,
    worse,
)
from shared.contracts.attendance import ScreenClass, ScreenStage, SpecimenValidity
from shared.contracts.plans import ExpectedAnalyte
from shared.errors import ConfigurationError
from tests.unit.attendance.screened import (
    ABSENT,
    DEFINITIVE,
    EXPECTED,
    INVALID,
    NEGATIVE,
    PRESUMPTIVE,
    UNEXPECTED,
    a_screen,
    prescribed,
)

COLLECTED = datetime(2026, 3, 10, 22, 0, tzinfo=UTC)
VALID, DILUTE = SpecimenValidity.VALID, SpecimenValidity.DILUTE
SUBSTITUTED, ADULTERATED = SpecimenValidity.SUBSTITUTED, SpecimenValidity.ADULTERATED


# --- whether it can be judged ----------------------------------------------------------------------------


@pytest.mark.scenario(4)
@pytest.mark.parametrize(
    ("creatinine", "gravity", "meaning"),
    [
        (20, 1.002, VALID),
        (19.9, 1.002, DILUTE),
        (19.9, 1.003, VALID),
        (19.9, 1.0029, DILUTE),
        (2, 1.001, DILUTE),
        (2, 1.020, VALID),
        (1.9, 1.001, SUBSTITUTED),
        (1.9, 1.0011, DILUTE),
        (1.9, 1.019, VALID),
        (1.9, 1.020, SUBSTITUTED),
        (0, 1.030, SUBSTITUTED),
        (150, 1.015, VALID),
        (1.9, None, VALID),
        (None, 1.0, VALID),
        (None, None, VALID),
    ],
)
def test_dilute_and_substituted(
    creatinine: float | None, gravity: float | None, meaning: SpecimenValidity
) -> None:
    measured = Measurements(creatinine_mg_dl=creatinine, specific_gravity=gravity)
    assert verdict(measured, ValidityLimits()) is meaning


@pytest.mark.parametrize(
    ("measured", "meaning"),
    [
        (Measurements(nitrite_ug_ml=499.9), VALID),
        (Measurements(nitrite_ug_ml=500), ADULTERATED),
        (Measurements(ph=2.9), ADULTERATED),
        (Measurements(ph=3), VALID),
        (Measurements(ph=10.9), VALID),
        (Measurements(ph=11), ADULTERATED),
        (Measurements(foreign_substance=True), ADULTERATED),
        (Measurements(ph=12, creatinine_mg_dl=1, specific_gravity=1.0), ADULTERATED),
    ],
)
def test_adulterated(measured: Measurements, meaning: SpecimenValidity) -> None:
    assert verdict(measured, ValidityLimits()) is meaning


def test_a_laboratory_sets_its_own_limits() -> None:
    measured = Measurements(ph=3.5, creatinine_mg_dl=30, specific_gravity=1.002)
    assert verdict(measured, ValidityLimits()) is VALID
    assert verdict(measured, ValidityLimits(ph_low=4)) is ADULTERATED
    assert verdict(measured, ValidityLimits(creatinine_dilute_mg_dl=40)) is DILUTE


@pytest.mark.parametrize("one", [v for v in SpecimenValidity if v != "unknown"])
@pytest.mark.parametrize("other", [v for v in SpecimenValidity if v != "unknown"])
def test_of_two_verdicts_the_worse_one_holds(
    one: SpecimenValidity, other: SpecimenValidity
) -> None:
    assert worse(one, other) is worse(other, one)
    assert (worse(one, other) is VALID) == (one is VALID and other is VALID)


@pytest.mark.parametrize(
    ("said", "measured", "meaning"),
    [
        (VALID, None, VALID),
        (VALID, Measurements(creatinine_mg_dl=10, specific_gravity=1.001), DILUTE),
        (DILUTE, Measurements(creatinine_mg_dl=100, specific_gravity=1.01), DILUTE),
        (None, Measurements(), VALID),
        (None, Measurements(foreign_substance=True), ADULTERATED),
        (None, None, SpecimenValidity.INVALID),
    ],
)
def test_what_the_laboratory_says_and_what_it_measured(
    said: SpecimenValidity | None, measured: Measurements | None, meaning: SpecimenValidity
) -> None:
    report = Report(stage=DEFINITIVE, validity=said, measured=measured)
    assert interpretation.read(report, "urine-12", Laboratory(), COLLECTED).validity is meaning


@pytest.mark.parametrize(
    ("degrees", "minutes", "in_range"),
    [
        (90, 4, True),
        (100, 0, True),
        (89.9, 4, False),
        (100.1, 1, False),
        (95, 5, None),
        (60, 5, None),
    ],
)
def test_the_temperature_of_a_fresh_specimen(
    degrees: float, minutes: float, in_range: bool | None
) -> None:
    assert temperature_in_range(degrees, minutes) is in_range


# --- what was found --------------------------------------------------------------------------------------


def line(
    concentration: float | None = None,
    outcome: str | None = None,
    cutoff: float | None = None,
    analyte: str = "cocaine",
) -> AnalyteResult:
    return AnalyteResult(
        analyte=analyte,
        outcome=None if outcome is None else AnalyteOutcome(outcome),
        concentration_ng_ml=concentration,
        cutoff_ng_ml=cutoff,
    )


OWN = Laboratory(cutoffs={"cocaine": Cutoff(presumptive_ng_ml=300, definitive_ng_ml=50)})


@pytest.mark.parametrize(
    ("result", "stage", "laboratory_has", "found"),
    [
        (line(149.9), PRESUMPTIVE, Laboratory(), False),
        (line(150), PRESUMPTIVE, Laboratory(), True),
        (line(149.9), DEFINITIVE, Laboratory(), True),
        (line(99.9), DEFINITIVE, Laboratory(), False),
        (line(150), PRESUMPTIVE, OWN, False),
        (line(300), PRESUMPTIVE, OWN, True),
        (line(50), DEFINITIVE, OWN, True),
        (line(150, cutoff=200), PRESUMPTIVE, Laboratory(), False),
        (line(150, cutoff=200), PRESUMPTIVE, OWN, False),
        (line(1, outcome="positive"), DEFINITIVE, Laboratory(), True),
        (line(9999, outcome="negative"), DEFINITIVE, Laboratory(), False),
        (line(), DEFINITIVE, Laboratory(), False),
        (line(1, analyte="kratom"), DEFINITIVE, Laboratory(), True),
        (line(1, cutoff=2, analyte="kratom"), DEFINITIVE, Laboratory(), False),
    ],
)
def test_an_analyte_is_found_from_its_own_cutoff(
    result: AnalyteResult, stage: ScreenStage, laboratory_has: Laboratory, found: bool
) -> None:
    report = Report(stage=stage, validity=VALID, analytes=(result,))
    read = interpretation.read(report, "urine-12", laboratory_has, COLLECTED)
    assert read.positives == ((result.analyte,) if found else ())
    assert read.tested == (result.analyte,)


def test_no_panel_says_opiates_and_each_analyte_of_a_panel_has_its_cutoff() -> None:
    for panel, analytes in PANELS.items():
        assert not {"opiates", "opioids"} & analytes
        assert panel == "breath-alcohol" or analytes <= CUTOFFS_NG_ML.keys()
    assert not {"fentanyl", "buprenorphine", "methadone", "oxycodone"} & PANELS["urine-5"]


# --- what it means ---------------------------------------------------------------------------------------


METHADONE, EDDP = prescribed("methadone"), prescribed("eddp")


@pytest.mark.fact("0.5", "2.1")
@pytest.mark.scenario(3)
@pytest.mark.parametrize(
    ("positives", "expected", "meaning"),
    [
        ([], [], NEGATIVE),
        (["cocaine"], [], UNEXPECTED),
        (["buprenorphine"], [prescribed()], EXPECTED),
        ([], [prescribed()], ABSENT),
        (["cocaine"], [prescribed()], UNEXPECTED),
        (["buprenorphine", "cocaine"], [prescribed()], UNEXPECTED),
        (["buprenorphine"], [prescribed(verified=False)], UNEXPECTED),
        ([], [prescribed(verified=False)], NEGATIVE),
        (["buprenorphine"], [prescribed(since="2026-03-11")], UNEXPECTED),
        (["buprenorphine"], [prescribed(since="2026-03-10")], EXPECTED),
        (["buprenorphine"], [prescribed(until="2026-03-10")], EXPECTED),
        (["buprenorphine"], [prescribed(until="2026-03-09")], UNEXPECTED),
        ([], [prescribed(until="2026-03-09")], NEGATIVE),
        (["methadone", "eddp"], [METHADONE, EDDP], EXPECTED),
        (["methadone", "eddp"], [METHADONE], EXPECTED),
        (["methadone"], [METHADONE], ABSENT),
        (["eddp"], [METHADONE], ABSENT),
        (["eddp"], [], UNEXPECTED),
        (["methadone"], [METHADONE, EDDP], ABSENT),
        (["methadone"], [prescribed()], UNEXPECTED),
        (["buprenorphine", "norbuprenorphine"], [prescribed()], EXPECTED),
        (["norbuprenorphine"], [], UNEXPECTED),
        (["morphine"], [prescribed("codeine")], EXPECTED),
        (["codeine"], [prescribed("morphine")], UNEXPECTED),
        (["cocaine"], [METHADONE], UNEXPECTED),
    ],
)
def test_what_a_valid_result_means(
    positives: list[str], expected: list[ExpectedAnalyte], meaning: ScreenClass
) -> None:
    screen = a_screen(*positives, collected_at=COLLECTED)
    assert interpretation.classify(screen, expected) is meaning


@pytest.mark.parametrize(
    ("panel", "positives", "meaning"),
    [
        ("urine-5", [], NEGATIVE),
        ("urine-12", [], ABSENT),
        ("urine-confirm", ["buprenorphine"], ABSENT),
        ("urine-confirm", ["buprenorphine", "norbuprenorphine"], EXPECTED),
        ("our-own", [], ABSENT),
        ("our-own", ["buprenorphine"], EXPECTED),
    ],
)
def test_a_panel_that_does_not_look_for_a_medicine_says_nothing_about_it(
    panel: str, positives: list[str], meaning: ScreenClass
) -> None:
    screen = a_screen(*positives, panel=panel, collected_at=COLLECTED)
    assert interpretation.classify(screen, [prescribed()]) is meaning


@pytest.mark.parametrize("positives", [[], ["cocaine"], ["buprenorphine"]])
@pytest.mark.parametrize("validity", [v for v in SpecimenValidity if v is not VALID])
def test_a_specimen_that_cannot_be_judged_is_never_positive(
    validity: SpecimenValidity, positives: list[str]
) -> None:
    screen = a_screen(*positives, validity=validity, collected_at=COLLECTED)
    assert interpretation.classify(screen, [prescribed()]) is INVALID


@pytest.mark.parametrize(("zone", "meaning"), [("UTC", UNEXPECTED), ("Asia/Tokyo", EXPECTED)])
def test_the_day_of_collection_is_the_facility_s(zone: str, meaning: ScreenClass) -> None:
    screen = a_screen("buprenorphine", collected_at=COLLECTED)
    told = interpretation.classify(screen, [prescribed(since="2026-03-11")], time_zone=zone)
    assert told is meaning


# --- a laboratory's own table ----------------------------------------------------------------------------


TABLE = """
[validity]
ph_low = 4.0

[cutoffs.cocaine]
presumptive_ng_ml = 300
definitive_ng_ml = 150

[panels]
our-own = ["cocaine", "fentanyl"]
"""


def test_a_laboratory_s_file_replaces_only_what_differs(tmp_path: Path) -> None:
    (tmp_path / "laboratory.toml").write_text(TABLE)
    own = settings.read(tmp_path / "laboratory.toml")
    assert (own.validity.ph_low, own.validity.ph_high) == (4.0, 11.0)
    assert own.cutoff_ng_ml("cocaine", PRESUMPTIVE) == 300
    assert own.cutoff_ng_ml("fentanyl", PRESUMPTIVE) == 1
    assert own.looks_for("our-own") == {"cocaine", "fentanyl"}
    assert own.looks_for("urine-12") == PANELS["urine-12"]
    assert own.looks_for("nobody-s") is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[validity]\nph_lwo = 4", "laboratory-invalid"),
        ("[cutoffs.cocaine]\npresumptive_ng_ml = 0\ndefinitive_ng_ml = 1", "laboratory-invalid"),
        ("[panels]\nX = ['cocaine']", "laboratory-invalid"),
        ("not toml", "laboratory-unreadable"),
        (None, "laboratory-unreadable"),
    ],
)
def test_a_laboratory_s_file_that_is_wrong_stops_the_service(
    tmp_path: Path, text: str | None, code: str
) -> None:
    path = tmp_path / "laboratory.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        settings.read(path)
    assert refused.value.code == code

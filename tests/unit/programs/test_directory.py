"""The directory: what a facility has registered, by file, and what its programs have."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from services.attendance.laboratory.panels import Cutoff, Laboratory
from services.followup.aftercare import aftercare
from services.intake.person import disclosures
from services.plans import tables
from shared.errors import ConfigurationError
from shared.programs.registered import Registered, read_directory
from shared.runtime.http.programs import SHIPPED_DIRECTORY, Programs
from shared.runtime.settings import ServiceSettings

OWN = """
time_zone = "Pacific/Guam"
metrics = ["days-at-work"]
[facilities.harbor-iop]
time_zone = "America/New_York"
notices = { harbor-2026 = 2026-02-01 }
[facilities.river-iop]
tracks = ["night"]
"""


@pytest.fixture
def own(tmp_path: Path) -> Programs:
    file = tmp_path / "directory.toml"
    file.write_text(OWN)
    settings = ServiceSettings(directory=str(file))
    return Programs.load(None, settings.directory_file)


@pytest.mark.parametrize(
    ("facility", "registry", "code", "registered"),
    [
        ("harbor-iop", "notices", "harbor-2026", True),
        ("river-iop", "notices", "harbor-2026", False),
        ("harbor-iop", "partners", "looked-up-by-the-route", True),
        ("harbor-iop", "metrics", "days-at-work", True),
        ("harbor-iop", "metrics", "county-detox", False),
        ("river-iop", "tracks", "night", True),
        ("harbor-iop", "tracks", "night", False),
        ("harbor-iop", "tracks", "evening", True),
        ("harbor-iop", "topics", "early-recovery", True),
        ("harbor-iop", "elements", "aftercare-group", True),
        ("harbor-iop", "rules", "attendance", True),
        ("harbor-iop", "rules", "zephyrine", False),
        ("harbor-iop", "no-such-registry", "zephyrine", False),
        ("harbor-iop", "programs", "whatever", True),
    ],
)
def test_what_a_facility_has_registered(
    own: Programs, facility: str, registry: str, code: str, *, registered: bool
) -> None:
    assert own.is_registered(facility, registry, code) is registered


def test_where_a_facility_is(own: Programs) -> None:
    assert own.zone_of("harbor-iop") == "America/New_York"
    assert own.zone_of("river-iop") == "Pacific/Guam"
    assert Programs().zone_of("harbor-iop") == "UTC"


@pytest.mark.parametrize(
    ("facility", "age", "who"),
    [
        ("river-iop", None, ("patient",)),
        ("river-iop", 18, ("patient",)),
        ("river-iop", 17, ("patient", "guardian")),
        ("harbor-iop", 17, ("patient",)),
        ("harbor-iop", 15, ("patient", "guardian")),
        ("harbor-iop", 11, ("guardian",)),
    ],
)
def test_whose_signatures_a_state_asks_for(facility: str, age: int | None, who: Any) -> None:
    """42 CFR 2.14: where nobody has stated the state's rule, no signature is left out."""
    text = """[facilities.harbor-iop]
    minors = [
      { under_years = 16, signatures = ["patient", "guardian"] }, { under_years = 12, signatures = ["guardian"] },
    ]"""
    assert read_directory(text, "ours").signatures(facility, age) == who


def test_the_notice_that_holds_today(own: Programs) -> None:
    assert own.notice_since("harbor-iop", date(2026, 2, 1)) == date(2026, 2, 1)
    assert own.notice_since("harbor-iop", date(2026, 1, 31)) is None
    assert own.notice_since("river-iop", date(2027, 1, 1)) is None


def test_a_laboratory_s_own_codes_are_registered() -> None:
    table = Laboratory(
        cutoffs={"kratom": Cutoff(presumptive_ng_ml=1, definitive_ng_ml=1)},
        panels={"our-own": frozenset({"xylazine"})},
    )
    programs = Programs.load(further=table.registered())
    for registry, code in (
        ("analytes", "kratom"),
        ("analytes", "xylazine"),
        ("panels", "our-own"),
        ("panels", "urine-12"),
    ):
        assert programs.is_registered("harbor-iop", registry, code), code
    assert not Programs.load().is_registered("harbor-iop", "panels", "our-own")


def test_the_directory_that_ships_has_what_the_services_have() -> None:
    shipped = read_directory(SHIPPED_DIRECTORY.read_text(encoding="utf-8"), "shipped")
    elements = {*tables.AFTERCARE_BEGUN, *tables.AFTERCARE_NEEDED, *tables.AFTERCARE_FURTHER}
    assert elements | {*aftercare.ELEMENTS, *aftercare.ESSENTIAL} == set(shipped.elements)
    assert disclosures.NOTICE_VERSION in shipped.notices
    laboratory = Laboratory().registered()
    assert laboratory["panels"] == set(shipped.panels)
    assert laboratory["analytes"] == set(shipped.analytes)


def test_the_directory_of_the_page_is_one() -> None:
    page = (Path(__file__).parents[3] / "docs" / "programs.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^```conf\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    shown = read_directory(block, "the page's")
    assert shown.analytes[-1] == "naltrexone"
    assert [*shown.facilities["riverbend-iop"].notices] == ["riverbend-2026"]
    assert (shown.zone_of("riverbend-iop"), shown.zone_of("x")) == (
        "America/Denver",
        "America/New_York",
    )
    assert all(f"`{name}`" in page or f"{name} =" in block for name in Registered.model_fields)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("notices = ", "not TOML"),
        ("metrics = ['Zephyrine Quillfeather']", "metrics.0"),
        ("notices = { part2-2024 = 'soon' }", "notices.part2-2024"),
        ("minors = [{ under_years = 16, signatures = ['nobody'] }]", "minors.0"),
        ("partners = ['harbor-detox']", "partners"),
        ("time_zone = 'Atlantis'", "time_zone"),
        ("[facilities.harbor-iop]\ntime_zone = 'Atlantis'", "facilities.harbor-iop.time_zone"),
        ("friends = ['a']", "friends"),
        ("metrics = 'support-meetings'", "metrics"),
        ("[facilities.x]\nmetrics = ['support-meetings']", "facilities.x"),
        ("[facilities.harbor-iop]\nmetrics = [7]", "facilities.harbor-iop.metrics.0"),
    ],
)
def test_a_file_that_is_no_directory_is_refused_by_its_place(text: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match="directory-invalid") as refused:
        read_directory(text, "ours")
    assert named in str(refused.value)
    assert "Zephyrine" not in str(refused.value)


def test_a_directory_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        Programs.load(None, tmp_path / "missing.toml")

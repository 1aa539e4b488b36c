"""A profile that is wrong is told so with the line, all of it at once; versions lie side by side."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.codes import Milestone
from shared.contracts.terms import HOUSE, ProgramTerms
from shared.errors import ConfigurationError, Unknown
from shared.programs.profile import ProgramProfile
from shared.programs.read import Lines, ProfileInvalid, read_profile
from shared.runtime.http.programs import SHIPPED, Programs, read_file
from shared.runtime.settings import ServiceSettings

GOOD = """\
# A small program.
program = "small"
title = "Small"
version = "1"
effective_on = 2026-01-01
level = { system = "asam", edition = "4", code = "2.1" }

[[hours]]
population = "adult"
minutes_floor = 540

[group]
members_min = 3
members_max = 6

[[services]]
code = "yoga"

[[services]]
code = "transport"
on_site = false
"""
DAY = date(2026, 3, 2)


def findings(text: str) -> list[tuple[int, str]]:
    with pytest.raises(ProfileInvalid) as caught:
        read_profile(text, "small.toml")
    error = caught.value
    assert error.code == "profile-invalid"
    assert error.hint == "care profiles check small.toml"
    assert all(finding.why for finding in error.findings)
    return [(finding.line, finding.place) for finding in error.findings]


def test_it_is_good() -> None:
    assert read_profile(GOOD).group.members_max == 6


CASES: dict[str, tuple[str, str, int, str]] = {
    "a spelling": ("members_max", "membres_max", 14, "group.membres_max"),
    "too many": ("members_max = 6", "members_max = 600", 14, "group.members_max"),
    "the wrong way round": ("members_min = 3", "members_min = 9", 14, "group.members_max"),
    "no such population": ('"adult"', '"elders"', 9, "hours[1].population"),
    "not a number": ("= 540", '= "nine hours"', 10, "hours[1].minutes_floor"),
    "below the level": ("= 540", "= 400", 10, "hours[1].minutes_floor"),
    "no such level": ('code = "2.1"', 'code = "9.9"', 6, "level.code"),
    "a level of another edition": ('code = "2.1"', 'code = "0.5"', 6, "level"),
    "a code with spaces": ('"small"', '"a small one"', 2, "program"),
    "nothing of that name": ('title = "Small"', 'titel = "Small"', 3, "titel"),
    "the second of several": ("on_site = false", "on_site = 7", 21, "services[2].on_site"),
    "not TOML": ("[group]", "[group", 12, "TOML"),
    "a key twice": ("members_min = 3", "members_max = 3", 14, "TOML"),
    "a date that is none": ("2026-01-01", '"soon"', 5, "effective_on"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_said_with_its_line(case: str) -> None:
    before, after, line, place = CASES[case]
    assert GOOD.count(before) == 1
    assert (line, place) in findings(GOOD.replace(before, after))


PARTS: dict[str, tuple[str, str]] = {
    "no secular alternative": (
        '[mutual_support]\nper_week = 2\nalternatives = ["aa", "na"]',
        "mutual_support.alternatives",
    ),
    "no such fellowship": (
        '[mutual_support]\nper_week = 1\nalternatives = ["chess"]',
        "mutual_support.alternatives",
    ),
    "a check-in after the end": (
        '[aftercare]\ndays = 90\ncheck_ins = ["days_7", "months_12"]',
        "aftercare.check_ins",
    ),
    "check-ins out of order": (
        '[aftercare]\ndays = 365\ncheck_ins = ["days_30", "days_7"]',
        "aftercare.check_ins",
    ),
    "a pause without an end": ("[absence]\nexclusion = 6", "absence"),
    "a review after the conference": ("[absence]\nreview = 4\nconference = 3", "absence"),
    "a session of twelve hours": ("[sessions]\nminutes_max = 720", "sessions.minutes_max"),
    "a term that is said elsewhere": (
        "[further]\nreview_every_days = 9",
        "further.review_every_days",
    ),
    "a term that is none": ("[further]\nmoon_phase = 9", "further.moon_phase"),
}


@pytest.mark.parametrize("case", PARTS)
def test_what_does_not_fit_together_is_said_too(case: str) -> None:
    added, place = PARTS[case]
    found = findings(f"{GOOD}\n{added}\n")
    first = len(GOOD.splitlines()) + 2
    assert place in [where for _, where in found]
    assert all(first <= line <= first + added.count("\n") for line, _ in found)


@pytest.mark.fact("0.12", "0.16")
def test_a_program_for_who_works_has_a_track_outside_office_hours() -> None:
    office = "[office_hours]\nweekdays = [1]\nopens = 08:00:00\ncloses = 16:30:00\n"
    day = '[[tracks]]\ncode = "day"\nweekdays = [1]\nbegins = 09:00:00\nends = 12:00:00\n'
    text = 'reasons = ["duties-requiring-presence"]\n' + GOOD + office + day
    assert findings(text) == [(1, "reasons")]
    read_profile(
        text + day.replace('"day"', '"evening"').replace("09:00", "18:00").replace("12:00", "21:00")
    )
    read_profile(text + day.replace('"day"', '"saturday"').replace("[1]", "[6]"))


def test_all_of_it_at_once() -> None:
    text = (
        GOOD.replace('"adult"', '"elders"')
        .replace("= 6", "= 600")
        .replace("on_site = false", "x = 1")
    )
    assert [line for line, _ in findings(text)] == [9, 14, 21]


@given(st.text(max_size=200))
def test_whatever_a_file_holds_it_is_a_profile_or_explained(text: str) -> None:
    with pytest.raises(ProfileInvalid) as caught:
        read_profile(text)
    lines = max(1, len(text.splitlines()))
    assert all(1 <= finding.line <= lines + 1 for finding in caught.value.findings)


def test_keys_inside_a_text_of_several_lines_are_none() -> None:
    lines = Lines('a = """\nb = 1\n"""\nb = 2\n["c.d"]\ne = 1\n')
    assert lines.of(("b",)) == 4


SAID: dict[str, tuple[str, object]] = {
    "review_every_days": ("[plan]\nreview_every_days = 14", 14),
    "plan_within_days": ("[plan]\nwithin_days = 3", 3),
    "plan_within_sessions": ("[plan]\nwithin_sessions = 1", 1),
    "individual_every_days": ("[individual]\nper_week = 3", 3),
    "absences_review": ("[absence]\nreview = 1", 1),
    "absences_conference": ("[absence]\nconference = 5", 5),
    "pause_after_absences": ("[absence]\nexclusion = 6\nexclusion_days = 21", 6),
    "pause_days": ("[absence]\nexclusion = 6\nexclusion_days = 21", 21),
    "silent_days_conference": ("[absence]\nsilent_days_conference = 3", 3),
    "silent_days_lost": ("[absence]\nsilent_days_lost = 45", 45),
    "screen_every_days": ("[screens]\nevery_days = false", None),
    "panels": ('[screens]\npanels = ["urine-5"]', ("urine-5",)),
    "mutual_support_meetings_per_week": (
        '[mutual_support]\nper_week = 2\nalternatives = ["smart"]',
        2,
    ),
    "family_sessions_per_week": ("[family]\nper_week = 1", 1),
    "days_without_unexpected_positive": ("[graduation]\nclean_days = 60", 60),
    "graduation_criteria": ('[graduation]\ncriteria = ["goals-met"]', ("goals-met",)),
    "aftercare_days": ("[aftercare]\ndays = 400", 400),
    "check_ins": ('[aftercare]\ncheck_ins = ["days_7"]', (Milestone.DAYS_7,)),
}


@pytest.mark.parametrize("name", sorted(ProgramTerms.model_fields))
def test_every_term_can_be_said(name: str) -> None:
    """By a part of its own or by name: no term is out of a facility's reach, and none can be said in two places."""
    if name == "version":
        assert read_profile(GOOD).terms().version == "1"
    elif name == "bands":
        assert read_profile(GOOD.replace("540", "600")).terms().bands[0].minutes_floor == 600
    elif name in SAID:
        part, value = SAID[name]
        assert getattr(read_profile(f"{GOOD}\n{part}\n").terms(), name) == value
        assert getattr(HOUSE, name) != value
        assert findings(f"{GOOD}\n[further]\n{name} = 1\n")
    else:
        usual = read_profile(GOOD).model_dump()
        said = HOUSE.model_dump()[name]
        profile = ProgramProfile.model_validate({**usual, "further": {name: said}})
        assert profile.terms() == read_profile(GOOD).terms()
        assert findings(f"{GOOD}\n[further]\n{name} = 'no such thing'\n")


# --- versions ------------------------------------------------------------------------------------------------


def version(name: str, on: date, **changes: object) -> ProgramProfile:
    return read_profile(GOOD).model_copy(update={"version": name, "effective_on": on, **changes})


def test_the_newest_that_has_begun_holds() -> None:
    older, newer = version("1", DAY - timedelta(days=30)), version("2", DAY)
    coming = version("3", DAY + timedelta(days=1))
    for order in ([older, newer, coming], [coming, newer, older]):
        programs = Programs(order)
        assert programs.current("harbor-iop", "small", DAY) == newer
        assert programs.current("harbor-iop", "small", DAY - timedelta(days=1)) == older
        assert programs.current("harbor-iop", "small", DAY + timedelta(days=1)) == coming
        assert programs.versions == [older, newer, coming]


def test_a_new_version_leaves_the_old_ones_as_they_were() -> None:
    older = version("1", DAY - timedelta(days=30))
    before = older.terms()
    Programs([older, version("2", DAY, weeks_max=3)])
    assert older.terms() == before


def test_a_facility_s_own_program_comes_before_one_for_any() -> None:
    own = version("0", DAY - timedelta(days=900), facility="harbor-iop")
    programs = Programs([own, version("9", DAY)])
    assert programs.current("harbor-iop", "small", DAY) == own
    assert programs.current("river-iop", "small", DAY).version == "9"


@pytest.mark.parametrize(
    ("facility", "program", "on"),
    [
        ("harbor-iop", "nothing", DAY),
        ("harbor-iop", "small", DAY - timedelta(days=1)),
        ("river-iop", "small", DAY),
    ],
)
def test_what_nobody_offers_is_unknown(facility: str, program: str, on: date) -> None:
    programs = Programs([version("1", DAY, facility="harbor-iop")])
    with pytest.raises(Unknown) as caught:
        programs.current(facility, program, on)
    assert (caught.value.code, caught.value.status) == ("unknown-program", 404)


def test_one_version_can_t_say_two_things() -> None:
    Programs([version("1", DAY), version("1", DAY)])
    with pytest.raises(ConfigurationError, match="profile-version-taken"):
        Programs([version("1", DAY), version("1", DAY, weeks_max=3)])


def test_the_directory_s_profiles_are_beside_those_that_ship(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(GOOD)
    (tmp_path / "notes.txt").write_text("nothing")
    programs = Programs.load(ServiceSettings(programs=str(tmp_path)).programs_directory)
    shipped = {profile.program for profile in Programs.load().versions}
    assert {profile.program for profile in programs.versions} == {*shipped, "small"}
    assert ServiceSettings().programs_directory is None


def test_a_directory_that_is_none_or_holds_nonsense_is_refused_at_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="programs-unreadable"):
        Programs.load(tmp_path / "missing")
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="profile-unreadable"):
        Programs.load(tmp_path)
    (tmp_path / "bad.toml").write_text(GOOD.replace("540", "1"))
    with pytest.raises(ProfileInvalid, match=r"bad\.toml:10: hours\[1\]\.minutes_floor"):
        Programs.load(tmp_path)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_what_ships_is_named_after_its_file_and_for_anyone(path: Path) -> None:
    profile = read_file(path)
    assert profile.program == path.stem
    assert profile.facility == "*"


def test_the_image_carries_the_profiles() -> None:
    root = Path(__file__).parents[3]
    dockerfile = (root / "Dockerfile").read_text()
    assert "COPY shared/programs/*.py shared/programs/" in dockerfile
    assert "COPY shared/programs/profiles/*.toml shared/programs/profiles/" in dockerfile
    ignored = (root / ".dockerignore").read_text().splitlines()
    assert not any(line.startswith("shared/programs") for line in ignored)

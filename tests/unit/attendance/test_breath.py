"""Breath tests: a second look after fifteen minutes, one positive said once, no group today, and a safe way home."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from services.attendance.episode import breath
from services.attendance.episode.values import Transport, WithdrawalSigns
from services.attendance.screening import breath_tests
from shared.contracts import attendance, intake, plans
from shared.contracts.codes import MistakeReason
from shared.contracts.terms import ProgramTerms
from shared.errors import CareError
from tests.unit.attendance.world import DAY, Episode, local
from tests.unit.support import fact, uid

QUARTER = timedelta(minutes=15)


class Breathing(Episode):
    """An episode with breath tests."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(local("2026-03-02 09:00"), **changes)

    def blow(self, mg: int, *, of: str | None = None, observed: int = 15) -> dict[str, Any]:
        reading = breath_tests.Reading(
            mg_per_210l=mg, device_id="fuel-cell-2", observed_minutes=observed, retest_of=of
        )
        return dict(self.command(lambda s, c: breath_tests.record(s, reading, c)).answer)

    def positive(self) -> str:
        first = self.blow(80)["screen_id"]
        self.at(self.now + QUARTER)
        return self.blow(75, of=first)["screen_id"]

    def depart(self, test_id: str) -> None:
        way, signs = Transport.RIDE_ARRANGED, WithdrawalSigns.NONE
        self.command(lambda s, c: breath_tests.departed(s, test_id, way, signs, c))

    @property
    def open(self) -> list[str]:
        return sorted(loop.kind for loop in self.state.loops.values() if loop.kind != "make_up")

    @property
    def outcomes(self) -> list[tuple[str, bool]]:
        told = self.of(attendance.BreathTestRecorded)
        return [(event.outcome, event.retest_of_screen_id is not None) for event in told]

    @property
    def no_group(self) -> bool:
        return breath.no_group_today(self.state, self.now)


@pytest.mark.fact("1.8")
@pytest.mark.parametrize(
    ("first", "second", "outcomes", "no_group"),
    [
        (0, None, [("negative", False)], False),
        (9, None, [("negative", False)], False),
        (10, None, [("retest", False)], True),
        (10, 9, [("retest", False), ("negative", True)], False),
        (10, 10, [("retest", False), ("positive", True)], True),
        (200, 0, [("retest", False), ("negative", True)], False),
        (41, 38, [("retest", False), ("positive", True)], True),
    ],
)
def test_a_positive_is_only_said_after_a_second_look(
    first: int, second: int | None, outcomes: list[tuple[str, bool]], no_group: bool
) -> None:
    episode = Breathing()
    told = episode.blow(first)
    if second is not None:
        assert episode.no_group, "until the second test has decided"
        episode.at(episode.now + QUARTER)
        episode.blow(second, of=told["screen_id"])
    assert episode.outcomes == outcomes
    assert episode.no_group is no_group
    assert not {"screen-failed", "screen-interpreted"} & set(episode.names)
    assert not any(b"fuel-cell" in event.data() for event in episode.said)


@pytest.mark.parametrize(
    ("mg", "mark"), [(0, None), (19, None), (20, "0.020"), (39, "0.020"), (40, "0.040")]
)
def test_the_marks_of_transport_rules(mg: int, mark: str | None) -> None:
    assert breath_tests.mark(mg) == mark


def test_the_program_sets_from_where_a_test_is_positive() -> None:
    episode = Breathing(terms=ProgramTerms(breath_positive_mg_per_210l=20))
    assert episode.blow(19)["outcome"] == "negative"
    assert episode.blow(20)["outcome"] == "retest"


def test_no_group_is_for_today_only() -> None:
    episode = Breathing()
    episode.positive()
    assert episode.no_group
    episode.at(local("2026-03-02 23:59"))
    assert episode.no_group
    episode.at(local("2026-03-03 00:00"))
    assert not episode.no_group


def test_a_retest_nobody_does_escalates_and_the_test_clears_it() -> None:
    episode = Breathing()
    first = episode.blow(50)["screen_id"]
    assert episode.open == ["screen_retest"]
    episode.at(episode.now + breath_tests.RETEST_WITHIN)
    [late] = episode.of(attendance.LoopEscalated)
    assert (late.loop, late.loop_id, late.owner_role) == ("screen_retest", first, "clinician")
    episode.blow(0, of=first)
    [cleared] = episode.of(attendance.EscalationCleared)
    assert (cleared.loop, cleared.reason) == ("screen_retest", "resolved")
    assert episode.open == []


def test_whoever_is_positive_is_seen_home() -> None:
    episode = Breathing()
    test_id = episode.positive()
    assert episode.open == ["safe_departure"]
    episode.at(episode.now + timedelta(hours=1))
    [late] = episode.of(attendance.LoopEscalated)
    assert (late.loop, late.owner_role) == ("safe_departure", "clinician")
    episode.depart(test_id)
    assert episode.open == []
    assert len(episode.of(attendance.EscalationCleared)) == 1


@pytest.mark.parametrize(
    "ends",
    [
        fact(plans.EpisodeDischarged, discharged_at=local("2026-03-12 09:00")),
        fact(intake.EpisodeEnteredInError),
        fact(intake.AdmissionUndone),
    ],
)
def test_an_end_of_the_episode_waits_for_nothing_more(ends: Any) -> None:
    episode = Breathing()
    episode.positive()
    episode.at(episode.now + DAY)
    episode.blow(50)
    episode.hear(ends)
    assert episode.open == []
    assert not episode.no_group


Then = tuple[str, str]
"""The last act, and on which test: the first one, its repetition, or one that never was."""


@pytest.mark.parametrize(
    ("repeated_with", "after", "then", "code"),
    [
        (None, timedelta(0), ("blow", "first"), "retest-too-early"),
        (None, QUARTER - timedelta(seconds=1), ("blow", "first"), "retest-too-early"),
        (None, QUARTER, ("blow", "none"), "retest-awaited"),
        (None, QUARTER, ("blow", "another"), "unknown-screen"),
        (None, QUARTER, ("blow unwatched", "first"), "observation-too-short"),
        (0, QUARTER, ("blow", "first"), "nothing-to-retest"),
        (0, QUARTER, ("blow", "second"), "nothing-to-retest"),
        (50, QUARTER, ("blow", "second"), "nothing-to-retest"),
        (None, QUARTER, ("depart", "first"), "breath-test-not-positive"),
        (0, QUARTER, ("depart", "second"), "breath-test-not-positive"),
        (None, QUARTER, ("depart", "another"), "unknown-screen"),
    ],
)
def test_what_is_refused_of_a_breath_test(
    repeated_with: int | None, after: timedelta, then: Then, code: str
) -> None:
    episode = Breathing()
    tests: dict[str, Any] = {"none": None, "another": uid("another")}
    tests["first"] = episode.blow(50)["screen_id"]
    episode.at(episode.now + after)
    if repeated_with is not None:
        tests["second"] = episode.blow(repeated_with, of=tests["first"])["screen_id"]
    act, on = then
    acts: dict[str, Callable[[], object]] = {
        "blow": lambda: episode.blow(50, of=tests[on]),
        "blow unwatched": lambda: episode.blow(50, of=tests[on], observed=14),
        "depart": lambda: episode.depart(tests[on]),
    }
    before = (episode.state, list(episode.names))
    with pytest.raises(CareError) as refused:
        acts[act]()
    assert refused.value.code == code
    assert (episode.state, episode.names) == before


def test_the_way_home_is_recorded_once() -> None:
    episode = Breathing()
    test_id = episode.positive()
    episode.depart(test_id)
    with pytest.raises(CareError) as refused:
        episode.depart(test_id)
    assert refused.value.code == "departure-recorded"


def test_nothing_is_done_about_an_episode_entered_in_error() -> None:
    episode = Breathing()
    test_id = episode.positive()
    episode.hear(fact(intake.EpisodeEnteredInError))
    for act in (lambda: episode.blow(0), lambda: episode.depart(test_id)):
        with pytest.raises(CareError) as refused:
            act()
        assert refused.value.code == "entered-in-error"


SECOND_CLICK = QUARTER - timedelta(seconds=1)


@pytest.mark.parametrize("values", [(0,), (50,), (50, 0), (50, 50)])
def test_a_second_click_records_no_second_test(values: tuple[int, ...]) -> None:
    episode = Breathing()
    of = None
    for mg in values:
        told = episode.blow(mg, of=of)
        before = (episode.state, list(episode.names))
        episode.at(episode.now + SECOND_CLICK)
        assert episode.blow(mg, of=of) == told
        assert (episode.state, episode.names) == before
        of = told["screen_id"]
        episode.at(episode.now + timedelta(seconds=1))


def test_what_is_not_the_same_test_is_another_one() -> None:
    episode = Breathing()
    tests = [episode.blow(0)["screen_id"], episode.blow(9)["screen_id"]]
    episode.at(episode.now + QUARTER)
    tests.append(episode.blow(0)["screen_id"])
    episode.command(lambda s, c: breath_tests.undo(s, tests[-1], MistakeReason.NOT_INTENDED, c))
    tests.append(episode.blow(0)["screen_id"])
    assert len(set(tests)) == len(episode.of(attendance.BreathTestRecorded)) == 4

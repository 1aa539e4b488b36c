"""Screens: what a result means against what is prescribed, what is said of it, and what is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.attendance import screens
from services.attendance.domain import Screen
from shared.contracts import attendance, plans
from shared.contracts.attendance import (
    Matrix,
    NotProvidedKind,
    ScreenClass,
    ScreenReason,
    ScreenStage,
    SpecimenValidity,
)
from shared.contracts.plans import ExpectedAnalyte
from shared.errors import CareError, Refused, Unknown
from tests.unit.attendance.world import Episode, local
from tests.unit.support import fact, uid

COLLECTED = datetime(2026, 3, 10, 22, 0, tzinfo=UTC)
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


def a_screen(positives: list[str], validity: SpecimenValidity) -> Screen:
    return Screen(
        matrix=Matrix.URINE,
        panel="urine-12",
        window_ends_at=COLLECTED,
        collected_at=COLLECTED,
        positives=tuple(positives),
        validity=validity,
    )


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
        (["methadone", "eddp"], [prescribed("methadone"), prescribed("eddp")], EXPECTED),
        (["methadone"], [prescribed("methadone"), prescribed("eddp")], ABSENT),
        (["methadone"], [prescribed("buprenorphine")], UNEXPECTED),
    ],
)
def test_what_a_valid_result_means(
    positives: list[str], expected: list[ExpectedAnalyte], meaning: ScreenClass
) -> None:
    screen = a_screen(positives, SpecimenValidity.VALID)
    assert screens.classify(screen, tuple(expected), COLLECTED) is meaning


@pytest.mark.parametrize("positives", [[], ["cocaine"], ["buprenorphine"]])
@pytest.mark.parametrize(
    "validity", [v for v in SpecimenValidity if v is not SpecimenValidity.VALID]
)
def test_a_specimen_that_cannot_be_judged_is_never_positive(
    validity: SpecimenValidity, positives: list[str]
) -> None:
    meaning = screens.classify(a_screen(positives, validity), (prescribed(),), COLLECTED)
    assert meaning is INVALID


# --- from order to interpretation ------------------------------------------------------------------------


class Screened(Episode):
    """An episode with one screen."""

    def __init__(self) -> None:
        super().__init__(local("2026-03-02 09:00"))
        outcome = self.command(
            lambda s, c: screens.order(s, Matrix.URINE, "urine-12", ScreenReason.RANDOM, c)
        )
        self.screen_id = outcome.answer["screen_id"]

    def collect(self) -> None:
        self.command(
            lambda s, c: screens.collect(
                s, self.screen_id, observed=False, temperature_in_range=True, cause=c
            )
        )

    def result(self, *positives: str, validity: SpecimenValidity = SpecimenValidity.VALID) -> None:
        self.command(
            lambda s, _c: screens.record_result(
                s,
                self.screen_id,
                stage=ScreenStage.DEFINITIVE,
                validity=validity,
                positives=positives,
            )
        )

    def interpret(self) -> ScreenClass:
        outcome = self.command(lambda s, c: screens.interpret(s, self.screen_id, c))
        return ScreenClass(outcome.answer["classification"])

    def not_provided(self, kind: NotProvidedKind = NotProvidedKind.REFUSED) -> None:
        self.command(lambda s, c: screens.not_provided(s, self.screen_id, kind, c))


def test_an_unexpected_positive_is_said_in_a_fact_of_its_own_without_the_analyte() -> None:
    episode = Screened()
    episode.collect()
    episode.result("cocaine")
    assert episode.interpret() is UNEXPECTED
    assert episode.names[-4:] == [
        "specimen-collected",
        "screen-resulted",
        "screen-interpreted",
        "screen-failed",
    ]
    assert not any(b"cocaine" in event.data() for event in episode.said)


@pytest.mark.parametrize(
    ("positives", "validity", "meaning"),
    [
        ([], SpecimenValidity.VALID, NEGATIVE),
        (["cocaine"], SpecimenValidity.DILUTE, INVALID),
        (["cocaine"], SpecimenValidity.SUBSTITUTED, INVALID),
    ],
)
def test_nothing_else_is_called_a_failed_screen(
    positives: list[str], validity: SpecimenValidity, meaning: ScreenClass
) -> None:
    episode = Screened()
    episode.collect()
    episode.result(*positives, validity=validity)
    assert episode.interpret() is meaning
    assert "screen-failed" not in episode.names


def test_a_prescription_heard_before_the_interpretation_counts() -> None:
    episode = Screened()
    episode.collect()
    episode.result("buprenorphine")
    episode.hear(fact(plans.ExpectedAnalytesUpdated, analytes=(prescribed(),)))
    assert episode.interpret() is EXPECTED
    assert "screen-failed" not in episode.names


def test_a_later_result_replaces_an_earlier_one() -> None:
    episode = Screened()
    episode.collect()
    episode.result("cocaine")
    episode.result()
    assert episode.interpret() is NEGATIVE
    assert episode.names.count("screen-resulted") == 2


@pytest.mark.parametrize("kind", [k for k in NotProvidedKind if k != "unknown"])
def test_no_specimen_is_never_use(kind: NotProvidedKind) -> None:
    episode = Screened()
    episode.not_provided(kind)
    [event] = episode.of(attendance.ScreenNotProvided)
    assert event.kind is kind
    assert not {"screen-failed", "screen-interpreted", "screen-resulted"} & set(episode.names)
    assert "screen:" not in "".join(episode.state.deadlines)


def test_a_specimen_that_is_late_is_a_nurses_and_not_a_refusal() -> None:
    episode = Screened()
    ordered_at = episode.now
    episode.at(ordered_at + screens.WINDOW - timedelta(seconds=1))
    assert not episode.of(attendance.LoopEscalated)
    episode.at(ordered_at + screens.WINDOW)
    [event] = episode.of(attendance.LoopEscalated)
    assert (event.loop, event.loop_id, event.owner_role) == ("specimen", episode.screen_id, "nurse")
    assert "screen-not-provided" not in episode.names


def test_a_specimen_that_was_collected_is_not_late() -> None:
    episode = Screened()
    episode.collect()
    episode.at(episode.now + 2 * screens.WINDOW)
    assert not episode.of(attendance.LoopEscalated)


REFUSALS: list[tuple[list[str], str, str]] = [
    ([], "result", "specimen-not-collected"),
    ([], "interpret", "screen-not-resulted"),
    (["collect"], "interpret", "screen-not-resulted"),
    (["collect"], "collect", "specimen-already-collected"),
    (["not_provided"], "collect", "screen-closed"),
    (["not_provided"], "not_provided", "screen-closed"),
    (["not_provided"], "result", "screen-closed"),
    (["collect", "result", "interpret"], "interpret", "screen-closed"),
    (["collect", "result", "interpret"], "result", "screen-closed"),
]


@pytest.mark.parametrize(("done", "then", "code"), REFUSALS)
def test_what_is_refused_of_a_screen(done: list[str], then: str, code: str) -> None:
    episode = Screened()
    steps: dict[str, Any] = {
        name: getattr(episode, name) for name in ("collect", "result", "interpret", "not_provided")
    }
    for step in done:
        steps[step]()
    said = list(episode.names)
    with pytest.raises(Refused) as refused:
        steps[then]()
    assert refused.value.code == code
    assert episode.names == said


def test_a_screen_that_was_never_ordered_is_unknown() -> None:
    episode = Screened()
    episode.screen_id = uid("another")
    for step in (episode.collect, episode.result, episode.interpret, episode.not_provided):
        with pytest.raises(Unknown):
            step()


def test_nobody_is_screened_who_has_left() -> None:
    episode = Screened()
    episode.hear(fact(plans.EpisodeDischarged, discharged_at=episode.now))
    with pytest.raises(CareError) as refused:
        episode.command(
            lambda s, c: screens.order(s, Matrix.URINE, "urine-12", ScreenReason.RANDOM, c)
        )
    assert refused.value.code == "episode-closed"

"""Screens: what is said of them, what is refused, which loops they open, and how the draw finds people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from services.attendance.laboratory.interpretation import UnableReason
from services.attendance.screening import random_draw, screens
from shared.contracts import attendance, intake, plans
from shared.contracts.attendance import NotProvidedKind, ScreenReason, SpecimenValidity
from shared.contracts.terms import ProgramTerms
from shared.errors import CareError, Refused, Unknown
from tests.unit.attendance.screened import (
    ABSENT,
    DEFINITIVE,
    DILUTE,
    EXPECTED,
    INVALID,
    MONDAY,
    NEGATIVE,
    PRESUMPTIVE,
    UNEXPECTED,
    Screened,
    a_report,
    prescribed,
)
from tests.unit.attendance.world import DAY, HOUR, local
from tests.unit.support import fact, uid

Step = Callable[[Screened], object]


# --- what is said ----------------------------------------------------------------------------------------


@pytest.mark.fact("1.8")
@pytest.mark.scenario(2)
def test_an_unexpected_positive_is_said_in_a_fact_of_its_own_without_the_analyte() -> None:
    episode = Screened()
    episode.collect()
    episode.result("cocaine")
    assert "screen-failed" not in episode.names, "only after interpretation"
    assert episode.interpret() is UNEXPECTED
    assert episode.names[-4:] == [
        "specimen-collected",
        "screen-resulted",
        "screen-interpreted",
        "screen-failed",
    ]
    assert not any(b"cocaine" in event.data() for event in episode.said)
    assert episode.open == []


@pytest.mark.parametrize(
    ("positives", "validity"),
    [([], SpecimenValidity.VALID)]
    + [(["cocaine"], v) for v in SpecimenValidity if v not in ("valid", "unknown")],
)
def test_nothing_else_is_called_a_failed_screen(
    positives: list[str], validity: SpecimenValidity
) -> None:
    episode = Screened()
    episode.collect()
    episode.result(*positives, validity=validity)
    assert episode.interpret() is (NEGATIVE if validity == "valid" else INVALID)
    assert "screen-failed" not in episode.names


@pytest.mark.fact("0.5")
@pytest.mark.scenario(3)
def test_a_prescription_heard_before_the_interpretation_counts() -> None:
    episode = Screened()
    episode.collect()
    episode.result("buprenorphine")
    episode.hear(fact(plans.ExpectedAnalytesUpdated, analytes=(prescribed(),)))
    assert episode.interpret() is EXPECTED
    assert "screen-failed" not in episode.names
    assert episode.open == []


@pytest.mark.scenario(3)
def test_a_missing_medicine_is_no_failed_screen_and_waits_for_nobody_here() -> None:
    episode = Screened()
    episode.hear(fact(plans.ExpectedAnalytesUpdated, analytes=(prescribed(),)))
    episode.collect()
    episode.result()
    assert episode.interpret() is ABSENT
    assert episode.open == [], "the private talk is a review of the plan, with its owner there"
    assert "screen-failed" not in episode.names


@pytest.mark.scenario(4)
@pytest.mark.parametrize("kind", [k for k in NotProvidedKind if k != "unknown"])
def test_no_specimen_is_never_use(kind: NotProvidedKind) -> None:
    episode = Screened()
    episode.not_provided(kind)
    [event] = episode.of(attendance.ScreenNotProvided)
    assert event.kind is kind
    assert not {"screen-failed", "screen-interpreted", "screen-resulted"} & set(episode.names)
    assert episode.open == []


@pytest.mark.parametrize("kind", [k for k in NotProvidedKind if k != "unknown"])
@pytest.mark.parametrize("reason", [None, UnableReason.SHY_BLADDER, UnableReason.TRAUMA])
def test_somebody_who_is_unable_is_asked_why_before_it_is_written_down(
    kind: NotProvidedKind, reason: UnableReason | None
) -> None:
    episode = Screened()

    def say() -> None:
        episode.command(lambda s, c: screens.not_provided(s, episode.screen_id, kind, reason, c))

    if (kind == "unable") == (reason is not None):
        say()
        assert episode.screen.unable_reason is reason
        return
    with pytest.raises(CareError) as refused:
        say()
    assert (refused.value.code, refused.value.status) == ("unable-not-assessed", 422)


# --- results twice and out of order ----------------------------------------------------------------------


FIRST = a_report("cocaine", stage=PRESUMPTIVE, at=MONDAY + HOUR)
AGAIN = a_report(stage=PRESUMPTIVE, at=MONDAY + 2 * HOUR)
LAB = a_report("cocaine", at=MONDAY + 3 * HOUR)
CORRECTED = a_report("fentanyl", at=MONDAY + 4 * HOUR)


def accepted(episode: Screened, report: Any) -> bool:
    """Whether a report is taken: one that is older than what holds is refused, so that nobody believes it was."""
    before, held = episode.state, episode.screen.results.get(report.stage.value)
    if held is None or held.reported_at <= report.reported_at:
        episode.report(report)
        return True
    with pytest.raises(Refused) as error:
        episode.report(report)
    assert (error.value.code, error.value.status) == ("result-outdated", 409)
    assert episode.state == before
    return False


@pytest.mark.scenario(17)
@pytest.mark.parametrize("reports", list(permutations([FIRST, AGAIN, LAB, CORRECTED])))
def test_results_lead_to_the_same_in_any_order_and_twice(reports: tuple[Any, ...]) -> None:
    episode = Screened()
    episode.collect()
    episode.at(MONDAY + DAY)
    for report in reports:
        taken = accepted(episode, report)
        before = (episode.state, len(episode.names))
        assert accepted(episode, report) is taken
        assert (episode.state, len(episode.names)) == before, "a duplicate changes nothing"
    result = episode.screen.result
    assert result is not None
    assert (result.positives, episode.screen.stage) == (("fentanyl",), DEFINITIVE)
    assert set(episode.screen.results) == {"presumptive", "definitive"}
    assert episode.screen.results["presumptive"].positives == ()
    assert episode.open == ["screen_interpretation"]
    assert episode.interpret() is UNEXPECTED
    assert episode.names.count("screen-failed") == 1


@pytest.mark.scenario(17)
@pytest.mark.parametrize("late", [FIRST, AGAIN, LAB], ids=["first", "again", "lab"])
def test_what_is_outranked_says_nothing_and_reopens_nothing(late: Any) -> None:
    episode = Screened()
    episode.collect()
    episode.at(MONDAY + DAY)
    episode.report(CORRECTED)
    episode.interpret()
    said = list(episode.names)
    assert accepted(episode, late) is (late.stage is PRESUMPTIVE)
    assert (episode.names, episode.open) == (said, [])
    assert episode.screen.closed


@pytest.mark.parametrize("order", list(permutations(["cocaine", "benzodiazepines", ""], 2)))
@pytest.mark.fault("F19")
def test_an_amendment_with_the_time_of_what_it_amends_holds(order: tuple[str, str]) -> None:
    """Arrival decides, and never the alphabet."""
    episode = Screened()
    episode.collect()
    episode.at(MONDAY + DAY)
    for found in order:
        episode.report(a_report(*filter(None, [found]), at=MONDAY + HOUR))
    result = episode.screen.result
    assert result is not None
    assert result.positives == tuple(filter(None, [order[1]]))


@pytest.mark.parametrize(
    ("at", "taken"),
    [
        ("2026-03-02 09:00:00", True),
        ("2026-03-02 08:59:59", False),
        ("2026-03-02 10:04:59", True),
        ("2026-03-02 10:05:01", False),
    ],
)
@pytest.mark.fault("F21")
def test_a_laboratory_reports_in_minutes_and_its_clock_is_its_own(at: str, taken: bool) -> None:
    """The specimen was taken 42 seconds after nine, and it is ten o'clock."""
    episode = Screened()
    episode.at(local("2026-03-02 09:00:42"))
    episode.collect()
    episode.at(local("2026-03-02 10:00:00"))
    if taken:
        episode.report(a_report(at=local(at)))
        return
    with pytest.raises(Refused) as error:
        episode.report(a_report(at=local(at)))
    assert error.value.code == "reported-at-impossible"
    assert error.value.hint


@pytest.mark.scenario(3)
@pytest.mark.fault("F20")
def test_a_prescription_that_is_verified_afterwards_amends_the_interpretation() -> None:
    episode = Screened()
    episode.collect()
    episode.result("buprenorphine", "norbuprenorphine")
    assert episode.interpret() is UNEXPECTED
    with pytest.raises(Refused) as error:
        episode.interpret()
    assert error.value.code == "screen-closed"
    assert "verified" in error.value.hint
    episode.hear(fact(plans.ExpectedAnalytesUpdated, analytes=(prescribed(),)))
    assert episode.interpret() is EXPECTED
    told = [e.classification for e in episode.of(attendance.ScreenInterpreted)]
    assert told == [UNEXPECTED, EXPECTED]
    assert episode.open == []


@pytest.mark.scenario(17)
def test_a_definitive_result_after_the_interpretation_is_interpreted_again() -> None:
    episode = Screened()
    episode.collect()
    episode.result("cocaine", stage=PRESUMPTIVE)
    assert episode.interpret() is UNEXPECTED
    episode.at(episode.now + DAY)
    episode.result(stage=DEFINITIVE)
    assert episode.open == ["screen_interpretation"]
    assert episode.interpret() is NEGATIVE
    told = [e.classification for e in episode.of(attendance.ScreenInterpreted)]
    assert told == [UNEXPECTED, NEGATIVE]
    assert episode.names.count("screen-failed") == 1
    assert episode.open == []


def test_a_definitive_result_that_says_the_same_is_interpreted_as_definitive() -> None:
    episode = Screened()
    episode.collect()
    episode.result("cocaine", stage=PRESUMPTIVE)
    episode.interpret()
    episode.result("cocaine", stage=DEFINITIVE)
    assert not episode.screen.closed
    assert episode.interpret() is UNEXPECTED


def test_a_result_that_is_told_again_later_says_nothing_new() -> None:
    episode = Screened()
    episode.collect()
    episode.result("cocaine")
    episode.interpret()
    episode.at(episode.now + HOUR)
    episode.result("cocaine")
    assert episode.names.count("screen-resulted") == 1
    assert episode.screen.closed


@pytest.mark.parametrize("offset", [-HOUR, 2 * HOUR])
def test_a_result_is_reported_after_the_collection_and_before_now(offset: timedelta) -> None:
    episode = Screened()
    episode.collect()
    collected_at = episode.now
    episode.at(collected_at + HOUR)
    with pytest.raises(CareError) as refused:
        episode.result(at=collected_at + offset)
    assert (refused.value.code, refused.value.status) == ("reported-at-impossible", 422)


def test_a_contested_result_waits_for_the_definitive_one() -> None:
    episode = Screened()
    episode.collect()
    episode.result("cocaine", stage=PRESUMPTIVE)
    episode.ask_definitive()
    assert episode.open == ["screen_result"]
    with pytest.raises(Refused) as refused:
        episode.interpret()
    assert refused.value.code == "definitive-awaited"
    episode.result()
    assert episode.interpret() is NEGATIVE
    assert "screen-failed" not in episode.names


def test_a_clinical_review_sends_the_latest_presumptive_positive_to_the_laboratory() -> None:
    episode = Screened()
    episode.collect()
    episode.result("cocaine", stage=PRESUMPTIVE)
    episode.interpret()
    for outcome in plans.ReviewOutcome:
        if outcome not in ("definitive_test", "unknown"):
            episode.hear(fact(plans.ClinicalReviewCompleted, outcome=outcome))
            assert episode.open == []
    episode.hear(fact(plans.ClinicalReviewCompleted, outcome="definitive_test"), again=1)
    assert episode.open == ["screen_result"]
    episode.result()
    assert episode.interpret() is NEGATIVE


def test_a_review_finds_nothing_to_confirm_in_a_definitive_result() -> None:
    episode = Screened()
    episode.collect()
    episode.result("cocaine")
    episode.interpret()
    episode.hear(fact(plans.ClinicalReviewCompleted, outcome="definitive_test"))
    assert (episode.open, episode.screen.closed) == ([], True)


# --- loops -----------------------------------------------------------------------------------------------

UNTIL_COLLECTED: list[Step] = [Screened.collect]
LOOPS: list[tuple[list[Step], str, timedelta, str, Step]] = [
    ([], "specimen", screens.WINDOW, "nurse", Screened.collect),
    ([], "specimen", screens.WINDOW, "nurse", Screened.not_provided),
    (
        [Screened.collect],
        "screen_result",
        timedelta(hours=72),
        "clinical_supervisor",
        Screened.result,
    ),
    (
        [Screened.collect, Screened.result],
        "screen_interpretation",
        DAY,
        "clinical_supervisor",
        Screened.interpret,
    ),
]


@pytest.mark.parametrize(("done", "kind", "within", "owner", "close"), LOOPS)
def test_every_step_has_an_owner_a_deadline_and_an_escalation(
    done: list[Step], kind: str, within: timedelta, owner: str, close: Step
) -> None:
    on_time, late = Screened(), Screened()
    for episode in (on_time, late):
        for step in done:
            step(episode)
        assert episode.open == [kind]
    close(on_time)
    assert kind not in on_time.open
    assert not on_time.of(attendance.EscalationCleared)
    began = late.now
    late.at(began + within - timedelta(seconds=1))
    assert not late.of(attendance.LoopEscalated)
    late.at(began + within)
    [event] = late.of(attendance.LoopEscalated)
    assert (event.loop, event.loop_id, event.owner_role) == (kind, late.screen_id, owner)
    assert "screen-not-provided" not in late.names
    close(late)
    [cleared] = late.of(attendance.EscalationCleared)
    assert (cleared.loop, cleared.step_reached, cleared.reason) == (kind, 1, "resolved")


@pytest.mark.parametrize(("done", "kind", "within", "owner", "close"), LOOPS)
@pytest.mark.parametrize(
    ("ends", "reason"),
    [
        (fact(plans.EpisodeDischarged, discharged_at=MONDAY + 30 * DAY), "episode_closed"),
        (fact(intake.EpisodeEnteredInError), "entered_in_error"),
        (fact(intake.AdmissionUndone), "withdrawn"),
    ],
)
def test_an_end_of_the_episode_closes_every_loop(
    done: list[Step],
    kind: str,
    within: timedelta,
    owner: str,
    close: Step,
    ends: Any,
    reason: str,
) -> None:
    episode = Screened()
    for step in done:
        step(episode)
    episode.at(episode.now + within)
    episode.hear(ends)
    [cleared] = episode.of(attendance.EscalationCleared)
    assert (cleared.loop, cleared.reason) == (kind, reason)
    assert episode.open == []
    assert not [name for name in episode.state.deadlines if name.startswith("loop:")]


def test_interpretation_waits_for_the_working_day() -> None:
    episode = Screened(MONDAY + 4 * DAY)
    episode.collect()
    episode.result()
    [loop] = episode.state.loops.values()
    assert (loop.deadline_at - episode.now, loop.kind) == (3 * DAY, "screen_interpretation")


@pytest.mark.scenario(4)
@pytest.mark.parametrize("validity", [DILUTE, SpecimenValidity.INVALID])
def test_a_dilute_specimen_is_repeated_within_48_hours(validity: SpecimenValidity) -> None:
    episode = Screened()
    episode.collect()
    episode.result("cocaine", validity=validity)
    first = episode.screen_id
    loop = episode.state.loop(attendance.AttendanceLoop.SCREEN_RETEST, first)
    assert loop.deadline_at == episode.now + timedelta(hours=48)
    assert episode.interpret() is INVALID
    assert episode.open == ["screen_retest"]
    episode.at(episode.now + 2 * DAY)
    [late] = episode.of(attendance.LoopEscalated)
    assert (late.loop, late.owner_role) == ("screen_retest", "clinician")
    episode.order(ScreenReason.RETEST)
    assert episode.screen.retest_of == first
    assert episode.open == ["screen_retest", "specimen"]
    episode.collect()
    assert episode.open == ["screen_result"]
    [cleared] = episode.of(attendance.EscalationCleared)
    assert (cleared.loop, cleared.loop_id) == ("screen_retest", first)
    assert "screen-failed" not in episode.names


@pytest.mark.parametrize(
    ("kind", "waits"),
    [("refused", False), ("unable", True), ("no_show", True), ("excused", True)],
)
def test_a_retest_that_was_not_given_is_still_waited_for_unless_it_was_refused(
    kind: str, waits: bool
) -> None:
    episode = Screened()
    episode.collect()
    episode.result(validity=DILUTE)
    episode.interpret()
    episode.order(ScreenReason.RETEST, episode.screen_id)
    episode.not_provided(NotProvidedKind(kind))
    assert episode.open == (["screen_retest"] if waits else [])


def test_a_definitive_verdict_that_it_was_valid_after_all_needs_no_retest() -> None:
    episode = Screened()
    episode.collect()
    episode.result(stage=PRESUMPTIVE, validity=DILUTE)
    episode.result(stage=DEFINITIVE)
    assert episode.open == ["screen_interpretation"]


def test_a_result_after_the_discharge_is_kept_and_waits_for_nobody() -> None:
    episode = Screened()
    episode.collect()
    episode.hear(fact(plans.EpisodeDischarged, discharged_at=episode.now))
    episode.at(episode.now + DAY)
    episode.result("cocaine")
    assert episode.open == []
    assert episode.interpret() is UNEXPECTED


# --- what is refused -------------------------------------------------------------------------------------


STEPS: dict[str, Step] = {
    "collect": Screened.collect,
    "hand_on": Screened.hand_on,
    "result": Screened.result,
    "other": lambda episode: episode.result("cocaine", at=episode.now),
    "interpret": Screened.interpret,
    "not_provided": Screened.not_provided,
    "definitive": Screened.ask_definitive,
    "presumptive": lambda episode: episode.result(stage=PRESUMPTIVE),
}
REFUSALS: list[tuple[list[str], str, str]] = [
    ([], "result", "specimen-not-collected"),
    ([], "hand_on", "specimen-not-collected"),
    ([], "interpret", "screen-not-resulted"),
    ([], "definitive", "screen-not-resulted"),
    (["collect"], "interpret", "screen-not-resulted"),
    (["collect"], "definitive", "screen-not-resulted"),
    (["collect"], "collect", "specimen-already-collected"),
    (["collect"], "not_provided", "specimen-already-collected"),
    (["not_provided"], "collect", "screen-closed"),
    (["not_provided"], "not_provided", "screen-closed"),
    (["not_provided"], "result", "screen-closed"),
    (["not_provided"], "interpret", "screen-closed"),
    (["not_provided"], "hand_on", "specimen-not-collected"),
    (["collect", "result"], "definitive", "already-definitive"),
    (["collect", "presumptive", "definitive"], "definitive", "definitive-awaited"),
    (["collect", "presumptive", "definitive"], "interpret", "definitive-awaited"),
    (["collect", "result", "interpret"], "interpret", "screen-closed"),
    (["collect", "result", "interpret"], "not_provided", "screen-closed"),
]


@pytest.mark.parametrize(("done", "then", "code"), REFUSALS)
def test_what_is_refused_of_a_screen(done: list[str], then: str, code: str) -> None:
    episode = Screened()
    for step in done:
        STEPS[step](episode)
    before = (episode.state, list(episode.names))
    with pytest.raises(Refused) as refused:
        STEPS[then](episode)
    assert refused.value.code == code
    assert (episode.state, episode.names) == before


@pytest.mark.parametrize("step", STEPS)
def test_a_screen_that_was_never_ordered_is_unknown(step: str) -> None:
    episode = Screened()
    episode.screen_id = uid("another")
    with pytest.raises(Unknown):
        STEPS[step](episode)


@pytest.mark.parametrize("step", STEPS)
def test_nothing_is_done_about_an_episode_entered_in_error(step: str) -> None:
    episode = Screened()
    episode.hear(fact(intake.EpisodeEnteredInError))
    with pytest.raises(CareError) as refused:
        STEPS[step](episode)
    assert refused.value.code == "entered-in-error"


@pytest.mark.parametrize("step", ["collect", "not_provided"])
def test_nobody_is_screened_who_has_left(step: str) -> None:
    episode = Screened()
    episode.hear(fact(plans.EpisodeDischarged, discharged_at=episode.now))
    for act in (STEPS[step], Screened.order):
        with pytest.raises(CareError) as refused:
            act(episode)
        assert refused.value.code == "episode-closed"


def test_a_panel_that_the_program_does_not_have_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        Screened(terms=ProgramTerms(panels=("urine-5",)))
    assert refused.value.code == "panel-not-offered"


def test_a_retest_of_a_screen_that_was_never_ordered_is_unknown() -> None:
    episode = Screened()
    with pytest.raises(Unknown):
        episode.order(ScreenReason.RETEST, uid("another"))


# --- ordered twice ---------------------------------------------------------------------------------------


REASONS = [ScreenReason.RANDOM, ScreenReason.FOR_CAUSE, ScreenReason.BASELINE, ScreenReason.RETEST]


@pytest.mark.parametrize("reason", REASONS)
def test_a_second_click_orders_no_second_screen(reason: ScreenReason) -> None:
    episode = Screened()
    episode.collect()
    episode.result(validity=DILUTE)
    first = episode.order(reason)
    before = (episode.state, list(episode.names))
    episode.at(episode.now + screens.WINDOW - timedelta(seconds=1))
    assert episode.order(reason) == first
    assert (episode.state, episode.names) == before


@pytest.mark.parametrize(
    "then",
    [
        lambda e: e.at(e.now + screens.WINDOW),
        Screened.collect,
        Screened.not_provided,
        lambda e: e.order(ScreenReason.FOR_CAUSE),
    ],
    ids=["the window has ended", "it was given", "it was not given", "for another reason"],
)
def test_what_is_not_the_same_order_is_another_screen(then: Step) -> None:
    episode = Screened()
    first = episode.screen_id
    then(episode)
    if episode.screen_id == first:
        episode.order()
    assert episode.screen_id != first
    assert len(episode.of(attendance.ScreenOrdered)) == 2


def test_whoever_waits_to_be_screened_is_not_notified_again_by_a_draw() -> None:
    episode = Screened()
    told = episode.command(lambda s, c: random_draw.draw(s, "urine-12", 0, c)).answer
    assert told == {"drawn": True, "screen_id": episode.screen_id}
    assert len(episode.of(attendance.ScreenOrdered)) == 1

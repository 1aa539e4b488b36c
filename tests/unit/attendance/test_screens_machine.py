"""Whatever is done with screens, in whichever order and however often: no state that should not be is ever reached."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from services.attendance.laboratory import interpretation
from services.attendance.laboratory.interpretation import DefinitiveReason, Report, UnableReason
from services.attendance.laboratory.panels import Laboratory
from services.attendance.screening import breath_tests, random_draw, screens, specimens
from shared.contracts import attendance, plans
from shared.contracts.attendance import (
    CustodyHolder,
    NotProvidedKind,
    ScreenReason,
    ScreenStage,
    SpecimenValidity,
)
from shared.contracts.codes import AttendanceLoop
from shared.contracts.plans import ExpectedAnalyte
from shared.decision import Cause, Decision
from shared.errors import Refused
from tests.unit.attendance.screened import MONDAY, prescribed
from tests.unit.attendance.world import Episode
from tests.unit.support import fact

STAGES = st.sampled_from([ScreenStage.PRESUMPTIVE, ScreenStage.DEFINITIVE])
VALIDITIES = st.sampled_from(
    [*[SpecimenValidity.VALID] * 4, *(v for v in SpecimenValidity if v != "unknown")]
)
ANALYTES = st.sets(st.sampled_from(["buprenorphine", "cocaine", "fentanyl"]), max_size=2)
KINDS = st.sampled_from([k for k in NotProvidedKind if k != "unknown"])


class Screens(RuleBasedStateMachine):
    """One episode, any number of screens."""

    screen_ids = Bundle("screen_ids")

    def __init__(self) -> None:
        super().__init__()
        self.episode = Episode(MONDAY)
        self.failed_should: list[str] = []
        self.expected: tuple[ExpectedAnalyte, ...] = ()
        self.refused: set[str] = set()

    def do(self, act: object, *arguments: object) -> bool:
        """Give a command; a refusal changes nothing."""
        before = (self.episode.state, len(self.episode.names))

        def decide(state: object, cause: Cause) -> Decision[object]:  # type: ignore[type-var]
            return act(state, *arguments, cause)  # type: ignore[operator]

        try:
            self.episode.command(decide)  # type: ignore[arg-type]
        except Refused:
            assert (self.episode.state, len(self.episode.names)) == before
            return False
        return True

    # --- what may happen -----------------------------------------------------------------------------

    @precondition(lambda self: self.episode.state.left_at is None)
    @rule(target=screen_ids, retest=st.booleans())
    def order(self, retest: bool) -> str:
        reason = ScreenReason.RETEST if retest else ScreenReason.RANDOM
        new = screens.NewScreen(panel="urine-12", reason=reason)
        outcome = self.episode.command(lambda s, c: screens.order(s, new, c))
        return outcome.answer["screen_id"]

    @rule(screen_id=screen_ids)
    def collect(self, screen_id: str) -> None:
        self.do(screens.collect, screen_id, screens.Collection())

    @rule(screen_id=screen_ids, number=st.integers(1, 4))
    def hand_on(self, screen_id: str, number: int) -> None:
        self.do(screens.hand_on, screen_id, CustodyHolder.COURIER, number)

    @rule(screen_id=screen_ids, kind=KINDS)
    def not_provided(self, screen_id: str, kind: NotProvidedKind) -> None:
        reason = UnableReason.TRAUMA if kind == "unable" else None
        self.do(screens.not_provided, screen_id, kind, reason)

    @rule(
        screen_id=screen_ids,
        stage=STAGES,
        validity=VALIDITIES,
        positives=ANALYTES,
        minutes_ago=st.integers(0, 300),
        again=st.booleans(),
    )
    def result(
        self,
        screen_id: str,
        stage: ScreenStage,
        validity: SpecimenValidity,
        positives: set[str],
        minutes_ago: int,
        again: bool,
    ) -> None:
        report = Report(
            stage=stage,
            validity=validity,
            positives=tuple(sorted(positives)),
            reported_at=self.episode.now - timedelta(minutes=minutes_ago),
        )
        if self.do(screens.record_result, screen_id, report, Laboratory()) and again:
            before = (self.episode.state, len(self.episode.names))
            assert self.do(screens.record_result, screen_id, report, Laboratory())
            assert (self.episode.state, len(self.episode.names)) == before

    @rule(screen_id=screen_ids)
    def ask_definitive(self, screen_id: str) -> None:
        self.do(screens.ask_definitive, screen_id, DefinitiveReason.CONTESTED)

    @rule(screen_id=screen_ids)
    def interpret(self, screen_id: str) -> None:
        screen = self.episode.state.screens[screen_id]
        told = len(self.episode.names)
        if not self.do(screens.interpret, screen_id):
            return
        assert screen.collected_at is not None
        assert screen.result is not None
        assert screen.not_provided is None
        assert not screen.awaits_definitive
        assert not screen.closed
        names = self.episode.names[told:]
        unexpected = set(screen.result.positives) - {a.code for a in self.expected}
        wrong = bool(unexpected) and screen.result.validity is SpecimenValidity.VALID
        assert ("screen-failed" in names) == wrong
        self.failed_should += [screen_id] if wrong else []

    @rule(on=st.booleans())
    def prescribe(self, on: bool) -> None:
        self.expected = (prescribed(),) if on else ()
        self.episode.hear(fact(plans.ExpectedAnalytesUpdated, analytes=self.expected))

    @rule(lot=st.integers(0, random_draw.LOTS - 1))
    def draw(self, lot: int) -> None:
        self.do(random_draw.draw, "urine-12", lot)

    @rule(mg=st.integers(0, 100))
    def blow(self, mg: int) -> None:
        reading = breath_tests.Reading(mg_per_210l=mg, device_id="d", observed_minutes=15)
        self.do(breath_tests.record, reading)

    @rule(minutes=st.integers(1, 3 * 24 * 60))
    def wait(self, minutes: int) -> None:
        self.episode.at(self.episode.now + timedelta(minutes=minutes))

    @precondition(lambda self: len(self.episode.state.screens) > 1)
    @rule()
    def leave(self) -> None:
        self.episode.hear(fact(plans.EpisodeDischarged, discharged_at=self.episode.now))
        assert not self.episode.state.loops
        said = {
            (e.loop, e.loop_id, e.NAME)
            for e in self.episode.said
            if isinstance(e, (attendance.LoopEscalated, attendance.EscalationCleared))
        }
        escalated = {key[:2] for key in said if key[2] == "loop-escalated"}
        assert escalated == {key[:2] for key in said if key[2] == "escalation-cleared"}

    # --- what always holds ---------------------------------------------------------------------------

    @invariant()
    def a_failed_screen_is_an_interpreted_unexpected_positive(self) -> None:
        failed = [e.screen_id for e in self.episode.of(attendance.ScreenFailed)]
        assert failed == self.failed_should
        interpreted = [e.screen_id for e in self.episode.of(attendance.ScreenInterpreted)]
        assert set(failed) <= set(interpreted)

    @invariant()
    def nothing_is_interpreted_or_resulted_without_a_specimen(self) -> None:
        for screen in self.episode.state.screens.values():
            if screen.results or screen.interpreted or screen.custody:
                assert screen.collected_at is not None
                assert screen.not_provided is None

    @invariant()
    def every_screen_that_is_open_waits_for_somebody(self) -> None:
        state = self.episode.state
        if state.left_at is not None:
            assert not state.loops
            return
        for screen_id, screen in state.screens.items():
            steps = [
                kind
                for kind in (
                    AttendanceLoop.SPECIMEN,
                    AttendanceLoop.SCREEN_RESULT,
                    AttendanceLoop.SCREEN_INTERPRETATION,
                )
                if state.loop(kind, screen_id) is not None
            ]
            assert len(steps) == (0 if screen.closed else 1), steps

    @invariant()
    def no_loop_is_without_a_deadline_until_its_last_owner_has_it(self) -> None:
        state = self.episode.state
        for loop in state.loops.values():
            armed = f"loop:{loop.key}" in state.deadlines
            assert armed or loop.at_last_owner

    @invariant()
    def nothing_found_is_on_the_bus(self) -> None:
        for event in self.episode.said:
            assert not any(word in event.data() for word in (b"cocaine", b"fentanyl"))

    @invariant()
    def the_row_for_rewards_has_each_screen_once(self) -> None:
        row = interpretation.row(self.episode.state.screens)
        assert len({screen_id for screen_id, _ in row}) == len(row)
        assert specimens.every_days(self.episode.state, self.episode.now) in {7, 30}


TestScreens = pytest.mark.fact("1.8")(Screens.TestCase)
TestScreens.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

"""Every fact of attendance that can be taken back: undone, the state is as if it had never been recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from services.attendance.episode import mutual_support
from services.attendance.screening import breath_tests, screen_mistakes
from shared.contracts import attendance
from shared.contracts.attendance import (
    Fellowship,
    NotProvidedKind,
    ScreenReason,
    ScreenStage,
    SpecimenValidity,
    Verification,
)
from shared.contracts.codes import MistakeReason
from shared.contracts.event import Event
from shared.errors import Refused, Unknown
from tests.unit.attendance.screened import MONDAY, Screened
from tests.unit.attendance.world import DAY
from tests.unit.support import uid

WHY = MistakeReason.WRONG_PERSON


class Kind(NamedTuple):
    """How a fact is recorded, which says its id; how it is taken back; and what is published then."""

    record: Callable[[Screened], str]
    undo: Callable[[Screened, str], Any]
    event: type[Event]
    before: Callable[[Screened], Any] = lambda _: None
    """What has to be there first."""


def _meeting(history: Screened) -> str:
    smart, told = Fellowship.SMART, Verification.SELF
    outcome = history.command(
        lambda s, c: mutual_support.log_meeting(s, MONDAY.date(), smart, told, c)
    )
    return outcome.answer["meeting_id"]


def _visit(history: Screened) -> str:
    visit = mutual_support.Visit(
        session_id=uid("family"),
        attendee_id=uid("mother"),
        kind=None,
        minutes_attended=60,
        patient_present=False,
    )
    history.command(lambda s, c: mutual_support.family_attended(s, visit, c))
    return visit.session_id


def _breath(mg: int, *, again: bool = False) -> Callable[[Screened], str]:
    def record(history: Screened) -> str:
        first = next(iter(history.state.breath_tests), None) if again else None
        if again:
            history.after(minutes=16)
        reading = breath_tests.Reading(
            mg_per_210l=mg, device_id="one", observed_minutes=15, retest_of=first
        )
        return history.command(lambda s, c: breath_tests.record(s, reading, c)).answer["screen_id"]

    return record


def _not_provided(kind: NotProvidedKind) -> Callable[[Screened], str]:
    def record(history: Screened) -> str:
        history.not_provided(kind)
        return history.screen_id

    return record


def _resulted(*found: str) -> Callable[[Screened], None]:
    def before(history: Screened) -> None:
        history.collect()
        history.result(*found)

    return before


def _interpreted(history: Screened) -> str:
    history.interpret()
    return history.screen_id


def _ordered(history: Screened) -> str:
    history.at(history.now + DAY)
    return history.order()


def _collected(history: Screened) -> str:
    history.collect()
    return history.screen_id


def _filed(stage: ScreenStage, *found: str, **more: Any) -> Callable[[Screened], str]:
    def record(history: Screened) -> str:
        history.result(*found, stage=stage, **more)
        return history.screen_id

    return record


def _analysed(history: Screened) -> str:
    """A specimen with its chain, its result and what was made of it."""
    history.collect()
    history.hand_on()
    history.result("cocaine")
    history.interpret()
    return history.screen_id


def _both(*first: str) -> Callable[[Screened], None]:
    """A presumptive result is interpreted, and a definitive one asked for."""

    def before(history: Screened) -> None:
        history.collect()
        history.result(*first, stage=ScreenStage.PRESUMPTIVE)
        history.interpret()
        history.ask_definitive()

    return before


def _undo_result(stage: ScreenStage) -> Callable[[Screened, str], Any]:
    return lambda h, key: h.command(lambda s, c: screen_mistakes.undo_result(s, key, stage, WHY, c))


def _undo_specimen(h: Screened, key: str) -> Any:
    return h.command(lambda s, c: screen_mistakes.undo_specimen(s, key, WHY, c))


def _undo_order(h: Screened, key: str) -> Any:
    return h.command(lambda s, c: screen_mistakes.undo_order(s, key, WHY, c))


def _undo_breath(h: Screened, key: str) -> Any:
    return h.command(lambda s, c: breath_tests.undo(s, key, WHY, c))


def _undo_interpretation(h: Screened, key: str) -> Any:
    return h.command(lambda s, c: screen_mistakes.undo_interpretation(s, key, WHY, c))


KINDS: dict[str, Kind] = {
    "meeting": Kind(
        _meeting,
        lambda h, key: h.command(lambda s, _c: mutual_support.undo_meeting(s, key, WHY)),
        attendance.MutualSupportUndone,
    ),
    "family visit": Kind(
        _visit,
        lambda h, key: h.command(
            lambda s, _c: mutual_support.undo_visit(s, key, uid("mother"), WHY)
        ),
        attendance.FamilySessionUndone,
    ),
    "negative breath test": Kind(_breath(0), _undo_breath, attendance.BreathTestUndone),
    "first positive breath test": Kind(_breath(80), _undo_breath, attendance.BreathTestUndone),
    "confirmed breath test": Kind(
        _breath(80, again=True), _undo_breath, attendance.BreathTestUndone, _breath(80)
    ),
    **{
        f"not provided: {kind}": Kind(
            _not_provided(kind),
            lambda h, key: h.command(
                lambda s, c: screen_mistakes.undo_not_provided(s, key, WHY, c)
            ),
            attendance.ScreenNotProvidedUndone,
        )
        for kind in NotProvidedKind
        if kind is not NotProvidedKind.UNKNOWN
    },
    **{
        f"interpretation of {found or 'nothing'}": Kind(
            _interpreted,
            _undo_interpretation,
            attendance.InterpretationUndone,
            _resulted(*filter(None, [found])),
        )
        for found in ("", "cocaine")
    },
    "order": Kind(_ordered, _undo_order, attendance.ScreenOrderUndone),
    "specimen": Kind(_collected, _undo_specimen, attendance.SpecimenUndone),
    "specimen with all that was found": Kind(_analysed, _undo_specimen, attendance.SpecimenUndone),
    **{
        f"{stage} result of {found or 'nothing'}": Kind(
            _filed(stage, *filter(None, [found])),
            _undo_result(stage),
            attendance.ResultUndone,
            lambda history: history.collect(),
        )
        for found in ("", "cocaine")
        for stage in ScreenStage
        if stage is not ScreenStage.UNKNOWN
    },
    "definitive result after a presumptive one": Kind(
        _filed(ScreenStage.DEFINITIVE),
        _undo_result(ScreenStage.DEFINITIVE),
        attendance.ResultUndone,
        _both("cocaine"),
    ),
    "dilute result": Kind(
        _filed(ScreenStage.DEFINITIVE, validity=SpecimenValidity.DILUTE),
        _undo_result(ScreenStage.DEFINITIVE),
        attendance.ResultUndone,
        lambda history: history.collect(),
    ),
}


def shown(history: Screened) -> Any:
    """The state without what it remembers of the retraction."""
    state = history.state.replace(taken_back=())
    loops = {key: loop.replace(opened_at=MONDAY) for key, loop in state.loops.items()}
    deadlines = {k: at for k, at in state.deadlines.items() if not k.startswith("loop:")}
    return state.replace(loops=loops, deadlines=deadlines).model_dump()


def prepared(kind: Kind) -> Screened:
    history = Screened()
    kind.before(history)
    return history


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("later", [0, 730])
@pytest.mark.fault("F16")
def test_undone_it_is_as_if_it_had_never_been_recorded(name: str, later: int) -> None:
    kind = KINDS[name]
    history, never = prepared(kind), prepared(kind)
    key = kind.record(history)
    never.at(history.now)
    for one in (history, never):
        one.after(days=later)
    kind.undo(history, key)
    for one in (history, never):
        one.after(days=40)
    assert shown(history)["screens"] == shown(never)["screens"]
    assert shown(history)["support"] == shown(never)["support"]
    assert shown(history)["family"] == shown(never)["family"]
    assert shown(history)["breath_tests"] == shown(never)["breath_tests"]
    assert sorted(history.open) == sorted(never.open)
    [undone] = history.of(kind.event)
    assert undone.reason is WHY


@pytest.mark.parametrize("name", KINDS)
def test_undone_at_once_everything_is_as_before(name: str) -> None:
    kind = KINDS[name]
    history, never = prepared(kind), prepared(kind)
    key = kind.record(history)
    never.at(history.now)
    kind.undo(history, key)
    assert shown(history) == shown(never)


@pytest.mark.parametrize("name", KINDS)
def test_it_is_taken_back_once(name: str) -> None:
    kind = KINDS[name]
    history = prepared(kind)
    key = kind.record(history)
    kind.undo(history, key)
    state = history.state
    with pytest.raises(Refused) as error:
        kind.undo(history, key)
    assert (error.value.code, error.value.status) == ("already-undone", 409)
    assert history.state == state


@pytest.mark.parametrize("name", KINDS)
def test_what_never_was_is_unknown(name: str) -> None:
    kind = KINDS[name]
    history = prepared(kind)
    with pytest.raises(Unknown) as error:
        kind.undo(history, uid("never"))
    assert error.value.status == 404


@pytest.mark.parametrize("name", KINDS)
def test_it_may_be_recorded_again(name: str) -> None:
    kind = KINDS[name]
    history = prepared(kind)
    kind.undo(history, kind.record(history))
    history.at(history.now + DAY / 24)
    key = kind.record(history)
    kind.undo(history, key)
    assert len(history.of(kind.event)) == 2


def test_a_test_that_was_repeated_is_not_taken_back_before_its_repetition() -> None:
    history = Screened()
    first = _breath(80)(history)
    _breath(80, again=True)(history)
    with pytest.raises(Refused) as error:
        _undo_breath(history, first)
    assert error.value.code == "retest-recorded"


# --- what hangs together ----------------------------------------------------------------------------------


@pytest.mark.fault("F50")
def test_with_a_specimen_go_its_results_and_what_was_made_of_them() -> None:
    history = Screened()
    key = _analysed(history)
    _undo_specimen(history, key)
    [specimen] = history.of(attendance.SpecimenUndone)
    assert specimen.collected_at == history.of(attendance.SpecimenCollected)[0].collected_at
    assert specimen.window_ends_at == history.screen.window_ends_at
    undone = [name for name in history.names if name.endswith("-undone")]
    assert undone == ["result-undone", "interpretation-undone", "specimen-undone"]
    assert history.screen.custody == ()
    assert history.screen.result is None


@pytest.mark.parametrize("interpreted", [True, False])
def test_what_the_other_stage_said_holds_again_and_is_said_again(*, interpreted: bool) -> None:
    history = Screened()
    _both("cocaine")(history)
    history.result()
    if interpreted:
        history.interpret()
    _undo_result(ScreenStage.DEFINITIVE)(history, history.screen_id)
    assert history.screen.stage is ScreenStage.PRESUMPTIVE
    assert history.of(attendance.ScreenResulted)[-1].stage is ScreenStage.PRESUMPTIVE
    assert len(history.of(attendance.InterpretationUndone)) == interpreted
    assert history.open == ["screen_result"], "the definitive one is waited for again"


def _retested(history: Screened) -> str:
    first = history.screen_id
    history.at(history.now + DAY)
    history.order(ScreenReason.RETEST, of=first)
    return first


@pytest.mark.parametrize(
    ("code", "before", "undo"),
    [
        ("specimen-already-collected", _collected, _undo_order),
        ("screen-closed", _not_provided(NotProvidedKind.REFUSED), _undo_order),
        ("retest-recorded", _retested, _undo_order),
    ],
)
def test_what_hangs_on_an_order_is_taken_back_first(
    code: str, before: Callable[[Screened], str], undo: Callable[[Screened, str], Any]
) -> None:
    history = Screened()
    key = before(history)
    state = history.state
    with pytest.raises(Refused) as error:
        undo(history, key)
    assert (error.value.code, history.state) == (code, state)
    assert error.value.hint


@pytest.mark.parametrize("undo", [_undo_specimen, _undo_result(ScreenStage.DEFINITIVE)])
def test_what_was_not_recorded_of_a_screen_is_unknown(undo: Callable[[Screened, str], Any]) -> None:
    history = Screened()
    with pytest.raises(Unknown):
        undo(history, history.screen_id)


def test_a_stage_that_holds_is_not_taken_back_by_another_name() -> None:
    history = Screened()
    history.collect()
    history.result("cocaine")
    with pytest.raises(Unknown):
        _undo_result(ScreenStage.PRESUMPTIVE)(history, history.screen_id)

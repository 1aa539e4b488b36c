"""A change of level that was a mistake: taken back, the person is at the level before, and the time is looked at."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from services.plans import retractions
from shared.contracts import attendance, intake, plans
from shared.contracts.codes import MistakeReason, PlansLoop
from shared.contracts.plans import ReviewOutcome, ReviewTrigger
from shared.errors import NotYetKnown, Refused
from shared.runtime.core.work import Outcome
from tests.unit.plans.world import (
    DAY,
    HIGHER,
    LOWER,
    RESIDENTIAL,
    SAME,
    Plans,
    accepted,
    admitted,
    attended,
    in_treatment,
    referred,
    with_plan,
)
from tests.unit.support import fact, uid

WHY = MistakeReason.WRONG_PERSON


def undo(history: Plans) -> Outcome:
    return history.command(lambda s, c: retractions.undo_level_change(s, WHY, c))


def but_for_the_look(history: Plans) -> Any:
    """The state without the review of what passed meanwhile, and without its loop."""
    trigger, state = ReviewTrigger.LEVEL_CHANGE_UNDONE, history.state
    ours = {key for key, one in state.reviews.items() if one.trigger is trigger}
    return state.replace(
        loops={key: one for key, one in state.loops.items() if one.id not in ours},
        deadlines={k: at for k, at in state.deadlines.items() if k.rpartition(":")[2] not in ours},
        reviews={key: one for key, one in state.reviews.items() if key not in ours},
    )


def nothing(_: Plans) -> None: ...


def to_be_moved(history: Plans) -> None:
    """Another level is recommended: somebody is to move the person, and was late with it."""
    history.hear(fact(intake.LevelRecommended, level=HIGHER))
    history.after(days=5)
    history.at(history.now)


def stepped_down(history: Plans) -> None:
    history.change_level(LOWER)
    history.after(days=1)


def stepped_down_and_seen(history: Plans) -> None:
    stepped_down(history)
    history.hear(attended("seen", starts_at=history.now))
    history.after(days=1)


BEFORE: list[Callable[[Plans], None]] = [nothing, to_be_moved, stepped_down, stepped_down_and_seen]


@pytest.mark.fault("F47")
@pytest.mark.fault("F47")
@pytest.mark.parametrize("before", BEFORE, ids=lambda one: one.__name__)
@pytest.mark.parametrize("to_level", [LOWER, SAME, HIGHER], ids=lambda one: one.code)
@pytest.mark.parametrize("ahead", [None, 3, 20])
@pytest.mark.parametrize("days", [0, 4, 40])
def test_it_is_as_if_the_level_had_not_changed(
    before: Callable[[Plans], None], to_level: Any, ahead: int | None, days: int
) -> None:
    history, never = with_plan(), with_plan()
    for one in (history, never):
        before(one)
    if history.state.admission.level == to_level:
        return
    effective_at = None if ahead is None else history.now + ahead * DAY
    history.change_level(to_level, effective_at=effective_at)
    for one in (history, never):
        one.after(days=days)
        one.at(one.now)
    undo(history)
    for one in (history, never):
        one.at(one.now)
    assert but_for_the_look(history) == never.state


@pytest.mark.parametrize("in_effect", [True, False])
def test_the_level_before_is_said(*, in_effect: bool) -> None:
    history = with_plan()
    effective_at = history.now if in_effect else history.now + DAY
    history.change_level(HIGHER, effective_at=effective_at)
    history.after(hours=1)
    undo(history)
    [undone] = history.of(plans.LevelOfCareChangeUndone)
    assert (undone.from_level, undone.to_level) == (SAME, HIGHER)
    assert (undone.effective_at, undone.reason) == (effective_at, WHY)
    history.after(days=3)
    history.at(history.now)
    assert len(history.of(plans.LevelOfCareChanged)) == in_effect, "it takes no effect any more"


def test_a_clinician_looks_at_the_time_at_the_wrong_level() -> None:
    history = with_plan()
    history.change_level(LOWER)
    began = history.now
    history.after(days=9)
    undo(history)
    [asked] = history.of(plans.ClinicalReviewRequested)
    assert asked.trigger is ReviewTrigger.LEVEL_CHANGE_UNDONE
    assert (asked.gap_from_at, asked.gap_until_at) == (began, history.now)
    loop = history.state.loop(PlansLoop.CLINICAL_REVIEW, asked.review_id)
    assert loop.deadline_at == asked.due_at
    assert len(loop.owners) > 1
    history.complete(asked.review_id, ReviewOutcome.NONE)
    assert history.state.loop(PlansLoop.CLINICAL_REVIEW, asked.review_id) is None


def test_several_are_taken_back_from_the_last() -> None:
    history = with_plan()
    history.change_level(HIGHER)
    history.after(days=1)
    history.change_level(LOWER)
    history.after(days=1)
    history.change_level(SAME, effective_at=history.now + 5 * DAY)
    levels = []
    for _ in range(3):
        undo(history)
        levels.append(history.state.admission.level)
        history.after(hours=1)
    assert levels == [LOWER, HIGHER, SAME]


def test_what_was_said_of_the_drivers_since_holds() -> None:
    history = with_plan()
    history.change_level(LOWER)
    newer = fact(intake.LevelRecommended, level=SAME).drivers
    history.hear(fact(intake.LevelRecommended, level=LOWER, drivers=newer))
    undo(history)
    assert history.state.drivers == newer


def transferring(history: Plans) -> None:
    referred(history)
    accepted(history)
    history.change_level(LOWER)
    history.transfer(to_level=RESIDENTIAL)


REFUSED: list[tuple[str, Callable[[Plans], object]]] = [
    ("level-not-changed", nothing),
    ("level-not-changed", lambda h: h.change_level(RESIDENTIAL, elsewhere=True)),
    ("level-not-changed", lambda h: (h.change_level(LOWER), undo(h))),
    ("transfer-open", transferring),
    ("episode-closed", lambda h: (h.change_level(LOWER), h.discharge())),
]


@pytest.mark.parametrize(("code", "prepare"), REFUSED)
def test_what_is_refused(code: str, prepare: Callable[[Plans], object]) -> None:
    history = with_plan()
    prepare(history)
    before = history.state
    with pytest.raises(Refused) as refused:
        undo(history)
    assert (refused.value.code, history.state) == (code, before)
    assert refused.value.hint


def test_an_episode_that_is_not_known_yet() -> None:
    with pytest.raises(NotYetKnown):
        undo(Plans())


@pytest.mark.fault("F53")
def test_after_an_undone_admission_it_is_said_how_it_goes_on() -> None:
    history = with_plan()
    history.hear(fact(intake.AdmissionUndone))
    for command in (history.draft, history.change_level, history.discharge, lambda: undo(history)):
        with pytest.raises(Refused) as refused:
            command()
        assert refused.value.code == "admission-undone"
        assert "POST /episodes" in refused.value.hint
    history.hear(admitted(history.now))
    history.draft()


def test_sessions_since_count_as_ever() -> None:
    """A miss and a session at the wrong level are the person's all the same."""
    history = in_treatment()
    history.change_level(LOWER)
    history.hear(attended("one", starts_at=history.now + timedelta(hours=1)))
    history.hear(fact(attendance.SessionMissed, session_id=uid("two")))
    undo(history)
    assert set(history.state.sessions) == {uid("one"), uid("two")}

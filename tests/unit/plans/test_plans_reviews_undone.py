"""A clinical review that was completed by mistake: it is to be done, and what it led to is withdrawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from services.plans import reviews
from shared.contracts import attendance, intake, plans
from shared.contracts.codes import MistakeReason
from shared.contracts.plans import ReviewOutcome
from shared.errors import Refused, Unknown
from shared.runtime.core.work import Outcome
from tests.unit.plans.world import D5, HIGHER, Plans, failed, with_plan
from tests.unit.support import fact, uid

WHY = MistakeReason.WRONG_PERSON


def undo(history: Plans, review_id: str) -> Outcome:
    return history.command(lambda s, c: reviews.undo(s, review_id, WHY, c))


def reviewed(history: Plans) -> str:
    """A positive asks for a review; says which."""
    history.hear(failed())
    return history.of(plans.ClinicalReviewRequested)[-1].review_id


def nothing(_: Plans) -> None: ...


def to_be_moved(history: Plans) -> None:
    history.hear(fact(intake.LevelRecommended, level=HIGHER))


@pytest.mark.fault("F52")
@pytest.mark.parametrize("outcome", [one for one in ReviewOutcome if one.name != "UNKNOWN"])
@pytest.mark.parametrize("before", [nothing, to_be_moved])
@pytest.mark.parametrize("days", [0, 9])
def test_it_is_as_if_nobody_had_completed_it(
    outcome: ReviewOutcome, before: Callable[[Plans], None], days: int
) -> None:
    history, never = with_plan(), with_plan()
    for one in (history, never):
        before(one)
        review_id = reviewed(one)
    history.complete(review_id, outcome)
    for one in (history, never):
        one.after(days=days)
        one.at(one.now)
    undo(history, review_id)
    for one in (history, never):
        one.at(one.now)
    assert history.state == never.state
    [undone] = history.of(plans.ClinicalReviewUndone)
    assert (undone.review_id, undone.outcome, undone.reason) == (review_id, outcome, WHY)
    assert undone.due_at == history.state.reviews[review_id].due_at


def test_what_it_found_of_the_drivers_goes_unless_it_was_said_anew() -> None:
    history = with_plan()
    before = history.state.drivers
    review_id = reviewed(history)
    history.complete(review_id, ReviewOutcome.NONE, drivers=(D5,))
    undo(history, review_id)
    assert history.state.drivers == before


def test_what_was_done_because_of_it_is_done() -> None:
    """The level was changed since: that has a retraction of its own."""
    history = with_plan()
    review_id = reviewed(history)
    history.complete(review_id, ReviewOutcome.UP)
    history.change_level(HIGHER)
    undo(history, review_id)
    assert history.open.count("level_change") == 0
    assert history.state.admission.level == HIGHER


def _read_back(history: Plans, review_id: str) -> None:
    history.complete(review_id, ReviewOutcome.NONE)
    history.hear(fact(attendance.InterpretationUndone, screen_id=uid("screen")))


def _superseded(history: Plans, _: str) -> None:
    history.hear(fact(attendance.InterpretationUndone, screen_id=uid("screen")))


REFUSED: list[tuple[str, Callable[[Plans, str], Any]]] = [
    ("review-not-completed", lambda _h, _r: None),
    ("review-not-completed", _superseded),
    ("review-not-completed", lambda h, r: (h.complete(r), undo(h, r))),
    ("review-not-asked-for", _read_back),
    ("episode-closed", lambda h, r: (h.complete(r), h.discharge())),
]


@pytest.mark.parametrize(("code", "prepare"), REFUSED)
def test_what_is_refused(code: str, prepare: Callable[[Plans, str], Any]) -> None:
    history = with_plan()
    review_id = reviewed(history)
    prepare(history, review_id)
    before = history.state
    with pytest.raises(Refused) as refused:
        undo(history, review_id)
    assert (refused.value.code, history.state) == (code, before)
    assert refused.value.hint


def test_a_review_that_never_was() -> None:
    with pytest.raises(Unknown):
        undo(with_plan(), uid("no review"))

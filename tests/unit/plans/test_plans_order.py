"""However often and in whatever order the sources are heard: one outcome."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.contracts import attendance, followup, intake, plans
from shared.contracts.event import Event
from shared.runtime.core.work import OutcomeStatus
from tests.unit.plans.test_plans_reviews import TRIGGERS
from tests.unit.plans.world import DAY, Plans, admitted, attended
from tests.unit.support import START, fact, interleaved

HEARD_AT = START + DAY
SAID_BY: dict[str, list[Event]] = {
    source: [event for event, _ in TRIGGERS if source == event.SOURCE]
    for source in (attendance.AttendanceEvent.SOURCE, followup.FollowupEvent.SOURCE)
}
from_intake: list[Event] = [
    fact(intake.LevelRecommended),
    admitted(START),
    fact(intake.OrientationCompleted),
]
from_attendance = st.lists(
    st.one_of(st.just(attended()), st.sampled_from(SAID_BY["care.attendance"])), max_size=6
)
from_followup = st.lists(st.sampled_from(SAID_BY["care.followup"]), max_size=4)


@st.composite
def two_arrivals(draw: st.DrawFn) -> tuple[list[Event], list[Event]]:
    lines: list[Sequence[Event]] = [from_intake, draw(from_attendance), draw(from_followup)]
    return draw(interleaved(*lines)), draw(interleaved(*lines))


def heard(events: Sequence[Event], *, again: int = 0) -> Plans:
    history = Plans(HEARD_AT)
    for event in events:
        outcome = history.hear(event, again=again)
        assert outcome.status is (OutcomeStatus.DUPLICATE if again else OutcomeStatus.APPLIED)
    return history


def promised(history: Plans) -> Any:
    """All but which of two facts with the same reason asked for the review, and so its id."""
    state = history.state
    kept = state.model_dump(exclude={"reviews", "deadlines", "loops"})
    asked = sorted((item.trigger, item.due_at, item.reassess) for item in state.reviews.values())
    waits = sorted((loop.kind, loop.deadline_at, loop.step) for loop in state.loops.values())
    return kept, asked, waits


@given(two_arrivals())
def test_the_order_between_sources_changes_nothing(
    arrivals: tuple[list[Event], list[Event]],
) -> None:
    one, other = (heard(events) for events in arrivals)
    assert promised(one) == promised(other)
    for history in (one, other):
        history.after(days=40)
    assert promised(one) == promised(other)
    assert sorted(one.names) == sorted(other.names)


@given(two_arrivals())
def test_hearing_everything_twice_changes_nothing(
    arrivals: tuple[list[Event], list[Event]],
) -> None:
    once, twice = heard(arrivals[0]), heard(arrivals[0], again=1)
    assert once.state == twice.state
    assert once.said == twice.said
    assert once.record.next_sequence == twice.record.next_sequence


@given(two_arrivals())
def test_every_review_asked_for_is_open_and_waited_for(
    arrivals: tuple[list[Event], list[Event]],
) -> None:
    history = heard(arrivals[0])
    asked = {event.review_id for event in history.of(plans.ClinicalReviewRequested)}
    assert asked == {key for key, item in history.state.reviews.items() if item.open}
    assert {f"loop:clinical_review:{key}" for key in asked} <= set(history.state.deadlines)

"""Who is on duty: absences, deputies, deputies' deputies, and circles."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import duty
from shared.contracts import intake
from shared.duty import PlannedAbsence, StaffState, acting
from tests.unit.support import START, cause, fact, uid

DAY = timedelta(days=1)
ANNA, BEN, CARO, DAN = (uid(name) for name in ("anna", "ben", "caro", "dan"))


def away(deputy: str, begin: float = -1, end: float = 1) -> PlannedAbsence:
    return PlannedAbsence(from_at=START + begin * DAY, until_at=START + end * DAY, deputy_id=deputy)


def planned(name: str, deputy: str, begin: float, end: float) -> intake.StaffAbsencePlanned:
    return fact(
        intake.StaffAbsencePlanned,
        absence_id=uid(name),
        staff_id=ANNA,
        from_at=START + begin * DAY,
        until_at=START + end * DAY,
        deputy_id=deputy,
    )


def staff(**deputies: str | None) -> dict[str, StaffState]:
    """Everyone who is away now, and who acts for them."""
    return {
        uid(name): StaffState()
        if deputy is None
        else StaffState(absences={uid("a"): away(uid(deputy))})
        for name, deputy in deputies.items()
    }


@pytest.mark.parametrize(
    ("days", "there"), [(-1.01, True), (-1, False), (0, False), (0.99, False), (1, True), (9, True)]
)
def test_an_absence_begins_with_its_first_instant_and_ends_before_its_last(
    days: float, *, there: bool
) -> None:
    state = StaffState(absences={uid("a"): away(BEN)})
    assert state.deputy_at(START + days * DAY) == (None if there else BEN)


@pytest.mark.parametrize(
    ("deputies", "expected"),
    [
        ({}, "anna"),
        ({"anna": None}, "anna"),
        ({"anna": "ben"}, "ben"),
        ({"anna": "ben", "ben": None}, "ben"),
        ({"anna": "ben", "ben": "caro"}, "caro"),
        ({"anna": "ben", "ben": "caro", "caro": "dan"}, "dan"),
        ({"anna": "ben", "ben": "anna"}, None),
        ({"anna": "ben", "ben": "caro", "caro": "anna"}, None),
        ({"anna": "ben", "ben": "caro", "caro": "ben"}, None),
        ({"anna": "anna"}, None),
        ({"ben": "anna"}, "anna"),
    ],
)
def test_who_acts(deputies: dict[str, str | None], expected: str | None) -> None:
    found = acting(ANNA, staff(**deputies), START)
    assert found == (None if expected is None else uid(expected))


NAMES = ["anna", "ben", "caro", "dan"]


@given(st.dictionaries(st.sampled_from(NAMES), st.sampled_from([None, *NAMES])))
def test_who_acts_is_there_and_is_reached_by_deputies(deputies: dict[str, str | None]) -> None:
    people = staff(**deputies)
    found = acting(ANNA, people, START)
    path, one = [ANNA], ANNA
    while (deputy := people.get(one, StaffState()).deputy_at(START)) is not None:
        if deputy in path:
            assert found is None, "a circle: nobody in person acts"
            return
        path.append(deputy)
        one = deputy
    assert found == path[-1]


def test_an_absence_that_is_called_off_is_no_absence() -> None:
    state = duty.absence_planned(StaffState(), planned("a", BEN, -1, 1), cause()).state
    assert state.deputy_at(START) == BEN
    other = fact(intake.StaffAbsenceEnded, absence_id=uid("b"), staff_id=ANNA)
    assert duty.absence_ended(state, other, cause()).state.deputy_at(START) == BEN
    ended = fact(intake.StaffAbsenceEnded, absence_id=uid("a"), staff_id=ANNA)
    state = duty.absence_ended(state, ended, cause()).state
    assert (state.deputy_at(START), state.absences) == (None, {})


def test_what_is_over_is_forgotten_and_what_is_to_come_is_not() -> None:
    state = StaffState()
    for number in range(3 * duty.ABSENCES_KEPT):
        event = planned(str(number), BEN, 2 * number, 2 * number + 1)
        state = duty.absence_planned(state, event, cause(START + 2 * number * DAY)).state
    assert [*state.absences] == [uid(str(3 * duty.ABSENCES_KEPT - 1))]
    for number in range(2 * duty.ABSENCES_KEPT):
        event = planned(f"later {number}", BEN, 1000 + 2 * number, 1001 + 2 * number)
        state = duty.absence_planned(state, event, cause()).state
    assert len(state.absences) == duty.ABSENCES_KEPT, "bounded, whatever is sent"


def test_it_says_nothing_and_survives_the_store() -> None:
    decision = duty.absence_planned(StaffState(), planned("a", BEN, -1, 1), cause())
    assert (decision.events, decision.handoffs) == ((), ())
    state = decision.state
    assert StaffState.model_validate(state.model_dump(mode="json")) == state
    assert state.absences[uid("a")].until_at == START + DAY

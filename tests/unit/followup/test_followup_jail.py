"""An end because of jail, and whatever circumstance is recorded beside an end: heard in any order they are the same."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import combinations, permutations
from typing import Any

import pytest

from services.followup.episode.episode_state import ReadmissionUndone
from shared.contracts import followup, intake, plans
from shared.contracts.codes import FollowupLoop, Role
from shared.contracts.followup import CircumstanceKind
from shared.contracts.plans import DischargeKind
from shared.errors import Refused
from tests.unit.followup.test_followup_circumstances import (
    KINDS,
    chased,
    comes_back,
    ends,
    happens,
    in_the_year,
    undo,
)
from tests.unit.followup.world import DAY, Followup, admitted, discharged, in_program
from tests.unit.support import START, fact, uid

# --- an end because of jail -----------------------------------------------------------------------------

JAIL = CircumstanceKind.INCARCERATED


def jailed(*, recorded: bool = False) -> tuple[Followup, str]:
    """In jail, and discharged because of it; the circumstance's id."""
    history = in_program()
    if recorded:
        happens(history, JAIL)
    history.after(days=1).hear(discharged(history.now, DischargeKind.INCARCERATED))
    [key] = history.state.circumstances
    return history, key


@pytest.mark.parametrize("recorded", [False, True])
def test_who_was_discharged_to_jail_is_asked_after_and_not_called(recorded: bool) -> None:
    history, key = jailed(recorded=recorded)
    assert history.names.count("circumstance-recorded") == 1
    [asked] = (one for one in history.state.loops.values() if not one.hidden)
    assert (asked.kind, asked.id) == (FollowupLoop.CIRCUMSTANCE, key)
    with pytest.raises(Refused) as error:
        history.outreach()
    assert error.value.code == "no-contact"
    roles = [one.owner_role for one in history.after(days=60).of(followup.LoopEscalated)]
    assert roles == [Role.CLINICAL_SUPERVISOR, Role.PROGRAM_DIRECTOR]


@pytest.mark.parametrize("days", [10, 500])
@pytest.mark.parametrize("recorded", [False, True])
def test_out_of_jail_somebody_sees_to_it_that_care_is_resumed(recorded: bool, days: int) -> None:
    """Within three days, as after a return to use; also when the year has passed meanwhile."""
    history, key = jailed(recorded=recorded)
    ends(history.after(days=days), key)
    [loop] = history.loops(FollowupLoop.REENGAGEMENT)
    assert loop.deadline_at == history.now + 3 * DAY
    assert history.outreach().answer["open"] is False, "the person may be called"
    said = history.after(days=4).of(followup.LoopEscalated)
    assert FollowupLoop.REENGAGEMENT in {one.loop for one in said}


def test_out_of_jail_in_the_year_after_nothing_had_been_interrupted() -> None:
    history = in_the_year()
    ends(history, happens(history, JAIL))
    assert history.loops(FollowupLoop.REENGAGEMENT) == []


def test_a_release_that_was_none_asks_for_nothing() -> None:
    history, key = jailed()
    ends(history.after(days=10), key)
    undo(history, key)
    assert history.loops(FollowupLoop.REENGAGEMENT) == []
    [over] = history.of(followup.ReengagementCompleted)
    assert over.outcome is followup.ReengagementOutcome.WITHDRAWN


@pytest.mark.parametrize("out", [False, True])
def test_an_end_that_is_taken_back_takes_back_the_jail_that_it_said(out: bool) -> None:
    history, key = jailed()
    never = in_program().after(days=1)
    left = history.now
    for one in (history, never):
        one.after(days=2)
    if out:
        ends(history, key)
    undone = fact(plans.DischargeUndone, kind=DischargeKind.INCARCERATED, discharged_at=left)
    history.hear(undone)
    assert history.names.count("circumstance-undone") == 1
    mine, other = (one.state.model_dump(exclude={"ended"}) for one in (history, never))
    assert mine == other


def test_jail_of_an_admission_that_was_undone_holds_nobody() -> None:
    history, _ = jailed()
    history.hear(fact(intake.AdmissionUndone))
    history.after(days=1).hear(admitted(history.now))
    assert history.state.circumstances == {}
    assert history.outreach().answer["open"] is False


# --- in whichever order it is heard ---------------------------------------------------------------------

ENDS: list[tuple[CircumstanceKind, DischargeKind]] = [
    (JAIL, DischargeKind.INCARCERATED),
    (CircumstanceKind.DECEASED, DischargeKind.DECEASED),
    *((kind, DischargeKind.INCARCERATED) for kind in KINDS if kind is not JAIL),
    *((kind, DischargeKind.AGAINST_ADVICE) for kind in KINDS),
    (CircumstanceKind.HOSPITALIZED, DischargeKind.DECEASED),
]
"""What staff record, and how the episode ends."""
CANONICAL = ("recorded", "discharged", "over", "undone", "discharge-undone")
AFTER = {"over": "recorded", "undone": "recorded", "discharge-undone": "discharged"}


def possible(order: tuple[str, ...]) -> bool:
    """Whether each comes after what it is about; what was taken back does not end."""
    at = {step: order.index(step) for step in order}
    if any(step in at and at.get(before, 99) > at[step] for step, before in AFTER.items()):
        return False
    return at.get("over", -1) <= at.get("undone", 99)


ORDERS = [
    order
    for count in range(2, len(CANONICAL) + 1)
    for steps in combinations(CANONICAL, count)
    for order in permutations(steps)
    if possible(order) and order != steps
]


def told(
    stage: Callable[[], Followup],
    order: tuple[str, ...],
    kinds: tuple[CircumstanceKind, DischargeKind],
) -> Followup:
    """One course of events, in this order, two days after the episode had ended."""
    history, (what, how) = stage(), kinds
    left = history.now
    history.after(days=2)
    key = ""
    for step in order:
        if step == "recorded":
            key = happens(history, what)
        elif step == "over" and what is not CircumstanceKind.DECEASED:
            ends(history, key)
        elif step == "undone":
            tries_to_undo(history, key)
        elif step == "discharged":
            history.hear(discharged(left, how))
        elif step == "discharge-undone":
            history.hear(fact(plans.DischargeUndone, kind=how, discharged_at=left))
        history.at(history.now)
    return history


def tries_to_undo(history: Followup, key: str) -> None:
    with suppress(Refused):  # what only the end says goes with the end
        undo(history, key)


def standing(history: Followup) -> Any:
    """What is open, whose it is and by when, and why nobody is called; without ids, which differ."""
    state = history.state
    loops = [
        (str(one.kind), one.owner_role, one.step, one.deadline_at)
        for one in state.loops.values()
        if not one.hidden
    ]
    known = [
        (one.kind, one.ended_at, one.stated, one.resume_by) for one in state.circumstances.values()
    ]
    return (
        sorted(loops),
        sorted(known, key=str),
        sorted(at for name, at in state.running.items() if not name.startswith("loop:")),
        state.reengagement and state.reengagement.reassessment_due_at,
        state.outreach and state.outreach.replace(loop_id=""),
        state.lost_at,
        [item.settled for item in history.check_ins.values()] if state.aftercare else None,
    )


def canonical(order: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(step for step in CANONICAL if step in order)


@pytest.mark.parametrize("stage", [in_program, chased])
@pytest.mark.parametrize("kinds", ENDS, ids="-".join)
def test_in_whichever_order_the_end_and_the_circumstance_are_heard(
    kinds: tuple[CircumstanceKind, DischargeKind], stage: Callable[[], Followup]
) -> None:
    for order in ORDERS:
        one, other = told(stage, order, kinds), told(stage, canonical(order), kinds)
        assert standing(one) == standing(other), order
        for history in (one, other):
            history.after(days=400)
        assert standing(one) == standing(other), order


def test_who_records_the_jail_that_the_end_said_is_believed_beside_it() -> None:
    """It is the same circumstance, and it outlasts an end that is taken back."""
    history, key = jailed()
    left = history.now
    assert happens(history, JAIL) == key
    with pytest.raises(Refused) as error:
        happens(history, JAIL)
    assert error.value.code == "circumstance-recorded"
    history.hear(fact(plans.DischargeUndone, kind=DischargeKind.INCARCERATED, discharged_at=left))
    assert [one.ended_at for one in history.state.circumstances.values()] == [None]


def test_what_only_the_end_says_is_taken_back_with_the_end() -> None:
    history, key = jailed()
    with pytest.raises(Refused) as error:
        undo(history, key)
    assert (error.value.code, "discharge/undo" in error.value.hint) == (
        "circumstance-implied",
        True,
    )
    ends(history, key)
    undo(history, key)
    assert history.state.circumstances[key].ended_at is None, "the release was none"


def test_who_was_found_out_of_jail_by_an_end_heard_late_has_somebody_at_once() -> None:
    """However long the word of the end took: the deadline is three days after the release, or now."""
    for days in (0, 2, 30):
        history = in_program()
        key, left = happens(history, JAIL), history.now
        ends(history.after(days=1), key)
        out = history.now
        history.after(days=days).hear(discharged(left, DischargeKind.INCARCERATED))
        assert list(history.state.circumstances) == [key]
        [loop] = history.loops(FollowupLoop.REENGAGEMENT)
        assert loop.deadline_at == max(out + 3 * DAY, history.now)


def test_a_release_while_a_later_episode_had_taken_over_counts_when_that_was_none() -> None:
    history, key = jailed()
    comes_back(history, key)
    ends(history.after(days=1), key)
    assert history.loops(FollowupLoop.REENGAGEMENT) == []
    history.handed(ReadmissionUndone(episode_id=uid("later")))
    assert len(history.loops(FollowupLoop.REENGAGEMENT)) == 1


def test_an_end_before_the_admission_is_heard_waits_for_it() -> None:
    """Somebody looks for the admission until then; its time zone says which day it was."""
    history = Followup()
    left = START + DAY
    history.after(days=1).hear(discharged(left, DischargeKind.INCARCERATED))
    [missing] = history.loops(FollowupLoop.MISSING_FACT)
    assert not missing.hidden
    history.hear(admitted(START))
    [known] = history.state.circumstances.values()
    assert (known.kind, known.stated) == (JAIL, False)

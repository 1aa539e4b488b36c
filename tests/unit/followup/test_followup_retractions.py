"""What followup recorded by mistake: a check-in, a return to use. Undone, it is as if it had never been recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from services.followup.aftercare import check_ins
from services.followup.outreach import reengagement
from shared.contracts import followup
from shared.contracts.codes import FollowupLoop, MistakeReason
from shared.contracts.followup import ReengagementCause, ReengagementOutcome, ReportedBy, RiskFlag
from shared.errors import Refused, Unknown
from tests.unit.followup.world import HOUR, Followup, in_aftercare, in_program, missed
from tests.unit.support import START, uid

WHY = MistakeReason.WRONG_PERSON


def undo_check_in(history: Followup, key: str) -> None:
    history.tell(lambda s, c: check_ins.undo(s, key, WHY, c))


def undo_report(history: Followup, key: str) -> None:
    history.tell(lambda s, c: reengagement.undo(s, key, WHY, c))


def shown(history: Followup) -> Any:
    return history.state.replace(taken_back=()).model_dump()


def quiet() -> Followup:
    return in_program()


def chased() -> Followup:
    history = in_program()
    history.hear(missed(START + HOUR))
    return history.after(days=2)


def lost() -> Followup:
    return in_program().after(days=31)


def missed_two() -> Followup:
    history = in_aftercare()
    return history.at(history.check_ins[history.check_in_ids[1]].window.closes_at)


@pytest.mark.parametrize("days", [0, 1, 200])
@pytest.mark.parametrize("flags", [(), (RiskFlag.CRAVING,), (RiskFlag.SUICIDE_RISK,)])
@pytest.mark.parametrize("which", [0, 2, 7])
@pytest.mark.fault("F17")
def test_a_check_in_taken_back(which: int, flags: tuple[RiskFlag, ...], days: int) -> None:
    history, never = in_aftercare(), in_aftercare()
    for one in (history, never):
        key = one.open_check_in(which)
    history.complete(key, *flags)
    for one in (history, never):
        one.after(days=days)
    undo_check_in(history, key)
    history.at(history.now)
    for one in (history, never):
        one.after(days=500)
    mine, other = shown(history), shown(never)
    assert {k: i["settled"] for k, i in mine["aftercare"]["check_ins"].items()} == {
        k: i["settled"] for k, i in other["aftercare"]["check_ins"].items()
    }
    assert history.state.loops_of(FollowupLoop.RISK_RESPONSE) == ()
    assert (mine["contacts"], mine["outreach"]) == (other["contacts"], other["outreach"])
    [undone] = history.of(followup.CheckInUndone)
    assert (undone.check_in_id, undone.reason) == (key, WHY)


@pytest.mark.parametrize("stage", [quiet, chased, lost, missed_two])
@pytest.mark.parametrize("by", [ReportedBy.PATIENT, ReportedBy.PARTNER])
@pytest.mark.parametrize("overdose", [True, False])
@pytest.mark.fault("F17")
def test_a_return_to_use_taken_back_at_once(
    stage: Callable[[], Followup], by: ReportedBy, overdose: bool
) -> None:
    history, never = stage(), stage()
    outcome = history.return_to_use(reported_by=by, overdose=overdose)
    undo_report(history, outcome.answer["report_id"])
    assert shown(history) == shown(never)
    assert history.of(followup.ReengagementCompleted)[-1].outcome is ReengagementOutcome.WITHDRAWN


def test_another_report_still_asks_for_the_way_back() -> None:
    history, never = in_program(), in_program()
    wrong = history.return_to_use(overdose=True).answer["report_id"]
    for one in (history, never):
        one.after(hours=1)
        one.return_to_use()
    undo_report(history, wrong)
    mine, other = history.state.reengagement, never.state.reengagement
    assert (mine.reassessment_due_at, mine.overdose) == (other.reassessment_due_at, False)
    [loop] = history.loops(FollowupLoop.REENGAGEMENT)
    assert loop.deadline_at == mine.reassessment_due_at
    assert history.of(followup.ReengagementCompleted) == []


def test_what_staff_began_goes_on() -> None:
    history = in_program()
    history.start(ReengagementCause.SELF_REQUEST)
    due = history.state.reengagement.reassessment_due_at
    wrong = history.return_to_use(overdose=True).answer["report_id"]
    undo_report(history, wrong)
    assert history.state.reengagement.reassessment_due_at == due


class TestRefused:
    def test_twice_and_what_never_was(self) -> None:
        history = in_program()
        key = history.return_to_use().answer["report_id"]
        undo_report(history, key)
        with pytest.raises(Refused) as error:
            undo_report(history, key)
        assert error.value.code == "already-undone"
        with pytest.raises(Unknown):
            undo_report(history, uid("never"))

    def test_a_check_in_that_is_not_done(self) -> None:
        history = in_aftercare()
        key = history.open_check_in(0)
        with pytest.raises(Refused) as error:
            undo_check_in(history, key)
        assert error.value.code == "check-in-not-done"
        with pytest.raises(Unknown):
            undo_check_in(history, uid("never"))

"""Contact that was none is taken back: attempts, check-ins with the attempts they rest on, and risks seen to."""

from __future__ import annotations

import pytest

from services.followup.aftercare import check_ins, risks
from services.followup.app import SERVICE
from services.followup.outreach import outreach
from shared.contracts import followup
from shared.contracts.codes import FollowupLoop, MistakeReason
from shared.contracts.followup import AttemptResult, Channel, RiskFlag
from shared.errors import Refused, Unknown
from tests.unit.followup.world import Followup, in_aftercare, in_program, missed
from tests.unit.support import EPISODE_ID, START, Http, uid

WRONG = MistakeReason.WRONG_PERSON


def sought() -> Followup:
    """A missing patient, in the second tier of outreach."""
    history = in_program()
    history.hear(missed(START))
    while history.state.tier < 2:
        history.after(days=1)
    return history


def undo(history: Followup, contact_id: str) -> None:
    history.tell(lambda state, cause: outreach.undo(state, contact_id, cause))


def undo_attempt(history: Followup, key: str, number: int) -> None:
    history.tell(lambda s, c: check_ins.undo_attempt(s, key, number, WRONG, c))


@pytest.mark.parametrize("days", [0, 1, 9])
def test_who_was_not_reached_is_sought_as_before(days: int) -> None:
    history, never = sought(), sought()
    told = history.outreach()
    assert history.state.outreach is None
    for one in (history, never):
        one.after(days=days)
    undo(history, told.answer["contact_id"])
    for one in (history, never):
        one.after(days=1)
    remembered = {"taken_back": (), "ended": (), "lost_at": None}
    assert history.state.replace(**remembered).outreach == never.state.outreach
    assert history.state.tier == never.state.tier
    assert history.state.contact_at == never.state.contact_at
    assert history.state.deadlines.get("silence") == never.state.deadlines.get("silence")


@pytest.mark.parametrize("result", list(AttemptResult)[:-1])
def test_an_attempt_that_was_none_does_not_count(result: AttemptResult) -> None:
    history = sought()
    before = history.state
    told = history.outreach(result, Channel.VISIT)
    undo(history, told.answer["contact_id"])
    assert history.state.replace(taken_back=()).outreach == before.outreach
    assert history.state.contacts == before.contacts
    with pytest.raises(Refused) as refused:
        undo(history, told.answer["contact_id"])
    assert refused.value.code == "already-undone"
    with pytest.raises(Unknown):
        undo(history, uid("nothing"))


def test_a_check_in_takes_the_attempts_back_on_which_it_rests() -> None:
    history = in_aftercare()
    first, second = history.check_in_ids[:2]
    history.at(history.check_ins[first].window.closes_at)
    assert history.state.outreach is not None
    history.at(history.check_ins[second].window.due_at)
    before = history.state.contacts
    history.attempt(second)
    history.attempt(second, AttemptResult.REACHED)
    history.complete(second)
    assert history.state.outreach is None
    history.tell(lambda state, cause: check_ins.undo(state, second, WRONG, cause))
    assert history.state.contacts == before
    assert history.state.outreach is not None
    assert history.check_ins[second].attempts == 1, "who was not reached was tried all the same"
    assert [one.attempt for one in history.of(followup.CheckInAttemptUndone)] == [2]


def test_one_attempt_at_a_check_in_is_taken_back() -> None:
    history = in_aftercare()
    key = history.open_check_in(0)
    before = history.check_ins[key]
    history.attempt(key, AttemptResult.REACHED, Channel.VISIT)
    undo_attempt(history, key, 1)
    assert not history.state.contacts
    assert history.check_ins[key].replace(numbers=0) == before
    assert history.attempt(key).answer["attempt"] == 2, "a number is given out once"
    with pytest.raises(Refused) as refused:
        undo_attempt(history, key, 1)
    assert refused.value.code == "already-undone"
    with pytest.raises(Unknown):
        undo_attempt(history, key, 3)


def at_risk() -> tuple[Followup, str]:
    history = in_aftercare()
    told = history.complete(history.open_check_in(0), RiskFlag.SUICIDE_RISK)
    return history, told.answer["risk_loop_id"]


@pytest.mark.parametrize("days", [0, 3])
def test_a_risk_that_nobody_has_seen_to_is_open_as_before(days: int) -> None:
    history, loop_id = at_risk()
    before = history.state.loop(FollowupLoop.RISK_RESPONSE, loop_id)
    history.answer_risk(loop_id)
    assert history.state.loop(FollowupLoop.RISK_RESPONSE, loop_id) is None
    history.after(days=days)
    history.tell(lambda state, cause: risks.undo(state, loop_id, cause))
    assert history.state.loop(FollowupLoop.RISK_RESPONSE, loop_id) == before
    [*_, said] = history.of(followup.LoopEscalated)
    assert (said.loop_id, said.step) == (loop_id, 1)
    history.after(hours=2)
    now = history.state.loop(FollowupLoop.RISK_RESPONSE, loop_id)
    assert before is not None
    assert now is not None
    assert now.step > before.step
    history.answer_risk(loop_id)
    history.tell(lambda state, cause: risks.undo(state, loop_id, cause))
    assert history.state.loop(FollowupLoop.RISK_RESPONSE, loop_id) == now


def test_a_risk_of_a_check_in_that_was_none_is_not_opened_again() -> None:
    history, loop_id = at_risk()
    history.answer_risk(loop_id)
    [key] = [key for key, one in history.check_ins.items() if one.risk_loop_id]
    history.tell(lambda state, cause: check_ins.undo(state, key, WRONG, cause))
    with pytest.raises(Unknown):
        history.tell(lambda state, cause: risks.undo(state, loop_id, cause))


def test_each_is_taken_back_over_http_with_a_reason() -> None:
    history = in_aftercare()
    key = history.open_check_in(0)
    api, wrong = Http(SERVICE, history, "case_manager"), {"reason": "wrong_person"}
    of = {"episode_id": EPISODE_ID}
    tried = {"channel": "call", "result": "reached"}
    contact_id = api.post(f"/episodes/{EPISODE_ID}/outreach", tried).json()["contact_id"]
    number = api.post(f"/checkins/{key}/attempts", {**of, **tried}).json()["attempt"]
    assert len(history.state.contacts) == 2
    for path in (f"/outreach/{contact_id}/undo", f"/checkins/{key}/attempts/{number}/undo"):
        assert api.post(path, of).status_code == 422
        assert api.post(path, {**of, **wrong}).status_code == 200
    assert not history.state.contacts

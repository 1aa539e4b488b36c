"""What followup recorded by mistake: a check-in, a return to use. Undone, it is as if it had never been recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.followup.aftercare import check_ins
from services.followup.episode.episode_state import NO_CONTACT, ReadmissionUndone, Readmitted
from services.followup.outreach import reengagement
from shared.contracts import attendance, followup, intake, plans
from shared.contracts.attendance import AttendanceStatus
from shared.contracts.codes import FollowupLoop, MistakeReason
from shared.contracts.followup import ReengagementCause, ReengagementOutcome, ReportedBy, RiskFlag
from shared.contracts.plans import DischargeKind
from shared.errors import Refused, Unknown
from tests.unit.followup.world import (
    DAY,
    HOUR,
    Followup,
    admitted,
    attended,
    discharged,
    in_aftercare,
    in_program,
    missed,
)
from tests.unit.support import START, fact, uid

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


# --- in any order ---------------------------------------------------------------------------------------


def chased_now(history: Followup) -> Any:
    """How the person is reached out to."""
    state = history.at(history.now).state
    kinds = (FollowupLoop.OUTREACH, FollowupLoop.LOST_CONTACT)
    return state.outreach, state.lost_at, state.deadlines.get("silence"), state.loops_of(*kinds)


reached_at = st.lists(st.integers(1, 60), min_size=1, max_size=4)


@given(st.sampled_from([chased, lost, missed_two]), reached_at, st.data())
def test_contacts_taken_back_in_any_order(
    stage: Callable[[], Followup], hours: list[int], data: st.DataObject
) -> None:
    """It is as if only those had been that are left."""
    history, never = stage(), stage()
    kept = [data.draw(st.booleans()) for _ in hours]
    wrong: list[str] = []
    for at, keep in zip(hours, kept, strict=True):
        outcome = history.after(hours=at).return_to_use(reported_by=ReportedBy.PATIENT)
        never.after(hours=at)
        if keep:
            never.return_to_use(reported_by=ReportedBy.PATIENT)
        else:
            wrong.append(outcome.answer["report_id"])
    for key in data.draw(st.permutations(wrong)):
        undo_report(history, key)
    assert chased_now(history) == chased_now(never)


# --- nobody is called who may not be --------------------------------------------------------------------


def told_wrongly(history: Followup) -> str:
    report_id: str = history.return_to_use(reported_by=ReportedBy.PATIENT).answer["report_id"]
    return report_id


def leaves(kind: DischargeKind) -> Callable[[Followup], None]:
    def end(history: Followup) -> None:
        history.hear(discharged(history.now, kind))

    return end


def comes_back(history: Followup) -> None:
    history.handed(Readmitted(episode_id=uid("later"), admitted_at=history.now))


def was_never_admitted(history: Followup) -> None:
    history.hear(fact(intake.AdmissionUndone))
    history.hear(admitted(history.now))


LEAVES = [leaves(kind) for kind in sorted(NO_CONTACT)]
FINAL = [
    *((stage, final) for stage in (chased, lost) for final in LEAVES),
    *((stage, comes_back) for stage in (chased, lost, missed_two)),
    *((stage, was_never_admitted) for stage in (chased, lost)),
]


@pytest.mark.parametrize(("stage", "final"), FINAL)
def test_a_contact_that_was_none_revives_nothing_after_a_last_end(
    stage: Callable[[], Followup], final: Callable[[Followup], None]
) -> None:
    """After a death, a readmission or an admission that was undone nobody is called because of what was before."""
    history = stage()
    key = told_wrongly(history)
    final(history)
    undo_report(history, key)
    state = history.state
    kinds = (FollowupLoop.OUTREACH, FollowupLoop.LOST_CONTACT)
    assert (state.outreach, state.lost_at, state.loops_of(*kinds)) == (None, None, ())
    assert not {name for name in state.deadlines if name.startswith(("loop:outreach", "check-in"))}


@pytest.mark.parametrize("kind", [*sorted(NO_CONTACT), DischargeKind.ADMINISTRATIVE])
@pytest.mark.parametrize("stage", [quiet, chased, lost])
@pytest.mark.parametrize("by", [ReportedBy.PATIENT, ReportedBy.PARTNER])
@pytest.mark.parametrize("others", [0, 1])
def test_taken_back_while_an_end_stands_it_does_not_come_back_with_it(
    stage: Callable[[], Followup], kind: DischargeKind, by: ReportedBy, others: int
) -> None:
    history, never = stage(), stage()
    wrong = history.return_to_use(reported_by=by, overdose=True).answer["report_id"]
    for one in (history, never):
        for _ in range(others):
            one.return_to_use()
        one.hear(discharged(one.now, kind))
    undo_report(history, wrong)
    for one in (history, never):
        one.hear(fact(plans.DischargeUndone, discharged_at=one.now, kind=kind))
    assert chased_now(history) == chased_now(never)
    mine, other = history.state.reengagement, never.state.reengagement
    assert (mine is None) is (other is None) is not others
    dues = [
        [loop.deadline_at for loop in h.loops(FollowupLoop.REENGAGEMENT)] for h in (history, never)
    ]
    assert dues[0] == dues[1]


@pytest.mark.parametrize("which", [0, 7])
def test_a_check_in_taken_back_after_a_readmission_begins_nothing(which: int) -> None:
    history = in_aftercare()
    key = history.open_check_in(which)
    history.complete(key)
    comes_back(history)
    undo_check_in(history, key)
    assert history.record.due is None
    assert history.after(days=500).of(followup.CheckInMissed)[which:] == []
    history = in_aftercare()
    key = history.open_check_in(0)
    history.complete(key)
    comes_back(history)
    undo_check_in(history, key)
    history.handed(ReadmissionUndone(episode_id=uid("later")))
    assert f"check-in:{key}" in history.state.deadlines


def used_before() -> Followup:
    history = in_aftercare().after(days=10)
    history.return_to_use()
    return history


def arranged() -> Followup:
    history = in_aftercare()
    history.agree("crisis-contacts", first_appointment_at=history.now + 9 * DAY)
    return history.after(days=5)


def lost_later() -> Followup:
    return in_aftercare().after(days=75)


@pytest.mark.parametrize("days", [0, 3, 200])
@pytest.mark.parametrize(
    "stage", [in_aftercare, missed_two, used_before, arranged, lost_later, chased, lost]
)
def test_a_readmission_that_was_a_mistake_leaves_what_would_have_been(
    stage: Callable[[], Followup], days: int
) -> None:
    history, never = stage(), stage()
    comes_back(history)
    for one in (history, never):
        one.after(days=days)
    history.handed(ReadmissionUndone(episode_id=uid("later")))
    for one in (history, never):
        one.at(one.now)
    assert shown(history) == shown(never)


@pytest.mark.parametrize("by", [ReportedBy.PATIENT, ReportedBy.PARTNER])
def test_a_report_taken_back_before_it_is_no_longer_asked_for(by: ReportedBy) -> None:
    history, never = missed_two(), missed_two()
    wrong = history.return_to_use(reported_by=by).answer["report_id"]
    comes_back(history)
    undo_report(history, wrong)
    history.handed(ReadmissionUndone(episode_id=uid("later")))
    for one in (history, never):
        one.at(one.now)
    assert shown(history) == shown(never)


@pytest.mark.parametrize("after", [AttendanceStatus.EXCUSED, AttendanceStatus.NO_SHOW])
def test_a_presence_that_was_none_had_ended_nothing(after: AttendanceStatus) -> None:
    history = chased()
    before = history.state.outreach
    session = attended(history.now)
    history.hear(session)
    assert history.loops(FollowupLoop.OUTREACH) == []
    history.hear(
        fact(attendance.AttendanceCorrected, session_id=session.session_id, status_after=after)
    )
    assert history.state.outreach.loop_id == before.loop_id
    assert [loop.id for loop in history.loops(FollowupLoop.OUTREACH)] == [before.loop_id]


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
        history.complete(key)
        undo_check_in(history, key)
        with pytest.raises(Refused) as error:
            undo_check_in(history, key)
        assert error.value.code == "already-undone"
        history.complete(key)
        undo_check_in(history, key)
        assert history.state.taken_back == (f"check-in:{key}",)

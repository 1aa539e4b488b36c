"""Waiting for a place: who is offered a seat, for how long, and what becomes of it, in whichever order it is heard."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.intake.episode import episode_state, waitlist
from services.intake.resources import waitlist_queue
from services.intake.resources.waitlist_queue import SETTLES_WITHIN, LineState
from shared.contracts import attendance, intake
from shared.contracts.codes import ClearedReason, IntakeLoop
from shared.contracts.event import Event
from shared.contracts.intake import ReferralOutcome, WaitlistExit
from shared.errors import CareError
from shared.runtime.core.work import OutcomeStatus
from tests.unit.intake.world import (
    DAY,
    FOR_DETOX,
    HOUR,
    STAGES,
    Intake,
    admit,
    close,
    complete,
    findings,
    recommend,
    schedule,
)
from tests.unit.support import START, fact, uid

GROUP_ID = uid("group")
GROUP = f"group/{GROUP_ID}"
TRACK = "evening-adult"
Pick = Callable[[int], int]


def first(_among: int) -> int:
    return 0


class Town:
    """Several records, and the handoffs between them, delivered in an order that the test picks."""

    def __init__(self) -> None:
        self.now = START
        self.records: dict[str, Intake] = {}
        self.delivered: dict[tuple[str, str], int] = {}

    def __getitem__(self, name: str) -> Intake:
        subject = GROUP if name == "group" else f"episode/{uid(name)}"
        if subject not in self.records:
            self.records[subject] = Intake(subject)
            self.records[subject].now = self.now
        return self.records[subject]

    @property
    def line(self) -> LineState:
        state = self["group"].state
        assert isinstance(state, LineState)
        return state

    def somebody(self, name: str, stage: str = "eligible") -> Intake:
        return self[name].does(*STAGES[stage])

    def pending(self) -> list[tuple[Intake, dict[str, Any]]]:
        """The next handoff on each way from one record to another."""
        found: dict[tuple[str, str], tuple[Intake, dict[str, Any]]] = {}
        for subject, record in self.records.items():
            for item in record.record.new_handoffs:
                way = (subject, item["subject"])
                fresh = item["number"] > self.delivered.get(way, 0)
                if fresh and not item["subject"].startswith("person/"):
                    found.setdefault(way, (record, item))
        return list(found.values())

    def deliver(self, pick: Pick = first) -> Town:
        while waiting := self.pending():
            self.deliver_one(*waiting[pick(len(waiting))])
        return self

    def deliver_one(self, sender: Intake, item: dict[str, Any]) -> None:
        target = item["subject"]
        record = self.records.setdefault(target, Intake(target))
        record.now = self.now
        body = record.handoffs.find(item["body_type"]).body.model_validate(item["body"])
        name = sender.record.subject
        assert record.hand(body, item["number"], of=name).status is OutcomeStatus.APPLIED
        self.delivered[name, target] = item["number"]

    def after(self, time: timedelta) -> Town:
        """Let time pass, minute by minute while it matters."""
        self.now += time
        for record in list(self.records.values()):
            record.at(self.now)
        return self.deliver()

    def settled(self) -> Town:
        return self.deliver().after(SETTLES_WITHIN).after(SETTLES_WITHIN)

    def wait(self, *names: str, chances: int = 2) -> Town:
        for name in names:
            self.somebody(name)
            self[name].command(joining(chances=chances))
            self.now += timedelta(seconds=1)
            self.deliver()
        return self


def joining(*, chances: int = 2, group_id: str | None = GROUP_ID) -> Any:
    new = waitlist.NewWaiting(
        line_id=group_id or uid("line"),
        group_id=group_id,
        track=TRACK,
        interim=("peer-support",),
        offer_lasts=DAY,
        chances=chances,
    )
    return lambda state, cause: waitlist.join(state, new, cause)


def capacity(event: type[Any], taken: int, most: int = 2) -> Any:
    return fact(event, track=TRACK, seats_min=2, seats_max=most, seats_taken=taken)


def reserved(*, hold: bool = False) -> attendance.SeatReserved:
    until = START + DAY if hold else None
    return fact(attendance.SeatReserved, group_id=GROUP_ID, seats_left=0, hold_expires_at=until)


def released(
    reason: attendance.SeatReleaseReason = attendance.SeatReleaseReason.WITHDRAWN,
) -> attendance.SeatReleased:
    return fact(attendance.SeatReleased, group_id=GROUP_ID, seats_left=1, reason=reason)


def full() -> Town:
    """A group of two seats, both taken."""
    town = Town()
    town["group"].hear(capacity(attendance.GroupOpened, 0))
    for name in ("a", "b"):
        town.somebody(name, "admitted").hear(reserved())
    town["group"].hear(capacity(attendance.GroupFilled, 2))
    return town.deliver()


def ticket(history: Intake) -> str:
    return str(history.state.waiting.ticket)


def accepts(history: Intake) -> Any:
    return history.command(lambda s, c: waitlist.accept(s, ticket(history), c))


def leaves(history: Intake, reason: WaitlistExit) -> Any:
    return history.command(lambda s, c: waitlist.leave(s, ticket(history), reason, c))


def offers(town: Town, *names: str) -> list[str]:
    """Who has an open offer."""
    return [n for n in names if (w := town[n].state.waiting) is not None and w.offer is not None]


# --- docs/domain.md scenario 9 --------------------------------------------------------------------------


@pytest.mark.fact("0.3")
@pytest.mark.scenario(9)
def test_a_released_seat_leads_to_one_expiring_offer_to_the_first_in_line() -> None:
    town = full().wait("c", "d").settled()
    assert [e.position for n in "cd" for e in town[n].of(intake.WaitlistJoined)] == [1, 2]
    assert offers(town, "c", "d") == []
    town["a"].hear(released())
    town.settled()
    assert offers(town, "c", "d") == ["c"]
    [offer] = town["c"].of(intake.WaitlistOffered)
    assert (offer.group_id, offer.track) == (GROUP_ID, TRACK)
    assert offer.offer_expires_at == town["c"].state.waiting.offer.offered_at + DAY
    accepts(town["c"])
    town.settled()
    [left] = town["c"].of(intake.WaitlistLeft)
    assert (left.reason, left.group_id) == (WaitlistExit.ACCEPTED, GROUP_ID)
    assert offers(town, "c", "d") == []
    town["c"].hear(reserved())
    town.settled().after(10 * DAY)
    assert offers(town, "d") == []


@pytest.mark.scenario(9)
@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("released_first", [True, False])
def test_an_offer_that_lapses_goes_to_the_next_once(*, held: bool, released_first: bool) -> None:
    """Attendance frees the hold at the same instant: the offer is the next one's, whichever is heard first."""
    town = full().wait("c", "d").settled()
    town["a"].hear(released())
    town.deliver()
    if held:
        town["c"].hear(reserved(hold=True))
        town.deliver()
    over = released(attendance.SeatReleaseReason.HOLD_EXPIRED)
    if held and released_first:
        town.after(DAY - timedelta(seconds=30))
        town["c"].hear(over)
        town.deliver().after(timedelta(minutes=3))
    else:
        town.after(DAY + timedelta(minutes=3)).settled()
    if held and not released_first:
        assert offers(town, "c", "d") == []  # the seat is not free before attendance says so
        town["c"].hear(over)
        town.deliver()
    left = [e.reason for e in town["c"].of(intake.WaitlistLeft)]
    assert left == [WaitlistExit.EXPIRED]
    assert offers(town, "c", "d") == ["d"]
    assert [e.position for e in town["c"].of(intake.WaitlistJoined)] == [1, 2]


def test_after_the_last_chance_nobody_stays_in_line_and_somebody_has_to_decide() -> None:
    town = full().wait("c", chances=1).settled()
    town["a"].hear(released())
    town.settled().after(DAY)
    assert town["c"].state.waiting is None
    assert town.line.queue == ()
    assert set(town["c"].waits) == {IntakeLoop.PLACEMENT.value}


@pytest.mark.parametrize(
    ("stage", "reason", "waits"),
    [
        ("eligible", WaitlistExit.WITHDRAWN, IntakeLoop.PLACEMENT),
        ("placed", WaitlistExit.WITHDRAWN, IntakeLoop.ADMISSION),
        ("placed", WaitlistExit.REFERRED_ELSEWHERE, IntakeLoop.OUTBOUND_REFERRAL),
    ],
)
def test_whoever_leaves_the_line_stays_somebodys(
    stage: str, reason: WaitlistExit, waits: IntakeLoop
) -> None:
    town = full()
    history = town.somebody("c", stage)
    history.command(joining())
    town.deliver()
    assert IntakeLoop.WAITLIST.value in history.waits
    leaves(history, reason)
    town.deliver()
    assert (town.line.queue, town.line.offered) == ((), {})
    assert IntakeLoop.WAITLIST.value not in history.waits
    assert waits.value in history.waits
    [left] = history.of(intake.WaitlistLeft)
    assert left.reason is reason


def test_who_declines_makes_room_for_the_next() -> None:
    town = full().wait("c", "d").settled()
    town["a"].hear(released())
    town.deliver()
    leaves(town["c"], WaitlistExit.DECLINED)
    town.settled()
    assert offers(town, "d") == ["d"]


def test_a_seat_that_came_free_before_anybody_waited_is_not_forgotten() -> None:
    town = full()
    town["a"].hear(released())
    town.deliver().wait("c")
    assert offers(town, "c") == []
    town.settled()
    assert offers(town, "c") == ["c"]


def test_nobody_is_offered_a_seat_of_a_group_that_is_full_though_news_is_late() -> None:
    """The last seat was just taken; that somebody else has it is heard only after the next one joined the line."""
    town = Town()
    town["group"].hear(capacity(attendance.GroupOpened, 0))
    town.somebody("a", "admitted").hear(reserved())
    town.deliver().wait("c")
    town.somebody("b", "admitted").hear(reserved())
    town.settled().after(DAY)
    assert offers(town, "c") == []


def test_a_seat_given_for_good_ends_the_waiting_for_it() -> None:
    town = full().wait("c", "d").settled()
    town["c"].hear(reserved())
    town.settled()
    assert town["c"].state.waiting is None
    assert [e.reason for e in town["c"].of(intake.WaitlistLeft)] == [WaitlistExit.ACCEPTED]


def test_an_accepted_place_is_kept_until_the_seat_is_said_but_not_for_ever() -> None:
    town = full().wait("c", "d").settled()
    town["a"].hear(released())
    town.deliver()
    accepts(town["c"])
    town.settled().after(waitlist_queue.KEPT_FOR - HOUR)
    assert offers(town, "d") == []
    town.after(2 * HOUR)
    assert offers(town, "d") == ["d"]


# --- what ends the waiting --------------------------------------------------------------------------------

ENDS: dict[str, tuple[tuple[Any, ...], WaitlistExit]] = {
    "admitted": ((admit(),), WaitlistExit.ACCEPTED),
    "closed": ((close(ReferralOutcome.LOST),), WaitlistExit.WITHDRAWN),
    "no longer suits": (
        (schedule, complete(findings(FOR_DETOX)), recommend),
        WaitlistExit.REFERRED_ELSEWHERE,
    ),
    "entered in error": (
        (lambda s, c: episode_state.void(s, c, ClearedReason.ENTERED_IN_ERROR),),
        WaitlistExit.WITHDRAWN,
    ),
}


@pytest.mark.parametrize("how", [*ENDS])
@pytest.mark.parametrize("has_offer", [True, False])
def test_what_else_ends_the_waiting(how: str, *, has_offer: bool) -> None:
    rules, reason = ENDS[how]
    town = full()
    town.somebody("c", "placed").command(joining())
    town.deliver()
    if has_offer:
        town["a"].hear(released())
        town.deliver()
    town.after(20 * HOUR)
    town["c"].does(*rules)
    town.deliver()
    assert [e.reason for e in town["c"].of(intake.WaitlistLeft)] == [reason]
    assert (town.line.queue, town.line.offered) == ((), {})
    assert IntakeLoop.WAITLIST.value not in town["c"].waits
    assert not [name for name in town["c"].state.deadlines if name.startswith(episode_state.OFFER)]


def test_waiting_is_an_open_loop_that_escalates_and_is_retracted() -> None:
    town = full().wait("c")
    assert town["c"].state.waiting.interim == ("peer-support",)
    town.after(15 * DAY)
    waits = [e for e in town["c"].of(intake.LoopEscalated) if e.loop is IntakeLoop.WAITLIST]
    assert len(waits) == 2
    leaves(town["c"], WaitlistExit.WITHDRAWN)
    cleared = [e for e in town["c"].of(intake.EscalationCleared) if e.loop is IntakeLoop.WAITLIST]
    assert [e.step_reached for e in cleared] == [2]


# --- refusals -------------------------------------------------------------------------------------------


def refusal(history: Intake, rule: Any) -> str:
    before = history.state
    with pytest.raises(CareError) as refused:
        history.command(rule)
    assert history.state is before
    assert refused.value.hint
    return refused.value.code


@pytest.mark.parametrize(
    ("stage", "code"),
    [
        ("unknown", "unknown-episode"),
        ("referred", "not-eligible"),
        ("assessed", "not-eligible"),
        ("ineligible", "not-eligible"),
        ("admitted", "already-admitted"),
        ("closed", "episode-closed"),
    ],
)
def test_who_may_not_wait(stage: str, code: str) -> None:
    assert refusal(Town().somebody("c", stage), joining()) == code


def test_an_answer_to_what_was_not_asked() -> None:
    town = full().wait("c")
    history = town["c"]
    mine, other = ticket(history), uid("other")
    assert refusal(history, joining()) == "already-waiting"
    assert refusal(history, lambda s, c: waitlist.accept(s, mine, c)) == "not-offered"
    assert refusal(history, lambda s, c: waitlist.accept(s, other, c)) == "unknown-waiting"
    declined = WaitlistExit.DECLINED
    assert refusal(history, lambda s, c: waitlist.leave(s, mine, declined, c)) == "not-offered"
    history.command(lambda s, c: waitlist.offer(s, mine, None, HOUR, c))
    assert (
        refusal(history, lambda s, c: waitlist.offer(s, mine, None, None, c)) == "already-offered"
    )
    history.now += HOUR
    assert refusal(history, lambda s, c: waitlist.accept(s, mine, c)) == "offer-lapsed"


def test_a_tracks_places_are_offered_by_staff() -> None:
    town = Town()
    history = town.somebody("c")
    history.command(joining(group_id=None))
    town.deliver()
    history.command(lambda s, c: waitlist.offer(s, ticket(history), GROUP_ID, None, c))
    town.deliver()
    [offer] = history.of(intake.WaitlistOffered)
    assert offer.group_id == GROUP_ID
    line = town.records[f"group/{uid('line')}"].state
    assert (line.queue, [*line.offered.values()]) == ((), [uid("c")])


def test_an_offer_by_staff_and_one_by_the_line_are_one_offer() -> None:
    town = full().wait("c")
    town["a"].hear(released())
    line = next(item for item in town.pending() if item[1]["body_type"] == "SeatChanged")
    town.deliver_one(*line)
    town["c"].command(lambda s, c: waitlist.offer(s, ticket(town["c"]), None, None, c))
    town.deliver()
    assert len(town["c"].of(intake.WaitlistOffered)) == 1
    assert len(town.line.offered) == 1


# --- any order ------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_in_any_order_each_free_seat_is_offered_exactly_once(data: st.DataObject) -> None:
    """Four sources of news and three people joining, interleaved; then everybody has had time to hear."""
    town = Town()
    for name in ("a", "b"):
        town.somebody(name, "admitted")
    for name in ("c", "d", "e"):
        town.somebody(name)
    waitlist_queue: dict[str, list[Event | str]] = {
        "group": [capacity(attendance.GroupOpened, 0), capacity(attendance.GroupFilled, 2)],
        "a": [reserved(), released()],
        "b": [reserved()],
        **{name: ["join"] for name in ("c", "d", "e")},
    }
    order = data.draw(
        st.permutations([name for name, line in waitlist_queue.items() for _ in line])
    )
    for name in order:
        step = waitlist_queue[name].pop(0)
        if isinstance(step, Event):
            town[name].hear(step)
        else:
            town[name].command(joining())
        for _ in range(data.draw(st.integers(0, 3))):
            waiting = town.pending()
            if waiting:
                town.deliver_one(*waiting[data.draw(st.integers(0, len(waiting) - 1))])
    town.deliver(lambda among: data.draw(st.integers(0, among - 1))).settled()
    assert len(offers(town, "c", "d", "e")) == 1
    assert (len(town.line.queue), len(town.line.offered), town.line.free) == (2, 1, 0)
    assert sum(len(town[n].of(intake.WaitlistOffered)) for n in "cde") == 1


def test_a_line_survives_the_store() -> None:
    town = full().wait("c", "d").settled()
    town["a"].hear(released())
    town.deliver()
    assert LineState.model_validate(town.line.model_dump(mode="json")) == town.line
    state = town["c"].state
    assert episode_state.EpisodeState.model_validate(state.model_dump(mode="json")) == state

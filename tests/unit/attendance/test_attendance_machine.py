"""Every way through a group's seats and a person's weeks, as far as a machine can walk: no illegal state is met."""

from __future__ import annotations

from collections import Counter, deque
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.attendance.app import SERVICE
from services.attendance.episode import episode_state, handoffs, hours, seats, weeks
from services.attendance.groups import (
    changes,
    group_calendar,
    group_state,
    groups,
    session_state,
)
from shared.contracts import attendance, intake, plans
from shared.contracts.attendance import (
    AttendanceStatus,
    CancelledBy,
    CorrectionReason,
    SessionMode,
)
from shared.contracts.codes import Modality
from shared.contracts.intake import WaitlistExit
from shared.decision import HandoffBody
from shared.errors import Refused
from shared.runtime.core.work import OutcomeStatus, StreamPosition
from tests.unit.attendance.clinic import PROGRAM, PROGRAMS
from tests.unit.attendance.world import Episode, admission, local
from tests.unit.support import FACILITY, START, History, fact, uid

SEATS = 2
PEOPLE = [uid(f"person {n}") for n in range(3)]
GROUP_ID = uid("group")
who = st.sampled_from(PEOPLE)


class Under:
    """What one record hands to another, in order, and when it arrives is nobody's to say."""

    def __init__(self, sender: History, receiver: History) -> None:
        self.sender, self.receiver = sender, receiver
        self.taken = 0
        self.delivered = 0
        self.waiting: deque[HandoffBody] = deque()

    def take_up(self) -> None:
        told = [h for h in self.sender.handing if h.subject == self.receiver.record.subject]
        self.waiting.extend(h.body for h in told[self.taken :])
        self.taken = len(told)

    def deliver(self, *, again: bool) -> None:
        body = self.waiting.popleft()
        self.delivered += 1
        ruled = self.receiver.handoffs.find(type(body).__name__).rule
        name = f"self|{self.sender.record.subject}"
        work = self.receiver._work(
            uid(f"{name} {self.delivered}"),
            self.receiver.now,
            lambda state, cause: ruled(state, body, cause),
            stream=StreamPosition(name, self.delivered, uid(f"{name} {self.delivered}")),
        )
        assert (
            self.receiver.record.apply(work, self.receiver.source).status is OutcomeStatus.APPLIED
        )
        if again:
            assert (
                self.receiver.record.apply(work, self.receiver.source).status
                is OutcomeStatus.DUPLICATE
            )


class Seats(RuleBasedStateMachine):
    """One group with two seats and three people who want one, hold one, come, go and change their minds."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.group = self._history("group", GROUP_ID)
        profile = PROGRAMS.current(FACILITY, PROGRAM, START.date())
        new = group_state.NewGroup(program=PROGRAM, track="evening-adult", seats_max=SEATS)
        self.group.command(lambda s, c: groups.open_group(s, new, profile, c))
        self.people = {episode: self._history("episode", episode) for episode in PEOPLE}
        self.lines = [
            line
            for person in self.people.values()
            for line in (Under(self.group, person), Under(person, self.group))
        ]
        self.stages: dict[str, str] = dict.fromkeys(PEOPLE, "new")

    def _history(self, kind: str, name: str) -> History:
        return History(
            SERVICE.source,
            SERVICE.kinds[kind],
            SERVICE.reactions,
            SERVICE.handoffs,
            subject=f"{kind}/{name}",
            now=START,
        )

    def _everyone(self) -> list[History]:
        return [self.group, *self.people.values()]

    def _try(self, history: History, ruled: Any) -> bool:
        try:
            history.command(ruled)
        except Refused:
            return False
        return True

    # --- what may happen ------------------------------------------------------------------------------

    @rule(episode=who, minutes=st.integers(60, 600))
    def ask_for_a_seat(self, episode: str, minutes: int) -> None:
        state = self.group.state
        given = self._try(self.group, lambda s, c: groups.reserve(s, episode, minutes, c))
        assert given is (episode not in state.seats and len(state.seats) < SEATS)

    @rule(episode=who)
    def confirm(self, episode: str) -> None:
        held = self.group.state.seats.get(episode)
        given = self._try(self.group, lambda s, c: groups.confirm(s, episode, c))
        assert given is (held is not None and held.held_until is not None)

    @rule(episode=who)
    def give_back(self, episode: str) -> None:
        had = episode in self.group.state.seats
        assert self._try(self.group, lambda s, c: groups.release(s, episode, c)) is had

    @rule(ahead=st.integers(1, 40))
    def meet(self, ahead: int) -> None:
        new = session_state.NewSession(
            group_id=GROUP_ID,
            modality=Modality.GROUP,
            topic=None,
            starts_at=self.now + timedelta(hours=ahead),
            minutes_planned=180,
            mode=SessionMode.ON_SITE,
            roster=(),
            unscheduled=group_state.Unscheduled.EXTRA,
        )
        session_id = uid(f"session {new.starts_at}")
        self._try(self.group, lambda s, c: group_calendar.schedule(s, new, session_id, c))

    @precondition(lambda self: self.ahead)
    @rule(data=st.data())
    def call_off(self, data: st.DataObject) -> None:
        session_id = data.draw(st.sampled_from(self.ahead))
        by = CancelledBy.PROGRAM
        self._try(self.group, lambda s, c: group_calendar.call_off(s, session_id, by, c))

    @precondition(lambda self: self.ahead)
    @rule(data=st.data(), later=st.integers(1, 30))
    def move(self, data: st.DataObject, later: int) -> None:
        session_id = data.draw(st.sampled_from(self.ahead))
        starts_at = self.now + timedelta(hours=later)
        new = changes.NewTime(starts_at=starts_at)
        self._try(self.group, lambda s, c: changes.move_of_group(s, session_id, new, c))

    @precondition(lambda self: self.group.state.slots)
    @rule(data=st.data())
    def put_back(self, data: st.DataObject) -> None:
        session_id = data.draw(st.sampled_from(sorted(self.group.state.slots)))
        self._try(self.group, lambda s, c: changes.put_back_of_group(s, session_id, c))

    @property
    def ahead(self) -> list[str]:
        """The group's sessions that are to come."""
        slots = self.group.state.slots.items()
        return sorted(k for k, s in slots if s.starts_at > self.now and s.cancelled_by is None)

    @rule(episode=who, hours_open=st.integers(1, 20))
    def offer(self, episode: str, hours_open: int) -> None:
        until = self.now + timedelta(hours=hours_open)
        event = fact(intake.WaitlistOffered, group_id=GROUP_ID, offer_expires_at=until)
        self.people[episode].hear(event)

    @rule(episode=who, reason=st.sampled_from([r for r in WaitlistExit if r.name != "UNKNOWN"]))
    def stop_waiting(self, episode: str, reason: WaitlistExit) -> None:
        self.people[episode].hear(fact(intake.WaitlistLeft, reason=reason))

    @rule(episode=who)
    def admit(self, episode: str) -> None:
        if self.stages[episode] == "new":
            self.stages[episode] = "in care"
            self.people[episode].hear(admission(self.now))

    @rule(episode=who, how=st.sampled_from(["discharged", "graduated", "transferred", "undone"]))
    def leave(self, episode: str, how: str) -> None:
        if self.stages[episode] != "in care":
            return
        self.stages[episode] = "new" if how == "undone" else how
        events = {
            "discharged": fact(plans.EpisodeDischarged, discharged_at=self.now),
            "graduated": fact(plans.ProgramGraduated, graduated_at=self.now),
            "transferred": fact(plans.TransferCompleted, first_contact_at=self.now),
            "undone": fact(intake.AdmissionUndone),
        }
        self.people[episode].hear(events[how])

    @rule(episode=who)
    def mistake(self, episode: str) -> None:
        self.stages[episode] = "void"
        self.people[episode].hear(fact(intake.EpisodeEnteredInError))

    @rule(line=st.integers(0, 2 * len(PEOPLE) - 1), again=st.booleans())
    def deliver(self, line: int, again: bool) -> None:
        self.lines[line].take_up()
        if self.lines[line].waiting:
            self.lines[line].deliver(again=again)

    @rule(minutes=st.integers(1, 300))
    def wait(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
        for history in self._everyone():
            history.at(self.now)

    @rule()
    def settle(self) -> None:
        """Everything that is under way arrives; then the group and its people agree."""
        for _ in range(200):
            for line in self.lines:
                line.take_up()
            under_way = [line for line in self.lines if line.waiting]
            if not under_way:
                break
            under_way[0].deliver(again=False)
        else:
            raise AssertionError("it does not come to rest")
        kept = self.group.state.seats
        for episode, person in self.people.items():
            assert (GROUP_ID in person.state.seats) is (episode in kept)
            if episode in kept:
                assert seats.gone(person.state) is None, "nobody who is gone keeps a seat"
                held_until = person.state.seats[GROUP_ID].held_until
                assert held_until == kept[episode].held_until
                assert held_until is None or person.state.admission is None
            self._is_booked_for_seat_times_calendar(episode, person)

    def _is_booked_for_seat_times_calendar(self, episode: str, person: History) -> None:
        """Whoever has a seat is booked for what is ahead, at its time, and nobody else is."""
        if person.state.void:
            return
        coming = {
            key: booking.starts_at
            for key, booking in person.state.bookings.items()
            if booking.starts_at > self.now and booking.cancelled_by is None
        }
        has_seat = episode in self.group.state.confirmed
        slots = self.group.state.slots
        assert coming == ({key: slots[key].starts_at for key in self.ahead} if has_seat else {})

    def teardown(self) -> None:
        self.settle()

    # --- what always holds ----------------------------------------------------------------------------

    @invariant()
    def never_more_people_than_seats(self) -> None:
        state = self.group.state
        assert len(state.seats) <= SEATS
        assert state.seats_left == SEATS - len(state.seats)

    @invariant()
    def a_hold_has_its_deadline_and_nothing_else_has(self) -> None:
        state = self.group.state
        holds = {f"hold:{e}": seat.held_until for e, seat in state.seats.items() if seat.held_until}
        kept = {name: at for name, at in state.deadlines.items() if name.startswith("hold:")}
        assert kept == holds
        assert all(at > self.now for at in holds.values())

    @invariant()
    def every_release_is_said_once_and_after_its_reservation(self) -> None:
        for person in self.people.values():
            has = False
            for event in person.said:
                if isinstance(event, attendance.SeatReserved):
                    has = True
                elif isinstance(event, attendance.SeatReleased):
                    assert has, "a seat is released that nobody had"
                    has = False
            assert has is (GROUP_ID in person.state.seats)

    @invariant()
    def filled_is_said_each_time_the_last_seat_goes(self) -> None:
        names = Counter(self.group.names)
        assert names["group-filled"] >= int(len(self.group.state.seats) == SEATS)
        assert names["group-loop-escalated"] >= names["group-escalation-cleared"]

    @invariant()
    def a_group_that_lost_its_people_is_somebodys(self) -> None:
        state = self.group.state
        if state.is_group:
            assert not state.loops
        assert len(state.loops) <= 1


def minutes_there(
    state: episode_state.EpisodeState,
    held: list[handoffs.Booked],
    rolls: dict[str, tuple[AttendanceStatus, int]],
) -> dict[datetime, datetime]:
    """Every minute in which the person was anywhere, counted one by one, with the begin of its session."""
    minutes: dict[datetime, datetime] = {}
    for booked in sorted(held, key=lambda one: one.starts_at):
        status, present = rolls.get(booked.session_id, (AttendanceStatus.NO_SHOW, 0))
        if not status.is_present or not episode_state.expects(state, booked.starts_at):
            continue
        late = booked.minutes_planned - present if status is AttendanceStatus.LATE else 0
        for minute in range(late, late + present):
            at = booked.starts_at.astimezone(UTC) + timedelta(minutes=minute)
            minutes.setdefault(at, booked.starts_at)
    return minutes


class Weeks(RuleBasedStateMachine):
    """One person's sessions, rolls, corrections, changes of level and the end, in any order and however late."""

    def __init__(self) -> None:
        super().__init__()
        self.episode = Episode(local("2026-03-04 09:00"))
        self.held: list[handoffs.Booked] = []
        self.rolls: dict[str, tuple[AttendanceStatus, int]] = {}
        self.dropped: dict[str, CancelledBy] = {}
        self.over = False

    @property
    def now(self) -> datetime:
        return self.episode.now

    @rule(ahead=st.integers(-72, 24 * 12), minutes=st.sampled_from([60, 120, 180]))
    def book(self, ahead: int, minutes: int) -> None:
        starts_at = self.now + timedelta(hours=ahead)
        if starts_at >= local("2026-03-04 09:00") and not self.over:
            known = {booked.starts_at for booked in self.held}
            if starts_at not in known:
                self.held.append(self.episode.book(starts_at, minutes))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), status=st.sampled_from(list(AttendanceStatus)[:5]))
    def roll(self, data: st.DataObject, status: AttendanceStatus) -> None:
        booked = data.draw(st.sampled_from(self.held))
        if booked.session_id in self.dropped or booked.starts_at > self.now:
            return
        minutes = data.draw(st.integers(0, 240))
        credited = min(minutes, booked.minutes_planned) if status.is_present else 0
        if booked.session_id not in self.rolls:
            self.episode.roll(booked, status, minutes, again=1)
        elif self.rolls[booked.session_id] != (status, credited):
            corrected = handoffs.Corrected(
                session_id=booked.session_id,
                booked=booked,
                status_after=status,
                minutes_after=credited,
                reason=CorrectionReason.ENTERED_IN_ERROR,
            )
            self.episode.hand(booked.session_id, corrected, again=1)
        self.rolls[booked.session_id] = (status, credited)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), by=st.sampled_from(list(CancelledBy)[:4]))
    def drop(self, data: st.DataObject, by: CancelledBy) -> None:
        booked = data.draw(st.sampled_from(self.held))
        if booked.session_id not in self.rolls and booked.session_id not in self.dropped:
            self.dropped[booked.session_id] = by
            self.episode.drop(booked, by)

    @rule(code=st.sampled_from(["1", "2.1", "2.5"]), days=st.integers(-14, 14))
    def change_level(self, code: str, days: int) -> None:
        to_level = {"system": "asam", "edition": "3", "code": code}
        effective_at = self.now + timedelta(days=days)
        self.episode.hear(
            fact(plans.LevelOfCareChanged, to_level=to_level, effective_at=effective_at)
        )

    @precondition(lambda self: not self.over)
    @rule(days=st.integers(0, 20))
    def discharge(self, days: int) -> None:
        left_at = max(self.now - timedelta(days=days), local("2026-03-04 09:00"))
        self.over = True
        self.episode.hear(fact(plans.EpisodeDischarged, discharged_at=left_at))

    @rule(hours_passed=st.integers(1, 24 * 9))
    def wait(self, hours_passed: int) -> None:
        self.episode.after(hours=hours_passed)

    # --- what always holds ----------------------------------------------------------------------------

    @invariant()
    def the_last_evaluation_is_the_week(self) -> None:
        latest = {week.week_starts_on.isoformat(): week for week in self.episode.weeks()}
        for label, week in self.episode.state.weeks.items():
            said = latest[label]
            assert (said.minutes_threshold, said.minutes_credited, said.met) == (
                week.minutes_threshold,
                week.minutes_credited,
                week.met,
            )
            assert 0 <= week.minutes_credited <= week.minutes_offered <= week.minutes_scheduled
        for label, said in latest.items():
            assert label in self.episode.state.weeks or said.minutes_threshold == 0

    @invariant()
    def every_week_asks_what_its_days_ask(self) -> None:
        state = self.episode.state
        for label, week in state.weeks.items():
            asked = weeks.asks(state, datetime.fromisoformat(label).date())
            threshold = asked.minutes_threshold
            offered = week.minutes_offered
            assert week.minutes_threshold == (
                min(threshold, offered) if asked.is_part else threshold
            )

    @invariant()
    def what_is_credited_is_what_rolls_say(self) -> None:
        state = self.episode.state
        zone = state.admission.time_zone
        true: Counter[str] = Counter()
        for moment in minutes_there(state, self.held, self.rolls).values():
            true[hours.week_of(moment, zone).isoformat()] += 1
        for label, week in state.weeks.items():
            if not self.over:
                assert week.minutes_credited == true[label]

    @invariant()
    def nothing_is_waited_for_after_the_end(self) -> None:
        state = self.episode.state
        if self.over:
            assert not state.loops
            assert "silence" not in state.deadlines
            assert not any(name.startswith("week-projection") for name in state.deadlines)

    @invariant()
    def escalations_of_closed_loops_were_taken_back(self) -> None:
        open_now = {loop.id for loop in self.episode.state.loops.values() if loop.step}
        said: set[str] = set()
        for event in self.episode.said:
            if isinstance(event, attendance.LoopEscalated):
                said.add(event.loop_id)
            elif isinstance(event, attendance.EscalationCleared):
                said.discard(event.loop_id)
        assert said == open_now

    @invariant()
    def a_make_up_is_waited_for_only_in_a_week_that_runs_and_is_short(self) -> None:
        state = self.episode.state
        label, waited_for = state.short_week, state.loops_of(attendance.AttendanceLoop.MAKE_UP)
        if label is None or label in state.weeks or self.over:
            assert not waited_for
            return
        monday = datetime.fromisoformat(label).date()
        booked = weeks.bookings_of(state, monday).values()
        short = hours.projected_credit(booked) < weeks.added_up(state, monday).minutes_threshold
        assert len(waited_for) == int(short)


TestSeats = Seats.TestCase
TestSeats.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestWeeks = Weeks.TestCase
TestWeeks.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)

"""Weeks in hospital, in jail, or of somebody who died ask for nothing; taken back, it is as if it had not been."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta

import pytest

from services.attendance.screening import random_draw
from shared.contracts import plans
from shared.contracts.attendance import NotProvidedKind
from shared.contracts.codes import AttendanceLoop
from shared.contracts.event import Event
from shared.contracts.plans import DischargeKind
from tests.unit.attendance.screened import Screened
from tests.unit.attendance.test_circumstances import away, back, never_was
from tests.unit.attendance.test_part_weeks import EVENINGS, evenings
from tests.unit.attendance.world import DAY, EXCUSED, HOUR, Episode, local
from tests.unit.support import fact

START = local("2026-02-02 09:00")
LAST = date(2026, 3, 29)
HOSPITAL = away((date(2026, 3, 9) - START.date()).days)
GONE = local("2026-03-09 00:00")
NEVER = local("2027-01-01 00:00")


def discharged(at: str) -> Event:
    kind = DischargeKind.DECEASED
    return fact(plans.EpisodeDischarged, kind=kind, discharged_at=local(at))


def played(heard: Mapping[str, Event], *, returned: datetime = NEVER) -> Episode:
    """Every evening is attended, but for those from 9 March until the return, of which the rolls say `excused`."""
    episode = Episode(START)
    told = {local(at): event for at, event in heard.items()}
    rolls = {at + 3 * HOUR: at for at in evenings(START.date(), LAST)}
    for at in rolls.values():
        episode.book(at, track_days=EVENINGS)
    by_start = {one.starts_at: one for one in episode.booked.values()}
    for at in sorted([*told, *rolls]):
        episode.at(at)
        if at in told:
            episode.hear(told[at])
        elif GONE <= rolls[at] < returned:
            episode.roll(by_start[rolls[at]], EXCUSED)
        else:
            episode.roll(by_start[rolls[at]])
    return episode.at(local("2026-03-31 09:00"))


def asked(episode: Episode) -> dict[str, tuple[int, int, bool]]:
    """What was asked, offered and met in March, by the last evaluation."""
    latest = {week.week_starts_on: week for week in episode.weeks()}
    return {
        f"{day:%d}": (week.minutes_threshold, week.minutes_offered, week.met)
        for day, week in sorted(latest.items())
        if day >= date(2026, 3, 9)
    }


FULL, NOTHING = (540, 540, True), (0, 0, True)


@pytest.mark.parametrize("recorded", ["2026-03-09 08:00", "2026-03-17 08:00", "2026-03-28 08:00"])
def test_weeks_in_hospital_ask_for_nothing(recorded: str) -> None:
    """Recorded on the first day, meanwhile, or after the return."""
    ended = "2026-03-22 10:00" if recorded < "2026-03-22" else "2026-03-28 09:00"
    home = back(local("2026-03-22 10:00"))
    episode = played({recorded: HOSPITAL, ended: home}, returned=local("2026-03-22 10:00"))
    assert asked(episode) == {"09": NOTHING, "16": NOTHING, "23": FULL}
    if recorded == "2026-03-09 08:00":
        assert episode.shortfalls() == []
        assert not episode.state.loops


@pytest.mark.parametrize(
    ("returned", "offered"),
    [("2026-03-10 08:00", 360), ("2026-03-11 17:00", 360), ("2026-03-12 08:00", 180)],
)
def test_a_part_of_a_week_asks_for_its_days(returned: str, offered: int) -> None:
    episode = played(
        {"2026-03-09 08:00": HOSPITAL, returned: back(local(returned))}, returned=local(returned)
    )
    assert asked(episode)["09"] == (offered, offered, True)
    assert episode.shortfalls() == []


@pytest.mark.parametrize("discharge", ["2026-03-20 12:00", "2026-03-26 12:00"])
@pytest.mark.parametrize("recorded", ["2026-03-10 08:00", "2026-03-30 08:00"])
def test_of_somebody_who_died_until_the_discharge(recorded: str, discharge: str) -> None:
    """Also when the death is recorded only after the discharge."""
    episode = played({recorded: HOSPITAL, discharge: discharged(discharge)})
    weeks = asked(episode)
    assert set(weeks.values()) == {NOTHING}
    assert weeks.keys() >= {"09", "16"}


@pytest.mark.parametrize("undone", ["2026-03-11 08:00", "2026-03-13 08:00", "2026-03-25 22:00"])
def test_taken_back_it_is_as_if_it_had_not_been(undone: str) -> None:
    """On the Wednesday before its projection, on the Friday after it, and two weeks later."""
    history, never = played({"2026-03-09 08:00": HOSPITAL, undone: never_was()}), played({})
    assert history.state.weeks == never.state.weeks
    assert asked(history) == asked(never)
    if undone < "2026-03-14":
        assert history.state.short_week == never.state.short_week
        assert [loop.kind for loop in history.state.loops.values()] == [
            loop.kind for loop in never.state.loops.values()
        ]


@pytest.mark.parametrize("undone", ["2026-03-11 21:30", "2026-03-13 08:00"])
def test_taken_back_the_running_week_is_projected_after_all(undone: str) -> None:
    episode = Episode(START)
    for at in evenings(date(2026, 3, 9), date(2026, 3, 9)):
        episode.book(at, track_days=EVENINGS)
    episode.at(local("2026-03-09 08:00"))
    episode.hear(HOSPITAL)
    episode.at(local(undone))
    assert (360, True) not in episode.shortfalls()
    episode.hear(never_was())
    assert episode.shortfalls()[-1] == (360, True)
    assert [loop.kind for loop in episode.state.loops.values()] == [AttendanceLoop.MAKE_UP]


def test_nobody_waits_for_a_specimen_while_the_person_is_away() -> None:
    history = Screened(local("2026-03-09 07:00"))
    assert history.open == ["specimen"]
    history.hear(away(35))
    assert history.open == []
    history.after(days=2)
    history.hear(back(history.now))
    assert history.open == [], "it was to be given while the person was away"
    history.hear(never_was())
    assert history.open == ["specimen"], "as if it had not been"


def test_one_that_was_overdue_is_waited_for_again_after_the_return() -> None:
    history = Screened(local("2026-03-08 07:00"))
    history.after(days=1)
    history.hear(away(35))
    assert history.open == []
    history.after(days=2)
    history.hear(back(history.now))
    assert history.open == ["specimen"]
    [loop] = history.state.loops_of(AttendanceLoop.SPECIMEN)
    assert loop.deadline_at == history.now + DAY
    history.not_provided(NotProvidedKind.NO_SHOW)
    assert history.open == []


def drawn(episode: Episode) -> None:
    """Take part in a draw that finds nobody."""
    lot = random_draw.LOTS - 1
    episode.command(lambda s, c: random_draw.draw(s, "urine-12", lot, c))


def due(episode: Episode) -> bool:
    return bool(episode.state.loops_of(AttendanceLoop.SCREEN_DUE))


@pytest.mark.parametrize("recorded", [1, 6, 9])
def test_no_screen_is_due_while_the_person_is_away(recorded: int) -> None:
    """Recorded before it is due, on the eve, and when somebody already waits for it."""
    episode, never = Episode(START), Episode(START)
    for one in (episode, never):
        drawn(one)
        one.at(START + recorded * DAY)
    assert due(episode) == (recorded > 7)
    episode.hear(away(recorded))
    assert not due(episode)
    episode.at(START + 20 * DAY)
    assert not due(episode)
    episode.hear(back(episode.now))
    episode.at(episode.now + timedelta(minutes=2))
    assert due(episode), "from the return on"
    episode.hear(never_was())
    never.at(episode.now)
    assert due(episode)
    assert due(never)

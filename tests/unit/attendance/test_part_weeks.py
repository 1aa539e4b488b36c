"""Weeks that judge fairly: full attendance is enough in a first, a last, a paused and a closed week."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from shared.contracts import attendance, plans
from shared.contracts.attendance import CancelledBy
from shared.contracts.terms import ProgramTerms
from shared.runtime.http.programs import Programs
from tests.unit.attendance.clinic import Clinic
from tests.unit.attendance.world import DAY, HOUR, NO_SHOW, WEEK, Episode, local
from tests.unit.support import FACILITY, fact

EVENINGS = (1, 3, 4)
"""The shipped evening track: Monday, Wednesday, Thursday, 18:00 to 21:00."""
MONDAY = date(2026, 3, 2)
LAST = date(2026, 3, 22)


def evenings(first: date, last: date) -> list[datetime]:
    days = [first + n * DAY for n in range((last - first).days + 1)]
    return [local(f"{day} 18:00") for day in days if day.isoweekday() in EVENINGS]


def attends_everything(
    admitted: str, left: str | None = None, closed: tuple[date, ...] = ()
) -> Episode:
    """Booked for every evening of three weeks, there at each that is offered; gone in the evening, or not at all."""
    begins = local(admitted)
    episode = Episode(begins)
    ends = None if left is None else local(left)
    offered = [at for at in evenings(begins.date(), LAST) if at.date() not in closed]
    for at in offered:
        booked = episode.book(at, track_days=EVENINGS)
        assert booked.starts_at == at
    for at in offered:
        if ends is not None and at > ends:
            break
        episode.at(at + 3 * HOUR)
        episode.roll(episode.booked[episode_id_of(episode, at)])
    if ends is not None:
        episode.at(max(ends, episode.now))
        episode.hear(fact(plans.EpisodeDischarged, discharged_at=ends))
    return episode.at(local("2026-03-23 09:00"))


def episode_id_of(episode: Episode, at: datetime) -> str:
    [key] = [key for key, booked in episode.booked.items() if booked.starts_at == at]
    return key


def fair(episode: Episode) -> None:
    latest = {week.week_starts_on: week for week in episode.weeks()}
    for week in latest.values():
        assert week.met, week
        assert week.minutes_offered >= week.minutes_threshold, "no more than was offered"
    assert episode.shortfalls() == []
    assert not episode.state.loops


ADMITTED = [
    # day of admission, asked of the first week
    ("2026-03-02", 540),
    ("2026-03-03", 360),
    ("2026-03-04", 360),
    ("2026-03-05", 180),
    ("2026-03-06", 0),
    ("2026-03-07", 0),
    ("2026-03-08", 0),
]


@pytest.mark.parametrize(("day", "asked"), ADMITTED)
@pytest.mark.fact("0.2")
@pytest.mark.fault("F39")
def test_whoever_attends_everything_has_met_the_week_of_any_admission(day: str, asked: int) -> None:
    """The table of F4: a first week was met by an admission on a Monday only."""
    episode = attends_everything(f"{day} 09:00")
    fair(episode)
    assert [week.minutes_threshold for week in episode.weeks()] == [asked, 540, 540]


LEFT = [
    ("2026-03-09 09:00", 0),
    ("2026-03-09 21:30", 180),
    ("2026-03-10 09:00", 180),
    ("2026-03-12 09:00", 360),
    ("2026-03-12 21:30", 540),
    ("2026-03-13 09:00", 540),
    ("2026-03-15 09:00", 540),
]


@pytest.mark.parametrize(("left", "asked"), LEFT)
@pytest.mark.fault("F39")
def test_whoever_attends_everything_has_met_the_week_of_any_discharge(
    left: str, asked: int
) -> None:
    episode = attends_everything("2026-03-02 09:00", left)
    fair(episode)
    assert episode.weeks()[-1].minutes_threshold == asked


@pytest.mark.parametrize("closed", [(9,), (9, 11), (9, 11, 12), (12,)])
@pytest.mark.parametrize("by", [CancelledBy.CLOSURE, CancelledBy.WEATHER])
@pytest.mark.fault("F39")
def test_whoever_attends_everything_has_met_the_week_of_any_closure(
    closed: tuple[int, ...], by: CancelledBy
) -> None:
    episode = Episode(local("2026-03-02 09:00"))
    for at in evenings(MONDAY, LAST):
        episode.book(at, track_days=EVENINGS)
    for booked in list(episode.booked.values()):
        if booked.starts_at.day in closed and booked.starts_at.date() < date(2026, 3, 16):
            episode.drop(booked, by)
        else:
            episode.at(booked.starts_at + 3 * HOUR)
            episode.roll(booked)
    fair(episode.at(local("2026-03-23 09:00")))
    assert episode.state.weeks["2026-03-09"].minutes_threshold == 540 - 180 * len(closed)


def test_what_the_program_cancels_for_other_reasons_stays_the_program_s_matter() -> None:
    episode = Episode(local("2026-03-02 09:00"))
    for at in evenings(MONDAY, MONDAY + 6 * DAY):
        episode.book(at, track_days=EVENINGS)
    first, *others = episode.booked.values()
    episode.drop(first, CancelledBy.PROGRAM)
    for booked in others:
        episode.at(booked.starts_at + 3 * HOUR)
        episode.roll(booked)
    [week] = episode.at(local("2026-03-09 09:00")).weeks()
    assert (week.minutes_threshold, week.minutes_offered, week.met) == (540, 360, False)


def test_a_miss_in_a_first_week_is_a_miss() -> None:
    episode = Episode(local("2026-03-03 09:00"))
    for at in evenings(MONDAY + DAY, MONDAY + 6 * DAY):
        episode.book(at, track_days=EVENINGS)
    first, second = episode.booked.values()
    episode.at(first.starts_at + 3 * HOUR).roll(first)
    episode.at(second.starts_at + 3 * HOUR).roll(second, NO_SHOW)
    [week] = episode.at(local("2026-03-09 09:00")).weeks()
    assert (week.minutes_threshold, week.minutes_credited, week.met) == (360, 180, False)
    assert (180, False) in episode.shortfalls()


def test_a_program_that_offers_more_asks_for_its_share_only() -> None:
    """Four hours on three evenings: of the nine that the level asks, two of three evenings are six."""
    episode = Episode(local("2026-03-03 09:00"))
    for at in evenings(MONDAY + DAY, MONDAY + 6 * DAY):
        episode.roll(episode.book(at, 240, track_days=EVENINGS))
    [week] = episode.at(local("2026-03-10 09:00")).weeks()
    assert (week.minutes_threshold, week.minutes_offered) == (360, 480)


# --- when a week is closed -------------------------------------------------------------------------------


def weekend(episode: Episode) -> None:
    for day in ("2026-03-07", "2026-03-08"):
        episode.book(local(f"{day} 10:00"), 300, track_days=(6, 7))


@pytest.mark.parametrize("called_at", ["2026-03-08 15:00", "2026-03-09 08:00", "2026-03-09 14:30"])
@pytest.mark.fault("F40")
def test_a_week_waits_for_its_last_roll(called_at: str) -> None:
    """The request of F23: a weekend program got a review every Monday at 00:00, before Sunday's roll was due."""
    episode = Episode(local("2026-03-02 09:00"))
    weekend(episode)
    saturday, sunday = episode.booked.values()
    episode.at(local("2026-03-07 15:00")).roll(saturday)
    episode.at(local(called_at)).roll(sunday)
    [week] = episode.at(local("2026-03-09 16:00")).weeks()
    assert (week.minutes_credited, week.met) == (600, True)
    assert episode.shortfalls() == []
    assert episode.weeks() == [week]
    [_, following] = episode.at(local("2026-03-16 00:00")).weeks()
    assert following.week_starts_on == MONDAY + WEEK


def test_a_week_does_not_wait_for_a_roll_that_is_overdue() -> None:
    episode = Episode(local("2026-03-02 09:00"))
    weekend(episode)
    assert episode.at(local("2026-03-09 14:59")).weeks() == []
    [week] = episode.at(local("2026-03-09 15:00")).weeks()
    assert (week.minutes_credited, week.met) == (0, False)


def test_a_week_waits_for_no_roll_that_counts_for_nothing() -> None:
    episode = Episode(local("2026-03-02 09:00"))
    from shared.contracts.codes import Modality  # noqa: PLC0415

    episode.book(local("2026-03-08 20:00"), 60, Modality.WELLNESS)
    assert len(episode.at(local("2026-03-09 00:00")).weeks()) == 1


# --- what a program is itself is no higher level ---------------------------------------------------------


@pytest.mark.fact("3.4", "3.8")
@pytest.mark.fault("F41")
def test_a_program_that_meets_daily_is_not_flagged_for_what_it_is() -> None:
    profile = Programs.load().current(FACILITY, "daily-dual-diagnosis", MONDAY)
    for terms, flagged in ((profile.terms(), False), (ProgramTerms(), True)):
        episode = Episode(local("2026-03-02 09:00"), terms=terms)
        for n in range(7):
            at = local("2026-03-02 18:00") + n * DAY
            episode.at(at + timedelta(hours=4)).roll(episode.book(at))
        [week] = episode.at(local("2026-03-10 09:00")).weeks()
        assert week.minutes_scheduled == 7 * 180
        assert week.ceiling_reached is flagged


# --- on the whole service --------------------------------------------------------------------------------


@pytest.fixture
async def clinic() -> AsyncIterator[Clinic]:
    it = Clinic(local("2026-03-03 09:00"))
    yield it
    await it.client.aclose()


async def test_a_group_tells_on_which_days_it_meets(clinic: Clinic) -> None:
    ann = await clinic.admit("ann", time_zone="America/New_York")
    group = await clinic.seated(ann, program="evening-groups", track="evening")
    for at in evenings(MONDAY + DAY, MONDAY + 6 * DAY):
        body: dict[str, Any] = {
            "modality": "group",
            "group_id": group,
            "starts_at": at.isoformat(),
            "minutes_planned": 180,
        }
        session = (await clinic.post("/sessions", body)).json()["session_id"]
        await clinic.at(at + 3 * HOUR)
        line = {"episode_id": ann, "status": "attended"}
        assert (
            await clinic.post(f"/sessions/{session}/attendance", {"entries": [line]})
        ).is_success
    await clinic.at(local("2026-03-09 09:00"))
    [week] = [
        event
        for event in await clinic.said(f"episode/{ann}")
        if isinstance(event, attendance.WeeklyHoursEvaluated)
    ]
    assert (week.minutes_threshold, week.minutes_credited, week.met) == (360, 360, True)

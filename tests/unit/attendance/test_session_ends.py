"""When a session ended: said with its roll at any time, and corrected for everybody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest

from shared.contracts.attendance import AttendanceCorrected
from tests.unit.attendance.clinic import Clinic, code
from tests.unit.attendance.test_rosters import line, minutes, rolled
from tests.unit.attendance.world import HOUR
from tests.unit.support import START

BEGINS = START + HOUR
ENDS = BEGINS + 3 * HOUR


@pytest.fixture
async def clinic() -> AsyncIterator[Clinic]:
    it = Clinic(START)
    yield it
    await it.client.aclose()


async def two(clinic: Clinic) -> tuple[str, str, str]:
    ann, bob = await clinic.admit("ann"), await clinic.admit("bob")
    return ann, bob, await clinic.meets(await clinic.seated(ann, bob), hours=1)


async def correct_end(clinic: Clinic, session: str, ended_at: datetime) -> Any:
    body = {"ended_at": ended_at.isoformat(), "reason": "entered_in_error"}
    return await clinic.post(f"/sessions/{session}/end/correct", body)


async def corrections(clinic: Clinic, episode: str) -> list[tuple[int, int]]:
    said = await clinic.said(f"episode/{episode}")
    return [
        (one.minutes_before, one.minutes_after)
        for one in said
        if isinstance(one, AttendanceCorrected)
    ]


async def test_a_roll_after_the_planned_end_says_when_it_ended(clinic: Clinic) -> None:
    """A fire alarm after an hour; the roll is called in the evening."""
    ann, bob, session = await two(clinic)
    await clinic.at(ENDS + HOUR / 2)
    lines = (line(ann), line(bob, "no_show"))
    refused = await rolled(clinic, session, *lines, early="emergency")
    assert code(refused) == (422, "ended-at-missing")
    ended_at = (BEGINS + HOUR).isoformat()
    answer = await rolled(clinic, session, *lines, early="emergency", ended_at=ended_at)
    assert answer.status_code == 200, answer.text
    assert await minutes(clinic, ann) == (180, 60, 60)
    assert await minutes(clinic, bob) == (180, 60, 0)


async def test_an_early_end_by_mistake_is_corrected_for_everybody(clinic: Clinic) -> None:
    """A roll a minute after the begin: everybody had one minute for good."""
    ann, bob, session = await two(clinic)
    await clinic.at(BEGINS + HOUR / 60)
    late = line(bob, "late", minutes_present=150)
    answer = await rolled(clinic, session, line(ann), late, early="ended_early")
    assert answer.status_code == 200, answer.text
    assert await minutes(clinic, ann) == (180, 1, 1)
    await clinic.at(ENDS + HOUR)
    assert (await correct_end(clinic, session, ENDS)).json()["entries"] == 2
    assert await minutes(clinic, ann) == (180, 180, 180)
    assert await minutes(clinic, bob) == (180, 180, 150)
    assert await corrections(clinic, ann) == [(1, 180)]
    assert await corrections(clinic, bob) == [(1, 150)]
    again = await correct_end(clinic, session, ENDS)
    assert code(again) == (409, "correction-changes-nothing")


async def test_an_end_that_was_forgotten_is_said_afterwards(clinic: Clinic) -> None:
    """Who was absent hears that less was offered; of their absence nothing changes."""
    ann, bob, session = await two(clinic)
    await clinic.at(ENDS)
    await rolled(clinic, session, line(ann), line(bob, "no_show"))
    assert (await correct_end(clinic, session, BEGINS + HOUR)).is_success
    assert await minutes(clinic, ann) == (180, 60, 60)
    assert await minutes(clinic, bob) == (180, 60, 0)
    assert await corrections(clinic, ann) == [(180, 60)]
    assert await corrections(clinic, bob) == []
    await clinic.post(
        f"/attendance/{session}/corrections",
        {"episode_id": bob, "status": "attended", "reason": "entered_in_error"},
    )
    assert await minutes(clinic, bob) == (180, 60, 60)


@pytest.mark.parametrize("ended_at", [BEGINS, BEGINS - HOUR, ENDS + 2 * HOUR])
async def test_no_session_ends_before_it_begins_or_in_the_future(
    clinic: Clinic, ended_at: datetime
) -> None:
    ann, bob, session = await two(clinic)
    await clinic.at(ENDS + HOUR)
    said = {"early": "emergency", "ended_at": ended_at.isoformat()}
    answer = await rolled(clinic, session, line(ann), line(bob), **said)
    assert code(answer) == (422, "ended-at-invalid")
    assert code(await correct_end(clinic, session, ENDS)) == (409, "roll-not-called")
    await rolled(clinic, session, line(ann), line(bob))
    assert code(await correct_end(clinic, session, ended_at)) == (422, "ended-at-invalid")

"""The story of a full group: the last of twelve seats, the line for the next one, and offers that lapse."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import time
from typing import Any, Final

from demo.cast.company import Stage, Story
from demo.cast.levels import opens_group
from demo.cast.partners import is_closed
from demo.cast.protagonist import Protagonist

SEATS: Final = 12
HELD_MINUTES: Final = 14 * 24 * 60
FIRST_IN_LINE, SECOND_IN_LINE, THIRD_IN_LINE = "fay", "gil", "hew"


async def group_full(stage: Stage) -> None:
    """9: Twelve seats and no more. Who comes too late waits; a seat that falls free is offered to one, for a day."""
    stage.beside(_too_few(stage))
    twelve = [stage.person(f"seat-{number}") for number in range(1, SEATS + 1)]
    host = twelve[0]
    await host.on(0)
    group_id = stage.ids["group"] = await opens_group(host)
    for one in twelve:
        await one.is_referred()
        await _holds_a_seat(one, group_id)
    in_line = [stage.person(label) for label in (FIRST_IN_LINE, SECOND_IN_LINE, THIRD_IN_LINE)]
    for one in in_line:
        await one.is_referred()
        assert await one.is_assessed()
        stage.ids[f"{one.label}/refused"] = await one.is_refused(
            "intake_coordinator", "attendance", f"/groups/{group_id}/seats", one.of
        )
        stage.ids[one.label] = await _waits(one, group_id)
    await _is_offered_twice(stage, group_id, twelve, in_line)
    for one in (*twelve, *in_line):
        await is_closed(one)
    await host.does("counselor", "attendance", f"/groups/{group_id}/close")


async def _is_offered_twice(
    stage: Stage, group_id: str, twelve: Sequence[Protagonist], in_line: Sequence[Protagonist]
) -> None:
    """The first in line accepts. The second says nothing for a day, and the third has the seat."""
    fay, gil, hew = in_line
    await fay.on(1)
    await _gives_back(twelve[0], group_id)
    assert await _line(fay, group_id) == ([gil.episode_id, hew.episode_id], [fay.episode_id])
    accept = f"/waitlist/{stage.ids[fay.label]}/accept"
    await fay.does("intake_coordinator", "intake", accept, fay.of, "waitlist-left")
    await fay.on(2)
    await _gives_back(twelve[1], group_id)
    await gil.on(3, time(10))
    assert await _line(gil, group_id) == ([gil.episode_id], [hew.episode_id])
    accept = f"/waitlist/{stage.ids[gil.label]}/accept"
    stage.ids["too_late"] = await gil.is_refused("intake_coordinator", "intake", accept, gil.of)
    accept = f"/waitlist/{stage.ids[hew.label]}/accept"
    await hew.does("intake_coordinator", "intake", accept, hew.of, "waitlist-left")


async def _too_few(stage: Stage) -> None:
    """9: With one person left it is no group any more, and somebody says what becomes of it."""
    pair = [stage.person(label) for label in ("una", "vic")]
    await pair[0].on(0, time(15))
    group_id = stage.ids["pair"] = await opens_group(pair[0], seats_max=2)
    for one in pair:
        await one.is_referred()
        await _holds_a_seat(one, group_id)
    await pair[1].on(1, time(15))
    await _gives_back(pair[1], group_id)
    size = f"/groups/{group_id}/below-minimum"
    await pair[0].does("counselor", "attendance", size, {"decision": "reclassified"})
    for one in pair:
        await is_closed(one)
    await pair[0].does("counselor", "attendance", f"/groups/{group_id}/close")


async def _holds_a_seat(one: Protagonist, group_id: str) -> None:
    body: dict[str, Any] = {**one.of, "hold_minutes": HELD_MINUTES}
    await one.does("intake_coordinator", "attendance", f"/groups/{group_id}/seats", body)


async def _gives_back(one: Protagonist, group_id: str) -> None:
    release = f"/groups/{group_id}/seats/release"
    await one.does("intake_coordinator", "attendance", release, one.of)


async def _waits(one: Protagonist, group_id: str) -> str:
    """Joins the group's line, with something done meanwhile; returns the ticket."""
    told = await one.does(
        "intake_coordinator",
        "intake",
        "/waitlist",
        {**one.of, "group_id": group_id, "interim_services": ["case-management"]},
    )
    return str(told["waitlist_id"])


async def _line(one: Protagonist, group_id: str) -> tuple[list[str], list[str]]:
    """Who waits and who is offered a seat, as intake has it."""
    seen = await one.sees("intake_coordinator", "intake", f"/groups/{group_id}/waitlist")
    return (
        [place["episode_id"] for place in seen["waiting"]],
        [place["episode_id"] for place in seen["offered"]],
    )


STORIES = (Story(9, "Group full", group_full),)

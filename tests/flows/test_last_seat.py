"""Two people and one seat: a real race on the real services, which is no part of the cast because anyone may win."""

from __future__ import annotations

import asyncio

import pytest

from tests.flows.scene import FOR_IOP, ZONE, Flow, Patient, in_order, of

ROUNDS = 5


@pytest.mark.scenario(9)
@pytest.mark.fact("0.3")
async def test_of_two_who_ask_at_once_for_the_last_seat_exactly_one_has_it(flow: Flow) -> None:
    first, *rivals = [(await flow.assessed(FOR_IOP))[0] for _ in range(3)]
    for round_ in range(ROUNDS):
        opened = await flow.does(
            "counselor",
            "attendance",
            "/groups",
            f"round-{round_}",
            program="iop-evening",
            track="evening",
            time_zone=ZONE,
            seats_max=2,
        )
        group_id = opened["group_id"]
        await _asks(flow, group_id, first)
        outcomes = await asyncio.gather(
            *(_asks(flow, group_id, rival) for rival in rivals), return_exceptions=True
        )
        refusals = [str(outcome) for outcome in outcomes if outcome is not None]
        assert len(refusals) == 1, refusals
        assert "409" in refusals[0]
        assert "group-full" in refusals[0]
        group, *people = [
            await flow.facts(subject)
            for subject in (f"group/{group_id}", *(rival.subject for rival in rivals))
        ]
        assert in_order(group, "group-opened", "group-filled")
        assert len(of(group, "group-filled")) == 1
        reserved = [
            f
            for facts in people
            for f in of(facts, "seat-reserved")
            if f.data["group_id"] == group_id
        ]
        assert [f.data["seats_left"] for f in reserved] == [0]
        seen = await flow.staff.sees("counselor", "attendance", f"/groups/{group_id}")
        assert set(seen["seats"]) == {first.episode_id, reserved[0].subject.partition("/")[2]}
        await flow.does("counselor", "attendance", f"/groups/{group_id}/close")


async def _asks(flow: Flow, group_id: str, one: Patient) -> None:
    """Ask for a seat. Raises `DemoError` when it is refused."""
    await flow.does(
        "intake_coordinator",
        "attendance",
        f"/groups/{group_id}/seats",
        one.label,
        episode_id=one.episode_id,
    )

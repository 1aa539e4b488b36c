"""What a row of the open loops names, so that whoever owns it knows what is meant."""

from __future__ import annotations

from typing import Any

from shared.contracts import plans
from tests.unit.attendance.clinic import Clinic
from tests.unit.support import fact, uid


async def rows(clinic: Clinic, kind: str) -> list[dict[str, Any]]:
    return (await clinic.get(f"/loops?kind={kind}")).json()["loops"]


async def test_a_double_booking_names_its_two_sessions(clinic: Clinic) -> None:
    """Two people book a person for one hour at the same moment; a third session is at another time."""
    ann = await clinic.admit("ann")
    group = await clinic.seated(ann)
    first, _ = [await clinic.meets(group, hours=hours) for hours in (30, 50)]
    other = await clinic.seated(ann)
    second = await clinic.meets(other, hours=31)
    [row] = await rows(clinic, "double_booking")
    assert (row["subject"], row["session_ids"]) == (f"episode/{ann}", [first, second])
    await clinic.post(f"/sessions/{second}/cancel", {"cancelled_by": "program"})
    assert await rows(clinic, "double_booking") == []


async def test_whoever_came_against_their_record_is_named(clinic: Clinic) -> None:
    ann, bob = await clinic.admit("ann"), await clinic.admit("bob")
    session = await clinic.meets(await clinic.seated(ann, bob), hours=3)
    left_at = clinic.clock.now()
    await clinic.after(hours=7)
    lines = [{"episode_id": one, "status": "attended"} for one in (ann, bob)]
    await clinic.post(f"/sessions/{session}/attendance", {"entries": lines})
    await clinic.hear(bob, fact(plans.EpisodeDischarged, discharged_at=left_at))
    [row] = await rows(clinic, "walk_in")
    assert (row["subject"], row["episode_id"]) == (f"session/{session}", bob)
    assert "staff_id" not in row


async def test_who_was_to_lead_is_named(clinic: Clinic) -> None:
    ann = await clinic.admit("ann")
    group, other = await clinic.seated(ann), await clinic.seated()
    for one, hours in ((group, 30), (other, 31)):
        session = await clinic.meets(one, hours=hours)
        leader = {"staff_id": uid("me"), "part": "leader", "credential": "nurse"}
        await clinic.post(f"/sessions/{session}/leaders", {"leaders": [leader]})
    [row] = await rows(clinic, "leader")
    assert (row["subject"], row["staff_id"]) == (f"session/{session}", uid("me"))

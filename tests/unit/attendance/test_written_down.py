"""Sessions written down afterwards, and sessions of one's own that are moved or put back: who can stand on them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from shared.contracts import plans
from tests.unit.attendance.clinic import Clinic, code
from tests.unit.support import fact, uid


async def alone(clinic: Clinic, *roster: str, hours: float, **more: Any) -> Any:
    body = {
        "modality": "individual",
        "starts_at": (clinic.clock.now() + timedelta(hours=hours)).isoformat(),
        "minutes_planned": 60,
        "roster": list(roster),
        **more,
    }
    return await clinic.post("/sessions", body)


async def leaves(clinic: Clinic, episode_id: str, **ago: float) -> None:
    at = clinic.clock.now() - timedelta(**ago)
    await clinic.hear(episode_id, fact(plans.EpisodeDischarged, discharged_at=at))


@pytest.mark.parametrize(
    ("left_hours_ago", "hours", "refused"),
    [
        (None, -1, None),
        (None, 1, None),
        (None, -72, "not-in-treatment-then"),
        (1, -2, None),
        (1, -0.5, "not-in-treatment-then"),
        (1, 1, "episode-closed"),
        (1, -72, "not-in-treatment-then"),
    ],
)
async def test_a_session_is_written_down_of_who_was_in_treatment_then(
    clinic: Clinic, left_hours_ago: float | None, hours: float, refused: str | None
) -> None:
    ann = await clinic.admit("ann")
    await clinic.after(hours=30)
    if left_hours_ago is not None:
        await leaves(clinic, ann, hours=left_hours_ago)
    answer = await alone(clinic, ann, hours=hours)
    assert (answer.json().get("code"), answer.status_code) == (refused, 409 if refused else 201)
    if refused or hours > 0:
        return
    await clinic.after(hours=1)
    path = f"/sessions/{answer.json()['session_id']}/attendance"
    lines = [{"episode_id": ann, "status": "attended"}]
    assert (await clinic.post(path, {"entries": lines})).status_code == 200
    assert (await clinic.names(f"episode/{ann}")).count("session-attended") == 1


@pytest.mark.parametrize(
    ("hours", "refused"), [(-3, None), (-1, "group-closed"), (1, "group-closed")]
)
async def test_a_group_s_session_is_written_down_after_its_end(
    clinic: Clinic, hours: float, refused: str | None
) -> None:
    ann = await clinic.admit("ann")
    group = await clinic.seated(ann)
    await clinic.after(hours=10)
    assert (await clinic.post(f"/groups/{group}/close")).status_code == 200
    await clinic.after(hours=2)
    body = {
        "modality": "group",
        "group_id": group,
        "starts_at": (clinic.clock.now() + timedelta(hours=hours)).isoformat(),
        "minutes_planned": 180,
    }
    answer = await clinic.post("/sessions", body)
    assert answer.json().get("code") == refused
    if refused is None:
        session = await clinic.state(f"session/{answer.json()['session_id']}")
        assert session.roster == (ann,)


@pytest.mark.parametrize(
    "other", [{"family_only": True}, {"service": "yoga"}, {"modality": "family"}]
)
async def test_another_session_beside_an_equal_one_is_no_second_click(
    clinic: Clinic, other: dict[str, Any]
) -> None:
    ann = await clinic.admit("ann")
    first, again = [await alone(clinic, ann, hours=5) for _ in range(2)]
    assert first.json()["session_id"] == again.json()["session_id"]
    answer = await alone(clinic, ann, hours=5, **other)
    if other.get("family_only"):
        assert answer.json()["session_id"] != first.json()["session_id"]
    else:
        assert code(answer) == (409, "booked-then")


# --- moved and put back --------------------------------------------------------------------------------------

DO = ("reschedule", "cancel/undo")


async def changed(clinic: Clinic, session: str, what: str, *, hours: float = 30) -> Any:
    """Move a session, or put it back where it was."""
    at = clinic.clock.now() + timedelta(hours=hours)
    body = {"starts_at": at.isoformat()} if what == "reschedule" else {}
    return await clinic.post(f"/sessions/{session}/{what}", body)


async def to_be_changed(clinic: Clinic, what: str, *roster: str) -> str:
    session = (await alone(clinic, *roster, hours=30)).json()["session_id"]
    if what == "cancel/undo":
        await clinic.post(f"/sessions/{session}/cancel", {"cancelled_by": "program"})
    return session


@pytest.mark.parametrize("what", DO)
async def test_nothing_is_moved_or_put_back_for_who_has_left(clinic: Clinic, what: str) -> None:
    ann = await clinic.admit("ann")
    session = await to_be_changed(clinic, what, ann)
    await leaves(clinic, ann)
    before = await clinic.state(f"session/{session}")
    assert code(await changed(clinic, session, what)) == (409, "episode-closed")
    assert await clinic.state(f"session/{session}") == before


@pytest.mark.parametrize("what", DO)
async def test_nobody_is_put_where_they_are_expected_elsewhere(clinic: Clinic, what: str) -> None:
    ann = await clinic.admit("ann")
    session = await to_be_changed(clinic, what, ann)
    hours = 30 if what == "cancel/undo" else 50
    assert (await alone(clinic, ann, hours=hours)).status_code == 201
    assert code(await changed(clinic, session, what, hours=hours)) == (409, "booked-then")


async def test_a_session_is_moved_at_most_a_year(clinic: Clinic) -> None:
    ann = await clinic.admit("ann")
    group = await clinic.seated(ann)
    for session in (
        (await alone(clinic, ann, hours=30)).json()["session_id"],
        await clinic.meets(group, hours=50),
    ):
        answer = await changed(clinic, session, "reschedule", hours=24 * 400)
        assert code(answer) == (422, "session-too-far")


async def test_nobody_moves_to_the_group_that_they_come_from(clinic: Clinic) -> None:
    group = await clinic.group()
    answer = await clinic.reserve(group, uid("ann"), from_group_id=group)
    assert code(answer) == (422, "same-group")
    assert (await clinic.state(f"group/{group}")).seats == {}

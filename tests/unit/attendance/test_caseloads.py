"""Who is in care, and the caseloads, over HTTP: who is listed by what, in which week, and what comes next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.attendance.episode.episode_state import (
    ADMITTED_INDEX,
    IN_CARE,
    EpisodeState,
    Standing,
)
from shared.contracts import intake, plans
from shared.contracts.codes import Role
from shared.contracts.event import Event
from tests.unit.attendance.clinic import Clinic
from tests.unit.attendance.world import Episode, admission, level
from tests.unit.support import START, fact, interleaved, uid

STAFF, COLLEAGUE = uid("counselor"), uid("colleague")
PROGRAM = "iop-evening"


async def listed(clinic: Clinic, query: str = "") -> list[dict[str, Any]]:
    answer = await clinic.get(f"/episodes?{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()["episodes"]


async def ids(clinic: Clinic, query: str = "") -> list[str]:
    return [row["episode_id"] for row in await listed(clinic, query)]


def assigned(
    staff_id: str | None, role: Role = Role.COUNSELOR
) -> intake.CareTeamAssigned | intake.CareTeamRoleVacated:
    if staff_id is None:
        return fact(intake.CareTeamRoleVacated, role=role)
    return fact(intake.CareTeamAssigned, role=role, staff_id=staff_id)


async def people(clinic: Clinic) -> dict[str, str]:
    """Four people: of two levels, two programs and two counselors, one with a seat, one not oriented."""
    found: dict[str, str] = {}
    for name, oriented, changes in (
        ("ann", True, {"program": PROGRAM}),
        ("bob", True, {"program": PROGRAM, "level": level("2.5")}),
        ("cat", True, {"program": "php-day", "level": level("2.5")}),
        ("dan", False, {"program": "php-day"}),
    ):
        found[name] = await clinic.admit(name, oriented=oriented, **changes)
        await clinic.after(minutes=1)
    for name, staff_id in (("ann", STAFF), ("bob", COLLEAGUE), ("cat", STAFF)):
        await clinic.hear(found[name], assigned(staff_id))
    group_id = await clinic.group()
    await clinic.reserve(group_id, found["ann"])
    return found


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", "ann bob cat dan"),
        (f"caseload={STAFF}", "ann cat"),
        (f"caseload={uid('nobody')}", ""),
        ("level=2.5", "bob cat"),
        (f"program={PROGRAM}", "ann bob"),
        ("track=evening-adult", "ann"),
        ("track=another", ""),
        ("state=admitted", "dan"),
        ("state=oriented", "ann bob cat"),
        ("state=discharged", ""),
        (f"caseload={STAFF}&level=2.5", "cat"),
        (f"caseload={COLLEAGUE}&program=php-day", ""),
        (f"level=2.5&program={PROGRAM}&state=oriented", "bob"),
        (f"caseload={STAFF}&state=discharged", ""),
    ],
)
@pytest.mark.fault("F42")
async def test_who_is_listed_by_what(clinic: Clinic, query: str, names: str) -> None:
    known = await people(clinic)
    assert await ids(clinic, query) == [known[name] for name in names.split()]


async def test_what_a_row_says(clinic: Clinic) -> None:
    ann = await clinic.admit("ann", program=PROGRAM)
    await clinic.hear(ann, assigned(STAFF))
    group_id = await clinic.group()
    await clinic.reserve(group_id, ann)
    [row] = await listed(clinic)
    assert row["next_session"] is None
    times = [START + timedelta(days=days, hours=1) for days in (3, 2)]
    for starts_at in times:
        body = {
            "modality": "individual",
            "starts_at": starts_at.isoformat(),
            "minutes_planned": 50,
            "roster": [ann],
        }
        assert (await clinic.post("/sessions", body)).status_code == 201
    [row] = await listed(clinic)
    assert row == {
        **row,
        "episode_id": ann,
        "person_id": admission().person_id,
        "state": "oriented",
        "program": PROGRAM,
        "level": {"system": "asam", "edition": "3", "code": "2.1"},
        "tracks": ["evening-adult"],
        "groups": [group_id],
        "admitted_at": START.isoformat(),
        "week": 1,
        "team": {"counselor": STAFF},
    }
    assert row["next_session"]["starts_at"] == times[1].astimezone(UTC).isoformat()
    await clinic.at(times[1] + timedelta(minutes=1))
    [row] = await listed(clinic)
    assert row["next_session"]["starts_at"] == times[0].astimezone(UTC).isoformat()
    await clinic.after(days=4)
    [row] = await listed(clinic)
    assert (row["week"], row["next_session"]) == (1, None)
    await clinic.after(days=1)
    assert [one["week"] for one in await listed(clinic)] == [2]


async def test_the_open_loops_of_this_service_with_owner_and_deadline(clinic: Clinic) -> None:
    """An offer of a seat in a group that there is not: somebody has to find another one."""
    ann = await clinic.admit("ann")
    await clinic.hear(ann, assigned(STAFF, Role.INTAKE_COORDINATOR))
    until = START + timedelta(days=2)
    offered = fact(intake.WaitlistOffered, group_id=uid("no group"), offer_expires_at=until)
    await clinic.hear(ann, offered)
    [row] = await listed(clinic)
    [loop] = row["loops"]
    assert (loop["kind"], loop["owner"]["role"]) == ("seat", "intake_coordinator")
    assert loop["owner"]["staff_id"] == STAFF
    assert datetime.fromisoformat(loop["deadline_at"]) > clinic.clock.now()


async def test_a_level_that_lies_ahead_is_listed_from_its_day_on(clinic: Clinic) -> None:
    ann = await clinic.admit("ann")
    day = START + timedelta(days=5)
    changed = fact(plans.LevelOfCareChanged, to_level=level("1"), effective_at=day)
    await clinic.hear(ann, changed)
    assert (await ids(clinic, "level=2.1"), await ids(clinic, "level=1")) == ([ann], [])
    await clinic.at(day)
    assert (await ids(clinic, "level=2.1"), await ids(clinic, "level=1")) == ([], [ann])


async def test_who_leaves_is_on_no_list_but_that_of_those_who_left(clinic: Clinic) -> None:
    known = await people(clinic)
    left = fact(plans.EpisodeDischarged, discharged_at=clinic.clock.now())
    await clinic.hear(known["ann"], left)
    assert known["ann"] not in await ids(clinic)
    for query in (f"caseload={STAFF}", "level=2.1", f"program={PROGRAM}", "state=oriented"):
        assert known["ann"] not in await ids(clinic, query)
    [row] = await listed(clinic, "state=discharged")
    assert (row["episode_id"], row["week"], row["next_session"]) == (known["ann"], 1, None)
    await clinic.hear(known["bob"], fact(intake.AdmissionUndone))
    await clinic.hear(known["cat"], fact(intake.EpisodeEnteredInError))
    assert await ids(clinic) == [known["dan"]]
    assert await ids(clinic, "state=discharged") == [known["ann"]]


async def test_who_did_not_leave_after_all_is_listed_as_before(clinic: Clinic) -> None:
    known = await people(clinic)
    queries = ("", f"caseload={STAFF}", "level=2.1", f"program={PROGRAM}", "state=oriented")
    before = [await ids(clinic, query) for query in queries]
    left_at = clinic.clock.now()
    await clinic.hear(known["ann"], fact(plans.EpisodeDischarged, discharged_at=left_at))
    await clinic.hear(known["ann"], fact(plans.DischargeUndone, discharged_at=left_at))
    assert [await ids(clinic, query) for query in queries] == before
    assert await ids(clinic, "state=discharged") == []


async def test_a_change_of_counselor_moves_the_caseload(clinic: Clinic) -> None:
    ann = await clinic.admit("ann")
    await clinic.hear(ann, assigned(STAFF))
    await clinic.hear(ann, assigned(COLLEAGUE))
    assert (await ids(clinic, f"caseload={STAFF}"), await ids(clinic, f"caseload={COLLEAGUE}")) == (
        [],
        [ann],
    )
    await clinic.hear(ann, assigned(None))
    assert await ids(clinic, f"caseload={COLLEAGUE}") == []


@pytest.mark.parametrize(
    ("query", "role", "status"),
    [
        ("caseload=me", "counselor", 422),
        ("state=gone", "counselor", 422),
        ("level=high", "counselor", 422),
        ("track=Evening%20Adult", "counselor", 422),
        ("", "operator", 403),
        ("", "privacy_officer", 403),
        ("", "intake_coordinator", 200),
    ],
)
async def test_what_is_refused(clinic: Clinic, query: str, role: str, status: int) -> None:
    clinic.acting_as(role)
    assert (await clinic.get(f"/episodes?{query}")).status_code == status


async def test_each_facility_has_its_own(clinic: Clinic) -> None:
    await clinic.admit("ann")
    clinic.acting_as("counselor", "river-iop")
    assert await ids(clinic) == []


FROM_INTAKE: tuple[Event, ...] = (
    assigned(STAFF),
    fact(intake.OrientationCompleted, completed_at=START),
    assigned(COLLEAGUE),
)
FROM_PLANS: tuple[Event, ...] = (
    fact(plans.LevelOfCareChanged, to_level=level("1"), effective_at=START + timedelta(hours=1)),
    fact(plans.TransferInitiated),
    fact(plans.EpisodeDischarged, discharged_at=START + timedelta(days=1)),
)


@given(order=interleaved(FROM_INTAKE, FROM_PLANS), ended=st.booleans())
def test_the_parts_are_the_same_in_whatever_order_the_facts_come(
    order: list[Event], *, ended: bool
) -> None:
    history = Episode(program=PROGRAM)
    for event in order:
        if ended or not isinstance(event, plans.EpisodeDischarged):
            history.hear(event)
    history.after(days=2)
    state = history.state
    assert isinstance(state, EpisodeState)
    parts = state.index_parts()[ADMITTED_INDEX]
    if ended:
        assert parts == (f"state={Standing.DISCHARGED.value}",)
    else:
        assert set(parts) == {
            IN_CARE,
            "state=transferring",
            "level=1",
            f"program={PROGRAM}",
            f"caseload={COLLEAGUE}",
        }

"""Open loops and work lists over HTTP: whose they are, who acts, page by page, and for whose eyes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import loops
from shared.contracts import intake
from shared.contracts.codes import IntakeLoop, Role
from shared.duty import PlannedAbsence, StaffState, staff_subject
from shared.loops import CareState
from shared.runtime.core.reactions import Reactions
from shared.runtime.core.record_kind import RecordKind
from shared.runtime.http import task_lists as under_test
from shared.runtime.http.task_lists import STAFF_KIND, STAFF_REACTIONS
from shared.runtime.service import Service
from tests.unit.served import Served, refused
from tests.unit.support import FACILITY, START, cause, fact, uid

SERVICE = Service(
    name="intake",
    summary="Nothing but loops.",
    kinds={"episode": RecordKind(CareState), **STAFF_KIND},
    reactions=Reactions(*STAFF_REACTIONS),
    routers=(),
)
CLINICIAN, SUPERVISOR = Role.CLINICIAN, Role.CLINICAL_SUPERVISOR
OWNERS = (CLINICIAN, SUPERVISOR, Role.PROGRAM_DIRECTOR)
ANNA, BEN, CARO = (uid(name) for name in ("anna", "ben", "caro"))
DAY = timedelta(days=1)


def one_step_up(state: CareState) -> CareState:
    """The only loop's deadline passes: its next owner has another day."""
    [(name, due)] = state.deadlines.items()
    [loop] = state.loops.values()
    return loops.move_to_step(state.disarm(name), loop, loop.step + 1, due + DAY)[0]


class Floor:
    """A service with loops, staff and callers."""

    def __init__(self) -> None:
        self.served = Served(SERVICE)

    async def puts(self, subject: str, state: Any, facility_id: str = FACILITY) -> None:
        record = (await self.served.store.load([subject]))[subject]
        record.state, record.facility_id, record.touched = state, facility_id, True
        assert not await self.served.store.save([record], START)

    async def opens(
        self,
        name: str,
        *hours: float,
        team: dict[str, str] | None = None,
        owners: tuple[Role, ...] = OWNERS,
        facility_id: str = FACILITY,
        kind: IntakeLoop = IntakeLoop.ASSESSMENT,
    ) -> str:
        state = CareState(team=team or {})
        for number, after in enumerate(hours):
            state = loops.open_loop(
                state,
                kind,
                uid(f"{name} {number}"),
                deadline_at=START + timedelta(hours=after),
                owners=owners,
                cause=cause(),
            )
        await self.puts(f"episode/{uid(name)}", state, facility_id)
        return uid(name)

    async def away(self, who: str, deputy: str, begin: float = -1, end: float = 1) -> None:
        absence = PlannedAbsence(
            from_at=START + begin * DAY, until_at=START + end * DAY, deputy_id=deputy
        )
        await self.puts(staff_subject(FACILITY, who), StaffState(absences={uid("a"): absence}))

    async def work(self, who: str, role: str = "nurse", **params: Any) -> list[str]:
        answer = await self.served.acting_as(role, who).get("/tasks", params=params)
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["tasks"]]

    async def loops(self, **params: Any) -> list[dict[str, Any]]:
        answer = await self.served.acting_as("nurse", "anybody").get("/loops", params=params)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["loops"]
        return found

    async def pages(self, limit: int) -> list[list[str]]:
        found: list[list[str]] = []
        after: dict[str, str] = {}
        for _ in range(1000):
            answer = (await self.served.get("/loops", params={"limit": limit, **after})).json()
            found.append([loop["id"] for loop in answer["loops"]])
            if "next" not in answer:
                return found
            after = {"after": answer["next"]}
        raise AssertionError("the pages have no end")


@pytest.fixture
def floor() -> Floor:
    return Floor()


# --- GET /loops -----------------------------------------------------------------------------------------


async def test_a_loop_says_whose_it_is_until_when_and_whose_then(floor: Floor) -> None:
    episode_id = await floor.opens("one", 4, team={"clinician": ANNA})
    await floor.served.at(START + timedelta(hours=2))
    [loop] = await floor.loops()
    assert loop == {
        "kind": "assessment",
        "id": uid("one 0"),
        "subject": f"episode/{episode_id}",
        "owner": {"role": "clinician", "staff_id": ANNA, "acting_id": ANNA},
        "opened_at": "2026-03-02T15:00:00.123457Z",
        "deadline_at": "2026-03-02T19:00:00.123457Z",
        "age_seconds": 7200,
        "overdue": False,
        "step": 0,
        "next_owner_role": "clinical_supervisor",
    }


@pytest.mark.parametrize(
    ("missed", "hours_later", "owner", "following", "overdue"),
    [
        (0, 0, "clinician", "clinical_supervisor", False),
        (0, 3.99, "clinician", "clinical_supervisor", False),
        (0, 4, "clinician", "clinical_supervisor", True),
        (1, 4, "clinical_supervisor", "program_director", True),
        (2, 28, "program_director", None, True),
    ],
)
async def test_how_far_a_loop_has_been_escalated(
    floor: Floor,
    missed: int,
    hours_later: float,
    owner: str,
    following: str | None,
    *,
    overdue: bool,
) -> None:
    episode_id = await floor.opens("one", 4)
    state = floor.served.state(f"episode/{episode_id}")
    for _ in range(missed):
        state = one_step_up(state)
    await floor.puts(f"episode/{episode_id}", state.replace(deadlines={}))
    await floor.served.at(START + timedelta(hours=hours_later))
    [loop] = await floor.loops()
    assert (loop["owner"]["role"], loop["next_owner_role"]) == (owner, following)
    assert (loop["step"], loop["overdue"]) == (missed, overdue)
    assert len(await floor.loops(overdue="true")) == int(overdue)
    assert len(await floor.loops(owner_role=owner)) == 1
    assert await floor.loops(owner_role="nurse") == []
    assert await floor.loops(kind="orientation") == []
    assert len(await floor.loops(kind="assessment")) == 1


async def test_who_has_nothing_open_is_not_listed(floor: Floor) -> None:
    await floor.opens("nothing")
    assert await floor.loops() == []


async def test_another_facility_sees_nothing(floor: Floor) -> None:
    await floor.opens("ours", 4, team={"clinician": ANNA})
    await floor.opens("theirs", 5, facility_id="river-iop", team={"clinician": ANNA})
    for facility, name in ((FACILITY, "ours"), ("river-iop", "theirs"), ("nobody", "")):
        served = floor.served.acting_as("clinician", ANNA, facility)
        for path, field in (("/loops", "loops"), ("/tasks", "tasks")):
            found = (await served.get(path)).json()[field]
            assert [loop["id"] for loop in found] == ([uid(f"{name} 0")] if name else [])


@pytest.mark.parametrize("micros", [0, 1, 999, 123_456, 999_999])
@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_every_person_is_on_one_page(floor: Floor, limit: int, micros: int) -> None:
    """To the microsecond: no page repeats a person, and none is left out."""
    for number in range(5):
        tie = number // 2  # two people with the very same deadline
        await floor.opens(str(number), tie + micros / 3_600_000_000, tie + 50)
    found = await floor.pages(limit)
    ids = [loop_id for page in found for loop_id in page]
    assert sorted(ids) == sorted({uid(f"{n} {i}") for n in range(5) for i in (0, 1)})
    assert len(ids) == 10
    assert len(found) == -(-5 // limit), "no empty page at the end"


async def test_a_page_begins_where_the_last_one_said_even_unescaped(floor: Floor) -> None:
    for number in range(3):
        await floor.opens(str(number), number)
    answer = (await floor.served.get("/loops?limit=2")).json()
    rest = (await floor.served.get(f"/loops?limit=2&after={answer['next']}")).json()
    assert [loop["id"] for loop in rest["loops"]] == [uid("2 0")]


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"limit": 0}, "request-invalid"),
        ({"limit": 501}, "request-invalid"),
        ({"limit": "many"}, "request-invalid"),
        ({"kind": "NOT A KIND"}, "request-invalid"),
        ({"overdue": "perhaps"}, "request-invalid"),
        ({"after": "x"}, "after-invalid"),
        ({"after": ""}, "after-invalid"),
        ({"after": "2026-13-01T00:00:00~x"}, "after-invalid"),
        ({"after": "0001-01-01T00:00:00+14:00~x"}, "after-invalid"),
        ({"after": "9999-12-31T23:59:59-14:00~x"}, "after-invalid"),
    ],
)
async def test_questions_that_are_none(floor: Floor, params: dict[str, Any], code: str) -> None:
    refused(await floor.served.get("/loops", params=params), 422, code)


# --- GET /tasks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("team", "deputies", "listed"),
    [
        # nobody holds the role: it is everybody's who has it
        ({}, {}, {"clinician"}),
        ({"nurse": ANNA}, {}, {"clinician"}),
        # somebody holds it: it is theirs, and not the role's
        ({"clinician": ANNA}, {}, {ANNA}),
        # they are away: the deputy acts, and the deputy's deputy
        ({"clinician": ANNA}, {ANNA: BEN}, {BEN}),
        ({"clinician": ANNA}, {ANNA: BEN, BEN: CARO}, {CARO}),
        ({"clinician": ANNA}, {BEN: CARO}, {ANNA}),
        # a circle: nobody in person acts, and the work falls to the role
        ({"clinician": ANNA}, {ANNA: BEN, BEN: ANNA}, {"clinician"}),
        ({"clinician": ANNA}, {ANNA: BEN, BEN: CARO, CARO: BEN}, {"clinician"}),
    ],
)
async def test_whose_list_a_loop_is_on(
    floor: Floor, team: dict[str, str], deputies: dict[str, str], listed: set[str]
) -> None:
    await floor.opens("one", 4, team=team)
    for who, deputy in deputies.items():
        await floor.away(who, deputy)
    for who in (ANNA, BEN, CARO):
        assert bool(await floor.work(who)) is (who in listed), "in person"
        assert bool(await floor.work(who, "clinician")) is (listed in ({who}, {"clinician"}))
    [loop] = await floor.loops()
    person = next(iter(listed)) if listed != {"clinician"} else None
    assert loop["owner"]["acting_id"] == person
    assert loop["owner"]["staff_id"] == team.get("clinician")


@pytest.mark.parametrize(
    ("hours", "who"), [(-25, ANNA), (-24, BEN), (0, BEN), (23.9, BEN), (24, ANNA)]
)
async def test_a_deputy_acts_for_as_long_as_the_absence_lasts(
    floor: Floor, hours: float, who: str
) -> None:
    await floor.opens("one", 900, team={"clinician": ANNA})
    await floor.away(ANNA, BEN)
    floor.served._now = START + timedelta(hours=hours)
    assert [bool(await floor.work(person)) for person in (ANNA, BEN)] == [who == ANNA, who == BEN]


async def test_an_escalated_loop_is_on_the_next_owners_list(floor: Floor) -> None:
    episode_id = await floor.opens("one", 4, team={"clinician": ANNA, SUPERVISOR.value: BEN})
    assert (bool(await floor.work(ANNA)), bool(await floor.work(BEN))) == (True, False)
    state = floor.served.state(f"episode/{episode_id}")
    state = one_step_up(state)
    await floor.puts(f"episode/{episode_id}", state)
    assert (bool(await floor.work(ANNA)), bool(await floor.work(BEN))) == (False, True)


@pytest.mark.parametrize("asked", [{"staff_id": ANNA}, {"role": "clinician"}])
@pytest.mark.parametrize("role", ["nurse", "clinician", *under_test.SUPERVISORS])
async def test_other_peoples_lists_are_for_supervisors(
    floor: Floor, role: str, asked: dict[str, str]
) -> None:
    await floor.opens("hers", 4, team={"clinician": ANNA})
    await floor.opens("the role's", 5)
    await floor.opens("the supervisor's", 6, owners=(SUPERVISOR,))
    answer = await floor.served.acting_as(role, BEN).get("/tasks", params=asked)
    if role in under_test.SUPERVISORS:
        expected = "hers" if "staff_id" in asked else "the role's"
        assert [item["id"] for item in answer.json()["tasks"]] == [uid(f"{expected} 0")]
    elif asked == {"role": role}:
        assert answer.status_code == 200, "one's own role"
    else:
        refused(answer, 403, "not-your-tasks")


async def test_ones_own_list_may_be_asked_for_by_name(floor: Floor) -> None:
    await floor.opens("hers", 4, team={"clinician": ANNA})
    assert await floor.work(ANNA, staff_id=ANNA) == [uid("hers 0")]
    refused(await floor.served.get("/tasks", params={"staff_id": "anna"}), 422, "request-invalid")


async def test_times_of_other_zones_are_in_order(floor: Floor) -> None:
    for name, hours, zone in (("late", 3, -11), ("early", 1, 12), ("middle", 2, 0)):
        at = (START + timedelta(hours=hours)).astimezone(timezone(timedelta(hours=zone)))
        state = loops.open_loop(
            CareState(),
            IntakeLoop.ASSESSMENT,
            uid(name),
            deadline_at=at,
            owners=OWNERS,
            cause=cause(),
        )
        await floor.puts(f"episode/{uid(name)}", state)
    assert await floor.work(ANNA, "clinician") == [uid(n) for n in ("early", "middle", "late")]


DEADLINES = st.lists(
    st.tuples(st.booleans(), st.lists(st.integers(1, 40), min_size=1, max_size=3)), max_size=9
)


@settings(max_examples=40, deadline=None)
@given(DEADLINES, st.integers(1, 8))
async def test_a_short_list_is_the_beginning_of_the_long_one(
    people: list[tuple[bool, list[int]]], limit: int
) -> None:
    """Whatever lies on which page of the store: the most urgent come first, and none is forgotten."""
    floor = Floor()
    page, under_test.PAGE = under_test.PAGE, 2
    try:
        expected: list[tuple[datetime, str, str]] = []
        for number, (hers, hours) in enumerate(people):
            state = CareState(team={"clinician": ANNA})
            for index, after in enumerate(hours):
                # Beside what is hers lies what is not, so that pages hold people who are not on her list.
                mine = hers or index == len(hours) - 1
                at, loop_id = START + timedelta(hours=after), uid(f"{number} {index}")
                state = loops.open_loop(
                    state,
                    IntakeLoop.ASSESSMENT,
                    loop_id,
                    deadline_at=at,
                    owners=OWNERS if mine else (Role.NURSE,),
                    cause=cause(),
                )
                if mine:
                    expected.append((at, f"episode/{uid(str(number))}", loop_id))
            await floor.puts(f"episode/{uid(str(number))}", state)
        ids = [loop_id for _, _, loop_id in sorted(expected)]
        assert await floor.work(ANNA, "peer_specialist", limit=limit) == ids[:limit]
    finally:
        under_test.PAGE = page


async def test_an_absence_at_one_facility_is_none_at_another(floor: Floor) -> None:
    """The same person on two care teams: their deputy acts where they are away, and only there."""
    await floor.opens("here", 900, team={"clinician": ANNA})
    await floor.opens("there", 900, team={"clinician": ANNA}, facility_id="river-iop")
    planned = fact(
        intake.StaffAbsencePlanned,
        absence_id=uid("a"),
        staff_id=ANNA,
        from_at=START - DAY,
        until_at=START + DAY,
        deputy_id=BEN,
    )
    await floor.served.hear(staff_subject(FACILITY, ANNA), planned)
    for facility_id, who in ((FACILITY, BEN), ("river-iop", ANNA)):
        floor.served.acting_as("clinician", ANNA, facility_id)
        [loop] = (await floor.served.get("/loops")).json()["loops"]
        assert loop["owner"]["acting_id"] == who, facility_id


async def test_absences_are_heard(floor: Floor) -> None:

    await floor.opens("one", 900, team={"clinician": ANNA})
    planned = fact(
        intake.StaffAbsencePlanned,
        absence_id=uid("a"),
        staff_id=ANNA,
        from_at=START - DAY,
        until_at=datetime(2026, 3, 9, tzinfo=UTC),
        deputy_id=BEN,
    )
    await floor.served.hear(staff_subject(FACILITY, ANNA), planned)
    assert (bool(await floor.work(ANNA)), bool(await floor.work(BEN))) == (False, True)
    await floor.served.hear(
        staff_subject(FACILITY, ANNA),
        fact(intake.StaffAbsenceEnded, absence_id=uid("a"), staff_id=ANNA),
    )
    assert (bool(await floor.work(ANNA)), bool(await floor.work(BEN))) == (True, False)

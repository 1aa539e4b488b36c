"""Which operator may do what: every operation below /ops, for one's own facility, for another's, and for nobody's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from types import SimpleNamespace
from typing import Any, Final

import pytest
from httpx2 import Response

from services.plans.app import SERVICE
from shared.runtime.clock import Clock
from shared.runtime.core.dead_letter import DeadLetter
from shared.runtime.dead_letters.audit import _about
from shared.runtime.dead_letters.discards import Discards
from shared.runtime.dead_letters.redrive import Redriver
from shared.runtime.dead_letters.streams import Streams
from shared.runtime.kafka.reading import Reader
from shared.services import PROCESSES
from shared.testing.dead_letter_suite import dead_letter
from tests.unit.served import Served, refused
from tests.unit.support import FACILITY, START, uid

OTHER, OPERATING, NOBODY = "river-iop", "operations", ""
OWNERS: Final = (FACILITY, OTHER, NOBODY)
WHY: Final = {"why": "rule-fixed"}
STREAM: Final = {"subject": f"episode/{uid(FACILITY)}", "stream": "intake", "number": 0}

WHOLE_SERVICE: Final[Mapping[tuple[str, str], Mapping[str, Any]]] = {
    ("GET", "/ops/set-aside"): {},
    ("GET", "/ops/flow"): {},
    ("PUT", "/ops/clock"): {"json": {"now": START.isoformat()}},
    ("POST", "/ops/streams/preview"): {"json": STREAM},
    ("POST", "/ops/streams/set-back"): {"json": STREAM | WHY},
    ("POST", "/ops/consumer/resume"): {"json": WHY},
}
"""Acts on a whole service, and what they are asked with."""
ONE_ROW: Final[Mapping[tuple[str, str], Mapping[str, Any]]] = {
    ("GET", "/ops/dead-letters/{dead_letter_id}"): {},
    ("POST", "/ops/dead-letters/{dead_letter_id}/preview"): {"json": {}},
    ("POST", "/ops/dead-letters/{dead_letter_id}/discard"): {"json": WHY},
    ("POST", "/ops/dead-letters/{dead_letter_id}/discard/approve"): {"json": WHY},
}
MANY_ROWS: Final = {
    ("GET", "/ops/dead-letters"),
    ("GET", "/ops/dead-letters/rows"),
    ("GET", "/ops/dead-letters/audit"),
    ("GET", "/ops/dead-letters/discards"),
    ("POST", "/ops/dead-letters/redrive"),
}


class Operated(Served):
    """A service with one dead letter of each facility, and one that is nobody's."""

    def __init__(self) -> None:
        super().__init__(SERVICE)
        reader = Reader(SERVICE.reactions)
        self.redriver = Redriver(self.store, self.dead_letters, self.reactor, reader, Clock())
        self.discards = Discards(self.dead_letters, self.redriver)
        self.streams = Streams(self.store, self.dead_letters)
        self.consumer = SimpleNamespace(halted=None, resume=self._resume, positions={}, topics=())
        self.timers = SimpleNamespace(ran_until=None)
        self.quiescence = self
        self.busy = True
        self.rows: dict[str, DeadLetter] = {}

    def ensure_operable(self) -> None: ...

    def not_ready(self) -> list[str]:
        return []

    async def _resume(self, _accept: str | None) -> str | None:
        return None

    async def reached(self, *_: Any) -> bool:
        return True

    async def filled(self) -> Operated:
        for owner in OWNERS:
            row = dead_letter(
                f"episode/{uid(owner or 'nobody')}", "intake", 1, "data-invalid", wall=START
            )
            self.rows[owner] = replace(row, facility_id=owner)
        await self.store.add_dead_letters([*self.rows.values()])
        return self

    def of(self, facility_id: str) -> Operated:
        """Call as an operator of this facility from now on."""
        return self.acting_as("operator", facility_id=facility_id)

    async def asks(self, route: tuple[str, str], owner: str, how: Mapping[str, Any]) -> Response:
        path = route[1].replace("{dead_letter_id}", self.rows[owner].id)
        return await self.client.request(route[0], path, **how)

    def statuses(self) -> dict[str, str]:
        rows = self.disk.dead_letter_documents()
        return {row["facility_id"]: row["status"] for row in rows}


@pytest.fixture
async def operated() -> Operated:
    return await Operated().filled()


def test_every_operation_of_operators_stands_in_the_tables() -> None:
    for service in PROCESSES:
        app = Served(import_module(f"services.{service}.app").SERVICE).app
        found = {
            (method.upper(), path)
            for path, methods in app.openapi()["paths"].items()
            if path.startswith("/ops/")
            for method, operation in methods.items()
            if operation["x-roles"] == ["operator"]
        }
        assert found == {*WHOLE_SERVICE} | {*ONE_ROW} | MANY_ROWS, service


@pytest.mark.parametrize("route", WHOLE_SERVICE, ids=" ".join)
async def test_the_whole_service_is_the_operating_organisations(
    operated: Operated, route: tuple[str, str]
) -> None:
    how = WHOLE_SERVICE[route]
    for facility_id in (FACILITY, OTHER):
        answer = await operated.of(facility_id).asks(route, NOBODY, how)
        refused(answer, 403, "not-operating-organisation")
    answer = await operated.of(OPERATING).asks(route, NOBODY, how)
    assert answer.status_code in {200, 404, 409}, answer.text


@pytest.mark.parametrize("route", ONE_ROW, ids=" ".join)
@pytest.mark.parametrize("owner", OWNERS)
async def test_a_row_is_its_facilitys(
    operated: Operated, route: tuple[str, str], owner: str
) -> None:
    for facility_id in (FACILITY, OTHER):
        answer = await operated.of(facility_id).asks(route, owner, ONE_ROW[route])
        if facility_id == owner:
            assert answer.status_code in {200, 409}, answer.text
        else:
            refused(answer, 403, "other-facility")
    assert set(operated.statuses().values()) == {"open"}
    answer = await operated.of(OPERATING).asks(route, owner, ONE_ROW[route])
    assert answer.status_code in {200, 409}, answer.text


SEEN: Final = (
    (FACILITY, {FACILITY}),
    (OTHER, {OTHER}),
    (OPERATING, {*OWNERS}),
    ("x-iop", set[str]()),
)


@pytest.mark.parametrize(("facility_id", "seen"), SEEN)
async def test_a_list_shows_what_is_the_callers(
    operated: Operated, facility_id: str, seen: set[str]
) -> None:
    operated.of(facility_id)
    rows = (await operated.get("/ops/dead-letters/rows")).json()["rows"]
    assert {row.get("facility_id", NOBODY) for row in rows} == seen
    groups = (await operated.get("/ops/dead-letters")).json()
    assert groups["open"] == sum(group["count"] for group in groups["groups"]) == len(seen)
    for owner, row in operated.rows.items():
        path = f"/ops/dead-letters/{row.id}/discard"
        assert (await operated.of(OPERATING).post(path, WHY)).status_code == 200, owner
    found = (await operated.of(facility_id).get("/ops/dead-letters/discards")).json()["discards"]
    assert {row.get("facility_id", NOBODY) for row in found} == seen
    assert {row["owner"]["facility_id"] for row in found} == {one or OPERATING for one in seen}
    theirs = operated.rows[OTHER]
    for asked in (
        {"subject": f"episode/{uid(OTHER)}"},
        {"subject": f"episode/{uid(OTHER)[:5]}"},
        {"id": theirs.id},
        {"id": theirs.id[:6], "status": "any"},
    ):
        found = (await operated.get("/ops/dead-letters/rows", params=asked)).json()["rows"]
        shown = [row["id"] for row in found if row["id"] == theirs.id]
        assert bool(shown) is (OTHER in seen), "a question about another's record tells nothing"


WANTED: Final[Mapping[str, Callable[[Operated], Mapping[str, Any]]]] = {
    "everything": lambda _: {"everything": True},
    "a fingerprint": lambda operated: {"fingerprint": operated.rows[OTHER].fingerprint},
    "a subject": lambda operated: {"subject": operated.rows[OTHER].subject},
}


@pytest.mark.parametrize("wanted", WANTED)
@pytest.mark.parametrize(("facility_id", "seen"), SEEN)
async def test_a_redrive_takes_what_is_the_callers(
    operated: Operated, facility_id: str, seen: set[str], wanted: str
) -> None:
    named = WANTED[wanted](operated)
    answer = await operated.of(facility_id).post("/ops/dead-letters/redrive", {**WHY, **named})
    assert answer.status_code == 200, answer.text
    taken = seen & {OTHER} if "subject" in named else seen
    assert {owner for owner, status in operated.statuses().items() if status != "open"} == taken
    assert answer.json()["open"] == len(seen) - len(taken), "only what the caller may see"


async def test_a_redrive_by_id_is_refused_for_anothers(operated: Operated) -> None:
    body = WHY | {"id": operated.rows[OTHER].id}
    answer = await operated.of(FACILITY).post("/ops/dead-letters/redrive", body)
    refused(answer, 403, "other-facility")
    assert set(operated.statuses().values()) == {"open"}


async def test_a_stream_with_somebody_elses_row_stops_there(operated: Operated) -> None:
    """A record that nobody owned had a row; then it became a facility's, and has another behind it."""
    subject = f"episode/{uid('nobody')}"
    behind = dead_letter(subject, "intake", 2, "stream-blocked", wall=START)
    await operated.store.add_dead_letters([replace(behind, facility_id=FACILITY)])
    body = {**WHY, "subject": subject}
    answer = await operated.of(FACILITY).post("/ops/dead-letters/redrive", body)
    assert answer.json()["stopped"] == "other-facility"
    assert operated.statuses()[NOBODY] == "open"
    answer = await operated.of(OPERATING).post("/ops/dead-letters/redrive", body)
    assert answer.json()["stopped"] == "done"


async def test_the_audit_shows_ones_own_operators(operated: Operated) -> None:
    for facility_id in (FACILITY, OTHER, OPERATING):
        await operated.of(facility_id).does("/ops/dead-letters/redrive", WHY | {"everything": True})
    for facility_id, count in ((FACILITY, 1), (OTHER, 1), (OPERATING, 3)):
        found = (await operated.of(facility_id).get("/ops/dead-letters/audit")).json()["audit"]
        assert len(found) == count, facility_id
        assert facility_id in {entry["facility_id"] for entry in found}


async def seen(operated: Operated, facility_id: str) -> list[dict[str, Any]]:
    answer = await operated.of(facility_id).get("/ops/dead-letters/audit")
    return answer.json()["audit"]


@pytest.mark.parametrize("owner", [FACILITY, OTHER])
async def test_a_facility_sees_what_others_do_to_its_rows(operated: Operated, owner: str) -> None:
    """The operating organisation approved a discard, and the facility whose row it was never knew."""
    [other] = {FACILITY, OTHER} - {owner}
    path = f"/ops/dead-letters/{operated.rows[owner].id}/discard"
    await operated.of(owner).does(path, WHY)
    operated.acting_as("operator", "another operator", OPERATING)
    await operated.post(f"{path}/approve", WHY)
    own = await seen(operated, owner)
    assert [entry["action"] for entry in own] == ["discard", "request-discard"]
    assert [entry["facility_id"] for entry in own] == [OPERATING, owner]
    assert all(entry["facilities"] == [owner] for entry in own)
    assert await seen(operated, other) == []
    assert len(await seen(operated, OPERATING)) == 2


async def test_a_facility_sees_a_redrive_of_everything_without_what_is_anothers(
    operated: Operated,
) -> None:
    await operated.of(OPERATING).does("/ops/dead-letters/redrive", WHY | {"everything": True})
    for facility_id, other in ((FACILITY, OTHER), (OTHER, FACILITY)):
        [entry] = await seen(operated, facility_id)
        assert (entry["action"], entry["facilities"]) == ("redrive", [facility_id])
        assert other not in str(entry)
        assert str(operated.rows[other].subject) not in str(entry)
    [entry] = await seen(operated, OPERATING)
    assert entry["facilities"] == sorted([FACILITY, OTHER])


def test_what_failed_of_another_facility_is_left_out() -> None:
    failed = {"facility_id": OTHER, "subject": "episode/x"}
    entry = {"facilities": [FACILITY, OTHER], "result": {"redriven": 1, "failed": failed}}
    assert _about(entry, FACILITY) == {"facilities": [FACILITY], "result": {"redriven": 1}}
    assert _about(entry, OTHER) == entry | {"facilities": [OTHER]}
    assert _about({"action": "discard"}, OTHER) == {"action": "discard", "facilities": []}


async def test_the_operating_organisation_is_named_by_a_setting(operated: Operated) -> None:
    operated.settings = operated.settings.model_copy(update={"operating_facility": OTHER})
    refused(await operated.of(OPERATING).get("/ops/set-aside"), 403, "not-operating-organisation")
    assert (await operated.of(OTHER).get("/ops/set-aside")).status_code == 200

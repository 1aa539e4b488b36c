"""The audit: no command, read or refusal without its entry, and no entry that can be changed unseen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from care.interfaces import document
from shared.errors import Unavailable
from shared.runtime.audit import keeper
from shared.runtime.audit.keeper import Keeper, copy_of, restore, verify
from shared.runtime.audit.writer import CODES, AuditWriter
from shared.runtime.core.audit import UNCHAINED
from shared.runtime.http.claims import Actor, Claims
from shared.runtime.metrics import Metrics
from shared.services import SERVICES
from shared.testing.fakes import (
    Disk,
    MemoryAudit,
    MemoryJournal,
    MemoryStore,
    Seam,
    decoded,
    encoded,
)
from tests.unit.runtime.toy import KINDS, START, begun
from tests.unit.served import Served, refused
from tests.unit.support import uid

REFERRAL = {"source_kind": "self", "urgency": "routine"}
MARK = "Zephyrine"


def entries_of(served: Served) -> list[dict[str, Any]]:
    return [decoded(raw) for raw in served.disk.audit.values()]


@pytest.fixture
def intake() -> Served:
    return Served(import_module("services.intake.app").SERVICE)


# --- every request -----------------------------------------------------------------------------------


def _operations() -> Iterator[Any]:
    for name in SERVICES:
        for path, operations in document(name)["paths"].items():
            for method, operation in operations.items():
                if "x-roles" in operation:
                    yield pytest.param(name, method.upper(), path, operation, id=f"{name} {method} {path}")  # fmt: skip


OPERATIONS = list(_operations())


@cache
def _served(name: str) -> Served:
    return Served(import_module(f"services.{name}.app").SERVICE)


def _anew(name: str) -> Served:
    """A service that refuses: nothing but its audit changes."""
    _served(name).disk.audit.clear()
    return _served(name)


MACHINES = {"/ops/flow", "/ops/clock"}
"""A driver asks them for each step of its clock; they are about nobody."""


@pytest.mark.parametrize(("service", "method", "path", "operation"), OPERATIONS)
async def test_each_route_leaves_an_entry_for_whom_it_refuses(
    service: str, method: str, path: str, operation: Any
) -> None:
    roles = operation["x-roles"]
    if not roles:
        return  # open to every role
    served = _anew(service)
    role = next(
        r
        for r in ("partner", "nurse", "operator", "clinician", "peer_specialist")
        if r not in roles
    )
    url = path
    for one in operation.get("parameters", ()):
        url = url.replace(f"{{{one['name']}}}", uid("something"))
    answer = await served.acting_as(role).send(method, url, {}, params={"q": MARK})
    assert answer.status_code == 403, answer.text
    [entry] = entries_of(served)
    assert (entry["kind"], entry["outcome"]) == ("refusal", "role-not-allowed")
    assert (entry["actor_id"], entry["role"]) == (uid("actor"), role)
    assert entry["what"] == f"{method} {path}"
    assert entry["request_id"] == answer.headers["x-request-id"]
    assert all(subject.endswith(uid("something")) for subject in entry["subjects"])
    assert MARK not in str(entry)


@pytest.mark.parametrize(("service", "method", "path", "operation"), OPERATIONS)
async def test_each_command_leaves_an_entry_however_it_ends(
    service: str, method: str, path: str, operation: Any
) -> None:
    if method == "GET" or path in MACHINES:
        return
    served = _anew(service)
    url = path
    for one in operation.get("parameters", ()):
        url = url.replace(f"{{{one['name']}}}", uid("something"))
    answer = await served.acting_as((operation["x-roles"] or ["clinician"])[0]).send(
        method, url, {MARK: MARK}
    )
    if answer.status_code == 503:
        return  # nothing was done, and nothing seen
    [entry] = entries_of(served)
    assert entry["kind"] == ("refusal" if answer.status_code == 403 else "command")
    assert entry["outcome"] == answer.json().get("code", "applied")
    assert MARK not in str(entry)


async def test_a_command_and_its_repeats_and_a_read(intake: Served) -> None:
    intake.acting_as("intake_coordinator")
    told = [await intake.post("/referrals", REFERRAL, key="one") for _ in range(2)]
    episode_id = told[0].json()["episode_id"]
    await intake.get(f"/episodes/{episode_id}")
    await intake.post(f"/referrals/{episode_id}/close", {"outcome": "admitted"})
    found = entries_of(intake)
    assert [(one["kind"], one["outcome"]) for one in found[:3]] == [
        ("command", "applied"),
        ("command", "repeated"),
        ("read", "shown"),
    ]
    assert found[3]["outcome"] not in ("applied", "shown"), "refused by the rule"
    subject = f"episode/{episode_id}"
    assert all(subject in one["subjects"] for one in found)
    assert len({one["request_id"] for one in found}) == 4
    assert not any(document.get("audit") for document in intake.disk.documents()), "moved"


async def test_the_records_that_a_command_reaches_are_named(intake: Served) -> None:
    told = await intake.acting_as("intake_coordinator").does("/referrals", REFERRAL)
    [entry] = entries_of(intake)
    assert set(entry["subjects"]) == {
        f"episode/{told['episode_id']}",
        f"person/{told['person_id']}",
    }


async def test_nothing_is_shown_that_could_not_be_written_down(intake: Served) -> None:
    told = await intake.acting_as("intake_coordinator").does("/referrals", REFERRAL)
    path = f"/episodes/{told['episode_id']}"
    intake.store.seam = Seam(at=2)  # the record is read, and the entry is not written
    answer = await intake.get(path)
    refused(answer, 503, "store-unavailable")
    assert answer.headers["x-request-id"], "withheld, and still an answer as every other"
    intake.store.seam = Seam()
    assert (await intake.get(path)).status_code == 200
    assert [one["kind"] for one in entries_of(intake)] == ["command", "read"]


async def test_what_is_about_nobody_leaves_no_entry(intake: Served) -> None:
    await intake.get("/healthz")
    await intake.get("/programs")
    await intake.get("/openapi.json")
    assert entries_of(intake) == []


async def test_a_list_names_whom_it_shows_in_bounded_entries(
    intake: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.runtime.http.trail.SUBJECTS_MAX", 2)
    intake.acting_as("intake_coordinator")
    for _ in range(5):
        await intake.does("/referrals", REFERRAL)
    await intake.get("/loops")
    reads = [one for one in entries_of(intake) if one["kind"] == "read"]
    assert [len(one["subjects"]) for one in reads] == [2, 2, 1]
    assert len({one["request_id"] for one in reads}) == 1


# --- whom nobody knows -------------------------------------------------------------------------------


async def test_who_is_not_known_is_counted_and_fills_nothing(intake: Served) -> None:
    def nobody(_authorization: str | None) -> Actor:
        from shared.errors import Unauthenticated  # noqa: PLC0415

        raise Unauthenticated("token-refused", "The token can't be trusted.")

    intake.actor = nobody  # type: ignore[method-assign]
    for number in range(200):
        assert (await intake.get(f"/episodes/{uid(str(number))}")).status_code == 401
    assert entries_of(intake) == []
    counted = intake.metrics.registry.get_sample_value
    assert counted("care_refused_anonymous_total", {"code": "token-refused"}) == 200
    await intake.audit.write_anonymous()
    await intake.audit.write_anonymous()
    [entry] = entries_of(intake)
    assert entry["counts"] == {"token-refused": 200}
    assert entry["facilities"] == ["*"]


@pytest.mark.parametrize("role", ["janitor", "system", "Operator", 7, None])
@pytest.mark.parametrize("call", ["GET /loops", "GET /people/{id}/identity", "POST /referrals"])
async def test_who_is_known_but_for_the_role_leaves_a_refusal(
    intake: Served, role: Any, call: str
) -> None:
    claims = {"sub": uid("cleaner"), "facility": "river-iop", "role": role}
    intake.actor = lambda _given: Claims().actor_of(claims, "issuer")  # type: ignore[method-assign]
    method, path = call.replace("{id}", uid("somebody")).split()
    token = {"Authorization": "Bearer x"}
    body = REFERRAL if method == "POST" else None
    answer = await intake.client.request(method, path, json=body, headers=token)
    assert (answer.status_code, answer.json()["code"]) == (403, "role-unknown")
    [entry] = entries_of(intake)
    assert {
        name: entry[name] for name in ("kind", "outcome", "actor_id", "role", "facilities")
    } == {
        "kind": "refusal",
        "outcome": "role-unknown",
        "actor_id": uid("cleaner"),
        "role": "unknown",
        "facilities": ["river-iop"],
    }


@pytest.mark.parametrize("status", [401, 403])
async def test_no_refusal_passes_without_an_entry_or_a_count(intake: Served, status: int) -> None:
    """Whatever refuses, and whether it says why or not."""
    from shared.runtime.http.answers import Answers  # noqa: PLC0415

    async def refusing(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})

    async def nothing(*_: Any) -> None: ...

    scope = {"type": "http", "method": "GET", "path": "/", "app": intake.app}
    await Answers(refusing)(scope, nothing, nothing)  # pyright: ignore[reportArgumentType]
    counted = intake.metrics.registry.get_sample_value
    assert counted("care_refused_anonymous_total", {"code": "other"}) == 1


def test_refusals_of_nobody_known_are_counted_from_zero() -> None:
    metrics = Metrics()
    AuditWriter(MemoryStore(KINDS), metrics)
    counted = metrics.registry.get_sample_value
    for code in CODES:
        assert counted("care_refused_anonymous_total", {"code": code}) == 0


# --- one insert for all in flight ----------------------------------------------------------------------


async def test_all_in_flight_are_one_insert() -> None:
    seam = Seam()
    store = MemoryStore(KINDS, seam=seam)
    writer = AuditWriter(store, Metrics())
    await asyncio.gather(*(writer.write([{"_id": str(n), "at": START}]) for n in range(300)))
    assert len(store.disk.audit) == 300
    assert seam.calls.count("add_audit_entries") <= 2


async def test_all_of_a_failed_insert_are_told() -> None:
    writer = AuditWriter(MemoryStore(KINDS, seam=Seam(at=1)), Metrics())
    told = await asyncio.gather(
        *(writer.write([{"_id": str(n), "at": START}]) for n in range(5)), return_exceptions=True
    )
    assert all(isinstance(one, Unavailable) for one in told)


# --- chains ------------------------------------------------------------------------------------------


def _entry(number: int) -> dict[str, Any]:
    return {"_id": f"entry {number:04}", **begun(str(number)), "kind": "read", "subjects": []}


async def chained(lives: int, per_life: int, journal: MemoryJournal | None = None) -> Disk:
    """What several replicas leave, one after another."""
    disk = Disk()
    for life in range(lives):
        store = MemoryStore(KINDS, disk)
        one = Keeper(MemoryAudit(disk), AuditWriter(store, Metrics()), store.replica_id, journal)
        for start in range(0, per_life, 3):
            numbers = range(life * per_life + start, life * per_life + min(start + 3, per_life))
            await store.add_audit_entries([_entry(n) for n in numbers])
            await one.round()
    return disk


async def test_what_is_stored_is_chained_and_verified() -> None:
    disk = await chained(3, 9)
    found = await verify(MemoryAudit(disk))
    assert (found.chains, found.links, found.entries) == (3, 9, 27)
    assert (found.unchained, found.breaks) == (0, [])
    assert not any(UNCHAINED in decoded(raw) for raw in disk.audit.values())


@settings(max_examples=60, deadline=None)
@given(st.data())
async def test_whatever_is_changed_or_removed_is_found(data: st.DataObject) -> None:
    """Any entry, or any link that a later one follows."""
    disk = await chained(3, 9)
    last = max(disk.audit_links, key=lambda one: list(disk.audit_links).index(one))
    what = data.draw(st.sampled_from(["entry", "link"]))
    where = disk.audit if what == "entry" else disk.audit_links
    names = [name for name in where if what == "entry" or name != last]
    name = data.draw(st.sampled_from(names))
    if data.draw(st.booleans()):
        del where[name]
    else:
        document = decoded(where[name])
        field = data.draw(
            st.sampled_from(sorted(document.keys() - {"_id", "chain", "number", UNCHAINED}))
        )
        was = deepcopy(document[field])
        document[field] = {"at": START.replace(year=2000)}.get(field, "changed")
        if field in ("ids", "follows"):
            document[field] = [] if was else was
            if not was:
                return
        elif field == "digests":
            document[field] = bytes(len(was))
        where[name] = encoded(document)
    found = await verify(MemoryAudit(disk))
    assert found.breaks, name
    if what == "entry":
        assert [one.entry for one in found.breaks] == [name]


async def test_a_whole_chain_that_is_gone_is_found() -> None:
    disk = await chained(3, 6)
    first = decoded(next(iter(disk.audit_links.values())))["chain"]
    for name in [name for name in disk.audit_links if name.startswith(first)]:
        for entry_id in decoded(disk.audit_links.pop(name))["ids"]:
            del disk.audit[entry_id]
    found = await verify(MemoryAudit(disk))
    assert [(one.chain, one.what) for one in found.breaks] == [(first, "chain-missing")]


@pytest.mark.parametrize("at", range(1, 16))
@pytest.mark.parametrize("when", ["before", "halfway", "after"])
async def test_a_failure_at_any_call_leaves_nothing_unchained(at: int, when: str) -> None:
    from shared.testing.fakes import When  # noqa: PLC0415

    disk = Disk()
    store = MemoryStore(KINDS, disk)
    log = MemoryAudit(disk, Seam(at=at, when=When(when)))
    one = Keeper(log, AuditWriter(store, Metrics()), store.replica_id)
    for number in range(6):
        await store.add_audit_entries([_entry(number)])
        try:
            await one.round()
        except Unavailable:
            await one.round()
    found = await verify(MemoryAudit(disk))
    assert (found.unchained, found.breaks) == (0, [])


async def test_what_a_dead_replica_left_is_taken_by_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk = Disk()
    await MemoryStore(KINDS, disk).add_audit_entries([_entry(1)])
    store = MemoryStore(KINDS, disk)
    await Keeper(MemoryAudit(disk), AuditWriter(store, Metrics()), store.replica_id).round()
    found = await verify(MemoryAudit(disk))
    assert (found.chains, found.entries, found.unchained) == (1, 1, 0)


# --- the journal -------------------------------------------------------------------------------------


async def test_a_rebuild_brings_the_chains_back() -> None:
    journal = MemoryJournal()
    disk = await chained(2, 9, journal)
    copies = journal.newest()
    assert all(name.startswith(keeper.JOURNAL_PREFIX) for name in copies)
    anew = Disk()
    for copy in copies.values():
        await restore(MemoryAudit(anew), copy)
    assert anew.audit == disk.audit
    found = await verify(MemoryAudit(anew))
    assert (found.entries, found.breaks) == (18, [])
    assert not await MemoryAudit(disk).waiting_links(10)


async def test_a_new_key_has_every_link_copied_again() -> None:
    disk = await chained(1, 6, MemoryJournal())
    log = MemoryAudit(disk)
    await log.copy_all()
    waiting = await log.waiting_links(10)
    assert len(waiting) == 2
    assert "waiting" not in (await copy_of(log, waiting[0]))["link"]

"""What operators see and do, on real servers: dead letters, a consumer that halts, topics that change in mid-run."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from aiokafka.admin import NewPartitions
from aiokafka.admin.records_to_delete import RecordsToDelete
from pymongo import AsyncMongoClient

from shared.contracts import intake
from shared.contracts.topics import TOPICS
from shared.devtools.backends import Backend
from shared.errors import Unavailable
from shared.runtime.kafka.topics import ensure_topics
from tests.integration.bus import FACILITY, Bus, admin_of, until
from tests.integration.redriven import (
    GROUP,
    ISSUER,
    Rules,
    Running,
    admission,
    episode,
    running,
    settled,
)

MARK = "Maria-Lopez-1984"
WHY = {"why": "rule-fixed"}


@pytest.fixture(autouse=True)
async def _own_database(backend: Backend, prefix: str) -> AsyncIterator[None]:
    yield
    async with AsyncMongoClient(backend.mongo_uri) as client:
        await client.drop_database(f"{prefix}plans")


# --- dead letters over HTTP ------------------------------------------------------------------------------------


async def test_an_operator_finds_previews_and_mends_what_failed(
    backend: Backend, bus: Bus, prefix: str
) -> None:
    """From the cause to the fix, without seeing what the events say."""
    rules = Rules(broken=True)
    async with running(backend, prefix, bus, rules) as it:
        names = await it.admit(3)
        behind = await bus.say(intake.LevelRecommended.example(), names[0], 2)
        await it.heard(behind)
        told: list[str] = []

        async def ask(method: str, path: str, **how: Any) -> Any:
            answer = await it.ask(method, path, **how)
            assert answer.status_code == 200, answer.text
            told.append(answer.text)
            return answer.json()

        groups = await ask("GET", "/ops/dead-letters")
        assert groups["open"] == 4
        [cause, waiting] = groups["groups"]
        assert (cause["reason"], cause["count"], cause["exception"]) == (
            "decision-raised",
            3,
            "ValueError",
        )
        assert "redriven.admitted" in cause["where"]
        assert (waiting["reason"], waiting["count"]) == ("stream-blocked", 1)

        asked = f"?fingerprint={cause['fingerprint']}&limit=2"
        page = await ask("GET", f"/ops/dead-letters/rows{asked}")
        rest = await ask("GET", f"/ops/dead-letters/rows{asked}&after={page['next']}")
        rows = [*page["rows"], *rest["rows"]]
        assert {row["subject"] for row in rows} == set(names)
        head = next(row for row in rows if row["subject"] == names[0])
        one = await ask("GET", f"/ops/dead-letters/{head['id']}")
        assert (one["behind"], one["status"], one["attempts"]) == (1, "open", 1)

        path = f"/ops/dead-letters/{head['id']}/preview"
        still = await ask("POST", path, json={})
        assert still["steps"][0]["outcome"] == "blocked"
        rules.broken = False  # the fix is deployed
        before = await it.documents()
        foreseen = await ask("POST", path, json={"behind": True})
        assert await it.documents() == before
        assert [step["outcome"] for step in foreseen["steps"]] == ["applied", "applied"]
        assert [step["changed"] for step in foreseen["steps"]] == [["admitted"], ["recommended"]]
        assert [e["sequence"] for s in foreseen["steps"] for e in s["events"]] == [1, 2]

        done = await ask(
            "POST", "/ops/dead-letters/redrive", json=WHY | {"fingerprint": cause["fingerprint"]}
        )
        assert (done["redriven"], done["stopped"], done["open"]) == (4, "done", 0)
        assert done["steps"] == [1, 3]
        await settled(it)
        for document in await it.documents():
            assert document["blocked"] == {}
            assert document["state"]["admitted"] == 1
        await it.heard(await bus.say(intake.LevelRecommended.example(), names[1], 2))

        [entry] = (await ask("GET", "/ops/dead-letters/audit"))["audit"]
        assert (entry["action"], entry["why"], entry["result"]["redriven"]) == (
            "redrive",
            "rule-fixed",
            4,
        )
        assert len((await ask("GET", "/ops/dead-letters/rows?status=redriven"))["rows"]) == 4
        data = json.loads(admission().data())
        for text in told:
            assert MARK not in text
            assert data["population"] not in text


async def test_a_row_is_discarded_and_never_edited(backend: Backend, bus: Bus, prefix: str) -> None:
    async with running(backend, prefix, bus, Rules()) as it:
        one, two = episode(), episode()
        for name in (one, two):
            await it.heard(await bus.say(admission(), name, 1, value=b'{"admitted_at": "soon"}'))
        rows = (await it.ask("GET", "/ops/dead-letters/rows")).json()["rows"]
        ids = {row["subject"]: row["id"] for row in rows}
        good = json.loads(admission().data())
        for path in ("edit", "preview"):
            row = f"/ops/dead-letters/{ids[one]}/{path}"
            refused = await it.ask("POST", row, json=WHY | {"data": good})
            assert refused.status_code in {404, 422}, "nobody changes what was published"
        redrive = await it.ask("POST", "/ops/dead-letters/redrive", json=WHY | {"id": ids[one]})
        assert redrive.json()["redriven"] == 0
        discard = f"/ops/dead-letters/{ids[two]}/discard"
        assert (await it.ask("POST", discard, json=WHY)).json()["requested"] == ids[two]
        pending = (await it.ask("GET", "/ops/dead-letters/discards")).json()["discards"]
        assert [row["id"] for row in pending] == [ids[two]]
        alone = await it.ask("POST", f"{discard}/approve", json=WHY)
        assert (alone.status_code, alone.json()["code"]) == (403, "second-person-needed")
        second = ISSUER.token(FACILITY, "operator", str(uuid4()))
        bearer = {"Authorization": f"Bearer {second}"}
        done = await it.http.post(f"{discard}/approve", json=WHY, headers=bearer)
        assert done.json()["status"] == "discarded"
        again = await it.ask("POST", discard, json=WHY)
        assert (again.status_code, again.json()["code"]) == (409, "already-closed")
        for name in (one, two):
            await it.heard(await bus.say(intake.LevelRecommended.example(), name, 2))
        states = {d["_id"]: d["state"] for d in await it.documents()}
        assert (states[one]["admitted"], states[one]["recommended"]) == (0, 0)
        assert (states[two]["admitted"], states[two]["recommended"]) == (0, 1)


REFUSED: dict[str, tuple[str, str, dict[str, Any], str, int, str]] = {
    "another role": ("GET", "/ops/dead-letters", {}, "counselor", 403, "role-not-allowed"),
    "another role redrives": (
        "POST", "/ops/dead-letters/redrive", {"json": WHY | {"everything": True}},
        "program_director", 403, "role-not-allowed",
    ),
    "nothing named": ("POST", "/ops/dead-letters/redrive", {"json": WHY}, "operator", 422, "redrive-what"),
    "two named": (
        "POST", "/ops/dead-letters/redrive",
        {"json": WHY | {"everything": True, "fingerprint": "0" * 16}}, "operator", 422, "redrive-what",
    ),
    "no reason": (
        "POST", "/ops/dead-letters/redrive", {"json": {"everything": True}}, "operator", 422, "request-invalid",
    ),
    "words for a reason": (
        "POST", "/ops/dead-letters/redrive", {"json": {"why": f"for {MARK}", "everything": True}},
        "operator", 422, "request-invalid",
    ),
    "an unknown row": (
        "GET", "/ops/dead-letters/1c9f7c56-3a0b-5d0e-8f5a-2a5f1f0e7b44", {}, "operator", 404, "unknown-dead-letter",
    ),
    "no row": ("GET", f"/ops/dead-letters/{MARK}", {}, "operator", 422, "request-invalid"),
    "an unknown status": ("GET", "/ops/dead-letters/rows?status=lost", {}, "operator", 422, "status-unknown"),
}  # fmt: skip


async def test_what_makes_no_sense_is_refused(backend: Backend, bus: Bus, prefix: str) -> None:
    async with running(backend, prefix, bus, Rules()) as it:
        for name, (method, path, how, role, status, code) in REFUSED.items():
            answer = await it.ask(method, path, role, **how)
            assert (answer.status_code, answer.json()["code"]) == (status, code), name
            assert MARK not in answer.text


# --- the limit -------------------------------------------------------------------------------------------------


async def _accounted(it: Running) -> int:
    rows = await it.runtime.store.collection("dead_letters").count_documents({})
    applied = [d["inbox"].get("intake", [0])[0] for d in await it.documents()]
    return rows + sum(applied)


async def test_the_limit_halts_loudly_and_a_command_resumes(
    backend: Backend, bus: Bus, prefix: str
) -> None:
    rules = Rules(broken=True)
    limits: dict[str, Any] = {"dead_letters_in_a_row_max": 10, "batch_records": 5}
    async with running(backend, prefix, bus, rules, **limits) as it:
        names = [episode() for _ in range(60)]
        for name in names:
            await bus.say(admission(), name, 1)
        await it.until_reason("dead-letter-limit")
        assert (await it.ask("GET", "/ops/dead-letters")).json()["halted"] == "dead-letter-limit"
        rows = await it.runtime.store.collection("dead_letters").count_documents({})
        assert 10 <= rows < 20

        async def level() -> bool:
            return sum((await bus.committed(GROUP)).values()) == await _accounted(it)

        await until(level, what="an offset for each row")
        rules.broken = False
        done = await it.ask("POST", "/ops/dead-letters/redrive", json=WHY | {"everything": True})
        assert done.json()["redriven"] == rows, "a halted consumer is no hindrance"
        assert (await it.ask("POST", "/ops/consumer/resume", json=WHY)).json()["resumed"]

        async def all_heard() -> bool:
            return [d["state"]["admitted"] for d in await it.documents()] == [1] * len(names)

        await until(all_heard, what="hearing the rest")
        await it.ready()


# --- topics that change in mid-run -------------------------------------------------------------------------------


async def test_partitions_added_in_mid_run_stop_everything(
    backend: Backend, bus: Bus, prefix: str
) -> None:
    async with running(backend, prefix, bus, Rules()) as it:
        await it.admit()
        async with admin_of(backend.kafka) as admin:
            await admin.create_partitions({"care.intake": NewPartitions(16)})
        await it.until_reason("topic-partitions-differ")
        await _nothing_more(it)


@pytest.mark.parametrize("again", [False, True], ids=["deleted", "deleted and made again"])
async def test_a_topic_made_again_in_mid_run_stops_everything(
    backend: Backend, bus: Bus, prefix: str, *, again: bool
) -> None:
    async with running(backend, prefix, bus, Rules()) as it:
        await it.admit(5)

        async def noted() -> bool:
            metadata = await it.runtime.store.metadata("topic:care.intake")
            return sum(metadata.get("ends", ())) == 5

        await until(noted, what="a note of how far the topic reaches")
        async with admin_of(backend.kafka) as admin:
            await admin.delete_topics(["care.intake"])
        if again:  # by whoever does such things, with the right number of partitions
            await until(lambda: _made_again(backend), what="making it again")

        async def red() -> bool:
            return any(reason.startswith("topic-") for reason in await it.reasons())

        await until(red, what="red readiness", limit_s=60)
        await _nothing_more(it)


async def _made_again(backend: Backend) -> bool:
    try:
        await ensure_topics(backend.kafka, [TOPICS["care.intake"]])
    except Unavailable:
        return False  # it is still being deleted
    return True


async def _nothing_more(it: Running) -> None:
    """Neither commands nor events nor operators change or publish anything."""
    before = await it.documents()
    answer = await it.ask("POST", "/notes", json={"episode_id": episode()[8:]})
    assert (answer.status_code, answer.json()["code"][:6]) == (503, "topic-")
    assert await it.documents() == before
    resumed = await it.ask("POST", "/ops/consumer/resume", json=WHY)
    assert resumed.status_code == 409
    assert it.runtime.consumer.halted is not None
    assert await it.runtime.consumer.caught_up() is False


async def test_what_retention_removed_unheard_is_said_and_given_up_only_by_command(
    backend: Backend, bus: Bus, prefix: str
) -> None:
    subject = episode()
    async with running(backend, prefix, bus, Rules()) as it:
        tp = await bus.say(admission(), subject, 1)
        await it.heard(tp)
    for number in range(2, 6):
        await bus.say(intake.LevelRecommended.example(), subject, number)
    async with admin_of(backend.kafka) as admin:
        await admin.delete_records({tp: RecordsToDelete(before_offset=4)})
    async with running(backend, prefix, bus, Rules(), ready=False) as it:
        await it.until_reason("history-removed")
        assert (await bus.committed(GROUP))[tp] == 1
        refused = await it.ask("POST", "/ops/consumer/resume", json=WHY)
        assert (refused.status_code, refused.json()["code"]) == (409, "history-removed")
        body = WHY | {"accept": "history-removed"}
        assert (await it.ask("POST", "/ops/consumer/resume", json=body)).json()["resumed"]
        await it.heard(tp)
        [document] = await it.documents()
        assert document["state"]["recommended"] == 1
        assert document["inbox"]["intake"][0] == 5

"""A store that is lost and made anew from the journal: how long it takes, and whether it is the same store.

Plans hears a backlog with a journal key, from records that its journal has as well; then it is stopped, its database is
dropped, and what `care rebuild` runs makes it anew. There is no second figure for a replay of the whole log into the
emptied store: a plan follows from commands too, and those are on no topic (decision 9).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from bench.contestants import OURS
from bench.field import PREFIX, BenchError, Contestant, Field, clear
from bench.recording import Recording
from bench.stage import stage
from services.plans.app import SERVICE
from shared.devtools.backends import Backend
from shared.errors import ConfigurationError
from shared.runtime.core.record import Record
from shared.runtime.core.store import Document, MongoStore
from shared.runtime.kafka.startup_checks import end_offsets
from shared.runtime.recovery import rebuild as runtime
from shared.runtime.recovery.journal import Keyring, journal_topic

EVENTS: Final = 20_000
DATABASE: Final = f"{PREFIX}{SERVICE.name}"
LOOK_SECONDS: Final = 0.1
PATIENCE_SECONDS: Final = 30.0
COMPARED: Final = ("_id", "version", "revision", "next_sequence", "state")
MARKED: Final = {"$or": [{"waiting": {"$exists": True}}, {"handing": {"$exists": True}}]}


async def rebuild(backend: Backend, recording: Recording) -> dict[str, Any]:
    """Measure it. Raises `BenchError` when what was made anew is not what was lost."""
    key = base64.b64encode(os.urandom(32)).decode()
    recording.rewind()
    records = recording.take(EVENTS)
    people = {sent.subject for sent in records}
    await clear(backend)
    store = MongoStore(backend.mongo_uri, DATABASE, SERVICE.kinds, journaled=True)
    try:
        await store.start()
        await _seed(store, [kept for kept in recording.kept if kept.subject in people])
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            contestant = _plans(Field(backend, Path(directory)), key)
            contestant.start()
            try:
                async with stage(backend.kafka) as on:
                    await on.at_once(records)
                    await on.all_seen()
                await _until(lambda: _settled(store), "The journal is not written.")
            finally:
                contestant.stop()
        await _until(lambda: _alone(backend), "The service does not leave its group.")
        lost = await _documents(store)
        copies = await _copies(backend)
        await store.database.client.drop_database(DATABASE)
        began = perf_counter()
        await store.start()
        topics = SERVICE.reactions.topics
        done = await runtime.rebuild(
            store, backend.kafka, SERVICE.name, Keyring(SERVICE.name, key), topics
        )
        took = perf_counter() - began
        _compare(lost, await _documents(store))
    finally:
        await store.close()
    return {
        "events": len(records),
        "records": done.records,
        "copies": copies,
        "seconds": round(took, 2),
        "records_per_second": round(done.records / took, 1),
        "events_per_second": round(len(records) / took, 1),
        "state_hash_equal": True,  # else the run has ended
    }


def _plans(ground: Field, key: str) -> Contestant:
    """The service with a journal, as a process of its own."""
    env = {**ground.environment(OURS.name), "CARE_JOURNAL_KEY": key}
    return Contestant(
        OURS.name, (sys.executable, *OURS.command), env, ground.directory / "rebuilt.log"
    )


async def _seed(store: MongoStore, kept: Sequence[Record]) -> None:
    """Records that wait for their copy: the service takes them up at its start, as after a crash."""
    for at in range(0, len(kept), 500):
        await store.save(kept[at : at + 500], datetime.now(UTC))


async def _until(condition: Callable[[], Awaitable[bool]], otherwise: str) -> None:
    until = perf_counter() + PATIENCE_SECONDS
    while not await condition():
        if perf_counter() > until:
            raise BenchError("not-settled", otherwise)
        await asyncio.sleep(LOOK_SECONDS)


async def _settled(store: MongoStore) -> bool:
    """Every record's newest copy was acknowledged, and nothing is handed on any more."""
    return await store.collection("records").find_one(MARKED, {"_id": 1}) is None


async def _alone(backend: Backend) -> bool:
    try:
        await runtime.check_stopped(backend.kafka, SERVICE.name)
    except ConfigurationError:
        return False
    return True


async def _copies(backend: Backend) -> int:
    """How many copies the journal has: of a record that was saved often there are several."""
    topic = journal_topic(SERVICE.name)
    return sum((await end_offsets(backend.kafka, [topic]))[topic.name])


async def _documents(store: MongoStore) -> list[Document]:
    return await store.collection("records").find({}).to_list()


def _compare(lost: Sequence[Document], found: Sequence[Document]) -> None:
    """By a hash of the bench's own, and by the one that `care rebuild` prints."""
    if not lost or any(made(lost) != made(found) for made in (_hash, runtime.state_hash)):
        raise BenchError(
            "rebuilt-differs",
            f"{len(lost)} records were lost; the {len(found)} made anew are not the same.",
        )


def _hash(documents: Sequence[Mapping[str, Any]]) -> str:
    """What the records are, by subject, as canonical JSON."""
    total = hashlib.sha256()
    for document in sorted(documents, key=lambda document: str(document["_id"])):
        facts = {name: document[name] for name in COMPARED}
        total.update(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode() + b"\n")
    return total.hexdigest()

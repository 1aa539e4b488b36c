"""A broker of our own: Apache Kafka, released jars on whichever Java there is."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from shared.devtools.backends.java import Java, find_java
from shared.devtools.backends.kafka_fetch import Progress
from shared.devtools.backends.kafka_jars import KafkaHome, kafka_home, locked
from shared.devtools.backends.kafka_secured import ClosedBus, TokenListener
from shared.devtools.backends.model import BackendError
from shared.devtools.backends.probes import kafka_answers
from shared.devtools.backends.process import ServerProcess, free_port

_JVM = [
    "-Xms96m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # half the processor time in runs of minutes, on few cores
    "-XX:+ExitOnOutOfMemoryError",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
]
_CLUSTER_ID = "dGhyb3VnaGNhcmUtdGVzdA"

BROKER_SETTINGS = {
    "auto.create.topics.enable": "false",
    # A killed broker may register again only when its old session has run out.
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
    "default.replication.factor": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "6000",
    "log.cleaner.dedupe.buffer.size": "16777216",
    # Keep everything, and take any timestamp: the demo's clock runs ahead of the wall's.
    "log.message.timestamp.after.max.ms": "9223372036854775807",
    "log.message.timestamp.before.max.ms": "9223372036854775807",
    "log.retention.ms": "-1",
    "log.segment.bytes": "134217728",
    "message.max.bytes": "1048588",
    "min.insync.replicas": "1",
    "num.io.threads": "4",
    "num.network.threads": "2",
    "offsets.topic.num.partitions": "3",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "3",
    "transaction.state.log.replication.factor": "1",
}
"""What one broker on one machine needs; the same in a container (as KAFKA_… variables)."""


def secured_server(
    directory: Path,
    say: Callable[[str], None],
    progress: Progress,
    *,
    tokens: TokenListener | None = None,
) -> tuple[ServerProcess, ClosedBus]:
    """Apache Kafka over `directory`, closed to whoever has no user there. `tokens` adds a listener for tokens."""
    java = find_java()
    home = kafka_home(say, progress)
    _prepare(java, home, progress)
    port, controller = free_port(), free_port()
    bus = ClosedBus(directory / "security", port)
    data = directory / "kafka"
    settings = _properties(data, port, controller) | bus.properties(controller)
    settings = settings if tokens is None else tokens.added_to(settings)
    command = _command(java, home, settings, directory)
    if tokens is not None:
        command.insert(1, tokens.option)
    if not (data / "meta.properties").exists():
        _format(java, home, directory / "kafka.properties", *bus.first_users)
    name = f"Apache Kafka {home.version} (embedded, secured)"
    log = directory / "kafka.log"
    return ServerProcess(name, command, log=log, answers=bus.answers, port=port), bus


def apache_server(
    directory: Path, say: Callable[[str], None], progress: Progress, *, through: int | None = None
) -> ServerProcess:
    """Apache Kafka over `directory`, ready to be started.

    `through` is the port of a proxy: the broker has a second listener, `PROXIED`, whose clients are sent there. The
    listener's own
    port is the server's `behind`.
    """
    java = find_java()
    home = kafka_home(say, progress)
    _prepare(java, home, progress)
    port = free_port()
    data = directory / "kafka"
    data.mkdir(parents=True, exist_ok=True)
    if not (data / "meta.properties").exists():
        for file in home.template.iterdir():
            shutil.copy(file, data / file.name)
    behind = None if through is None else (free_port(), through)
    command = _command(java, home, _properties(data, port, free_port(), behind), directory)
    server = ServerProcess(
        f"Apache Kafka {home.version} (embedded)",
        command,
        log=directory / "kafka.log",
        answers=lambda: kafka_answers("127.0.0.1", port),
        port=port,
    )
    server.behind = None if behind is None else behind[0]
    return server


REPLICATED: Final = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "transaction.state.log.replication.factor": "3",
}
"""What differs where there are three brokers: what is acknowledged is on two of them."""


def three_brokers(
    directory: Path, say: Callable[[str], None], progress: Progress
) -> list[ServerProcess]:
    """Three brokers of one cluster, each a controller as well, ready to be started together.

    A broker alone does not answer: it needs one other for a majority.
    """
    java = find_java()
    home = kafka_home(say, progress)
    _prepare(java, home, progress)
    ports = {node: (free_port(), free_port()) for node in (1, 2, 3)}
    voters = ",".join(f"{node}@127.0.0.1:{controller}" for node, (_, controller) in ports.items())
    servers: list[ServerProcess] = []
    for node, (port, controller) in ports.items():
        own = directory / f"kafka-{node}"
        own.mkdir(parents=True, exist_ok=True)
        settings = _properties(own / "data", port, controller) | REPLICATED
        settings |= {"node.id": str(node), "controller.quorum.voters": voters}
        command = _command(java, home, settings, own)
        if not (own / "data/meta.properties").exists():
            _format(java, home, own / "kafka.properties")
        servers.append(
            ServerProcess(
                f"Apache Kafka {home.version} (broker {node} of 3)",
                command,
                log=own / "kafka.log",
                answers=partial(kafka_answers, "127.0.0.1", port),
                port=port,
            )
        )
    return servers


def _command(
    java: Java, home: KafkaHome, settings: Mapping[str, str], directory: Path
) -> list[str]:
    properties = directory / "kafka.properties"
    properties.write_text(_text(settings))
    temporary = directory / "tmp"
    temporary.mkdir(exist_ok=True)
    archive = home.archive(java)
    shared = [f"-XX:SharedArchiveFile={archive}", "-Xshare:auto"] if archive.exists() else []
    options = [*_JVM, *shared, f"-Djava.io.tmpdir={temporary}"]
    return [java.path, *options, "-cp", home.classpath, "kafka.Kafka", str(properties)]


def _properties(
    data: Path, port: int, controller: int, behind: tuple[int, int] | None = None
) -> dict[str, str]:
    listener, advertised, protocol = "", "", ""
    if behind is not None:
        own, proxy = behind
        listener = f",PROXIED://127.0.0.1:{own}"
        advertised = f",PROXIED://127.0.0.1:{proxy}"
        protocol = ",PROXIED:PLAINTEXT"
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{listener}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}{advertised}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": f"CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT{protocol}",
        "log.dirs": str(data),
        **BROKER_SETTINGS,
    }


def _text(settings: Mapping[str, str]) -> str:
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def _prepare(java: Java, home: KafkaHome, progress: Progress) -> None:
    """Make the storage template and the class archive, once per version and Java.

    Both come from one throw-away run. The archive only saves time: failing to make it is no error.
    """
    archive = home.archive(java)
    if home.template.is_dir() and archive.exists():
        return
    with (
        locked(home.directory / "prepare.lock"),
        tempfile.TemporaryDirectory(dir=home.directory) as name,
    ):
        work = Path(name)
        if not home.template.is_dir():
            progress("Apache Kafka: storage template", 0.99)
            _make_template(java, home, work)
        if not archive.exists():
            progress("Apache Kafka: class archive", 0.99)
            with contextlib.suppress(BackendError, OSError, subprocess.SubprocessError):
                _make_archive(java, home, work, archive)


def _make_template(java: Java, home: KafkaHome, work: Path) -> None:
    data = work / "formatted"
    properties = work / "format.properties"
    properties.write_text(_text(_properties(data, 1, 2)))
    _format(java, home, properties)
    data.rename(home.template)


def _format(java: Java, home: KafkaHome, properties: Path, *arguments: str) -> None:
    """Format the storage that the properties name."""
    command = [java.path, "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    command += ["-cp", home.classpath, "kafka.tools.StorageTool"]
    command += ["format", "-t", _CLUSTER_ID, "-c", str(properties), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise BackendError(f"Kafka's storage could not be formatted:\n{done.stderr[-2000:]}")


def _make_archive(java: Java, home: KafkaHome, work: Path, archive: Path) -> None:
    """Note in one run which classes a broker loads, and archive them.

    A Java may come without an archive of its own classes, as a wheel's does, so this one holds them too.
    """
    data = work / "run"
    shutil.copytree(home.template, data)
    port = free_port()
    command = _command(java, home, _properties(data, port, free_port()), work)
    classes, made = work / "classes.txt", work / "classes.jsa"
    command.insert(1, f"-XX:DumpLoadedClassList={classes}")
    server = ServerProcess(
        "Apache Kafka (first run)",
        command,
        log=work / "first-run.log",
        answers=lambda: kafka_answers("127.0.0.1", port),
        port=port,
        grace_s=60,
    )
    try:
        server.start()
    finally:
        server.stop()
    dump = [java.path, "-Xshare:dump", "-XX:+UseSerialGC", f"-XX:SharedClassListFile={classes}"]
    dump += [f"-XX:SharedArchiveFile={made}", "-cp", home.classpath]
    subprocess.run(dump, capture_output=True, timeout=120, check=True)
    made.rename(archive)

# ruff: noqa: INP001, S108, S603, S606 - the start script of a container
"""What the official image's start script does: KAFKA_… variables become server.properties.

As there, any such variable replaces the default configuration as a whole. In a name, one underscore
stands for a dot, two for an underscore and three for a dash.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

CONFIG = Path(os.environ.get("STANDIN_CONFIG", "/opt/kafka/config"))
CLASSPATH = os.environ.get("STANDIN_CLASSPATH", "/opt/kafka/libs/*")
DEFAULTS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.quorum.voters": "1@localhost:9093",
    "listeners": "PLAINTEXT://:9092,CONTROLLER://:9093",
    "advertised.listeners": "PLAINTEXT://localhost:9092",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "log.dirs": "/tmp/kafka-logs",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.replication.factor": "1",
}
NOT_SETTINGS = re.compile(r"KAFKA_(VERSION|HEAP_OPTS|OPTS|JVM_\w+|LOG4J\w*|GC_LOG_OPTS|JMX_\w+)$")


def setting(variable: str) -> str:
    """KAFKA_LOG_RETENTION_MS -> log.retention.ms."""
    name = variable.removeprefix("KAFKA_").lower()
    return re.sub(r"_+", lambda run: {1: ".", 2: "_", 3: "-"}.get(len(run[0]), run[0]), name)


def main() -> None:
    """Write the properties, format the storage once, become the broker."""
    given = {
        setting(name): value
        for name, value in os.environ.items()
        if name.startswith("KAFKA_") and not NOT_SETTINGS.match(name)
    }
    advertised = given.get("advertised.listeners", "")
    if "SSL://" in advertised or re.search("SASL_.*://", advertised):
        sys.exit(
            "The official image wants key stores of its own kind for listeners of these names."
        )
    settings = given or DEFAULTS
    settings.setdefault("log.dirs", settings.get("log.dir", "/tmp/kafka-logs"))
    properties = CONFIG / "server.properties"
    properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    base = ["java", "-XX:+UseSerialGC", "-cp", CLASSPATH]
    cluster = os.environ.get("CLUSTER_ID", "5L6g3nShT-eMCtK--X86sw")
    format_storage = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", cluster]
    subprocess.run([*base, *format_storage, "-c", str(properties)], check=True)
    heap = os.environ.get("KAFKA_HEAP_OPTS", "-Xmx512m -Xms128m").split()
    options = [*heap, *os.environ.get("KAFKA_OPTS", "").split()]
    options.append("-Dorg.slf4j.simpleLogger.defaultLogLevel=info")
    command = [base[0], *options, *base[1:], "kafka.Kafka", str(properties)]
    os.execvp(command[0], command)


main()

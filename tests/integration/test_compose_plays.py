"""docker-compose.yml, played by processes: each container's command and environment, on the stand-ins of the images.

Names and ports of the containers' network become ports of this machine, mounted directories become temporary ones. It
shows users, rules, certificates and start order; it says nothing about the official images, nor about Docker.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from typer.testing import CliRunner

from care.cli import app
from shared.devtools.backends.java import find_java
from shared.devtools.backends.kafka_jars import kafka_home
from shared.devtools.backends.probes import port_accepts
from shared.devtools.backends.process import ServerProcess, free_port
from shared.devtools.issuer import LocalIssuer
from shared.devtools.stack import ServiceProcess
from shared.errors import AccessMissing, Unavailable
from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka.access import all_service_rules
from shared.runtime.kafka.connection import client_options
from shared.runtime.kafka.grants import found, in_force
from shared.runtime.kafka.reach import check_broker_reachable
from shared.runtime.kafka.refusals import check_reading
from shared.services import PORTS, PROCESSES, SERVICES
from tests.integration.bus import until

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
CONTAINERS: dict[str, Any] = COMPOSE["services"]
pytestmark = pytest.mark.timeout(240)
EXAMPLE = dict(
    re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE)
)


class Played:
    """The containers as processes of this machine."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ports = {inside: free_port() for inside in (9092, 9093, 9094, 9095, 27017)}
        for volume in COMPOSE["volumes"]:
            (directory / volume).mkdir()

    def mounts(self, name: str) -> dict[str, str]:
        """Where a container's volumes are, by the path inside."""
        pairs = [text.split(":")[:2] for text in CONTAINERS[name].get("volumes", ())]
        return {
            inside: str(self.directory / volume)
            for volume, inside in pairs
            if volume in COMPOSE["volumes"]
        }

    def here(self, name: str, text: str) -> str:
        """A text of the file as it has to be on this machine."""
        text = re.sub(
            r"\$\{(\w+)(?::([-?])([^}]*))?\}",
            lambda it: EXAMPLE.get(it[1], it[3] if it[2] == "-" else ""),
            text,
        ).replace("$$", "$")
        for inside, outside in self.mounts(name).items():
            text = re.sub(rf"{inside}\b", outside, text)
        for inside, outside in self.ports.items():
            text = text.replace(f":{inside}", f":{outside}")
        text = re.sub(r"\b(kafka|mongo):(?=\d)", "127.0.0.1:", text)
        return text.replace("@mongo/", f"@127.0.0.1:{self.ports[27017]}/")

    def environment(self, name: str) -> dict[str, str]:
        """What the container is given, and what any process needs."""
        given = {
            key: self.here(name, str(value))
            for key, value in CONTAINERS[name].get("environment", {}).items()
            if value is not None
        }
        return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **given}

    def once(self, name: str, script: str, **more: str) -> str:
        """Run a container that ends; what it said."""
        done = subprocess.run(
            [sys.executable, str(ROOT / "deploy/compose" / script)],
            env={**self.environment(name), **more},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def make_keys(self) -> str:
        return self.once("keys", "keys.py", KEYS=str(self._keys_directory()))

    def _keys_directory(self) -> Path:
        """The container has its volumes below one directory."""
        keys = self.directory / "all-keys"
        keys.mkdir(exist_ok=True)
        for inside, outside in self.mounts("keys").items():
            link = keys / Path(inside).name
            if not link.exists():
                link.symlink_to(outside)
        return keys

    def kafka(self) -> ServerProcess:
        home = kafka_home(print, lambda _what, _done: None)
        config = self.directory / "config"
        config.mkdir()
        env = self.environment("kafka")
        java = Path(find_java().path)
        env |= {"STANDIN_CONFIG": str(config), "STANDIN_CLASSPATH": home.classpath}
        env |= {"PATH": f"{java.parent}:{env['PATH']}"}
        return self._server("kafka", "kafka/entrypoint.py", [], env, 9092)

    def mongo(self) -> ServerProcess:
        [script] = CONTAINERS["mongo"]["command"]
        line = script.replace("\\\n", " ").splitlines()[-1].strip()
        arguments = shlex.split(self.here("mongo", line.partition("docker-entrypoint.sh")[2]))
        data = self.mounts("mongo")["/data/db"]
        env = self.environment("mongo")
        env |= {"STANDIN_DATA": data, "STANDIN_FIRST_PORT": str(free_port()), "HOME": data}
        arguments += ["--port", str(self.ports[27017])]
        return self._server("mongo", "mongo/entrypoint.py", arguments, env, 27017)

    def _server(
        self, name: str, script: str, arguments: list[str], env: Mapping[str, str], port: int
    ) -> ServerProcess:
        return ServerProcess(
            name,
            [sys.executable, str(ROOT / "deploy/standins" / script), *arguments],
            log=self.directory / f"{name}.log",
            answers=lambda: port_accepts("127.0.0.1", self.ports[port]),
            port=self.ports[port],
            env=env,
        )

    def service(self, name: str, jwks: str) -> ServiceProcess:
        env = self.environment(name) | {"CARE_JWKS": jwks, "CARE_TOPICS_CHECK_SECONDS": "1"}
        env["CARE_PROGRAMS"] = str(ROOT / "deploy/compose/facility/programs")
        return ServiceProcess(name, free_port(), env, self.directory / f"{name}.log")

    def user(self, name: str, password: str) -> KafkaConnection:
        """Somebody outside, by the listener for subscribers."""
        return KafkaConnection(
            kafka_bootstrap=f"localhost:{self.ports[9094]}",
            kafka_security="sasl_ssl",
            kafka_username=name,
            kafka_password=password,  # type: ignore[arg-type] - pydantic makes it secret
            kafka_ca_file=str(self.directory / "trusted/ca.pem"),
        )

    @property
    def admin(self) -> KafkaConnection:
        return self.user("admin", EXAMPLE["ADMIN_KAFKA_PASSWORD"])


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Everything up, in the order in which the containers wait for each other."""
    played = Played(tmp_path_factory.mktemp("compose"))
    played.make_keys()
    servers = [played.kafka(), played.mongo()]
    issuer = LocalIssuer()
    running = [played.service(name, issuer.jwks) for name in SERVICES]
    try:
        for server in servers:
            server.start()
        played.once("kafka-users", "kafka_users.py")
        store = f"127.0.0.1:{played.ports[27017]}"
        played.once("mongo-users", "users.py", MONGO_HOST=store)
        for process in running:
            process.start()
        yield played
    finally:
        for process in running:
            process.stop()
        for server in servers:
            server.stop(5)


def _said(played: Played, name: str, event: str) -> bool:
    log = played.directory / f"{name}.log"
    return log.exists() and f'"{event}"' in log.read_text()


async def test_all_services_start_as_users_of_their_own(played: Played) -> None:
    for name in SERVICES:
        await until(lambda name=name: _said(played, name, "service.started"), limit_s=90)
    assert await found(played.admin, PROCESSES) == set(map(in_force, all_service_rules()))


async def test_what_was_made_is_kept_and_a_second_start_changes_nothing(played: Played) -> None:
    before = {p: p.read_bytes() for p in played.directory.glob("*-keys/*.pem")}
    assert before
    assert "certificate.made" not in played.make_keys()
    assert {p: p.read_bytes() for p in played.directory.glob("*-keys/*.pem")} == before
    assert '"withdrawn": 0' in played.once("kafka-users", "kafka_users.py")
    await check_broker_reachable(played.user("intake", EXAMPLE["INTAKE_KAFKA_PASSWORD"]))


async def test_a_subscriber_is_let_in_and_reads_what_was_chosen(
    played: Played, tmp_path: Path
) -> None:
    await until(lambda: _said(played, "plans", "service.started"), limit_s=90)
    command = ["topics", "acl", "--subscriber", "county", "--topic", "care.plans", "--apply"]
    done = await asyncio.to_thread(
        CliRunner().invoke,
        app,
        [*command, "--passwords", str(tmp_path)],
        env=played.admin.environment(),
    )
    assert done.exit_code == 0, done.output
    county = played.user("county", (tmp_path / "county.password").read_text())
    await check_reading(county, ["care.plans"])
    with pytest.raises(AccessMissing):
        await check_reading(county, ["care.intake"])
    producer = AIOKafkaProducer(**client_options(county))
    await producer.start()
    try:
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait("care.plans", b"{}", b"episode/forged")
    finally:
        await producer.stop()


@pytest.mark.parametrize(("user", "password"), [("intake", "wrong"), ("nobody", "development")])
async def test_a_wrong_user_or_password_is_refused(
    played: Played, user: str, password: str
) -> None:
    with pytest.raises(Unavailable) as refused:
        await check_broker_reachable(played.user(user, password))
    assert refused.value.code == "broker-access-denied"


@pytest.mark.parametrize("port", [9092, 9093, 9094, 9095])
async def test_no_listener_takes_a_client_without_tls(played: Played, port: int) -> None:
    anonymous = KafkaConnection(kafka_bootstrap=f"127.0.0.1:{played.ports[port]}")
    assert port_accepts("127.0.0.1", played.ports[port])
    producer = AIOKafkaProducer(**client_options(anonymous), request_timeout_ms=3_000)
    try:
        with pytest.raises((KafkaError, TimeoutError)):
            async with asyncio.timeout(10):
                await producer.start()
    finally:
        await producer.stop()


def test_the_store_takes_tls_and_a_known_user_only(played: Played) -> None:
    uri = played.environment("intake")["MONGO_URI"]
    ca = str(played.directory / "trusted/ca.pem")
    limit: dict[str, Any] = {"serverSelectionTimeoutMS": 3_000}
    with MongoClient[dict[str, Any]](uri, tls=True, tlsCAFile=ca, **limit) as client:
        client["care_intake"].command("ping")
        assert client["care_intake"]["records"].find_one({"_id": "none"}) is None
    for options in (
        {},
        {"tls": True},
        {"tls": True, "tlsCAFile": ca, "password": "wrong-password"},
    ):
        with (
            MongoClient[dict[str, Any]](uri, **options, **limit) as client,
            pytest.raises(PyMongoError),
        ):
            client["care_intake"]["records"].find_one({"_id": "none"})


def test_the_authoritys_key_and_the_administrators_are_mounted_by_nobody_else() -> None:
    mounted = {
        name: {text.partition(":")[0] for text in box.get("volumes", ())}
        for name, box in CONTAINERS.items()
    }
    allowed = {
        "authority": {"keys"},
        "broker-keys": {"keys", "kafka"},
        "store-keys": {"keys", "mongo"},
        "admin-keys": {"keys", "kafka-users"},
        "trusted": {"keys", "mongo-users", *PORTS},
    }
    for volume, names in allowed.items():
        assert {name for name, volumes in mounted.items() if volume in volumes} == names

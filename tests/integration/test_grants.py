"""Rights that are given, withdrawn and given back on a closed bus, and what a user without them is told.

Starts a secured broker of its own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from typer.testing import CliRunner, Result

from care.cli import app
from shared.contracts.topics import TOPICS
from shared.devtools.backends import Backend, BackendError, choose, start
from shared.devtools.stack import ServiceProcess, services
from shared.errors import AccessMissing, Unavailable
from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka.access import (
    Operation,
    Pattern,
    Resource,
    Rule,
    all_service_rules,
    service_rules,
)
from shared.runtime.kafka.grants import found, grant, in_force, surplus, withdraw
from shared.runtime.kafka.reach import check_broker_reachable
from shared.runtime.kafka.refusals import check_reading, check_service
from shared.runtime.kafka.topics import ensure_topics
from shared.runtime.recovery.journal import journal_topic
from shared.services import PROCESSES, SERVICES
from tests.integration.bus import until

OWN_TOPICS = [f"care.{name}" for name in SERVICES]


@pytest.fixture(scope="module")
def closed() -> Iterator[Backend]:
    with start("embedded", quick=True, secured=True) as backend:
        yield backend


@pytest.fixture
async def ready(closed: Backend) -> Backend:
    """With every topic, and every rule in force, whatever a test before it has withdrawn."""
    await withdraw(closed.kafka, await surplus(closed.kafka, PROCESSES, all_service_rules()))
    await grant(closed.kafka, all_service_rules())
    for name in SERVICES:
        await ensure_topics(closed.kafka_of(name), [TOPICS[f"care.{name}"]])
    return closed


async def _care(kafka: KafkaConnection, *arguments: str) -> Result:
    """Run a command, which has an event loop of its own, as this user."""
    env = {**kafka.environment(), "COLUMNS": "200"}
    return await asyncio.to_thread(CliRunner().invoke, app, arguments, env=env)


async def _acl(backend: Backend, *options: str, status: int = 0) -> str:
    """What the command says, run as the administrator."""
    done = await _care(backend.kafka, "topics", "acl", *options)
    assert done.exit_code == status, done.output
    return done.output


# --- rules -------------------------------------------------------------------------------------------


async def test_what_is_granted_is_found_and_what_is_withdrawn_is_gone(ready: Backend) -> None:
    rules = service_rules("plans")
    assert await found(ready.kafka, ["plans"]) == set(map(in_force, rules))
    await withdraw(ready.kafka, [in_force(rules[0])])
    await withdraw(ready.kafka, [in_force(rules[0])])
    assert await found(ready.kafka, ["plans"]) == set(map(in_force, rules[1:]))


STRAY = (
    Rule("plans", Resource.TOPIC, "care.intake.journal", Operation.READ),
    Rule("plans", Resource.TOPIC, "care.", Operation.WRITE, Pattern.PREFIXED),
    Rule("plans", Resource.GROUP, "intake", Operation.READ),
)
EXOTIC = (
    in_force(STRAY[0])._replace(permission=2),  # a refusal that stands above every right
    in_force(STRAY[0])._replace(operation=2),  # all operations
    in_force(STRAY[0])._replace(host="10.0.0.7"),
)


async def test_pruning_takes_back_what_is_no_rule_and_nothing_else(ready: Backend) -> None:
    partner = Rule("reporting", Resource.TOPIC, "care.plans", Operation.READ)
    await grant(ready.kafka, [*STRAY, partner])
    shown = await _acl(ready, "--prune")
    assert shown.count("not in the rules: User:plans may") == len(STRAY)
    assert len(await surplus(ready.kafka, PROCESSES, all_service_rules())) == len(STRAY)
    assert f"{len(STRAY)} rights are revoked." in await _acl(ready, "--apply", "--prune")
    assert await surplus(ready.kafka, PROCESSES, all_service_rules()) == []
    assert await found(ready.kafka, PROCESSES) == set(map(in_force, all_service_rules()))
    assert await found(ready.kafka, ["reporting"]) == {in_force(partner)}


@pytest.mark.parametrize("rule", EXOTIC)
def test_a_rule_of_no_kind_of_ours_is_named_in_words(rule: Any) -> None:
    assert str(rule).startswith("User:plans may")
    assert ("may not" in str(rule)) is (rule.permission == 2)
    assert ("(2)" in str(rule)) is (rule.operation == 2)
    assert ("10.0.0.7" in str(rule)) is (rule.host == "10.0.0.7")


# --- a subscriber comes and goes ---------------------------------------------------------------------


def _as(backend: Backend, user: str, password: Path) -> KafkaConnection:
    changed = {"kafka_username": user, "kafka_password_file": str(password)}
    return backend.kafka.model_copy(update=changed)


async def test_a_subscriber_comes_is_given_another_topic_and_goes(
    ready: Backend, tmp_path: Path
) -> None:
    name = ("--subscriber", "county")
    await _acl(ready, *name, "--topic", "care.plans", "--apply", "--passwords", str(tmp_path))
    password = tmp_path / "county.password"
    assert password.stat().st_mode & 0o077 == 0
    county = _as(ready, "county", password)
    await check_reading(county, ["care.plans"])
    with pytest.raises(AccessMissing) as refused:
        await check_reading(county, OWN_TOPICS)
    assert set(refused.value.rights) == {
        f"read topic {topic}" for topic in OWN_TOPICS if topic != "care.plans"
    }
    await _acl(
        ready, *name, "--topic", "care.intake", "--apply", "--prune", "--passwords", str(tmp_path)
    )
    await check_reading(county, ["care.intake"])
    with pytest.raises(AccessMissing):
        await check_reading(county, ["care.plans"])
    assert "is removed." in await _acl(ready, *name, "--prune", "--apply")
    with pytest.raises(Unavailable) as gone:
        await check_broker_reachable(county)
    assert gone.value.code == "broker-access-denied"


async def test_a_password_is_changed_by_its_file(ready: Backend, tmp_path: Path) -> None:
    options = ("--subscriber", "county", "--topic", "care.plans", "--apply", "--passwords")
    await _acl(ready, *options, str(tmp_path / "first"))
    await _acl(ready, *options, str(tmp_path / "second"))
    await check_broker_reachable(_as(ready, "county", tmp_path / "second/county.password"))
    with pytest.raises(Unavailable):
        await check_broker_reachable(_as(ready, "county", tmp_path / "first/county.password"))


async def test_only_the_administrator_changes_users_and_rules(
    ready: Backend, tmp_path: Path
) -> None:
    for options in (("--apply", "--passwords", str(tmp_path)), ("--apply",), ("--prune",)):
        done = await _care(ready.kafka_of("plans"), "topics", "acl", *options)
        assert done.exit_code == 1, options
        assert "broker-access-denied" in done.output


async def test_passwords_without_apply_and_empty_ones_are_refused(
    ready: Backend, tmp_path: Path
) -> None:
    assert "needs --apply" in await _acl(ready, "--passwords", str(tmp_path), status=2)
    (tmp_path / "intake.password").touch()
    assert "is empty" in await _acl(ready, "--apply", "--passwords", str(tmp_path), status=1)


# --- given servers -----------------------------------------------------------------------------------


def _copy_passwords(backend: Backend, directory: Path) -> None:
    for name in PROCESSES:
        password = Path(backend.kafka_of(name).kafka_password_file).read_text()
        (directory / f"{name}.password").write_text(password)


async def test_a_closed_bus_is_used_as_given_with_a_user_for_each_service(
    ready: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**ready.kafka.environment(), "MONGO_URI": ready.mongo_uri}.items():
        monkeypatch.setenv(name, value)
    before = ready.kafka_of("plans").kafka_password_file
    _copy_passwords(ready, tmp_path)
    monkeypatch.setenv("BACKEND_PASSWORDS", str(tmp_path))
    with start("given") as given:
        assert given.kafka_of("plans").kafka_password_file != before
        await check_service(given.kafka_of("plans"), "plans", OWN_TOPICS)
        with pytest.raises(AccessMissing):
            await check_service(given.kafka_of("plans"), "intake", OWN_TOPICS)
    (tmp_path / "plans.password").unlink()
    with pytest.raises(BackendError, match=r"plans\.password is missing"), start("given"):
        pass


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"KAFKA_USERNAME": "nobody"}, "lets this client in"),
        ({"KAFKA_CA_FILE": "/nowhere"}, "KAFKA_CA_FILE"),
    ],
)
def test_a_closed_bus_that_does_not_let_in_is_an_error(
    ready: Backend, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], message: str
) -> None:
    monkeypatch.setattr(choose, "_GIVEN_TIMEOUT_S", 1.0)
    known = {**ready.kafka.environment(), "MONGO_URI": ready.mongo_uri}
    for name, value in {**known, **changed}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BackendError, match=message), start("given"):
        pass


# --- environments on one closed bus ------------------------------------------------------------------


async def test_an_environment_with_a_prefix_has_users_and_rights_of_its_own(
    ready: Backend, tmp_path: Path
) -> None:
    admin = ready.kafka.model_copy(update={"kafka_prefix": "test."})
    await _acl_of(admin, "--apply", "--passwords", str(tmp_path))
    assert await surplus(admin, PROCESSES, all_service_rules()) == []
    users = {
        name: admin.model_copy(
            update={
                "kafka_username": f"test.{name}",
                "kafka_password_file": str(tmp_path / f"{name}.password"),
            }
        )
        for name in SERVICES
    }
    for name, kafka in users.items():
        await ensure_topics(kafka, [TOPICS[f"care.{name}"], journal_topic(name)])
    for name, kafka in users.items():
        await check_service(kafka, name, OWN_TOPICS)
    outside = [
        users["plans"].model_copy(update={"kafka_prefix": ""}),
        ready.kafka_of("plans").model_copy(update={"kafka_prefix": "test."}),
    ]
    for kafka in outside:
        with pytest.raises(AccessMissing) as refused:
            await check_service(kafka, "plans", OWN_TOPICS)
        assert "read topic care.intake" in refused.value.rights
        assert "read group plans" in refused.value.rights


async def _acl_of(kafka: KafkaConnection, *options: str) -> None:
    done = await _care(kafka, "topics", "acl", *options)
    assert done.exit_code == 0, done.output
    assert "test.care.plans" in done.output


# --- what a user without a right is told -------------------------------------------------------------


@pytest.mark.parametrize(
    "rule", [rule for rule in service_rules("plans") if not rule.name.endswith("journal")]
)
async def test_each_missing_right_of_a_service_is_named(ready: Backend, rule: Rule) -> None:
    plans, topics = ready.kafka_of("plans"), OWN_TOPICS
    await check_service(plans, "plans", topics)
    await withdraw(ready.kafka, [in_force(rule)])
    with pytest.raises(AccessMissing) as refused:
        await check_service(plans, "plans", topics)
    right = rule.operation.name.lower().replace("_", "-")
    assert f"{right} {rule.resource.name.lower()} {rule.name}" in refused.value.rights
    assert "plans" in str(refused.value)
    assert "care topics acl --apply" in refused.value.hint


async def test_a_reading_tool_says_what_it_may_not_read(ready: Backend) -> None:
    done = await _care(ready.kafka_of("partner"), "events", "tail", "--limit", "1")
    assert done.exit_code == 1
    assert "does not let partner read topic care." in done.output
    assert "care topics acl --subscriber partner --topic care." in done.output


def _readyz(process: ServiceProcess) -> dict[str, Any]:
    try:
        with urlopen(f"{process.url}/readyz", timeout=5) as answer:
            return json.load(answer)
    except HTTPError as error:
        return json.load(error)


@pytest.mark.parametrize(
    "rule",
    [
        Rule("plans", Resource.TOPIC, "care.intake", Operation.READ),
        Rule("plans", Resource.TOPIC, "care.plans", Operation.WRITE),
        Rule("plans", Resource.GROUP, "plans", Operation.READ),
    ],
)
async def test_a_right_that_is_withdrawn_from_a_running_service_is_named_until_it_is_given_back(
    ready: Backend, tmp_path: Path, rule: Rule
) -> None:
    prefix = f"grants_{rule.operation.name}_{rule.resource.name}_".lower()
    await _forget_group(ready)
    with services(
        ready,
        names=["plans"],
        log_dir=tmp_path,
        topics_check_seconds="0.3",
        database_prefix=prefix,
    ) as stack:
        plans = stack.one("plans")
        await until(lambda: _readyz(plans)["status"] == "ready", what="ready")
        await withdraw(ready.kafka, [in_force(rule)])
        named = f"{rule.operation.name.lower()} {rule.resource.name.lower()} {rule.name}"
        await until(lambda: named in _readyz(plans)["rights_missing"], what="named")
        assert "broker-access-missing" in _readyz(plans)["reasons"]
        await grant(ready.kafka, [rule])
        await until(lambda: _readyz(plans)["status"] == "ready", what="ready again", limit_s=90)
        assert _readyz(plans)["rights_missing"] == []
    lines = [json.loads(line) for line in plans.log.read_text().splitlines()]
    told = [line for line in lines if line["event"] == "access.missing"]
    assert {(line["bus_user"], line["right"]) for line in told} == {
        ("plans", rule.operation.name.lower())
    }
    assert any(line["event"] == "access.given_back" for line in lines)


async def _forget_group(backend: Backend) -> None:
    """Each of these services has a store of its own, and must not meet the offsets of the one before."""
    from aiokafka.protocol.admin import DeleteGroupsRequest  # noqa: PLC0415

    from shared.runtime.kafka.topics import admin_client  # noqa: PLC0415

    async with admin_client(backend.kafka) as admin:
        await admin.send(DeleteGroupsRequest(["plans"]))

"""`care topics acl` prints every rule, whole at 80 columns, for machines, and as Strimzi's resources."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from care.cli import app
from shared.contracts.topics import TOPICS
from shared.runtime.kafka.access import all_service_rules, subscriber_rules
from shared.services import OUTLET, PROCESSES

PARTNER = ("--subscriber", "partner", "--topic", "care.plans")


def _printed(*options: str) -> str:
    done = CliRunner().invoke(app, ["topics", "acl", *options], env={"COLUMNS": "80"})
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("options", [(), PARTNER])
def test_the_table_is_whole_at_80_columns(options: tuple[str, ...]) -> None:
    rules = subscriber_rules("partner", ["care.plans"]) if options else all_service_rules()
    lines = _printed(*options).splitlines()
    assert all(len(line) <= 80 for line in lines)
    rows = [line.split() for line in lines[1:]]
    for rule in rules:
        name = f"{rule.name}*" if rule.pattern.name == "PREFIXED" else rule.name
        operation = rule.operation.name.lower().replace("_", "-")
        assert any(row[0] == rule.user and row[2] == name and operation in row for row in rows)


def test_the_rules_for_machines_are_all_of_them() -> None:
    assert len(json.loads(_printed("--json"))) == len(all_service_rules())


def test_strimzi_gets_a_user_of_each_service_and_each_topic() -> None:
    found: list[dict[str, Any]] = list(yaml.safe_load_all(_printed("--strimzi")))
    users = {one["metadata"]["name"]: one for one in found if one["kind"] == "KafkaUser"}
    assert set(users) == set(PROCESSES)
    topics = {one["metadata"]["name"] for one in found if one["kind"] == "KafkaTopic"}
    assert topics == {*TOPICS, *(f"care.{name}.journal" for name in PROCESSES)}
    writes = {
        (name, acl["resource"]["name"])
        for name, user in users.items()
        for acl in user["spec"]["authorization"]["acls"]
        if "Write" in acl["operations"]
    }
    own = {(n, f"care.{n}") for n in PROCESSES if n != OUTLET}
    own |= {(n, f"care.{n}.journal") for n in PROCESSES}
    assert writes == own | {(OUTLET, "care.out.")}
    operations = {
        operation
        for user in users.values()
        for acl in user["spec"]["authorization"]["acls"]
        for operation in acl["operations"]
    }
    assert operations == {"Read", "Write", "Create", "DescribeConfigs"}


def test_a_subscriber_under_the_name_of_a_service_is_refused() -> None:
    done = CliRunner().invoke(
        app, ["topics", "acl", "--subscriber", "plans", "--topic", "care.plans"]
    )
    assert done.exit_code == 1
    assert "subscriber-name-unusable" in done.output

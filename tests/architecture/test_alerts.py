"""Alerts and the board that ship: Prometheus' own tool tests them, and every metric that they name exists.

`promtool` is the one on the path; without one, the test takes it out of the Debian package `prometheus`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.services import PORTS
from tests.scraped import families

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
BOARD = ROOT / "deploy" / "grafana" / "throughcare.json"
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
CACHE = Path.home() / ".cache" / "throughcare" / "promtool"
SUFFIXES = ("_bucket", "_count", "_sum", "_total", "_created")


def _rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((PROMETHEUS / "rules.yml").read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def _panels() -> list[dict[str, Any]]:
    return json.loads(BOARD.read_text(encoding="utf-8"))["panels"]


def _expressions() -> Iterator[tuple[str, str]]:
    for rule in _rules():
        yield rule["alert"], rule["expr"]
    for panel in _panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


@pytest.fixture(scope="session")
def promtool(tmp_path_factory: pytest.TempPathFactory) -> str:
    found = shutil.which("promtool")
    kept = CACHE / "usr" / "bin" / "promtool"
    if found or kept.exists():
        return found or str(kept)
    work = tmp_path_factory.mktemp("promtool")
    try:
        for command in (["apt-get", "update"], ["apt-get", "download", "prometheus"]):
            subprocess.run(command, cwd=work, check=True, capture_output=True, timeout=300)
        [package] = work.glob("prometheus_*.deb")
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run(["dpkg-deb", "-x", package, CACHE], check=True, timeout=300)
    except (OSError, ValueError, subprocess.SubprocessError):
        pytest.fail("promtool is missing: install the Debian package prometheus, or put it on PATH")
    return str(kept)


@pytest.mark.parametrize(
    "words",
    [
        ["check", "rules", "rules.yml"],
        ["check", "config", "prometheus.yml"],
        ["test", "rules", "rules_test.yml"],
    ],
    ids=" ".join,
)
def test_prometheus_own_tool_agrees(promtool: str, words: list[str]) -> None:
    done = subprocess.run(
        [promtool, *words], cwd=PROMETHEUS, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wrong_alert_fails_its_test(promtool: str, tmp_path: Path) -> None:
    """The tests of the rules can fail: each alert that never fires is found."""
    shutil.copytree(PROMETHEUS, tmp_path / "rules")
    rules = tmp_path / "rules" / "rules.yml"
    text = rules.read_text(encoding="utf-8")
    expressions = {rule["expr"] for rule in _rules()}
    for line in re.findall(r"expr: (?!>-)(.+)", text):
        assert line in expressions
        rules.write_text(text.replace(f"expr: {line}", "expr: vector(0) > 1"), encoding="utf-8")
        done = subprocess.run(
            [promtool, "test", "rules", "rules_test.yml"],
            cwd=rules.parent,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode != 0, line


def test_every_alert_has_a_test_that_lets_it_fire_and_one_that_does_not() -> None:
    document = yaml.safe_load((PROMETHEUS / "rules_test.yml").read_text(encoding="utf-8"))
    cases = [case for test in document["tests"] for case in test["alert_rule_test"]]
    for rule in _rules():
        told = [bool(case["exp_alerts"]) for case in cases if case["alertname"] == rule["alert"]]
        assert {True, False} <= set(told), rule["alert"]


def test_every_alert_has_a_severity_a_summary_and_a_row_in_the_runbook() -> None:
    rules = _rules()
    assert len({rule["alert"] for rule in rules}) == len(rules) > 10
    for rule in rules:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]
        assert f"| `{rule['alert']}` |" in RUNBOOK
    named = set(re.findall(r"^\| `(Care\w+)`", RUNBOOK, re.MULTILINE))
    assert named == {rule["alert"] for rule in rules}, (
        "the runbook knows an alert that there is not"
    )


@cache
def _names() -> frozenset[str]:
    """Every name that a scrape has."""
    names = [metric.name for metric in families()]
    return frozenset({"up", *names, *(name + suffix for name in names for suffix in SUFFIXES)})


@pytest.mark.parametrize(("place", "expression"), list(_expressions()))
def test_every_metric_that_is_named_exists(place: str, expression: str) -> None:
    named = set(re.findall(r"\b(care_\w+|up)\b", expression))
    assert named, place
    assert named <= _names(), place


def test_the_board_shows_what_the_alerts_go_by() -> None:
    shown = " ".join(target["expr"] for panel in _panels() for target in panel["targets"])
    for rule in _rules():
        for name in re.findall(r"\bcare_[a-z_]+", rule["expr"]):
            assert name in shown, f"{rule['alert']}: {name}"


def test_the_board_is_whole() -> None:
    panels = _panels()
    places = [
        (p["gridPos"]["x"] + x, p["gridPos"]["y"] + y)
        for p in panels
        for x in range(p["gridPos"]["w"])
        for y in range(p["gridPos"]["h"])
    ]
    assert len(places) == len(set(places)), "two panels overlap"
    assert max(x for x, _ in places) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_every_service_is_scraped() -> None:
    document = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    [job] = document["scrape_configs"]
    found = {one["labels"]["service"]: one["targets"] for one in job["static_configs"]}
    assert found == {name: [f"127.0.0.1:{port}"] for name, port in PORTS.items()}

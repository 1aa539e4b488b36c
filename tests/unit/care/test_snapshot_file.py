"""`care events snapshot` and its file: one command writes it, whatever has become of those before."""

from __future__ import annotations

import errno
import gzip
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from care import snapshot
from care.cli import app
from shared.kit.snapshot import Header, header_line
from tests.unit.kit.test_snapshot import NO_LINES

HOLD = """
import sys
from pathlib import Path
from care.snapshot import alone
with alone(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def command(file: Path) -> Any:
    words = ["events", "snapshot", "--subscriber", "reporting", "--file", str(file)]
    return CliRunner().invoke(app, [*words, "--kafka", "nowhere:1"])


async def _no_kafka(*_given: object) -> None:
    raise ConnectionError


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("care.snapshot._write", _no_kafka)
    return tmp_path / "it.jsonl"


def test_a_second_command_is_refused_and_changes_nothing(file: Path) -> None:
    """Two wrote into the same file at once, each in the middle of the other's lines."""
    with snapshot.alone(file):
        snapshot.part_of(file).write_bytes(b"half of it")
        second = command(file)
        assert second.exit_code == 1
        assert "Another command is writing" in second.output
        assert snapshot.part_of(file).read_bytes() == b"half of it"
    assert snapshot.part_of(file).read_bytes() == b"half of it"


def test_a_command_that_was_killed_holds_nothing_up(file: Path) -> None:
    held = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with held:
        assert held.stdout is not None
        assert held.stdout.readline() == b"held\n"
        assert "Another command is writing" in command(file).output
        held.kill()
    assert "does not answer" in command(file).output


@pytest.mark.parametrize("begun", [b"", b"half of the next"])
def test_a_lock_of_a_file_that_was_finished_meanwhile_does_not_count(
    file: Path, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    """The one before moves its file to its place after this one has opened it, and before it has the lock."""
    part, flock = snapshot.part_of(file), snapshot.fcntl.flock
    part.write_bytes(b"all of it")

    def finished(held: int, operation: int) -> None:
        if not file.exists():
            part.rename(file)
            if begun:
                part.write_bytes(begun)
        flock(held, operation)

    monkeypatch.setattr("care.snapshot.fcntl.flock", finished)
    done = command(file)
    assert (done.exit_code, file.read_bytes()) == (1, b"all of it")
    assert "exists" in done.output
    assert (part.read_bytes() if part.exists() else b"") == begun


def test_nothing_is_left_where_nothing_was_written(file: Path, tmp_path: Path) -> None:
    assert "does not answer" in command(file).output
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_can_not_be_written_is_told(file: Path) -> None:
    """It was told as a Kafka that does not answer."""
    done = command(file / "below")
    assert done.exit_code == 1
    assert "can't be written" in done.output


PLACE = ("care.plans", 0)
HEADER = Header("reporting", "cluster", {}, "2026-03-02", (), {PLACE: (0, 2)})


@pytest.mark.parametrize("line", NO_LINES)
@pytest.mark.parametrize("gzipped", [False, True], ids=["plain", "gzip"])
def test_a_beginning_that_is_no_snapshot_is_refused_and_left_alone(
    file: Path, capsys: pytest.CaptureFixture[str], line: bytes, gzipped: bool
) -> None:
    """A place that is none gave a traceback."""
    file = file.with_suffix(".gz") if gzipped else file
    text = header_line(HEADER) + line + b"\n"
    begun = gzip.compress(text) if gzipped else text
    snapshot.part_of(file).write_bytes(begun)
    with pytest.raises(snapshot.typer.Exit):
        snapshot.Writing(file, HEADER)
    assert "beginning of another snapshot" in capsys.readouterr().err
    assert snapshot.part_of(file).read_bytes() == begun


@pytest.mark.parametrize(
    "change",
    [
        {"cluster": "another"},
        {"types": ("care.plans.new.v1",)},
        {"subscriber": "billing"},
        {"bounds": {("care.plans", 1): (0, 1)}},
        {"bounds": {PLACE: (0, 3)}},
    ],
)
def test_a_beginning_of_another_snapshot_is_refused(
    file: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any]
) -> None:
    snapshot.part_of(file).write_bytes(header_line(HEADER._replace(**change)))
    with pytest.raises(snapshot.typer.Exit):
        snapshot.Writing(file, HEADER)
    assert "beginning of another snapshot" in capsys.readouterr().err


class Full(io.BytesIO):
    """A disk without room."""

    def write(self, _text: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_told(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with snapshot.alone(file):
        writing = snapshot.Writing(file, Header("reporting", "cluster", {}, "2026-03-02", (), {}))
        writing.close()
        monkeypatch.setattr(writing, "_out", Full())
        with pytest.raises(snapshot.typer.Exit):
            writing.flush()
    assert "can't be written (OSError: No space" in capsys.readouterr().err

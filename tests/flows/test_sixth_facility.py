"""docs/programs.md, followed to the letter: a facility with a program unlike those that ship, and no code.

Files are written and commands are run as the page has them, in one shell; what they print is what the page says.
Only the ports are others, so that nothing else on this machine is met.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from shared.devtools.backends import Backend
from shared.devtools.backends.process import free_port, tail
from shared.programs.read import read_profile
from shared.runtime.http.programs import Programs
from shared.services import PORTS
from tests.integration.bus import forget_topics

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "programs.md"
MARK = "== end of a block =="
SHELL_SECONDS = 240


@dataclass(frozen=True)
class Block:
    """A fenced block of the page."""

    language: str
    rest: str
    text: str


def blocks() -> list[Block]:
    found = re.findall(r"^```(\w+) ?(.*?)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [Block(*one) for one in found]


def expected() -> list[tuple[str, str]]:
    """Each block of commands, and what the page says is printed."""
    pairs: list[tuple[str, str]] = []
    for block in blocks():
        if block.language == "sh" and block.rest == "":
            pairs.append((block.text, ""))
        elif block.language == "text":
            commands, said = pairs.pop()
            assert not said, "two outputs of one block"
            pairs.append((commands, block.text))
    return pairs


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty directory with the files that the page has one write."""
    for block in blocks():
        if block.language == "toml":
            path = tmp_path / block.rest
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.text)
    return tmp_path


def four_free_ports() -> int:
    """The first of four in a row that nobody listens on."""
    for _ in range(50):
        first = free_port()
        if all(_is_free(first + place) for place in range(len(PORTS))):
            return first
    raise AssertionError("no four free ports in a row")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture
def up(backend: Backend, home: Path) -> Iterator[dict[str, str]]:
    """What the page has one start in a terminal of its own."""
    asyncio.run(forget_topics(backend))
    first = four_free_ports()
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "NO_COLOR": "1",
        **backend.kafka.environment(),
        "MONGO_URI": backend.mongo_uri,
        "CARE_DATABASE_PREFIX": f"p{uuid4().hex[:8]}_",
        "CARE_FIRST_PORT": str(first),
        **{
            f"CARE_{name.upper()}_URL": f"http://127.0.0.1:{first + place}"
            for place, name in enumerate(PORTS)
        },
    }
    [background] = [block for block in blocks() if block.rest == "background"]
    log = home / "up.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["bash", "-c", f"exec env {background.text.strip()}"],
            cwd=home,
            env=env,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield env
        assert process.poll() is None, tail(log)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


@pytest.mark.timeout(400)
def test_the_page_brings_up_a_sixth_facility(up: dict[str, str], home: Path) -> None:
    script = "set -u\n"
    for commands, _ in expected():
        script += f"{commands}\necho '{MARK}'\n"
    first = int(up["CARE_FIRST_PORT"])
    for place, port in enumerate(PORTS.values()):
        script = script.replace(f"127.0.0.1:{port}", f"127.0.0.1:{first + place}")
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=home,
        env=up,
        capture_output=True,
        text=True,
        timeout=SHELL_SECONDS,
        check=False,
    )
    said = done.stdout.split(f"{MARK}\n")[:-1]
    assert done.stderr == "", done.stderr
    for (commands, wanted), printed in zip(expected(), said, strict=True):
        assert printed == wanted, f"after\n{commands}"


def test_its_program_is_unlike_the_five() -> None:
    """No number that the page's profile states is a number of one that ships."""
    [block] = [block for block in blocks() if block.language == "toml"]
    own = read_profile(block.text)
    for other in Programs.load().versions:
        assert own.terms() != other.terms()
        for part in ("weeks_min", "hours", "group", "sessions", "topics", "eligibility", "tracks"):
            assert getattr(own, part) != getattr(other, part), (other.program, part)
        for term in ("plan_within_days", "review_every_days", "absences_review", "check_ins"):
            assert getattr(own.terms(), term) != getattr(other.terms(), term)


def test_the_page_lists_what_ships() -> None:
    listed = set(re.findall(r"^\| `([a-z-]+)`", PAGE.read_text(), re.MULTILINE))
    assert listed == {profile.program for profile in Programs.load().versions}

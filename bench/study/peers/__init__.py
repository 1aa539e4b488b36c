"""The peers: what others would use for the same work.

Each runs in an environment of its own, made from its hashed lock file when it is first needed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Final

from bench.contestants import Entry
from bench.field import BenchError

HERE: Final = Path(__file__).resolve().parent
UV: Final = Path(sys.executable).parent / "uv"
MADE_WITHIN_SECONDS: Final = 300


def environment_of(peer: str) -> str:
    """The path of a peer's own Python, with exactly what its lock file says.

    Raises `BenchError` (`peer-unavailable`) when the environment can't be made here.
    """
    directory = HERE / peer
    lock = directory / "requirements.lock"
    home = directory / ".venv"
    python = str(home / "bin" / "python")
    ready = home / "ready"
    if ready.exists() and ready.stat().st_mtime >= lock.stat().st_mtime:
        return python
    _run([str(UV), "venv", "-q", "--clear", "--python", sys.executable, str(home)])
    install = [str(UV), "pip", "install", "-q", "--python", python]
    _run([*install, "--require-hashes", "-r", str(lock)])
    ready.touch()
    return python


def _run(command: list[str]) -> None:
    environment = {**os.environ, "VIRTUAL_ENV": ""}
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            command,
            capture_output=True,
            text=True,
            timeout=MADE_WITHIN_SECONDS,
            check=False,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError("peer-unavailable", type(error).__name__) from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise BenchError("peer-unavailable", said[-1] if said else f"exit {done.returncode}")


def _peer(name: str, what: str, directory: str, guess_per_second: float, **settings: str) -> Entry:
    worker = str(HERE / directory / "worker.py")
    python = partial(environment_of, directory)
    return Entry(name, what, (worker,), guess_per_second, settings, python, required=False)


FAUST: Final = _peer(
    "faust_streaming",
    "Faust-streaming 0.15.3: agent and RocksDB table with changelog; at least once; no database",
    "faust",
    1_000,
)
QUIX: Final = _peer(
    "quix_streams",
    "Quix Streams 3.28.1: stateful function, RocksDB with changelog, exactly once; its MongoDB sink",
    "quix",
    4_000,
    BENCH_SINK="1",
    BENCH_COMMIT_SECONDS="1",
)
QUIX_ALONE: Final = _peer(
    "quix_streams_without_store",
    "the same without the sink: nothing is written to the store, and nobody can ask for it there",
    "quix",
    6_000,
    BENCH_COMMIT_SECONDS="1",
)
INBOX: Final = _peer(
    "inbox_outbox",
    "transactional inbox and outbox for each message, and a relay that polls",
    "inbox",
    120,
)
PEERS: Final = (FAUST, QUIX, QUIX_ALONE, INBOX)

"""The peers: each in an environment of its own, made from its hashed lock file when it is first needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
UV = Path(sys.executable).parent / "uv"


class PeerUnavailable(Exception):
    """A peer can't be had here; the message says why."""


def environment_of(peer: str) -> str:
    """The path of a peer's own Python, with exactly what its lock file says. Raises `PeerUnavailable`."""
    directory = HERE / peer
    lock = directory / "requirements.lock"
    home = directory / ".venv"
    python = home / "bin" / "python"
    ready = home / "ready"
    if ready.exists() and ready.stat().st_mtime >= lock.stat().st_mtime:
        return str(python)
    _run([str(UV), "venv", "-q", "--clear", "--python", sys.executable, str(home)])
    _run(
        [
            str(UV),
            "pip",
            "install",
            "-q",
            "--python",
            str(python),
            "--require-hashes",
            "-r",
            str(lock),
        ]
    )
    ready.touch()
    return str(python)


def _run(command: list[str]) -> None:
    environment = {**os.environ, "VIRTUAL_ENV": ""}
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            command, capture_output=True, text=True, timeout=300, check=False, env=environment
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerUnavailable(f"{type(error).__name__}") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise PeerUnavailable(said[-1][:300] if said else f"exit {done.returncode}")

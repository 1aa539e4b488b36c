"""What a test needs that is not Python: a program or a server that is installed. CI has all of them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import pytest

_ELSEWHERE = {"go": "/usr/local/go/bin"}
"""Where a program is that installers do not put on the path."""


def lacking(what: str) -> NoReturn:
    """Skip this test on a machine that lacks something; fail in CI, where a skip would be seen by nobody."""
    if os.environ.get("CI"):
        pytest.fail(f"CI has to have {what}", pytrace=False)
    pytest.skip(f"there is no {what} here")


def program(name: str) -> str:
    """Where a program is; the test ends when it is nowhere."""
    return shutil.which(name) or shutil.which(name, path=_ELSEWHERE.get(name, "")) or lacking(name)


def run(*command: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """Run what prepares a test; whatever fails, fails the test. Returns what it printed."""
    done = subprocess.run(
        [str(one) for one in command],
        cwd=cwd,
        env=None if env is None else {**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout

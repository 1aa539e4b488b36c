"""Measures an earlier commit on the machine of now: what has fallen may be the machine and not the code.

Ratios depend on the machine too. A store that is slower by half takes half of ours, which waits for it, and little of
the floor, which does not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from bench.report import BASELINE, ROOT

Ratios = dict[str, float | None]
_GIT: Final = ("git", "-C", str(ROOT))


def commit_of_now() -> str:
    """The commit that is checked out; empty outside a clone."""
    done = subprocess.run((*_GIT, "rev-parse", "HEAD"), capture_output=True, text=True, check=False)
    return done.stdout.strip()


def measured_here(commit: str, rounds: int) -> Ratios | None:
    """The ratios of a commit's own quick run, on this machine; None where the commit is not to be had.

    It runs with the packages that are installed here. Raises `CalledProcessError` when it fails.
    """
    if subprocess.run((*_GIT, "cat-file", "-e", f"{commit}^{{commit}}"), check=False).returncode:
        return None
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        tree = Path(directory) / "tree"
        subprocess.run((*_GIT, "worktree", "add", "-q", "--detach", str(tree), commit), check=True)
        try:
            subprocess.run(
                (sys.executable, "-m", "bench", "--quick", "--baseline", "--rounds", str(rounds)),
                cwd=tree,
                env={**os.environ, "PYTHONPATH": str(tree)},
                check=True,
            )
            written = (tree / BASELINE.relative_to(ROOT)).read_text(encoding="utf-8")
        finally:
            subprocess.run((*_GIT, "worktree", "remove", "--force", str(tree)), check=True)
    return json.loads(written)["ratios_of_the_best"]

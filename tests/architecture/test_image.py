"""What the Dockerfile copies is enough for what each image runs: no module that it imports is left out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared.services import PROCESSES

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
HOME = "/app/"
RUNS = {
    **{f"services.{service}.app": ("code", service) for service in PROCESSES},
    "kafka_users": ("kafka-users", ""),
    "users": ("mongo-users", ""),
    "keys": ("keys", ""),
}
"""What an image runs, as a module: the stage of the Dockerfile that copies it, and the service that it is built for."""
IMPORT = """
import sys
sys.meta_path = [one for one in sys.meta_path if "ditable" not in repr(one)]
sys.path = [sys.argv[1], *(one for one in sys.path if not one.startswith(sys.argv[2]) or "packages" in one)]
import ast
from importlib.util import find_spec
from pathlib import Path
tree = ast.parse(Path(find_spec(sys.argv[3]).origin).read_text())
tree.body = [one for one in tree.body if isinstance(one, ast.Import | ast.ImportFrom)]
exec(compile(tree, sys.argv[3], "exec"))
outside = [
    name for name, one in sys.modules.items()
    if (getattr(one, "__file__", None) or "").startswith(sys.argv[2]) and "packages" not in one.__file__
]
assert not outside, outside
"""
"""Imports what a module imports, and does not run it, from the image's files alone. Neither the repository nor its
editable install is on the path."""


def _copied(stage: str, service: str, to: Path) -> None:
    """What a stage copies from the repository."""
    begin = next(n for n, line in enumerate(LINES) if line.endswith(f" AS {stage}"))
    for line in LINES[begin + 1 :]:
        if line.startswith("FROM "):
            return
        if not line.startswith("COPY ") or "--from" in line:
            continue
        *sources, target = line.replace("${SERVICE}", service).split()[1:]
        place = to / target.removeprefix(HOME)
        for source in (path for one in sources for path in ROOT.glob(one)):
            _copy(source, place, is_file=bool(Path(target).suffix))


def _copy(source: Path, place: Path, *, is_file: bool) -> None:
    if source.is_dir():
        shutil.copytree(source, place, dirs_exist_ok=True)
        return
    (place.parent if is_file else place).mkdir(parents=True, exist_ok=True)
    shutil.copy(source, place)


@pytest.mark.parametrize("module", RUNS)
def test_an_image_has_what_it_imports(module: str, tmp_path: Path) -> None:
    _copied(*RUNS[module], tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, str(tmp_path), str(ROOT), module],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]

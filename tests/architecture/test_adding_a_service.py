"""`docs/adding-a-service.md`, followed to the letter in a copy: the fifth service is checked, described and starts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "adding-a-service.md"
COPIED = (
    "bench",
    "care",
    "chaos",
    "demo",
    "deploy",
    "docs",
    "requirements",
    "services",
    "shared",
    "tests",
)
FILES = ("pyproject.toml", "docker-compose.yml", ".env.example", "Dockerfile", ".dockerignore")
BLOCKS = re.findall(
    r"^```python\n# (\S+?)(: [^\n]+)?\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL
)


def _run(root: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    return done.stdout


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with the page's three steps done."""
    root = tmp_path_factory.mktemp("fifth")
    ignore = shutil.ignore_patterns("__pycache__", "node_modules", ".venv")
    for name in COPIED:
        shutil.copytree(ROOT / name, root / name, ignore=ignore)
    for name in FILES:
        shutil.copy(ROOT / name, root)
    for path, part, text in BLOCKS:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if part:  # a line of the list of services
            before = file.read_text(encoding="utf-8")
            file.write_text(before.replace('    "followup"', f'{text}    "followup"', 1))
        else:
            file.write_text(text, encoding="utf-8")
    admitted = root / "shared" / "contracts" / "intake.py"
    text = admitted.read_text(encoding="utf-8")
    named = text.replace(
        "class PatientAdmitted(IntakeEvent, consumers=(",
        'class PatientAdmitted(IntakeEvent, consumers=("visits", ',
    )
    assert named != text
    admitted.write_text(named, encoding="utf-8")
    _run(root, "-m", "care.cli", "contracts", "generate")
    _run(root, "deploy/compose/generate.py")
    return root


def test_the_page_has_each_step() -> None:
    paths = [path for path, *_ in BLOCKS]
    assert paths[0] == "shared/services.py"
    assert "services/visits/app.py" in paths


def test_the_import_rules_hold(copied: Path) -> None:
    command = "from importlinter.cli import lint_imports_command as c; c()"
    _run(copied, "-c", command, "--no-cache")


def test_the_types_hold(copied: Path) -> None:
    (copied / "pyrightconfig.json").write_text(
        '{"include": ["services/visits", "shared/contracts/visits.py"], "strict": ["."],'
        ' "reportUnknownMemberType": false, "stubPath": "typings", "pythonVersion": "3.11"}'
    )
    _run(copied, "-m", "pyright", "--pythonpath", sys.executable)


@pytest.mark.parametrize(
    "tests",
    [
        ("tests/architecture/test_compose.py",),
        ("tests/architecture/test_newcomers_pages.py", "-k", "visits"),
        ("tests/architecture/test_house_rules.py", "-k", "visits"),
        ("tests/contracts/test_reactions_cover.py",),
        ("tests/contracts/test_published.py", "-k", "home or Visit or current"),
    ],
    ids=["compose", "first page", "runs alone", "reactions", "contract"],
)
def test_the_checks_of_every_service_pass_for_it(copied: Path, tests: tuple[str, ...]) -> None:
    output = _run(
        copied, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *tests
    )
    assert re.search(r"\d+ passed", output)


def test_every_command_knows_it(copied: Path) -> None:
    assert "visits" in _run(copied, "-m", "care.cli", "run", "--help")
    assert "care.visits.home-visit-made.v1" in _run(
        copied, "-m", "care.cli", "contracts", "list", "--json"
    )

"""The published language stands on its own: under another name, elsewhere, without the rest of the project."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import shared.contracts
from shared.contracts import CATALOGUE

PROGRAM = """\
import sys
sys.path.insert(0, sys.argv[1])
import elsewhere.publish.files
from elsewhere import CATALOGUE
assert not [name for name in sys.modules if name.partition(".")[0] == "shared"]
print(len(CATALOGUE), sum(len(elsewhere.publish.files.example_of(event)) > 0 for event in CATALOGUE.values()))
"""


def test_the_published_language_is_a_package_of_its_own(tmp_path: Path) -> None:
    source = Path(shared.contracts.__file__).parent
    shutil.copytree(source, tmp_path / "elsewhere", ignore=shutil.ignore_patterns("published"))
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(len(CATALOGUE))] * 2

"""`python -m chaos.mutants`: take each guard out, run the tests that have to fail, name the guards that none missed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Final

import typer

from chaos.mutants.guards import MUTANTS, SIMULATION, Mutant

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

ROOT: Final = Path(__file__).parents[2]
TEST_SECONDS: Final = 600
"""A guard that is gone may leave a test waiting: that is a failure too."""
NO_TESTS: Final = 5
"""The status of pytest when it has found none."""


class Tree:
    """A copy of the source, in which one guard at a time is missing."""

    def __init__(self, root: Path) -> None:
        self._root = root
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - found by PATH
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (ROOT / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, root / name)

    @contextmanager
    def without(self, mutant: Mutant) -> Generator[None]:
        """The tree without one guard."""
        path = self._root / mutant.file
        text = path.read_text()
        if text.count(mutant.before) != 1:
            raise SystemExit(f"{mutant.file} does not have this once: {mutant.before!r}")
        path.write_text(text.replace(mutant.before, mutant.after))
        try:
            yield
        finally:
            path.write_text(text)

    def passes(self, tests: str) -> bool:
        """Whether these tests pass in this tree."""
        command = (
            ["-m", SIMULATION, "--seeds", "0:60", "--failing", "1", "--json"]
            if tests == SIMULATION
            else ["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", tests]
        )
        try:
            done = subprocess.run(  # noqa: S603 - our own tests
                [sys.executable, *command],
                cwd=self._root,
                env=os.environ
                | {
                    "PYTHONPATH": str(self._root),
                    "PYTHONHASHSEED": "0",
                    "PYTHONDONTWRITEBYTECODE": "1",
                },
                capture_output=True,
                timeout=TEST_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
        if done.returncode == NO_TESTS:
            raise SystemExit(f"{tests} has no tests")
        return done.returncode == 0


def missed_by(trees: SimpleQueue[Tree], mutant: Mutant) -> str | None:
    """The first tests that fail without the guard; None when all of them pass, and it survives."""
    tree = trees.get()
    try:
        with tree.without(mutant):
            return next((tests for tests in mutant.tests if not tree.passes(tests)), None)
    finally:
        trees.put(tree)


def main(
    only: Annotated[str, typer.Option(help="Guards whose name or file has this text.")] = "",
    processes: Annotated[int, typer.Option(help="How many at a time.")] = 2,
    as_json: Annotated[bool, typer.Option("--json")] = False,  # noqa: FBT002 - a command line's option
) -> None:
    """Take each guard out in turn. Exit status 1 when the tests of one pass without it."""
    chosen = [m for m in MUTANTS if only in m.name or only in m.file]
    mutants = [m for m in chosen if not m.equivalent]
    with tempfile.TemporaryDirectory(prefix="throughcare-mutants-") as folder:
        trees: SimpleQueue[Tree] = SimpleQueue()
        for number in range(processes):
            trees.put(Tree(Path(folder) / str(number)))
        _check_whole(trees, mutants)
        began = perf_counter()
        report: dict[str, str | None] = {}
        with ThreadPoolExecutor(processes) as pool:
            found = pool.map(partial(missed_by, trees), mutants)
            for done, (mutant, tests) in enumerate(zip(mutants, found, strict=True), 1):
                report[mutant.name] = tests
                left = (perf_counter() - began) / done * (len(mutants) - done)
                if not as_json:
                    mark = "SURVIVES" if tests is None else "found by"
                    typer.echo(
                        f"{done:3}/{len(mutants)} {left / 60:4.0f} min left  {mark}  {mutant.name}"
                    )
                    typer.echo(f"{'':27}{tests or mutant.file}")
    equivalent = {m.name: m.equivalent for m in chosen if m.equivalent}
    survivors = [name for name, tests in report.items() if tests is None]
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "guards": len(report),
                    "survivors": survivors,
                    "equivalent": equivalent,
                    "found_by": report,
                }
            )
        )
    else:
        for name, why in equivalent.items():
            typer.echo(f"equivalent: {name} ({why})")
        typer.echo(f"{len(report)} guards taken out: {len(survivors)} survive")
    raise typer.Exit(1 if survivors else 0)


def _check_whole(trees: SimpleQueue[Tree], mutants: Sequence[Mutant]) -> None:
    """With all guards in place the tests pass: else a failure would prove nothing."""
    tree = trees.get()
    for tests in sorted({tests for mutant in mutants for tests in mutant.tests}):
        if not tree.passes(tests):
            raise SystemExit(f"{tests} fails with all guards in place")
    trees.put(tree)


if __name__ == "__main__":
    typer.run(main)

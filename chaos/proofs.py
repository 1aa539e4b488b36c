"""`python -m chaos.proofs`: the long forms of every proof, one after the other, and their figures in `docs/proofs.md`.

Each proof is a command of its own that fails by its exit status. A proof that fails is reported and the next one runs;
the exit status is 1 when any failed. The page names the commit, so that figures can't outlive their code unseen.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from chaos.simulation.sabotage import GUARDS

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "proofs.md"
BEGIN: Final = "<!-- made by `make proofs`: the figures -->"
END: Final = "<!-- end of the figures -->"
console: Final = Console(stderr=True)

Report = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Proof:
    """One long lane. `command` and `short` are arguments of this Python; `{json}` becomes a file for the report."""

    name: str
    shows: str
    command: tuple[str, ...]
    short: tuple[str, ...]
    figures: Callable[[Report, str], str]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one proof."""

    proof: Proof
    command: str
    passed: bool
    seconds: float
    figures: str


def _chaos(report: Report, _output: str) -> str:
    zeros = ("lost", "doubled", "stuck", "out_of_order", "dead_letters")
    found = ", ".join(f"{name.replace('_', ' ')} {_count(report[name])}" for name in zeros)
    return f"{report['kills']:,} kills, {report['events']:,} events; {found}"


def _brokers(report: Report, _output: str) -> str:
    without = ", ".join(map(str, report["effects_while_dead"]))
    return f"{_chaos(report, _output)}; events while a broker was dead: {without}"


def _count(found: int | list[str]) -> int:
    return found if isinstance(found, int) else len(found)


def _histories(report: Report, _output: str) -> str:
    return (
        f"{report['played']:,} histories, {report['kills']:,} kills, {report['rebalances']:,} rebalances,"
        f" {report['restores']:,} restored stores; {len(report['failing_seeds'])} failing"
    )


def _guard(report: Report, _output: str) -> str:
    seeds = report["failing_seeds"]
    return f"found at seed {seeds[0]}" if seeds else "NOT FOUND"


def _kit(report: Report, _output: str) -> str:
    return "; ".join(f"{name}: {microseconds:.0f} µs" for name, microseconds in report.items())


def _late_join(report: Report, _output: str) -> str:
    alike = "the same hash" if report["first"] == report["late"] else "ANOTHER HASH"
    return (
        f"{report['episodes']} episodes, {report['messages']:,} messages, {report['in_snapshot']:,} of them in the"
        f" snapshot; {report['heard']:,} events handled, {report['aside']} aside; {alike}"
    )


def _million(report: Report, _output: str) -> str:
    return (
        f"{report['events']:,} events of {report['types']} types: replayed in {report['replay_seconds']:.0f} s"
        f" ({report['replay_cpu_seconds']:.0f} s of processors), {report['invalid']} not valid; snapshot in"
        f" {report['snapshot_seconds']:.0f} s, {report['snapshot_bytes'] / 1e6:.0f} MB; loaded in"
        f" {report['load_seconds']:.0f} s"
    )


def _last_line(_report: Report, output: str) -> str:
    return output.strip().splitlines()[-1].strip("= ") if output.strip() else ""


def _simulation(*options: str) -> tuple[str, ...]:
    return ("-m", "chaos.simulation", "--json", *options)


PROOFS: Final = (
    Proof(
        "simulation",
        "no history of the reactor loses, doubles, reorders or strands an event",
        _simulation("--seeds", "0:2000"),
        _simulation("--seeds", "0:100"),
        _histories,
    ),
    *(
        Proof(
            f"without {guard}",
            "the simulation finds the removed guard",
            _simulation("--seeds", "0:60", "--failing", "1", "--without", guard),
            _simulation("--seeds", "0:60", "--failing", "1", "--without", guard),
            _guard,
        )
        for guard in GUARDS
    ),
    Proof(
        "chaos",
        "real servers killed, frozen and cut off at random: the ledger stays clean",
        ("-m", "chaos", "--kills", "500", "--seed", "7", "--json", "{json}"),
        ("-m", "chaos", "--kills", "60", "--seed", "7", "--no-cast", "--json", "{json}"),
        _chaos,
    ),
    Proof(
        "brokers",
        "three brokers, each killed in turn under load: all goes on, and the ledger stays clean",
        ("-m", "chaos.brokers", "--kills", "30", "--episodes", "12", "--json", "{json}"),
        ("-m", "chaos.brokers", "--kills", "3", "--episodes", "2", "--json", "{json}"),
        _brokers,
    ),
    Proof(
        "kit bench",
        "the subscriber kit's own time of a processor, per event",
        ("-m", "bench.kit", "--json"),
        ("-m", "bench.kit", "--json"),
        _kit,
    ),
    Proof(
        "late join",
        "who joins under load by a snapshot ends with the same state as who was there from the first event",
        ("-m", "chaos.late_join", "--episodes", "100", "--json", "{json}"),
        ("-m", "chaos.late_join", "--episodes", "6", "--json", "{json}"),
        _late_join,
    ),
    Proof(
        "million",
        "a million retained events are valid by today's schemas, in under a minute",
        ("-m", "chaos.million", "--json", "{json}"),
        ("-m", "chaos.million", "--events", "50000", "--json", "{json}"),
        _million,
    ),
    Proof(
        "tests",
        "every rule, fault and refusal, at every crash point, with the long runs under load",
        ("-m", "pytest", "-q", "-n", "2", "--dist", "loadscope", "--no-loadscope-reorder"),
        ("-m", "pytest", "-q", "-m", "long", "tests/integration", "tests/flows"),
        _last_line,
    ),
    Proof(
        "fuzz",
        "100,000 malformed messages and as many bodies: no crash, no 5xx, each accounted for",
        ("-m", "pytest", "-q", "tests/chaos/test_fuzz.py"),
        ("-m", "pytest", "-q", "tests/chaos/test_fuzz.py"),
        _last_line,
    ),
    Proof(
        "properties",
        "state machines and properties with 2,000 examples each instead of 30",
        ("-m", "pytest", "-q", "-k", "machine or order or replay", "tests/unit"),
        ("-m", "pytest", "-q", "-k", "machine", "tests/unit/plans"),
        _last_line,
    ),
)
"""In the order of running: the quick ones first."""

ENVIRONMENT: Final = {
    "fuzz": {"FUZZ": "100000"},
    "tests": {"PROOFS": "1"},
    "properties": {"HYPOTHESIS_PROFILE": "search"},
}


def run(proof: Proof, *, short: bool) -> Result:
    """Run one proof to its end."""
    with tempfile.TemporaryDirectory(prefix="care-proof-") as temporary:
        file = Path(temporary) / "report.json"
        words = [word.format(json=file) for word in (proof.short if short else proof.command)]
        began = monotonic()
        done = subprocess.run(  # noqa: S603 - our own commands
            ["/usr/bin/env", *_settings(proof, short=short), sys.executable, *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = monotonic() - began
        report: Report = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    if "--json" in words and not report:
        report = _last_json(done.stdout)
    passed = (done.returncode == 0) != proof.name.startswith("without ")
    figures = proof.figures(report, done.stdout) if report or not _wants_report(proof) else ""
    if not passed:
        console.print(done.stdout[-2_000:] + done.stderr[-2_000:], markup=False)
    command = " ".join(word.replace(str(file), "FILE") for word in words)
    return Result(proof, command, passed, seconds, figures or "no report")


def _settings(proof: Proof, *, short: bool) -> list[str]:
    if short:
        return []
    return [f"{name}={value}" for name, value in ENVIRONMENT.get(proof.name, {}).items()]


def _wants_report(proof: Proof) -> bool:
    return "--json" in proof.command


def _last_json(output: str) -> Report:
    for line in reversed(output.strip().splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    return {}


def page(results: list[Result], commit: str, *, short: bool) -> str:
    """The page with these figures in place of the former ones."""
    form = "short forms" if short else "long forms"
    lines = [
        BEGIN,
        "",
        f"Commit `{commit}`, {datetime.now(UTC):%Y-%m-%d}, {form}.",
        "",
        "| proof | shows | figures | seconds | passed |",
        "|---|---|---|---:|---|",
        *(
            f"| {one.proof.name} | {one.proof.shows} | {one.figures} | {one.seconds:,.0f} |"
            f" {'yes' if one.passed else '**no**'} |"
            for one in results
        ),
        "",
        END,
    ]
    before = PAGE.read_text(encoding="utf-8")
    head, _, rest = before.partition(BEGIN)
    return head + "\n".join(lines) + rest.partition(END)[2]


def main(
    only: Annotated[str, typer.Option(help="Only proofs whose name contains this.")] = "",
    *,
    short: Annotated[bool, typer.Option(help="The short forms: minutes instead of hours.")] = False,
    write: Annotated[bool, typer.Option(help="Write docs/proofs.md.")] = True,
) -> None:
    """Run the long forms of every proof. Exit status 1 when one fails."""
    wanted = [proof for proof in PROOFS if only in proof.name]
    if not wanted:
        raise typer.BadParameter("no proof has such a name", param_hint="--only")
    results: list[Result] = []
    for number, proof in enumerate(wanted, start=1):
        console.print(f"{number}/{len(wanted)} {proof.name}: {proof.shows}")
        results.append(run(proof, short=short))
        last = results[-1]
        word = "passed" if last.passed else "[red]failed[/red]"
        console.print(f"    {word} after {last.seconds:,.0f} s: {last.figures}")
    if write and not only:
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        PAGE.write_text(page(results, commit, short=short), encoding="utf-8")
    if not all(result.passed for result in results):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)

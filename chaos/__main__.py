"""`python -m chaos`: the rig. `make chaos ARGS="--kills 500 --seed 3"`."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from chaos.rig import ChaosError, Options, Verdict, rampage
from demo.picture import table
from shared.devtools.backends import BackendError
from shared.errors import CareError


def main(
    kills: Annotated[int, typer.Option(min=1, help="How many processes to kill with -9.")] = 20,
    seed: Annotated[int, typer.Option(help="The load and the faults follow from it.")] = 1,
    episodes: Annotated[int, typer.Option(help="How many people; 0: as the kills need.")] = 0,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the verdict here.")
    ] = None,
    logs: Annotated[Path | None, typer.Option(help="Keep data and logs here.")] = None,
    *,
    cast: Annotated[bool, typer.Option(help="The fixed cast's stories beside the people.")] = True,
) -> None:
    """Kill, freeze, starve and cut off everything at random, and account for every event."""
    console = Console(stderr=True)
    logging.disable(logging.CRITICAL)  # the client's own words about a broker that was just killed
    options = Options(kills, seed, episodes, cast=cast)
    began = monotonic()
    with TemporaryDirectory(prefix="care-chaos-") as temporary:
        directory = logs or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                verdict = runner.run(rampage(options, directory, console))
        except (BackendError, CareError) as error:
            console.print(f"[red]{error}[/red]", soft_wrap=True)
            raise typer.Exit(1) from None
    _show(console, verdict, monotonic() - began)
    report = verdict.report()
    if json_file is not None:
        json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if report["kills"] < kills:
        console.print("[red]the load ended before the kills did: raise --episodes[/red]")
        raise typer.Exit(1)
    if not verdict.ledger.clean or not report["effects_between_rounds_min"]:
        raise typer.Exit(1)


def _show(console: Console, verdict: Verdict, seconds: float) -> None:
    report = verdict.report()
    shown = table(verdict.ledger, seconds)
    shown.title = f"Chaos, seed {verdict.seed}"
    for name in ("kills", "rounds", "replayed"):
        shown.add_row(name, f"{report[name]:,}")
    for name, count in report["kills_by_process"].items():
        shown.add_row(f"  kills of {name}", f"{count:,}")
    for name, count in report["faults"].items():
        shown.add_row(f"  {name}", f"{count:,}")
    console.print(shown)
    for name, found in verdict.ledger.findings().items():
        for sentence in found[:20]:
            console.print(f"[red]{name}[/red]  {sentence}", soft_wrap=True)


__all__ = ["ChaosError"]

if __name__ == "__main__":
    typer.run(main)

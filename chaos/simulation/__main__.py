"""`python -m chaos.simulation`: play histories, print the seeds that fail."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from time import perf_counter
from typing import Annotated

import structlog
import typer

from chaos.simulation.check import findings
from chaos.simulation.loop import VirtualTimeLoop
from chaos.simulation.replica import Parts
from chaos.simulation.sabotage import GUARDS
from chaos.simulation.world import World
from shared.runtime import retry


def play(seed: int, parts: Parts | None = None) -> World:
    """One history, to its end."""
    retry.random.seed(seed)  # the jitter of every back-off
    world = World(seed, parts or Parts())
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        # A task that dies with its process has nobody left to ask how it ended.
        runner.get_loop().set_exception_handler(lambda _loop, _context: None)
        runner.run(world.run())
    return world


def _drop(_logger: object, _method: str, _line: object) -> str:
    raise structlog.DropEvent


def main(
    seeds: Annotated[str, typer.Option(help="One seed, or from:to.")] = "0:200",
    without: Annotated[str, typer.Option(help=f"Take one guard away: {', '.join(GUARDS)}.")] = "",
    failing: Annotated[int, typer.Option(help="Stop after this many failing seeds.")] = 3,
    as_json: Annotated[bool, typer.Option("--json")] = False,  # noqa: FBT002 - a command line's option
) -> None:
    """Play one history per seed. Exit status 1 when one of them breaks the promise."""
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets is part of a history
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "chaos.simulation", *sys.argv[1:]])  # noqa: S606
    structlog.configure(processors=[_drop])
    first, _, last = seeds.partition(":")
    wanted = range(int(first), int(last or int(first) + 1))
    began = perf_counter()
    bad: dict[int, list[str]] = {}
    kills = pauses = rebalances = restores = played = 0
    for seed in wanted:
        world = play(seed, GUARDS[without] if without else None)
        played += 1
        kills, pauses = kills + world.kills, pauses + world.pauses
        rebalances += world.group.rebalances
        restores += world.restores
        found = findings(world)
        if found:
            bad[seed] = found
            if not as_json:
                typer.echo(f"seed {seed}: {len(found)} findings; {'; '.join(found[:4])}")
        if len(bad) >= failing:
            break
        gc.collect() if played % 50 == 0 else None
    seconds = perf_counter() - began
    report = {
        "played": played,
        "failing_seeds": sorted(bad),
        "findings": {str(seed): found[:10] for seed, found in bad.items()},
        "kills": kills,
        "pauses": pauses,
        "rebalances": rebalances,
        "restores": restores,
        "seconds": round(seconds, 1),
        "without": without or None,
    }
    if as_json:
        typer.echo(json.dumps(report))
    else:
        typer.echo(
            f"{played} histories in {seconds:.1f} s ({60 * played / seconds:.0f} a minute): {kills} kills, "
            f"{pauses} pauses, {rebalances} rebalances; {len(bad)} failing"
        )
    raise typer.Exit(1 if bad else 0)


if __name__ == "__main__":
    typer.run(main)

"""`care demo`: runs the synthetic population, then prints the ledger: the audit report about every event."""

from __future__ import annotations

import json
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Annotated

import typer

from care.ops import NAMES
from care.show import end_as_ctrl_c_does, fail
from shared.services import PORTS

if TYPE_CHECKING:
    from rich.console import Console

    from demo.run import Options
    from shared.devtools.stack import Stack
    from shared.errors import CareError

COMPLAINTS_SHOWN = 3
NOT_HERE = "The demo is not part of the installed package."
HOW = "Clone the repository and run there: make demo"


def demo(
    episodes: Annotated[int, typer.Option(min=1, max=2000, help="The number of people.")] = 100,
    seed: Annotated[int, typer.Option(help="The same seed gives the same population.")] = 1,
    leave: Annotated[
        bool,
        typer.Option("--exit", help="Stop when the audit report is complete, instead of waiting."),
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the audit report to this file, as JSON.")
    ] = None,
    logs: Annotated[
        Path | None, typer.Option(help="Write the services' logs to this directory.")
    ] = None,
    kill: Annotated[
        list[str] | None,
        typer.Option(help="Kill this service with SIGKILL during the run; repeatable."),
    ] = None,
    cast: Annotated[
        bool,
        typer.Option(help="Include the scripted scenarios, in which every event type occurs."),
    ] = True,
) -> None:
    """Simulate a year and a half of a synthetic population, then report what became of every event."""
    unknown = set(kill or ()) - set(PORTS)
    if unknown:
        raise typer.BadParameter(f"choose from {NAMES}", param_hint="--kill")
    try:
        from demo.run import Options
    except ModuleNotFoundError as error:
        if error.name != "demo":
            raise
        fail(NOT_HERE, HOW)
    from shared.devtools.backends import BackendError

    options = Options(episodes, seed, tuple(kill or ()), cast=cast)
    end_as_ctrl_c_does()
    try:
        _run(options, json_file, logs, stay=not leave)
    except BackendError as error:
        fail(str(error))


def _run(options: Options, json_file: Path | None, logs: Path | None, *, stay: bool) -> None:
    import asyncio

    import uvloop
    from rich.console import Console

    from demo import picture
    from demo.run import act, stage
    from shared.devtools.backends import start
    from shared.errors import CareError

    console = Console(stderr=True)
    with start(quick=True) as backend, stage(backend, logs) as stack:
        for process in stack.processes:
            console.print(f"{process.name:<11} pid {process.pid:<7} {process.url}/docs")
        began = monotonic()
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                lived = runner.run(act(stack, options, console))
        except CareError as error:
            _explain(console, error, stack)
            raise typer.Exit(1) from None
        world, ledger = lived.world, lived.ledger
        console.print(picture.services(ledger), picture.sample(lived.rates))
        console.print(picture.table(ledger, monotonic() - began))
        console.print(
            f"{world.steps:,} steps, {world.looks:,} looks, {world.polls:,} polls, "
            f"{world.journal.repeated:,} tries repeated"
        )
        if json_file is not None:
            report = {
                **ledger.report(),
                "rates": {rate.name: rate.report() for rate in lived.rates},
                "seed": options.seed,
                "episodes": options.episodes,
                "cast": options.cast,
            }
            json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        wrong = picture.say_what_is_wrong(console, ledger, all_types=options.cast)
        if stay:
            console.print("The services stay up for you to look around. Ctrl-C stops them.")
            console.print(f"care events tail --kafka {backend.kafka_bootstrap}", soft_wrap=True)
            _wait(console)
        if wrong:
            raise typer.Exit(1)


def _explain(console: Console, error: CareError, stack: Stack) -> None:
    """Print why the demo stopped, and the last errors in each service's log."""
    console.print(f"[red]{error}[/red]", soft_wrap=True)
    for process in stack.processes:
        lines = process.log.read_text(encoding="utf-8", errors="replace").splitlines()
        bad = [line for line in lines if '"error"' in line or '"critical"' in line]
        console.print(*bad[-COMPLAINTS_SHOWN:], sep="\n", soft_wrap=True, markup=False)


def _wait(console: Console) -> None:
    try:
        while True:
            sleep(3600)
    except KeyboardInterrupt:
        console.print("stopped")

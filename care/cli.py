"""`care`: what a person at a terminal can ask of Throughcare."""

from __future__ import annotations

import asyncio
import json
import runpy
import sys
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Annotated

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from care import contracts, coverage, dead_letters, events, loops, programs, topics
from care.ops import KEY, PORTS
from care.rebuild import rebuild_command
from shared.devtools.backends import BackendError, start
from shared.devtools.issuer import DEVELOPER, LocalIssuer
from shared.devtools.stack import SERVICES, Stack, services
from shared.errors import CareError

if TYPE_CHECKING:
    from demo.run import Options

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
    help="Event-driven care coordination for intensive outpatient programs.",
)
app.add_typer(contracts.app, name="contracts")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(events.app, name="events")
app.add_typer(topics.app, name="topics")
app.add_typer(programs.app, name="profiles")
app.command("journey")(events.journey)
app.command("rebuild")(rebuild_command)
app.command("coverage")(coverage.coverage)

console = Console(stderr=True)
loops.register(app, lambda: LocalIssuer.kept_in(KEY))


@app.command(epilog="Example: `care up`, then open http://127.0.0.1:8001/docs")
def up(
    first_port: Annotated[
        int, typer.Option(envvar="CARE_FIRST_PORT", help="Of the first service; the others follow.")
    ] = min(PORTS.values()),
) -> None:
    """Start all services on the backend that is found, with one log stream. Ctrl-C stops all."""
    ports = {name: first_port + place for place, name in enumerate(PORTS)}
    issuer = LocalIssuer.kept_in(KEY)
    try:
        with start() as backend, services(backend, ports=ports, issuer=issuer) as stack:
            table = Table("service", "pid", "API documentation")
            for process in stack.processes:
                table.add_row(process.name, str(process.pid), f"{process.url}/docs")
            console.print(table)
            console.print("Get a token with: care token FACILITY ROLE. Ctrl-C stops everything.")
            console.print(
                f"KAFKA_BOOTSTRAP={backend.kafka_bootstrap} MONGO_URI={backend.mongo_uri}",
                soft_wrap=True,
            )
            _stream([process.log for process in stack.processes])
    except KeyboardInterrupt:
        console.print("stopped")
    except BackendError as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(1) from None


def _stream(logs: list[Path]) -> None:
    """Copy the services' log lines to standard output until interrupted."""
    files = [log.open(encoding="utf-8", errors="replace") for log in logs]
    try:
        while True:
            lines = [line for file in files for line in file]
            sys.stdout.writelines(lines)
            sys.stdout.flush()
            if not lines:
                sleep(0.2)
    finally:
        for file in files:
            file.close()


@app.command(epilog="Example: `KAFKA_BOOTSTRAP=… MONGO_URI=… CARE_JWKS=jwks.json care run intake`")
def run(service: Annotated[str, typer.Argument(help=f"One of: {', '.join(SERVICES)}.")]) -> None:
    """Run one service: HTTP and consumer in one process, configured by the environment."""
    if service not in SERVICES:
        raise typer.BadParameter(f"one of {', '.join(SERVICES)}", param_hint="SERVICE")
    runpy.run_module(f"services.{service}.app", run_name="__main__")


@app.command(epilog="Example: `care token harbor-iop clinician`")
def token(
    facility: Annotated[str, typer.Argument(help="The caller's facility.")],
    role: Annotated[str, typer.Argument(help="The caller's role, such as clinician.")],
    actor: Annotated[str, typer.Option(help="The caller's opaque id.")] = DEVELOPER,
    jwks: Annotated[bool, typer.Option("--jwks", help="Print the public keys instead.")] = False,
) -> None:
    """Give out a token of the local issuer, for development only."""
    issuer = LocalIssuer.kept_in(KEY)
    typer.echo(issuer.jwks if jwks else issuer.token(facility, role, actor))


@app.command(epilog="Example: `care demo --episodes 20 --exit`")
def demo(
    episodes: Annotated[int, typer.Option(min=1, max=2000, help="How many people.")] = 100,
    seed: Annotated[int, typer.Option(help="The same seed gives the same lives.")] = 1,
    leave: Annotated[bool, typer.Option("--exit", help="End when the ledger is made.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the ledger to this file.")
    ] = None,
    logs: Annotated[Path | None, typer.Option(help="Keep the services' logs here.")] = None,
    kill: Annotated[
        list[str] | None, typer.Option(help="Kill this service with -9 in mid-run; repeatable.")
    ] = None,
    cast: Annotated[
        bool,
        typer.Option(help="The fixed cast's stories, which show every type of event, or not."),
    ] = True,
) -> None:
    """Live through a year and a half of a synthetic population and a fixed cast, then account for every event."""
    from demo.run import Options  # noqa: PLC0415 - no other command needs the demo

    unknown = set(kill or ()) - set(SERVICES)
    if unknown:
        raise typer.BadParameter(f"one of {', '.join(SERVICES)}", param_hint="--kill")
    try:
        options = Options(episodes, seed, tuple(kill or ()), cast=cast)
        _demo(options, json_file, logs, stay=not leave)
    except BackendError as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(1) from None


def _demo(options: Options, json_file: Path | None, logs: Path | None, *, stay: bool) -> None:
    from demo import picture  # noqa: PLC0415 - no other command needs the demo
    from demo.run import act, stage  # noqa: PLC0415

    with start() as backend, stage(backend, logs) as stack:
        for process in stack.processes:
            console.print(f"{process.name:<11} pid {process.pid:<7} {process.url}/docs")
        began = monotonic()
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                lived = runner.run(act(stack, options, console))
        except CareError as error:
            _explain(error, stack)
            raise typer.Exit(1) from None
        world, ledger = lived.world, lived.ledger
        console.print(picture.services(ledger), picture.sample(lived.rates))
        console.print(picture.table(ledger, monotonic() - began))
        console.print(
            f"{world.steps} steps, {world.looks} looks, {world.journal.repeated} tries repeated"
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
            console.print("Everything stays up for looking around. Ctrl-C ends it.")
            console.print(f"care events tail --kafka {backend.kafka_bootstrap}", soft_wrap=True)
            _wait()
        if wrong:
            raise typer.Exit(1)


def _explain(error: CareError, stack: Stack) -> None:
    """Why the demo can't go on, and what the services last complained of."""
    console.print(f"[red]{error}[/red]", soft_wrap=True)
    for process in stack.processes:
        lines = process.log.read_text(encoding="utf-8", errors="replace").splitlines()
        bad = [line for line in lines if '"error"' in line or '"critical"' in line]
        console.print(*bad[-3:], sep="\n", soft_wrap=True, markup=False)


def _wait() -> None:
    try:
        while True:
            sleep(3600)
    except KeyboardInterrupt:
        console.print("stopped")


if __name__ == "__main__":
    app()

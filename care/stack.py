"""`care up`, `care run` and `care token`: start services, and get a token for them."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from time import sleep
from typing import Annotated

import typer

from care import ops
from care.ops import NAMES
from care.show import end_as_ctrl_c_does, fail, not_ignored
from shared.services import PORTS, PROCESSES

LOOK_SECONDS = 0.2


def up(
    first_port: Annotated[
        int,
        typer.Option(
            envvar="CARE_FIRST_PORT",
            help="The port of the first service; the others take the next ones.",
        ),
    ] = min(PORTS.values()),
) -> None:
    """Start all services, with Kafka and MongoDB if none are given, and print their logs. Ctrl-C stops all."""
    from rich.console import Console

    from shared.devtools.backends import BackendError, start
    from shared.devtools.issuer import LocalIssuer
    from shared.devtools.stack import services

    console = Console(stderr=True)
    _check_free(first_port)
    ports = {name: first_port + place for place, name in enumerate(PORTS)}
    issuer = LocalIssuer.kept_in(ops.KEY)
    end_as_ctrl_c_does()
    try:
        with (
            start() as backend,
            services(backend, names=PROCESSES, ports=ports, issuer=issuer) as stack,
        ):
            for process in stack.processes:
                console.print(f"{process.name:<11} pid {process.pid:<7} {process.url}/docs")
            console.print("Get a token with: care token FACILITY ROLE. Ctrl-C stops everything.")
            console.print(
                f"KAFKA_BOOTSTRAP={backend.kafka_bootstrap} MONGO_URI={backend.mongo_uri}",
                soft_wrap=True,
            )
            _stream([process.log for process in stack.processes])
    except KeyboardInterrupt:
        console.print("stopped")
    except BackendError as error:
        fail(str(error))


def _check_free(first_port: int) -> None:
    """End the command, before it starts any server, when a port that it needs is taken."""
    from shared.errors import ConfigurationError
    from shared.runtime.network import listen

    for place, name in enumerate(PORTS):
        try:
            opened = listen(
                "127.0.0.1", first_port + place, host_setting="", port_setting="--first-port"
            )
        except ConfigurationError as error:
            fail(f"{name} can't start: {error.detail}", error.hint)
        for one in opened:
            one.close()


def _stream(logs: Sequence[Path]) -> None:
    """Copy the services' log lines to standard output until interrupted."""
    files = [log.open(encoding="utf-8", errors="replace") for log in logs]
    try:
        while True:
            lines = [line for file in files for line in file]
            sys.stdout.writelines(lines)
            sys.stdout.flush()
            if not lines:
                sleep(LOOK_SECONDS)
    finally:
        for file in files:
            file.close()


def run(service: Annotated[str, typer.Argument(help=f"The service: {NAMES}.")]) -> None:
    """Run one service (HTTP and consumer) in this process, configured by environment variables."""
    runpy.run_module(f"services.{ops.known(service)}.app", run_name="__main__")


def token(
    context: typer.Context,
    facility: Annotated[str, typer.Argument(help="The caller's facility.")],
    role: Annotated[str, typer.Argument(help="The caller's role, such as clinician.")],
    actor: Annotated[
        str | None, typer.Option(help="The caller's opaque id; by default, a developer's.")
    ] = None,
    jwks: Annotated[
        bool, typer.Option("--jwks", help="Print the issuer's public keys instead of a token.")
    ] = False,
) -> None:
    """Print a token of the local issuer. For development only: production has its own issuer."""
    if jwks:
        not_ignored(context, "--actor", "is not used with --jwks: the keys are the issuer's")
        from shared.devtools.issuer import LocalIssuer

        typer.echo(LocalIssuer.kept_in(ops.KEY).jwks)
    else:
        typer.echo(ops.local_token(facility, role, actor))

"""What commands on a running service share: the services' addresses, the token, and requests to the operator's API."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from care.show import failures
from shared.services import PORTS, SERVICES

NAMES: Final = ", ".join(PORTS)
KEY: Final = Path.home() / ".local" / "state" / "throughcare" / "issuer.json"
"""The private key of the local token issuer."""
OPERATION_SECONDS: Final = 300.0
"""How long an operation may take: a redrive decides many rows in one request."""

ALL: Final = "all"
ServiceName = Annotated[str, typer.Argument(help=f"The service: {NAMES}.")]
Services = Annotated[str, typer.Argument(help=f"The service: {NAMES}; or {ALL}.")]
Url = Annotated[
    list[str] | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="The service's address, or SERVICE=URL. Default: CARE_INTAKE_URL and so on, or else the port that"
        " `care up` uses.",
    ),
]
Addresses = Annotated[
    list[str] | None,
    typer.Option(
        "--url",
        metavar="SERVICE=URL",
        help="A service's address. Default: CARE_INTAKE_URL and so on, or else the port that `care up` uses.",
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="CARE_TOKEN",
        help="An access token; by default, a token of the local issuer (development only).",
    ),
]
Why = Annotated[
    str,
    typer.Option("--why", help="A reason code for the audit, such as rule-fixed; no free text."),
]
DeadLetterId = Annotated[
    str,
    typer.Argument(
        help="The id of a dead letter, the beginning of that id, or the position of the message,"
        " TOPIC/PARTITION/OFFSET, which is the same in every service."
    ),
]


def known(service: str) -> str:
    """The service's name. Raises `typer.BadParameter` for one that does not exist."""
    if service not in PORTS:
        raise typer.BadParameter(f"choose one of {NAMES}", param_hint="SERVICE")
    return service


def urls_of(given: Sequence[str], names: Sequence[str] = SERVICES) -> dict[str, str]:
    """Where each of these is: as given, else from the environment, else the port of `care up`."""
    named = {one.partition("=")[0]: one.partition("=")[2] for one in given}
    if unknown := sorted(set(named) - set(PORTS)):
        raise typer.BadParameter(f"no such service: {', '.join(unknown)}", param_hint="--url")
    return {
        name: named.get(name)
        or os.environ.get(f"CARE_{name.upper()}_URL")
        or f"http://127.0.0.1:{PORTS[name]}"
        for name in names
    }


def local_token(facility: str, role: str, actor: str | None = None) -> str:
    """A token of the local issuer, for development only. Raises `typer.BadParameter` for a role that is none."""
    from shared.devtools.issuer import DEVELOPER, LocalIssuer
    from shared.roles import (
        SERVICE_PREFIX,
        SERVICE_ROUTES,
        STAFF_ROLES,
        SUBSCRIBER,
        as_in_tokens,
        role_and_service,
    )

    if role_and_service(role) is None:
        services = (SERVICE_PREFIX + name for name in SERVICE_ROUTES)
        listed = (*STAFF_ROLES, *services, as_in_tokens(SUBSCRIBER))
        raise typer.BadParameter(f"choose one of {', '.join(listed)}", param_hint="ROLE")

    return LocalIssuer.kept_in(KEY).token(facility, role, actor or DEVELOPER)


class Operations:
    """The operator's API of one service. A refusal ends the command with its code, detail and hint."""

    def __init__(self, service: str, url: Sequence[str] | None, token: str | None) -> None:
        self.service: Final = known(service)
        self._url = _address(service, url or ())
        self._token = token or local_token("operations", "operator")

    def asked(self, path: str, **query: str | None) -> Any:
        """The same as `get`, and a refusal raises `ServiceError`."""
        return self._ask("GET", path, None, query)

    def get(self, path: str, **query: str | None) -> Any:
        with failures():
            return self._ask("GET", path, None, query)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        with failures():
            return self._ask("POST", path, body, {})

    def _ask(
        self, method: str, path: str, body: dict[str, Any] | None, query: dict[str, str | None]
    ) -> Any:
        from care.http import ask

        return ask(
            self.service,
            self._url,
            self._token,
            method,
            path,
            body=body,
            query=query,
            timeout_seconds=OPERATION_SECONDS,
        )


def _address(service: str, given: Sequence[str]) -> str:
    """Where a service is: as given for it, as given for any, from the environment, else the port of `care up`."""
    for one in given:
        if not re.match(r"([a-z]+=)?https?://", one):
            raise typer.BadParameter(
                "an address starts with http:// or https://", param_hint="--url"
            )
    named = [one for one in given if "://" in one and not one.startswith("http")]
    plain = [one for one in given if one.startswith("http")]
    return plain[-1] if plain else urls_of(named, [service])[service]

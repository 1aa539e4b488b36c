"""What commands on a running service share: where the services are, which token is used, and how they are asked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from care.show import failures
from shared.services import PORTS

NAMES: Final = ", ".join(PORTS)
KEY: Final = Path.home() / ".local" / "state" / "throughcare" / "issuer.json"
"""The private key of the local token issuer."""
OPERATION_SECONDS: Final = 300.0
"""How long an operation may take: a redrive decides many rows in one request."""

ServiceName = Annotated[str, typer.Argument(help=f"The service: {NAMES}.")]
Url = Annotated[
    str | None,
    typer.Option("--url", help="The service's address; by default, its port of `care up`."),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="CARE_TOKEN",
        help="An access token; by default, one of the local issuer (development only).",
    ),
]


def known(service: str) -> str:
    """The service's name. Raises `typer.BadParameter` for one that does not exist."""
    if service not in PORTS:
        raise typer.BadParameter(f"choose one of {NAMES}", param_hint="SERVICE")
    return service


def local_token(facility: str, role: str, actor: str | None = None) -> str:
    """A token of the local issuer, for development only. Raises `typer.BadParameter` for a role that is none."""
    from shared.devtools.issuer import DEVELOPER, LocalIssuer
    from shared.roles import SERVICE_PREFIX, SERVICE_ROUTES, STAFF_ROLES, role_and_service

    if role_and_service(role) is None:
        listed = (*STAFF_ROLES, *(SERVICE_PREFIX + name for name in SERVICE_ROUTES))
        raise typer.BadParameter(f"choose one of {', '.join(listed)}", param_hint="ROLE")

    return LocalIssuer.kept_in(KEY).token(facility, role, actor or DEVELOPER)


class Operations:
    """The operator's API of one service. A refusal ends the command with its code, detail and hint."""

    def __init__(self, service: str, url: str | None, token: str | None) -> None:
        if url is None:
            url = f"http://127.0.0.1:{PORTS[known(service)]}"
        elif not url.startswith(("http://", "https://")):
            raise typer.BadParameter(
                "an address starts with http:// or https://", param_hint="--url"
            )
        self._service = service
        self._url = url
        self._token = token or local_token("operations", "operator")

    def get(self, path: str, **query: str | None) -> Any:
        return self._ask("GET", path, None, query)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self._ask("POST", path, body, {})

    def _ask(
        self, method: str, path: str, body: dict[str, Any] | None, query: dict[str, str | None]
    ) -> Any:
        from care.http import ask

        with failures():
            return ask(
                self._service,
                self._url,
                self._token,
                method,
                path,
                body=body,
                query=query,
                timeout_seconds=OPERATION_SECONDS,
            )

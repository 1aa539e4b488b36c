"""Asking a running service as an operator: where it is, with which token, and what it answers when it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final, cast
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import typer

from shared.devtools.issuer import LocalIssuer

PORTS: Final = {"intake": 8001, "plans": 8002, "attendance": 8003, "followup": 8004}
KEY: Final = Path.home() / ".local" / "state" / "throughcare" / "issuer.json"
ANSWERS_WITHIN_SECONDS: Final = 300.0

ServiceName = Annotated[str, typer.Argument(help=f"One of: {', '.join(PORTS)}.")]
Url = Annotated[
    str | None, typer.Option("--url", help="Where it is; by default the port of `care up`.")
]
Token = Annotated[
    str | None,
    typer.Option("--token", envvar="CARE_TOKEN", help="An operator's; by default a local one."),
]
Json = Annotated[bool, typer.Option("--json", help="For machines.")]


class Operations:
    """One service, asked by an operator. A refusal ends the command with its code and its way out."""

    def __init__(self, service: str, url: str | None, token: str | None) -> None:
        if url is None:
            if service not in PORTS:
                raise typer.BadParameter(f"one of {', '.join(PORTS)}", param_hint="SERVICE")
            url = f"http://127.0.0.1:{PORTS[service]}"
        elif not url.startswith(("http://", "https://")):
            raise typer.BadParameter(
                "an address begins with http:// or https://", param_hint="--url"
            )
        self._url = url.rstrip("/")
        self._token = token or LocalIssuer.kept_in(KEY).token("operations", "operator")

    def get(self, path: str, **asked: str | None) -> Any:
        given = {name: value for name, value in asked.items() if value is not None}
        return self._ask("GET", f"{path}?{urlencode(given)}" if given else path, None)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self._ask("POST", path, json.dumps(body).encode())

    def _ask(self, method: str, path: str, body: bytes | None) -> Any:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = Request(f"{self._url}{path}", body, headers, method=method)  # noqa: S310 - checked
        try:
            with urlopen(request, timeout=ANSWERS_WITHIN_SECONDS) as answer:  # noqa: S310 - checked
                return json.load(answer)
        except HTTPError as error:
            with error:
                _explain(error)
        except (URLError, OSError) as error:
            typer.echo(f"{self._url} does not answer ({type(error).__name__}).", err=True)
        raise typer.Exit(1)


def _explain(error: HTTPError) -> None:
    try:
        problem = cast("dict[str, Any]", json.load(error))
    except ValueError:
        problem = {"code": f"http-{error.code}", "detail": "The answer can't be read."}
    typer.echo(f"{problem.get('code')}: {problem.get('detail')}", err=True)
    if problem.get("hint"):
        typer.echo(str(problem["hint"]), err=True)

"""A person at a terminal, and the services that a command asks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner, Result

from care import cli, http, ops

WIDE = 200


def _commands(group: TyperGroup, *before: str) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _commands(command, *before, name)
        else:
            yield (*before, name)


ROOT = get_command(cli.app)
assert isinstance(ROOT, TyperGroup)
COMMANDS = list(_commands(ROOT))
"""Every command, by its words."""


def care(*arguments: str, columns: int = WIDE) -> Result:
    """Run a command at a terminal without colours, wide unless another width is given."""
    size = {"COLUMNS": str(columns), "TERMINAL_WIDTH": str(columns)}
    env = {**size, "NO_COLOR": "1", "TERM": "dumb"}
    return CliRunner().invoke(cli.app, arguments, env=env)


@dataclass
class Asked:
    """One request, as the service saw it."""

    method: str
    host: str
    path: str
    query: Mapping[str, str]
    body: Any
    token: str


@dataclass
class Services:
    """Stands in for the network: answers by a function, and remembers what was asked."""

    answer: Callable[[Asked], Any]
    """The body of an answer, a response, or an exception to be raised."""
    asked: list[Asked] = field(default_factory=list[Asked])

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        asked = Asked(
            request.method,
            str(request.url.host) + ("" if request.url.port is None else f":{request.url.port}"),
            request.url.path,
            dict(request.url.params),
            json.loads(request.content) if request.content else None,
            request.headers["authorization"].removeprefix("Bearer "),
        )
        self.asked.append(asked)
        given = self.answer(asked)
        if isinstance(given, Exception):
            raise given
        return given if isinstance(given, httpx2.Response) else httpx2.Response(200, json=given)

    def installed(self, monkeypatch: pytest.MonkeyPatch, key: Path | None = None) -> Services:
        """Put in the place of the network; `key` in the place of this person's issuer key."""
        monkeypatch.setattr(http, "TRANSPORT", httpx2.MockTransport(self._handle))
        if key is not None:
            monkeypatch.setattr(ops, "KEY", key)
        return self

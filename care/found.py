"""Finds the dead letters that a command names: by id, by the beginning of an id, or by position; in one service or all.

A message that no service can process is a dead letter in each of them, with a different id and fingerprint in each. Its
position, `topic/partition/offset`, is the same in all services.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import typer

from care.ids import SHORTEST, WHOLE, checked, only
from care.ops import ALL, Operations, known
from care.show import fail, failures
from shared.services import PORTS

POSITION: Final = re.compile(r"[a-z.]{1,100}/[0-9]{1,4}/[0-9]{1,15}")
ROWS_MAX: Final = 5
FINGERPRINT: Final = 16
"""The characters of a whole fingerprint."""


@dataclass(frozen=True, slots=True)
class Found:
    """A dead letter, and the service that has it."""

    operations: Operations
    row: Mapping[str, Any]

    @property
    def path(self) -> str:
        return f"/ops/dead-letters/{self.row['id']}"

    @property
    def shown(self) -> str:
        return f"{self.operations.service}: {self.row['id']}"


def services(service: str, url: Sequence[str] | None, token: str | None) -> list[Operations]:
    """The operator's API of one service, or of all."""
    if service == ALL and any(one.startswith("http") for one in url or ()):
        raise typer.BadParameter(
            f"with {ALL}, give SERVICE=URL for each service", param_hint="--url"
        )
    names = PORTS if service == ALL else [known(service)]
    return [Operations(name, url, token) for name in names]


def rows(named: str, asked: Sequence[Operations], *, status: str = "any") -> list[Found]:
    """The dead letters that `named` names, at most one in each service.

    Ends the command when there is none, when a beginning fits several, and when a service does not answer: what it has
    would stay behind unseen.
    """
    place = POSITION.fullmatch(named) is not None
    if not place and len(checked(named, "DEAD_LETTER")) == WHOLE and len(asked) == 1:
        return [Found(asked[0], {"id": named})]
    query = {"position" if place else "id": named}
    found: list[Found] = []
    with failures():
        for operations in asked:
            answer = operations.asked(
                "/ops/dead-letters/rows", **query, status=status, limit=str(ROWS_MAX)
            )
            found += [Found(operations, row) for row in answer["rows"]]
    if not found:
        which = "" if status == "any" else f"{status} "
        what = f"has the position {named}" if place else f"has an id that begins with {named}"
        fail(f"No {which}dead letter {what}.")
    if not place and len(found) > 1:
        some = "\n".join(one.shown for one in found)
        fail(f"More than one dead letter begins with {named}:\n{some}", "Give more characters.")
    return found


def subject(named: str, asked: Sequence[Operations]) -> list[tuple[Operations, str]]:
    """The whole name of a record with dead letters, in each service that has some; of its beginning, or as it is.

    Ends the command when there is none, and when its beginning fits several.
    """
    kind, _, record_id = named.partition("/")
    if not re.fullmatch("[a-z]+", kind):
        raise typer.BadParameter("a record is named KIND/ID", param_hint="SUBJECT")
    if len(checked(record_id, "SUBJECT")) == WHOLE:
        return [(operations, named) for operations in asked]
    query = {"subject": named, "status": "any", "limit": "500"}
    found = [
        (operations, row["subject"])
        for operations in asked
        for row in operations.get("/ops/dead-letters/rows", **query)["rows"]
    ]
    whole = only(named, (name for _, name in found), "record with dead letters")
    return [(operations, whole) for operations in {one: None for one, _ in found}]


def fingerprint(named: str, asked: Sequence[Operations]) -> list[tuple[Operations, str]]:
    """The whole fingerprint of a group, in each service that has it; of its beginning, or as it is.

    Ends the command when there is none, and when its beginning fits several.
    """
    if not re.fullmatch(f"[0-9a-f]{{{SHORTEST},{FINGERPRINT}}}", named):
        raise typer.BadParameter(
            f"give the whole fingerprint, or its first {SHORTEST} or more characters",
            param_hint="--fingerprint",
        )
    if len(named) == FINGERPRINT:
        return [(operations, named) for operations in asked]
    found = [
        (operations, group["fingerprint"])
        for operations in asked
        for group in operations.get("/ops/dead-letters")["groups"]
    ]
    whole = only(named, (one for _, one in found), "group")
    return [(operations, one) for operations, one in found if one == whole]

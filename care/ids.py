"""Ids on the command line: the beginning of an id is enough when exactly one id begins with it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import typer

from care.show import fail

WHOLE: Final = 36
"""The characters of a whole id."""
SHORTEST: Final = 4
SHOWN_MAX: Final = 5


def checked(prefix: str, param_hint: str) -> str:
    """The beginning of an id, or a whole one. Ends the command for anything else."""
    if not re.fullmatch(rf"[0-9a-f-]{{{SHORTEST},{WHOLE}}}", prefix):
        raise typer.BadParameter(
            f"give a lower-case UUID, or its first {SHORTEST} or more characters",
            param_hint=param_hint,
        )
    return prefix


def only(prefix: str, candidates: Iterable[str], what: str) -> str:
    """The one candidate that begins so. Ends the command when there is none, or more than one."""
    found = sorted({candidate for candidate in candidates if candidate.startswith(prefix)})
    if not found:
        fail(f"No {what} begins with {prefix}.", "Check the characters, or give another one.")
    if len(found) > 1:
        some = "\n".join(found[:SHOWN_MAX])
        fail(f"{len(found)} {what}s begin with {prefix}:\n{some}", "Give more characters.")
    return found[0]

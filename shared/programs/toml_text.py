"""TOML texts of a facility, whatever is in them. Pure."""

from __future__ import annotations

import tomllib
from typing import Any


class NotToml(ValueError):
    """A text is not TOML, or more deeply nested than can be read. The message says where."""


def read_toml(text: str) -> dict[str, Any]:
    """What a TOML text says. Raises `NotToml`, also for a number that no integer can be and for deep nesting."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise NotToml("it is nested too deeply") from None
    except ValueError as error:
        raise NotToml(str(error)) from None

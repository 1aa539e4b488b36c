"""Loads the OpenAPI documents of all services, which the contract gate compares with the last release."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from importlib import import_module
from typing import Any

from shared.services import PROCESSES


@cache
def document(name: str) -> dict[str, Any]:
    """The OpenAPI document of one service, made once in a process: read it, and change a copy."""
    from shared.runtime.service import interface

    return interface(import_module(f"services.{name}.app").SERVICE)


def documents() -> dict[str, dict[str, Any]]:
    """The OpenAPI document of each service, to keep and to change. It loads them all, which takes seconds."""
    return {name: deepcopy(document(name)) for name in PROCESSES}

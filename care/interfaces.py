"""Loads the OpenAPI documents of all services, which the contract gate compares with the last release."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from shared.services import PROCESSES


def documents() -> dict[str, dict[str, Any]]:
    """The OpenAPI document of each service. It loads them all, which takes seconds."""
    from shared.runtime.service import interface

    return {name: interface(import_module(f"services.{name}.app").SERVICE) for name in PROCESSES}

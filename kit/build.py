"""Which file of the repository goes where in the wheel: the one mapping, read by hatchling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SHARED = Path(__file__).resolve().parents[1] / "shared"
TREES = ("contracts", "kit")
"""Packages of `shared/` that are packages of the wheel."""
LEFT_OUT = ("contracts/publish/", "contracts/names.py", "contracts/published/releases/")
"""What only `care contracts` needs."""


def mapping() -> dict[str, str]:
    """Every file of the wheel: where it is, and its path in the wheel."""
    found = [SHARED / "inbox.py"]
    for tree in TREES:
        found += sorted((SHARED / tree).rglob("*.py"))
    found += sorted((SHARED / "contracts" / "published").rglob("*.json"))
    named = {path: str(path.relative_to(SHARED)) for path in found}
    files = {
        str(p): f"throughcare_events/{n}" for p, n in named.items() if not n.startswith(LEFT_OUT)
    }
    here = Path(__file__).parent
    for own, name in (
        ("face.py", "__init__.py"),
        ("main.py", "__main__.py"),
        ("py.typed", "py.typed"),
    ):
        files[str(here / own)] = f"throughcare_events/{name}"
    return files


class Mapping(BuildHookInterface[Any]):
    """Adds the files to the wheel."""

    def initialize(self, _version: str, build_data: dict[str, Any]) -> None:
        build_data["force_include"] |= mapping()

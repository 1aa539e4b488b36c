"""Import rules that deny by default: a module may import what its rule lists, and nothing else.

import-linter ships only rules that forbid what is listed, so that a module nobody thought of passes. This contract
type turns that around; `pyproject.toml` registers it as `allowed`.
"""

from __future__ import annotations

from typing import Any, ClassVar, cast

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class AllowedImports(Contract):
    """Modules below `source` may import only what is below one of `allowed`.

    source   packages whose modules are held to the rule; `services.*` is every service by itself
    exempt   names of direct children of a source that the rule leaves out, for example `api`
    allowed  modules or packages; `.` stands for the source itself without its exempt children
    """

    type_name: ClassVar[str] = "allowed"

    source: Any = fields.ListField(subfield=fields.StringField())
    exempt: Any = fields.ListField(subfield=fields.StringField(), required=False)
    allowed: Any = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002, FBT001 - the base's signature
        """Every import of a held module is on the list."""
        broken = [
            (importer, imported)
            for source in self._sources(graph)
            for importer in self._held(graph, source)
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if not self._is_allowed(source, imported)
        ]
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """One line for each import that is not on the list."""
        for importer, imported in cast("list[tuple[str, str]]", check.metadata["broken"]):
            output.print_error(f"{importer} must not import {imported}: it is not on the list")
        output.new_line()

    def _sources(self, graph: ImportGraph) -> list[str]:
        found: list[str] = []
        for name in self.source:
            found += sorted(graph.find_children(name[:-2])) if name.endswith(".*") else [name]
        return found

    def _held(self, graph: ImportGraph, source: str) -> list[str]:
        modules = sorted({source} | graph.find_descendants(source))
        return [module for module in modules if not self._is_exempt(source, module)]

    def _is_exempt(self, source: str, module: str) -> bool:
        child = module.removeprefix(f"{source}.").partition(".")[0]
        return module != source and child in (self.exempt or ())

    def _is_allowed(self, source: str, imported: str) -> bool:
        if _is_below(imported, source):
            return "." in self.allowed and not self._is_exempt(source, imported)
        return any(_is_below(imported, name) for name in self.allowed if name != ".")


def _is_below(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")

"""docs/settings.md says every setting, with the code's default, and none that is not there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import typer
import yaml
from pydantic.fields import FieldInfo

from care.cli import app
from shared.runtime.settings import ServiceSettings

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
NONE = "–"
NOT_OURS = {"CI", "DOCKER_HOST", "JAVA_HOME", "PATH", "PYTHONHASHSEED", "XDG_CACHE_HOME"}
"""What every tool on a machine understands."""


def _documented() -> dict[str, dict[str, str]]:
    """The tables, by heading: variable to default."""
    found: dict[str, dict[str, str]] = {}
    for section in PAGE.split("\n## ")[1:]:
        rows = re.findall(r"^\| `([A-Z_]+)` \| (\S+) \| \S.* \|$", section, re.MULTILINE)
        assert len(rows) == len(dict(rows)), "a variable stands twice in a table"
        assert len(rows) == section.count("\n| `"), f"a row is not of this form: {section[:40]}"
        found[section.partition("\n")[0]] = dict(rows)
    return found


DOCUMENTED = _documented()


def _subclasses(cls: type[ServiceSettings]) -> Iterator[type[ServiceSettings]]:
    for one in cls.__subclasses__():
        if one.__module__.startswith("services."):
            yield one
        yield from _subclasses(one)


def _variable(name: str, info: FieldInfo) -> str:
    alias = info.validation_alias
    return alias if isinstance(alias, str) else f"CARE_{name.upper()}"


def _fields(cls: type[ServiceSettings]) -> dict[str, str]:
    return {
        _variable(name, info): _written(info.get_default(call_default_factory=False))
        for name, info in cls.model_fields.items()
    }


def _written(default: object) -> str:
    if default in (None, ""):
        return NONE
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


@cache
def _read_elsewhere() -> frozenset[str]:
    """What is asked of the environment without a settings class."""
    texts = (
        path.read_text(encoding="utf-8")
        for package in ("shared", "services", "care", "demo")
        for path in (ROOT / package).rglob("*.py")
    )
    asking = (text for text in texts if "os.environ" in text or "os.getenv" in text)
    return frozenset(name for text in asking for name in _asked(ast.parse(text))) - NOT_OURS


def _asked(tree: ast.Module) -> Iterator[str]:
    """The literal names in `os.environ.get(...)`, `os.environ[...]` and `os.getenv(...)`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("os.environ.get", "os.getenv"):
            name = node.args[0]
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
            name = node.slice
        else:
            continue
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            yield name.value


def _of_the_command() -> set[str]:
    def options(command: object) -> Iterator[str]:
        for one in getattr(command, "commands", {}).values():
            yield from options(one)
        for parameter in getattr(command, "params", ()):
            if parameter.envvar:
                yield str(parameter.envvar)

    return set(options(typer.main.get_command(app)))


def _services() -> dict[str, dict[str, str]]:
    for path in sorted((ROOT / "services").glob("*/app.py")):
        import_module(f"services.{path.parent.name}.app")
    common = _fields(ServiceSettings)
    own: dict[str, dict[str, str]] = {}
    for cls in _subclasses(ServiceSettings):
        heading = cls.__module__.split(".")[1].capitalize()
        fields = _fields(cls)
        own.setdefault(heading, {}).update({n: d for n, d in fields.items() if n not in common})
    return {"Every service": common, **own}


def test_every_setting_of_a_service_is_documented_with_its_default() -> None:
    services = _services()
    assert {"Every service", "Intake"} <= set(services)
    for heading, fields in services.items():
        shown = {n: d for n, d in DOCUMENTED[heading].items() if n not in _read_elsewhere()}
        assert shown == {n: d for n, d in fields.items() if n not in _read_elsewhere()}, heading


def test_whatever_else_is_asked_of_the_environment_is_documented() -> None:
    everywhere = {name for table in DOCUMENTED.values() for name in table}
    assert _read_elsewhere() <= everywhere
    assert _of_the_command() <= everywhere


def test_nothing_is_documented_that_nobody_reads() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    settings = {name for fields in _services().values() for name in fields}
    known = settings | _read_elsewhere() | _of_the_command()
    known |= set(re.findall(r"\$\{(\w+)", str(compose)))
    for heading, table in DOCUMENTED.items():
        assert set(table) <= known, heading


def test_defaults_of_compose_are_its_own() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    for name, default in DOCUMENTED["docker-compose.yml"].items():
        assert f"${{{name}:-{default.strip('`')}}}" in text

"""Types that generators make of the published schemas: they compile strictly, and take a code of the future.

Each published example is changed as a later release might: every open code is one that nobody knows yet, and every
object has one more field. TypeScript, Go and the kit's own classes have to read that, and still refuse a wrong type.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from shared.contracts import CATALOGUE
from shared.contracts.event import Event
from tests import needs

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "contracts" / "types"
PUBLISHED = ROOT / "shared" / "contracts" / "published"
FUTURE = "code_of_the_future"
TSC = "--strict --noEmit --target es2022 --module esnext --moduleResolution bundler --allowImportingTsExtensions"
GO = """\
package main

import (
	"fmt"
	"os"
	"strings"

	"throughcare.example/types/events"
)

func check(name string, data []byte, again []byte, err error) {
	if err != nil || strings.Count(string(data), "%(future)s") != strings.Count(string(again), "%(future)s") {
		fmt.Println(name, err, string(again))
		os.Exit(1)
	}
}

func main() {
	var data, again []byte
	var err error
%(calls)s
	if _, err = events.Unmarshal%(title)s([]byte(`{"%(field)s": "many"}`)); err == nil {
		os.Exit(2)
	}
}
"""
CALL = """\
	data, _ = os.ReadFile("examples/%(type)s.json")
	again, err = nil, nil
	if one, failed := events.Unmarshal%(title)s(data); failed != nil {
		err = failed
	} else {
		again, err = one.Marshal()
	}
	check("%(title)s", data, again, err)
"""


def _later(schema: Mapping[str, Any], value: Any, root: Mapping[str, Any]) -> Any:
    """The value as a later release might write it."""
    if "$ref" in schema:
        return _later(root["$defs"][schema["$ref"].rpartition("/")[2]], value, root)
    if any("enum" in one for one in schema.get("anyOf", ())):
        return FUTURE
    if isinstance(value, dict):
        known: dict[str, Any] = value
        fields = schema["properties"]
        later = {name: _later(fields[name], one, root) for name, one in known.items()}
        return later | {"added_later": {"by": "somebody"}}
    if isinstance(value, list):
        items: list[Any] = value
        return [_later(schema["items"], one, root) for one in items]
    return value


@pytest.fixture(scope="module")
def examples() -> dict[str, dict[str, Any]]:
    """By type: the data of its published example, changed."""
    found: dict[str, dict[str, Any]] = {}
    for event_type in sorted(CATALOGUE):
        schema = json.loads((PUBLISHED / "schemas" / f"{event_type}.json").read_text())
        data = json.loads((PUBLISHED / "examples" / f"{event_type}.json").read_text())["data"]
        found[event_type] = _later(schema, data, schema)
    assert sum(FUTURE in json.dumps(one) for one in found.values()) > len(found) // 4
    return found


@pytest.fixture(scope="module")
def generated(
    examples: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A directory with the types of all events, and the examples."""
    npm, node = needs.program("npm"), needs.program("node")
    lock, installed = HERE / "package-lock.json", HERE / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        needs.run(npm, "ci", "--ignore-scripts", "--silent", cwd=HERE)
        installed.touch()
    out = tmp_path_factory.mktemp("types")
    needs.run(node, HERE / "generate.mjs", PUBLISHED / "schemas", out, cwd=HERE)
    (out / "examples").mkdir()
    for event_type, data in examples.items():
        (out / "examples" / f"{event_type}.json").write_text(json.dumps(data))
    return out


def _title(event_type: str) -> str:
    return CATALOGUE[event_type].__name__


def test_typescript_takes_a_code_of_the_future(
    generated: Path, examples: dict[str, dict[str, Any]]
) -> None:
    lines = list[str]()
    for number, (event_type, data) in enumerate(examples.items()):
        lines += [
            f'import type {{ {_title(event_type)} as T{number} }} from "./ts/{event_type}.ts";',
            f"export const it{number}: T{number} = {json.dumps(data)};",
        ]
    some = list(examples).index("care.attendance.session-attended.v1")
    lines += [
        "// @ts-expect-error",
        f'export const wrong: T{some} = {{ ...it{some}, minutes_credited: "many" }};',
    ]
    (generated / "check.ts").write_text("\n".join(lines))
    tsc = HERE / "node_modules" / ".bin" / "tsc"
    needs.run(tsc, *TSC.split(), generated / "check.ts", cwd=generated)


def test_go_takes_a_code_of_the_future(
    generated: Path, examples: dict[str, dict[str, Any]]
) -> None:
    calls = [CALL % {"type": one, "title": _title(one)} for one in examples]
    known = {"future": FUTURE, "title": "SessionAttended", "field": "minutes_credited"}
    (generated / "main.go").write_text(GO % {**known, "calls": "".join(calls)})
    (generated / "go.mod").write_text("module throughcare.example/types\n\ngo 1.21\n")
    go = needs.program("go")
    needs.run(go, "vet", "./...", cwd=generated)
    needs.run(go, "run", ".", cwd=generated)


@pytest.mark.parametrize("event", CATALOGUE.values(), ids=list(CATALOGUE))
def test_the_kit_takes_a_code_of_the_future(
    event: type[Event], examples: dict[str, dict[str, Any]]
) -> None:
    text = json.dumps(examples[event.TYPE])
    again = event.parse(text).data().decode()
    assert again.count('"unknown"') == text.count(FUTURE)

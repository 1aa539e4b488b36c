"""From TOML to a profile. All that is wrong is said at once, each with its line. Pure: takes text, reads no file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, cast

from pydantic import ValidationError

from shared.contracts.codes import Value
from shared.errors import ConfigurationError
from shared.programs.profile import ProgramProfile
from shared.programs.toml_text import NotToml, read_toml

_HEADER: Final = re.compile(r"^\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?")
_KEY: Final = re.compile(
    r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*[A-Za-z0-9_-]+)*)\s*="""
)
_PLACE: Final = re.compile(r"\(at line (\d+), column \d+\)")
_HINTS: Final = {
    "extra_forbidden": "this is no part of a profile; is it spelled right?",
    "missing": "this is required",
}

Path = tuple[str | int, ...]


class Finding(Value):
    """One thing that is wrong."""

    line: int
    """Where, counted from 1."""
    place: str
    """Of what, such as `hours[1].minutes_floor`."""
    why: str


class ProfileInvalid(ConfigurationError):
    """A file that is no profile. `findings` say why."""

    def __init__(self, name: str, findings: Sequence[Finding]) -> None:
        first = findings[0]
        super().__init__(
            "profile-invalid",
            f"{name}:{first.line}: {first.place}: {first.why}",
            hint=f"care profiles check {name}",
        )
        self.findings = tuple(findings)


def read_profile(text: str, name: str = "profile") -> ProgramProfile:
    """The profile that a TOML text describes. Raises `ProfileInvalid` with everything that is wrong."""
    try:
        document = read_toml(text)
    except NotToml as error:
        raise ProfileInvalid(name, [_unreadable(text, str(error))]) from None
    try:
        return ProgramProfile.model_validate(document)
    except ValidationError as error:
        lines = Lines(text)
        found = [_finding(lines, cast("dict[str, Any]", wrong)) for wrong in error.errors()]
        raise ProfileInvalid(name, sorted(found, key=lambda f: (f.line, f.place))) from None


def _unreadable(text: str, message: str) -> Finding:
    place = _PLACE.search(message)
    line = int(place[1]) if place else max(1, len(text.splitlines()))
    return Finding(line=line, place="TOML", why=_PLACE.sub("", message).strip())


def _finding(lines: Lines, wrong: dict[str, Any]) -> Finding:
    loc = (*wrong["loc"], *wrong.get("ctx", {}).get("at", ()))
    path = tuple(part for part in loc if not _is_of_a_union(part))
    why = _HINTS.get(wrong["type"]) or str(wrong["msg"])
    return Finding(line=lines.of(path), place=_dotted(path) or "the whole", why=why)


def _is_of_a_union(part: str | int) -> bool:
    """Pydantic names the branch of a union in the place; no key of a profile has such a name."""
    return isinstance(part, str) and not re.fullmatch(r"[A-Za-z0-9_-]+", part)


def _dotted(path: Path) -> str:
    place = ""
    for part in path:
        place += f"[{part + 1}]" if isinstance(part, int) else f"{'.' if place else ''}{part}"
    return place


class Lines:
    """At which line each table and key of a TOML text begins.

    A scan of headers and keys at the beginning of lines, which is how profiles are written; what stands inside an
    inline table or a list is found at the line of its key.
    """

    def __init__(self, text: str) -> None:
        self._at: dict[Path, int] = {(): 1}
        counts: dict[Path, int] = {}
        table: Path = ()
        within: str | None = None
        for number, line in enumerate(text.splitlines(), 1):
            if within is not None:  # inside a text of several lines, nothing is a key
                within = None if within in line else within
                continue
            if header := _HEADER.match(line):
                table = self._table(_parts(header[2]), many=header[1] == "[[", counts=counts)
                self._at.setdefault(table, number)
            elif key := _KEY.match(line):
                self._at.setdefault((*table, *_parts(key[1])), number)
                within = next((q for q in ('"""', "'''") if line.count(q) == 1), None)

    @staticmethod
    def _table(parts: Path, *, many: bool, counts: dict[Path, int]) -> Path:
        path: Path = ()
        for depth, part in enumerate(parts, 1):
            path = (*path, part)
            if depth == len(parts) and many:
                counts[path] = counts.get(path, -1) + 1
            if path in counts:
                path = (*path, counts[path])
        return path

    def of(self, path: Path) -> int:
        """The line of this place, or of the nearest table or key around it."""
        while path not in self._at:
            path = path[:-1]
        return self._at[path]


def _parts(dotted: str) -> Path:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))

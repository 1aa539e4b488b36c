"""What was released: an append-only list of versions, each with the whole contract as it was that day.

`published/RELEASES` has a line for each: version, sha256 of its file, date. The file is
`published/releases/<version>.json`, the baseline of the gate. The list is only ever added to, so that a baseline can't
be lost or made anew.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from .contract import Contract, is_contract
from .differ import differences
from .difference import Difference, Kind

RELEASES: Final = "shared/contracts/published/RELEASES"
FOLDER: Final = "shared/contracts/published/releases"
REWORDED: Final = "shared/contracts/published/REWORDED"
CHANGELOG: Final = "shared/contracts/published/CHANGELOG.md"
FIRST: Final = "1.0.0"
_LINE: Final = re.compile(r"([0-9]+\.[0-9]+\.[0-9]+) ([0-9a-f]{64}) ([0-9]{4}-[0-9]{2}-[0-9]{2})")


class ReleaseError(ValueError):
    """The list of releases, or a file of it, can't be trusted; the text says which and why."""


class Release(NamedTuple):
    """One released version."""

    version: str
    sha256: str
    day: date
    contract: Contract
    reworded: list[dict[str, str]]

    def line(self) -> str:
        """Its line in the list."""
        return f"{self.version} {self.sha256} {self.day.isoformat()}"


def load(root: Path) -> list[Release]:
    """Every release of the repository at `root`, in order. Raises `ReleaseError`."""
    path = root / RELEASES
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = [_read(root, number, line) for number, line in enumerate(lines, start=1)]
    for one, other in pairwise(found):
        if _number(one.version) >= _number(other.version):
            raise ReleaseError(f"{RELEASES}: {other.version} stands after {one.version}")
    present = {file.stem for file in (root / FOLDER).glob("*.json")}
    if lost := present - {one.version for one in found}:
        raise ReleaseError(f"{RELEASES}: {', '.join(sorted(lost))} has a file and no line")
    return found


def _read(root: Path, number: int, line: str) -> Release:
    match = _LINE.fullmatch(line)
    if match is None:
        raise ReleaseError(f"{RELEASES}: line {number} is not `version sha256 date`")
    name, digest, day = match.groups()
    path = root / FOLDER / f"{name}.json"
    if not path.exists():
        raise ReleaseError(f"{FOLDER}/{name}.json: missing")
    raw = path.read_bytes()
    if hashlib.sha256(raw).hexdigest() != digest:
        raise ReleaseError(f"{FOLDER}/{name}.json: edited since it was released")
    body = read_release(raw, f"{FOLDER}/{name}.json")
    return Release(name, digest, _day(day, number), body["contract"], body["reworded"])


def read_release(raw: bytes | str, place: str) -> dict[str, Any]:
    """The content of a release's file. Raises `ReleaseError`."""
    try:
        body = json.loads(raw)
        if is_contract(body["contract"]) and isinstance(body["reworded"], list):
            return body
    except (ValueError, KeyError, TypeError):
        pass
    raise ReleaseError(f"{place}: no release of the contract")


def _day(text: str, line: int) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ReleaseError(f"{RELEASES}: line {line} has no such day: {text}") from None


def version(released: Sequence[Release]) -> str:
    """What is published now: the last release, or what will be the first."""
    return released[-1].version if released else f"{FIRST}-unreleased"


def current_version() -> str:
    """The version that this installation publishes, from the list that lies beside the event classes."""
    path = Path(__file__).parents[1] / "published" / "RELEASES"
    lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
    return lines[-2].partition(" ")[0] if len(lines) > 1 else version([])


def check_history(root: Path, earlier: Iterable[str]) -> None:
    """Refuse a list that does not begin with every line that an earlier commit had. Raises `ReleaseError`."""
    path = root / RELEASES
    now = path.read_text(encoding="utf-8") if path.exists() else ""
    for text in earlier:
        if not now.startswith(text):
            raise ReleaseError(f"{RELEASES}: lines that were committed are gone or changed")


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


# --- the gate -----------------------------------------------------------------------------------


class Verdict(NamedTuple):
    """What the gate says of a contract: what is refused, what is asked for, what is allowed."""

    breaking: list[Difference]
    asked: list[Difference]
    additive: list[Difference]

    @property
    def passes(self) -> bool:
        return not self.breaking and not self.asked


def judge(
    before: Contract, after: Contract, reworded: Sequence[dict[str, str]], today: date
) -> Verdict:
    """Compare two contracts; words that somebody answered for are allowed."""
    known = {one["what"] for one in reworded}
    found = differences(before, after, today)
    words = [one for one in found if one.kind is Kind.WORDS]
    return Verdict(
        [one for one in found if one.kind is Kind.BREAKING],
        [one for one in words if str(one) not in known],
        [one for one in found if one.kind is Kind.ADDITIVE]
        + [one for one in words if str(one) in known],
    )


def reworded(root: Path) -> list[dict[str, str]]:
    """The changes of words since the last release that somebody answered for: what, and why. Raises `ReleaseError`."""
    path = root / REWORDED
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    try:
        found = [json.loads(line) for line in lines]
        return [{"what": one["what"], "why": one["why"]} for one in found]
    except (ValueError, KeyError, TypeError):
        raise ReleaseError(f"{REWORDED}: a line is not of `what` and `why`") from None


def reword(root: Path, asked: Iterable[Difference], why: str) -> None:
    """Note why these words changed."""
    with (root / REWORDED).open("a", encoding="utf-8") as file:
        for one in asked:
            file.write(json.dumps({"what": str(one), "why": why}, ensure_ascii=False) + "\n")


# --- a new release ------------------------------------------------------------------------------


def next_version(before: Sequence[Release], verdict: Verdict) -> str | None:
    """The version that follows: a minor one for additions, a patch for words. None when nothing changed."""
    if not before:
        return FIRST
    major, minor, patch = _number(before[-1].version)
    if any(one.kind is Kind.ADDITIVE for one in verdict.additive):
        return f"{major}.{minor + 1}.0"
    return f"{major}.{minor}.{patch + 1}" if verdict.additive else None


def release(root: Path, number: str, whole: Contract, today: date) -> Release:
    """Write a release: its file, its line, and nothing left of the words that were answered for."""
    answered = reworded(root)
    text = json.dumps(
        {"version": number, "reworded": answered, "contract": whole}, indent=1, ensure_ascii=False
    )
    raw = (text + "\n").encode()
    made = Release(number, hashlib.sha256(raw).hexdigest(), today, whole, answered)
    path = root / FOLDER / f"{number}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)
    with (root / RELEASES).open("a", encoding="utf-8") as file:
        file.write(made.line() + "\n")
    (root / REWORDED).unlink(missing_ok=True)
    return made


def changelog(released: Sequence[Release]) -> str:
    """The page of what each release brought, made from the releases themselves."""
    lines = [
        "# Changes of the published events",
        "",
        "Made by `care contracts generate`; do not edit.",
    ]
    if not released:
        lines += ["", "Nothing has been released: version 1 of an event may still change in place."]
    for before, one in zip([None, *released], released, strict=False):
        lines += ["", f"## {one.version} ({one.day.isoformat()})", ""]
        lines += _entries(before, one)
    return "\n".join(lines) + "\n"


def _entries(before: Release | None, one: Release) -> list[str]:
    if before is None:
        counted = (
            f"{len(one.contract['events'])} event types on {len(one.contract['topics'])} topics"
        )
        return [f"- The first release: {counted}."]
    found = differences(before.contract, one.contract, one.day)
    whys: dict[str, Any] = {answer["what"]: answer["why"] for answer in one.reworded}
    return [
        f"- {difference}" + (f" ({whys[str(difference)]})" if str(difference) in whys else "")
        for difference in found
    ]

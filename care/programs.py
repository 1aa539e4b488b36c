"""`care profiles`: check, list and show what programs say of themselves."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from shared.errors import CareError
from shared.programs.profile import ProgramProfile
from shared.programs.read import ProfileInvalid
from shared.runtime.http.programs import Programs, read_file

app = typer.Typer(no_args_is_help=True, help="Programs as data: check, list and show profiles.")
console = Console()
Directory = Annotated[
    Path | None,
    typer.Option("--programs", envvar="CARE_PROGRAMS", help="The facility's own profiles."),
]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]


@app.command(epilog="Example: `care profiles check programs/*.toml`")
def check(
    files: Annotated[list[Path], typer.Argument(help="TOML files, one profile each.")],
    as_json: AsJson = False,
) -> None:
    """Say whether each file is a profile, and everything that is wrong with it, with its line."""
    wrong = 0
    reports: list[dict[str, object]] = []
    for file in files:
        try:
            profile = read_file(file)
        except ProfileInvalid as error:
            wrong += 1
            found = [finding.model_dump() for finding in error.findings]
            reports.append({"file": str(file), "valid": False, "findings": found})
            if not as_json:
                _explain(file, error)
        except CareError as error:
            wrong += 1
            finding = {"line": 0, "place": "the file", "why": error.detail}
            reports.append({"file": str(file), "valid": False, "findings": [finding]})
            if not as_json:
                typer.echo(f"{file}: {error.detail}")
        else:
            named = {"program": profile.program, "version": profile.version}
            reports.append({"file": str(file), "valid": True, **named})
            if not as_json:
                typer.echo(f"{file}: {profile.program} {profile.version} is a profile")
    if as_json:
        typer.echo(json.dumps(reports, indent=2))
    if wrong:
        raise typer.Exit(1)


def _explain(file: Path, error: ProfileInvalid) -> None:
    for finding in error.findings:
        typer.echo(f"{file}:{finding.line}: {finding.place}: {finding.why}")


@app.command("list", epilog="Example: `care profiles list --programs programs`")
def list_profiles(programs: Directory = None, as_json: AsJson = False) -> None:
    """All versions of all programs: those that ship and the facility's own."""
    found = _loaded(programs).versions
    if as_json:
        typer.echo(json.dumps([_summary(profile) for profile in found], indent=2))
        return
    table = Table("program", "version", "from", "facility", "level", "weeks", "groups")
    for profile in found:
        table.add_row(
            profile.program,
            profile.version,
            profile.effective_on.isoformat(),
            profile.facility,
            profile.level.code,
            _range(profile.weeks_min, profile.weeks_max),
            _range(profile.group.members_min, profile.group.members_max),
        )
    console.print(table)


@app.command(epilog="Example: `care profiles show evening-groups --on 2026-03-02`")
def show(
    program: Annotated[str, typer.Argument(help="The program's code, or another one it has.")],
    facility: Annotated[str, typer.Option(help="As this facility sees it.")] = "*",
    on: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="On this day; today if missing.")
    ] = None,
    programs: Directory = None,
    as_json: AsJson = False,
) -> None:
    """The version of a program that holds on a day, and the terms that an admission would carry."""
    day = (on or datetime.now(UTC)).date()
    profile = _current(_loaded(programs), facility, program, day)
    terms = profile.terms()
    if as_json:
        body = {**profile.model_dump(mode="json"), "terms": terms.model_dump(mode="json")}
        typer.echo(json.dumps(body, indent=2))
        return
    console.print(f"{profile.title} ({profile.program} {profile.version}, {profile.level.code})")
    _rows("what it says", profile.model_dump(mode="json", exclude_defaults=True))
    _rows("the terms of an admission", terms.model_dump(mode="json"))


def _rows(title: str, values: dict[str, object]) -> None:
    table = Table("", "", title=title, show_header=False, title_justify="left")
    for name, value in values.items():
        table.add_row(name, value if isinstance(value, str) else json.dumps(value))
    console.print(table)


def _loaded(directory: Path | None) -> Programs:
    try:
        return Programs.load(directory)
    except CareError as error:
        typer.echo(f"{error.detail} {error.hint}".strip(), err=True)
        raise typer.Exit(1) from None


def _current(programs: Programs, facility: str, program: str, day: date) -> ProgramProfile:
    try:
        return programs.current(facility, program, day)
    except CareError:
        known = ", ".join(sorted({profile.program for profile in programs.versions}))
        typer.echo(f"No program {program} holds on {day}. There are: {known}.", err=True)
        raise typer.Exit(1) from None


def _summary(profile: ProgramProfile) -> dict[str, object]:
    return profile.model_dump(
        mode="json",
        include={"program", "aliases", "title", "version", "effective_on", "facility", "level"},
    )


def _range(least: int | None, most: int | None) -> str:
    if least is None and most is None:
        return "individual"
    return f"{'' if least is None else least}-{'' if most is None else most}"

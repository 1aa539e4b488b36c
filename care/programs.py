"""`care profiles`: checks, lists and shows program profiles."""

from __future__ import annotations

import json as jsonlib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from care.show import Json, as_json, fail, failures, table
from shared.calendar import local_day
from shared.errors import CareError

if TYPE_CHECKING:
    from shared.programs.profile import ProgramProfile
    from shared.programs.read import ProfileInvalid
    from shared.runtime.http.programs import Programs

app = typer.Typer(no_args_is_help=True, help="Check, list and show program profiles.")
Directory = Annotated[
    Path | None,
    typer.Option(
        "--programs", envvar="CARE_PROGRAMS", help="The directory of the facility's own profiles."
    ),
]


@app.command(epilog="Example: `care profiles check programs/*.toml`")
def check(
    files: Annotated[list[Path], typer.Argument(help="The profiles, one TOML file each.")],
    json: Json = False,
) -> None:
    """Check whether each file is a valid profile, and print every error with its line."""
    from shared.programs.read import ProfileInvalid
    from shared.runtime.http.programs import read_file

    wrong = 0
    reports: list[dict[str, object]] = []
    for file in files:
        try:
            profile = read_file(file)
        except ProfileInvalid as error:
            wrong += 1
            found = [finding.model_dump() for finding in error.findings]
            reports.append({"file": str(file), "valid": False, "findings": found})
            if not json:
                _explain(file, error)
        except CareError as error:
            wrong += 1
            finding = {"line": 0, "place": "the file", "why": error.detail}
            reports.append({"file": str(file), "valid": False, "findings": [finding]})
            if not json:
                typer.echo(f"{file}: {error.detail}")
        else:
            named = {"program": profile.program, "version": profile.version}
            reports.append({"file": str(file), "valid": True, **named})
            if not json:
                typer.echo(f"{file}: {profile.program} {profile.version} is a valid profile")
    if json:
        as_json(reports)
    if wrong:
        raise typer.Exit(1)


def _explain(file: Path, error: ProfileInvalid) -> None:
    for finding in error.findings:
        typer.echo(f"{file}:{finding.line}: {finding.place}: {finding.why}")


@app.command("list", epilog="Example: `care profiles list --programs programs`")
def list_profiles(programs: Directory = None, json: Json = False) -> None:
    """List all versions of all programs: those of this package and the facility's own."""
    found = _loaded(programs).versions
    if json:
        as_json([_summary(profile) for profile in found])
        return
    table(
        ("program", "version", "from", "facility", "level", "weeks", "groups"),
        (
            (
                profile.program,
                profile.version,
                profile.effective_on.isoformat(),
                profile.facility,
                profile.level.code,
                _range(profile.weeks_min, profile.weeks_max),
                _range(profile.group.members_min, profile.group.members_max),
            )
            for profile in found
        ),
    )


@app.command(epilog="Example: `care profiles show evening-groups --on 2026-03-02`")
def show(
    program: Annotated[str, typer.Argument(help="The program's code or one of its aliases.")],
    facility: Annotated[
        str, typer.Option(help="The facility whose programs to search; * for no facility.")
    ] = "*",
    on: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day; by default, today.")
    ] = None,
    programs: Directory = None,
    json: Json = False,
) -> None:
    """Show the version of a program that is in force on a day, and the terms of an admission to it."""
    day = local_day(datetime.now(UTC), "UTC") if on is None else date(on.year, on.month, on.day)
    profile = _current(_loaded(programs), facility, program, day)
    terms = profile.terms()
    if json:
        as_json({**profile.model_dump(mode="json"), "terms": terms.model_dump(mode="json")})
        return
    typer.echo(f"{profile.title} ({profile.program} {profile.version}, {profile.level.code})\n")
    _fields("profile", profile.model_dump(mode="json", exclude_defaults=True))
    typer.echo()
    _fields("terms of an admission", terms.model_dump(mode="json"))


def _fields(title: str, values: dict[str, object]) -> None:
    table(
        (title, ""),
        (
            (name, value if isinstance(value, str) else jsonlib.dumps(value))
            for name, value in values.items()
        ),
    )


def _loaded(directory: Path | None) -> Programs:
    from shared.runtime.http.programs import Programs

    with failures():
        return Programs.load(directory)


def _current(programs: Programs, facility: str, program: str, day: date) -> ProgramProfile:
    try:
        return programs.current(facility, program, day)
    except CareError:
        known = ", ".join(sorted({profile.program for profile in programs.versions}))
        fail(f"No program {program} is in force on {day}. There are: {known}.")


def _summary(profile: ProgramProfile) -> dict[str, object]:
    return profile.model_dump(
        mode="json",
        include={"program", "aliases", "title", "version", "effective_on", "facility", "level"},
    )


def _range(least: int | None, most: int | None) -> str:
    if least is None and most is None:
        return "individual"
    return f"{'' if least is None else least}-{'' if most is None else most}"

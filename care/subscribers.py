"""`care subscribers`: lists, checks and observes the teams that read events."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from care.show import ROOT, Json, as_json, fail, failures, need_source, table

if TYPE_CHECKING:
    from shared.contracts.publish.subscribers import Subscriber

app = typer.Typer(
    no_args_is_help=True,
    help="List, check and observe the teams inside the program that read events.",
)


@contextmanager
def contract_failures() -> Generator[None]:
    """End the command with what is wrong in a subscriber's file or in the list of releases."""
    from shared.contracts.publish.releases import ReleaseError
    from shared.contracts.publish.subscribers import SubscriberError

    try:
        yield
    except (ReleaseError, SubscriberError) as error:
        fail(str(error))


def all_subscribers() -> dict[str, Subscriber]:
    """Every subscriber by name; the command ends where a file can't be used."""
    from shared.contracts.publish import subscribers

    with contract_failures():
        return subscribers.load(ROOT)


@app.command("list", epilog="Example: `care subscribers list`")
def list_(json: Json = False) -> None:
    """List every subscriber: its owner, how many event types it reads, and on which topics."""
    teams = all_subscribers()
    if json:
        as_json(
            [{**one.model_dump(mode="json"), "topics": list(one.topics)} for one in teams.values()]
        )
        return
    table(
        ("name", "owner", "types", "reads"),
        ((one.name, one.owner, len(one.reads), ", ".join(one.topics)) for one in teams.values()),
    )


def over(team: Subscriber) -> bool:
    """Whether the agreement of this subscriber has ended."""
    from datetime import UTC, datetime

    from shared.calendar import local_day

    return team.is_over(local_day(datetime.now(UTC), "UTC"))


@app.command(epilog="Example: `care subscribers check`")
def check(json: Json = False) -> None:
    """Check every file: its name, types, fields and agreement.

    Exit status 1 when a file can't be used or its agreement has ended.
    """
    from shared.runtime.kafka.access import check_subscriber

    teams = all_subscribers()
    with failures():
        for name in teams:
            check_subscriber(name)
        unknown = _unknown_facilities(teams)
    ended = [one.name for one in teams.values() if over(one)]
    if json:
        as_json({"subscribers": list(teams), "over": ended, "unknown_facilities": unknown})
    for name in ended:
        typer.echo(f"{name}: its agreement ended on {teams[name].until}", err=True)
    for name, facilities in unknown.items():
        typer.echo(f"{name}: not in the directory: facility {', '.join(facilities)}", err=True)
    if ended or unknown:
        fail(
            "Renew the agreement, correct the file, or remove it. Remove a restricted team's file only after the"
            " service outlet has ended the team's topic."
        )
    if not json:
        typer.echo(f"{len(teams)} subscribers: every file can be used")


def _unknown_facilities(teams: dict[str, Subscriber]) -> dict[str, list[str]]:
    """The facilities that the directory of the deployment (CARE_DIRECTORY) does not have, where there is one."""
    import os

    from shared.programs.registered import read_directory

    place = os.environ.get("CARE_DIRECTORY")
    if not place:
        return {}
    try:
        known = read_directory(Path(place).read_text(encoding="utf-8"), place).facilities
    except (OSError, UnicodeDecodeError) as error:
        fail(
            f"CARE_DIRECTORY can't be read ({type(error).__name__}).",
            "Correct the path or the file.",
        )
    missing = {
        one.name: [name for name in one.facilities if name not in known]
        for one in teams.values()
        if one.facilities != "all"
    }
    return {name: facilities for name, facilities in missing.items() if facilities}


@app.command(epilog="Example: `KAFKA_BOOTSTRAP=… care subscribers observe`")
def observe(*, json: Json = False) -> None:
    """Show who reads the events now, how far behind each group is, and what users of the kit report.

    For a group without the kit, Kafka shows only its topics and how far behind the group is.
    """
    import asyncio
    from time import time

    from care.observed import observed
    from shared.runtime.connections import KafkaFromEnvironment
    from shared.runtime.kafka.groups import committed

    teams = all_subscribers().values()
    with failures():
        found = observed(asyncio.run(committed(KafkaFromEnvironment())), teams)
    if json:
        as_json([one.as_json() for one in found])
        return
    now = int(time())
    table(
        ("group", "who", "behind", "handled", "gaps", "aside", "kit", "seen"),
        (
            (
                *(one.group or "none yet", one.who, one.behind if one.group else "-"),
                *("-" if value is None else value for value in (one.handled, one.gaps, one.aside)),
                *(one.kit or "-", "-" if one.seen_at is None else f"{max(0, now - one.seen_at)} s"),
            )
            for one in found
        ),
    )


@app.command(epilog="Example: `care subscribers new billing`")
def new(name: Annotated[str, typer.Argument(help="The team's name: a-z, 0-9 and -.")]) -> None:
    """Write a new subscriber's file, for its team to fill in."""
    need_source("docs")
    from shared.contracts.publish import subscribers
    from shared.runtime.kafka.access import check_subscriber

    with failures():
        check_subscriber(name)
    path = ROOT / subscribers.FOLDER / f"{name}.toml"
    if path.exists():
        fail(f"{path.relative_to(ROOT)} exists.")
    path.write_text(subscribers.template(name), encoding="utf-8")
    typer.echo(
        f"{path.relative_to(ROOT)}: fill it in, then run `care subscribers check` and `care contracts generate`"
    )

"""`python -m throughcare_events aside`: lists, retries or drops the messages that a subscriber has set aside.

The command writes only to the inbox, and it may run while the subscriber runs: the subscriber reads the inbox again
within seconds. It prints places, subjects and reasons, never the data of an event.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from .errors import KitError, address_unusable, driver_missing
from .handlers import Handlers
from .inboxes.protocol import Changes, Inbox
from .inboxes.sqlite import SQLiteInbox
from .messages import RETRIED, Aside, Reason, unpacked
from .reading import read

VARIABLE: Final = "THROUGHCARE_INBOX"
"""Where the inbox is, if the command line does not say: others can see that one, with a password in it."""
Work = Callable[[Sequence[Aside], Changes], None]


def inbox_at(place: str) -> Inbox:
    """The inbox of a file, or of a MongoDB or PostgreSQL address. Its driver is needed only there.

    Raises `KitError` for another address, or when the driver is not installed.
    """
    scheme, is_address, _ = place.partition("://")
    if not is_address:
        return SQLiteInbox(place)
    if scheme in {"mongodb", "mongodb+srv"}:
        return _mongo_inbox(place)
    if scheme in {"postgres", "postgresql"}:
        from .inboxes.postgres import PostgresInbox  # noqa: PLC0415 - an extra of the wheel

        return PostgresInbox(place)
    raise address_unusable("it does not begin with postgresql:// or mongodb://")


def _mongo_inbox(place: str) -> Inbox:
    try:
        from .inboxes.mongo import MongoInbox  # noqa: PLC0415 - an extra of the wheel
    except ImportError as error:
        raise driver_missing("mongo", error) from error
    try:
        database = urlsplit(place).path.strip("/")
    except ValueError:
        raise address_unusable("it can't be read") from None
    if not database:
        raise address_unusable("it names no database")
    return MongoInbox(place, database)


def retry(chosen: Sequence[Aside], changes: Changes) -> None:
    """Have events handled as soon as their turn in the stream comes. Raises `KitError` for one that can't be read."""
    for one in chosen:
        if not _is_readable(one):
            raise KitError(
                "aside-unreadable",
                f"The envelope of {_place(one)} can't be trusted, so that no handler can take it.",
                "Show it to the operators; then drop it.",
            )
        reason = one.reason if one.reason in RETRIED else Reason.RELEASED
        changes.aside[one.place] = one._replace(reason=reason, next_at=0.0)


def _is_readable(one: Aside) -> bool:
    try:
        return read(unpacked(one), Handlers()).stream is not None
    except (ValueError, TypeError):  # not as it was kept
        return False


def drop(chosen: Sequence[Aside], changes: Changes) -> None:
    """Never handle these; what waits behind them goes on."""
    changes.settled.update(one.place for one in chosen)


WORK: Final[dict[str, Work]] = {"retry": retry, "drop": drop}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    given = _parser().parse_args(arguments)
    if not given.inbox:
        print(f"name the inbox by --inbox or {VARIABLE}", file=sys.stderr)
        return 2
    try:
        return asyncio.run(_run(given))
    except KitError as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m throughcare_events")
    aside = parser.add_subparsers(required=True).add_parser(
        "aside", help="what a subscriber has set aside"
    )
    commands = aside.add_subparsers(dest="command", required=True)
    for name, words in (
        ("list", "show the events that are aside, stream by stream"),
        ("retry", "handle these events as soon as their turn in the stream comes"),
        ("drop", "never handle these events; their streams go on"),
    ):
        one = commands.add_parser(name, help=words, description=words)
        one.add_argument("places", nargs="*", help="as `list` prints them: TOPIC/PARTITION/OFFSET")
        one.add_argument("--inbox", default=os.environ.get(VARIABLE, ""), help="file or address")
        one.add_argument("--name", required=True, help="the subscriber's name")
        one.add_argument("--subject", help="only events about this subject")
        one.add_argument(
            "--reason", choices=[*Reason], help="only events that are aside for this reason"
        )
        if name == "list":
            one.add_argument("--json", action="store_true", help="for machines")
        else:
            one.add_argument("--all", action="store_true", help="all events that are aside")
    return parser


async def _run(given: argparse.Namespace) -> int:
    inbox = inbox_at(given.inbox)
    await inbox.open(given.name, make=False)
    try:
        chosen = _chosen(await inbox.aside(), given)
        if given.command == "list":
            _show(chosen, as_json=given.json)
            return 0
        changes = Changes()
        WORK[given.command](chosen, changes)
        async with inbox.unit({}) as unit:
            await unit.save(changes)
        print(f"{given.command}: {len(chosen)}")
        return 0
    finally:
        await inbox.close()


def _chosen(aside: Sequence[Aside], given: argparse.Namespace) -> list[Aside]:
    """What the command is about. Raises `KitError` for a place where nothing is, and for a command about nothing."""
    known = {_place(one): one for one in aside}
    if missing := [place for place in given.places if place not in known]:
        raise KitError("aside-unknown", f"No event is aside at {missing[0]}.", "See `aside list`.")
    found = [known[place] for place in given.places] or list(aside)
    found = [
        one
        for one in found
        if given.subject in (None, one.subject) and given.reason in (None, one.reason)
    ]
    said = given.places or given.subject or given.reason or given.command == "list" or given.all
    if not said or (not found and given.command != "list"):
        why = "No event that is aside matches." if said else "No event is named."
        raise KitError("aside-unknown", why, "Name places, --subject, --reason or --all.")
    return found


def _show(found: Sequence[Aside], *, as_json: bool) -> None:
    rows = [_told(one) for one in sorted(found, key=lambda one: (one.stream, one.place))]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    stream: str | None = None
    for row in rows:
        if row["stream"] != stream:
            stream = row["stream"]
            print(stream or "no stream: the envelope is unreadable")
        tried = f"tried {row['tries']}x, next {row['next']}" if row["next"] else "for a person"
        print("  ", row["place"], row["reason"], row["error"] or "-", tried)
    print(f"{len(rows)} aside")


def _told(one: Aside) -> dict[str, Any]:
    by_itself = one.reason in RETRIED
    at = datetime.fromtimestamp(one.next_at, UTC).isoformat(timespec="seconds")
    return {
        "place": _place(one),
        "stream": " ".join(one.stream).strip(),
        "reason": one.reason,
        "error": one.error,
        "tries": one.tries,
        "next": at if by_itself else "",
    }


def _place(one: Aside) -> str:
    return "/".join(map(str, one.place))

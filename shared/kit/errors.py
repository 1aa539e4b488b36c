"""The errors of the kit: what it refuses, and what it waits for. Each has a stable code and says what to do."""

from __future__ import annotations


class KitError(Exception):
    """Root of the tree. `code` is stable; `detail` and `hint` are sentences that repeat nothing of an event."""

    def __init__(self, code: str, detail: str, hint: str = "") -> None:
        super().__init__(f"{code}: {detail} {hint}".rstrip())
        self.code = code
        self.detail = detail
        self.hint = hint


class Refused(KitError):
    """Going on would lose events or handle them twice. Nothing has been changed; only a person can decide."""


def unknown_inbox(subscriber: str) -> Refused:
    """The inbox that a command is about is not there."""
    return Refused(
        "inbox-unknown",
        f"There is no inbox of {subscriber}.",
        "Name the file or address, and the subscriber, as its program does.",
    )


def driver_missing(extra: str, error: ImportError) -> Refused:
    """The inbox needs an extra of the wheel that is not installed."""
    why = str(error).partition("\n")[0]
    return Refused(
        "inbox-driver-missing",
        f"The driver of this inbox can't be loaded ({why}).",
        f"Install the wheel with its extra: pip install 'throughcare-events[{extra}]'.",
    )


def address_unusable(why: str) -> Refused:
    """The address is none of an inbox. It may have a password in it, and is not repeated."""
    return Refused(
        "inbox-address-unusable",
        f"This is no address of an inbox: {why}.",
        "Name a file, postgresql://USER@HOST/DATABASE or mongodb://HOST/DATABASE.",
    )


class InboxUnavailable(KitError):
    """The inbox can't be read or written now: it is locked, full or away. The kit waits, and loses nothing."""


class MovedOn(InboxUnavailable):
    """Another process has taken over these partitions, and has written further than this one knows."""


class NotNow(Exception):
    """Raise it in a handler when something it needs is away: the event is handled later, and nothing overtakes it."""

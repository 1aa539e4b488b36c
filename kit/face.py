"""Throughcare's events, and a subscriber that hears each of them once and in order.

The classes are in `attendance`, `followup`, `intake` and `plans`; `Subscriber` is where to start.
"""

from .contracts import CATALOGUE, TOPICS, Envelope, Event, attendance, followup, intake, plans
from .kit import (
    Aside,
    CaughtUp,
    Conflict,
    Connection,
    Gap,
    InboxUnavailable,
    KitError,
    MemoryInbox,
    NotNow,
    Refused,
    SetAside,
    SQLiteInbox,
    Subscriber,
)

__all__ = [
    "CATALOGUE",
    "TOPICS",
    "Aside",
    "CaughtUp",
    "Conflict",
    "Connection",
    "Envelope",
    "Event",
    "Gap",
    "InboxUnavailable",
    "KitError",
    "MemoryInbox",
    "NotNow",
    "Refused",
    "SQLiteInbox",
    "SetAside",
    "Subscriber",
    "attendance",
    "followup",
    "intake",
    "plans",
]

"""The subscriber kit: what other teams use to hear events, each once and in order. Start with `subscriber.py`.

It stands on the published language alone (`shared/contracts/`) and is built with it into a wheel of its own,
`throughcare-events`, by `make kit`; inside, every import is relative. `docs/subscribing.md` is its guide.
"""

from .connection import Connection
from .errors import InboxUnavailable, KitError, NotNow, Refused
from .inboxes.memory import MemoryInbox
from .inboxes.sqlite import SQLiteInbox
from .messages import Aside
from .notices import CaughtUp, Conflict, Gap, SetAside
from .subscriber import Subscriber

__all__ = [
    "Aside",
    "CaughtUp",
    "Conflict",
    "Connection",
    "Gap",
    "InboxUnavailable",
    "KitError",
    "MemoryInbox",
    "NotNow",
    "Refused",
    "SQLiteInbox",
    "SetAside",
    "Subscriber",
]

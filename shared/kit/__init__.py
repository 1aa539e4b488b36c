"""The subscriber kit: other teams use it to receive events, each once and in order. Start with `subscriber.py`.

It depends only on the published language (`shared/contracts/`). `make kit` builds both into a separate wheel,
`throughcare-events`, in which every import is relative. `docs/subscribing.md` is its guide.
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

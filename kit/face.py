"""Throughcare's events, and a subscriber that hears each of them once and in order.

The classes are in `attendance`, `followup`, `intake` and `plans`; `Subscriber` is where to start.
"""

from . import kit
from .contracts import CATALOGUE, TOPICS, Envelope, Event, attendance, followup, intake, plans
from .kit import *  # noqa: F403 - all that the kit offers: its own list is the only one

__all__ = [
    "CATALOGUE",
    "TOPICS",
    "Envelope",
    "Event",
    "attendance",
    "followup",
    "intake",
    "plans",
]
__all__ += kit.__all__

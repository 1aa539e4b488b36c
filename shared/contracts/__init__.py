"""The published language: what the services say to one another, and to anyone who subscribes.

One file per publisher; pydantic only; no I/O. Start with `event.py` (the envelope and the
catalogue), then read the publisher you care about. `published/` is generated from these classes
by `care contracts generate` and committed, so that nobody needs Python to read the contract.
"""

from . import attendance, followup, intake, plans
from .event import CATALOGUE, TOPICS, Envelope, Event

__all__ = ["CATALOGUE", "TOPICS", "Envelope", "Event", "attendance", "followup", "intake", "plans"]

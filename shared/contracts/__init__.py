"""The published language: what the services say to one another, and to anyone who subscribes.

One file per publisher; pydantic only; no I/O. Start with `event.py` (the envelope and the
catalogue), then read the publisher you care about. `published/` is generated from these classes
by `care contracts generate` and committed, so that nobody needs Python to read the contract.
"""

from importlib import import_module

from .event import CATALOGUE, Envelope, Event
from .publishers import PUBLISHERS
from .topics import TOPICS

for _publisher in PUBLISHERS:  # defining its classes fills the catalogue
    import_module(f"{__name__}.{_publisher}")

__all__ = ["CATALOGUE", "PUBLISHERS", "TOPICS", "Envelope", "Event"]

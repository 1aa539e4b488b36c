"""The services and their ports: the one list. Commands, the stack, containers and tests follow from it.

`docs/adding-a-service.md` has the steps. Topics follow from the modules of `shared/contracts` instead: a service may
publish nothing.
"""

from __future__ import annotations

from typing import Final

PORTS: Final[dict[str, int]] = {
    "intake": 8001,
    "plans": 8002,
    "attendance": 8003,
    "followup": 8004,
    "outlet": 8005,
}
"""Each service's HTTP port unless `CARE_PORT` says otherwise, in the order of a person's path."""

OUTLET: Final = "outlet"
"""Passes events on to restricted subscribers. It publishes nothing of its own, and no other service hears it."""
SERVICES: Final = tuple(name for name in PORTS if name != OUTLET)
"""The services that care for people: each publishes on a topic of its own."""
PROCESSES: Final = tuple(PORTS)
"""These, and outlet."""

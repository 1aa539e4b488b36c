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
}
"""Each service's HTTP port unless `CARE_PORT` says otherwise, in the order of a person's path."""

SERVICES: Final = tuple(PORTS)

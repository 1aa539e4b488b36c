"""Who may call over HTTP: the one closed list of roles, and what each other service may call.

A token carries one of these roles, `service:NAME` for a service that calls routes of others, or `subscriber:TEAM` for a
team that asks what was passed on to it. Any other word is refused, at the token and again at the route. A later service
adds its roles and itself here. Roles on the bus are not this list but a pattern (`shared/contracts/attributes.py`): an
older replica reads the words of a newer one.

`system` is who acts because of an event or a deadline; nobody comes with it from outside.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeGuard, get_args

from shared.contracts.outlets import TEAM

StaffRole = Literal[
    "intake_coordinator",
    "counselor",
    "clinician",
    "nurse",
    "case_manager",
    "peer_specialist",
    "clinical_supervisor",
    "program_director",
    "privacy_officer",
    "operator",
]
"""The roles that people come with."""
STAFF_ROLES: Final[tuple[StaffRole, ...]] = get_args(StaffRole)
OWNERS: Final[tuple[StaffRole, ...]] = ("clinical_supervisor", "program_director")
"""Who owns in the end what others left undone, in every service: they may see and do what the team may."""

SERVICE: Final = "service"
"""The role of a service that calls: what it does is recorded under this word, and under the actor of its token."""
SERVICE_PREFIX: Final = f"{SERVICE}:"
SERVICE_ROUTES: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "scheduler": frozenset({"attendance POST /screens/draw"}),
    }
)
"""What a service may call, by the name that its token carries: `service METHOD route`, and nothing else."""


SUBSCRIBER: Final = "subscriber"
"""The role of a team that reads what outlet passes on to it, by the name of its file."""
SUBSCRIBER_PREFIX: Final = f"{SUBSCRIBER}:"
CallerRole = StaffRole | Literal["subscriber"]
"""The roles that a route may list."""


def is_staff_role(word: str) -> TypeGuard[StaffRole]:
    """Whether people may come with this role."""
    return word in STAFF_ROLES


def role_and_service(word: str) -> tuple[str, str] | None:
    """What the role in a token stands for: a role, and the name of the service or team that calls, empty for people.

    None for a word that is on no list.
    """
    if is_staff_role(word):
        return word, ""
    name = word.removeprefix(SERVICE_PREFIX)
    if word.startswith(SERVICE_PREFIX) and name in SERVICE_ROUTES:
        return SERVICE, name
    team = word.removeprefix(SUBSCRIBER_PREFIX)
    if word.startswith(SUBSCRIBER_PREFIX) and re.fullmatch(TEAM, team):
        return SUBSCRIBER, team
    return None


def as_in_tokens(role: CallerRole) -> str:
    """A role that a route lists, as tokens carry it."""
    return f"{SUBSCRIBER_PREFIX}TEAM" if role == SUBSCRIBER else role


def services_for(service: str, method: str, route: str) -> list[str]:
    """The roles of the services that may call this route of a service, as tokens carry them."""
    wanted = f"{service} {method} {route}"
    return [SERVICE_PREFIX + name for name, routes in SERVICE_ROUTES.items() if wanted in routes]

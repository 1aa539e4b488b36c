"""Reads the claims of a token: who calls, for which facility, in which role. Pure.

Settings name the claims to read, because every issuer uses its own. The service does not store the issuer's name for a
person: an actor is a UUID. When the claim is no UUID, the service derives one from the issuer and the claim.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from shared.contracts.attributes import legal
from shared.decision import derive_id
from shared.errors import ConfigurationError, Forbidden, Unauthenticated
from shared.roles import role_and_service

CLAIM_LENGTH_MAX: Final = 255
"""What OpenID Connect allows a `sub`."""
WORDS_MAX: Final = 1_000
NO_ROLE: Final = "unknown"
"""What stands in the audit for a role that is on no list: it may be any text."""


@dataclass(frozen=True, slots=True)
class Actor:
    """An authenticated caller: opaque id, facility and role, and of a service or team its name."""

    id: str
    facility_id: str
    role: str
    service: str = ""


class RoleUnknown(Forbidden):
    """Whose role is on no list. The rest of the token is trusted: what they tried is written down as theirs."""

    def __init__(self, actor: Actor) -> None:
        super().__init__(
            "role-unknown",
            "The token has no role that may call this service.",
            hint="Ask the issuer for a token with one of the roles in docs/security.md.",
        )
        self.actor: Final = actor


@dataclass(frozen=True, slots=True)
class Claims:
    """Which claims hold actor, facility and role, and which role each of the issuer's groups has."""

    actor: str = "sub"
    facility: str = "facility"
    role: str = "role"
    roles: Mapping[str, str] | None = None
    """None: the claim names the role itself."""

    def actor_of(self, claims: Mapping[str, Any], issuer: str) -> Actor:
        """The caller. Raises `Unauthenticated` for claims that don't say who, `RoleUnknown` for a role on no list."""
        named, facilities = _found(claims, self.actor), _words(_found(claims, self.facility))
        if not isinstance(named, str) or not 0 < len(named) <= CLAIM_LENGTH_MAX:
            raise refused()
        # It stands in events and logs: it must be no free text.
        if len(facilities) != 1 or not legal("facilityid", facilities[0]):
            raise refused()
        actor_id = named if legal("id", named) else derive_id("actor", issuer, named)
        known = self._role(_words(_found(claims, self.role)))
        if known is None:
            raise RoleUnknown(Actor(actor_id, facilities[0], NO_ROLE))
        return Actor(actor_id, facilities[0], *known)

    def _role(self, words: list[str]) -> tuple[str, str] | None:
        if self.roles is None:
            found = list(dict.fromkeys(words))
        else:
            found = [role for group, role in self.roles.items() if group in words][:1]
        return role_and_service(found[0]) if len(found) == 1 else None


def refused() -> Unauthenticated:
    """The one answer to every token that can't be trusted."""
    return Unauthenticated(
        "token-refused", "The token can't be trusted.", hint="Ask the issuer for a new one."
    )


def read_role_map(text: str) -> Mapping[str, str] | None:
    """The roles by group, in the order in which they are looked for; None for no text.

    Raises `ConfigurationError` for anything but a JSON object of roles that may call.
    """
    if not text:
        return None
    try:
        found: Any = json.loads(text)
    except ValueError:
        found = None
    pairs: dict[str, Any] = cast("dict[str, Any]", found) if isinstance(found, dict) else {"": None}
    if not all(isinstance(role, str) and role_and_service(role) for role in pairs.values()):
        raise ConfigurationError(
            "role-map-unusable",
            "CARE_ROLE_MAP must be a JSON object that maps the issuer's groups to roles that may call.",
            hint='For example {"iop-counselors": "counselor"}; docs/security.md lists the roles.',
            setting="CARE_ROLE_MAP",
        )
    return pairs


def _found(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by the names that lead to it through objects, with dots between."""
    if name in claims:
        return claims[name]
    head, dot, rest = name.partition(".")
    inner = claims.get(head)
    return _found(cast("dict[str, Any]", inner), rest) if dot and isinstance(inner, dict) else None


def _words(value: Any) -> list[str]:
    """One text or several; anything else is none."""
    values = cast("list[Any]", value[:WORDS_MAX]) if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, str) and 0 < len(one) <= CLAIM_LENGTH_MAX]

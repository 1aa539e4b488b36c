"""Who calls: a signed token names an actor (an opaque UUID), a facility and a role. Without a key, nobody may call."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Any, Final, cast

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from shared.contracts.attributes import legal
from shared.errors import ConfigurationError, Forbidden, Unauthenticated
from shared.roles import role_and_service

AUDIENCE: Final = "throughcare"
ALGORITHMS: Final = ["Ed25519"]
_REMEMBERED: Final = 1_000
_CLAIM_LENGTH_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Actor:
    """An authenticated caller: opaque id, facility and role, and of a service its name."""

    id: str
    facility_id: str
    role: str
    service: str = ""


class Authenticator:
    """Checks tokens against a JWKS: one fixed algorithm, issuer, audience and expiry."""

    def __init__(self, jwks: str, issuer: str) -> None:
        self._keys = _read(jwks)
        self._claims = jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": AUDIENCE},
            exp={"essential": True},
            sub={"essential": True},
            facility={"essential": True},
            role={"essential": True},
        )
        self._known: OrderedDict[str, tuple[Actor, float]] = OrderedDict()

    def actor(self, authorization: str | None) -> Actor:
        """The caller behind an `Authorization: Bearer …` header.

        Raises `Unauthenticated`, and `Forbidden` for a token that can be trusted but has a role that is on no list.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated(
                "token-required",
                "A bearer token is required.",
                hint="Send Authorization: Bearer …",
            )
        known = self._known.get(token)
        if known is not None and known[1] > time():
            return known[0]
        actor, expires = self._verified(token)
        self._known[token] = (actor, expires)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return actor

    def _verified(self, token: str) -> tuple[Actor, float]:
        refused = Unauthenticated(
            "token-refused", "The token can't be trusted.", hint="Ask the issuer for a new one."
        )
        if self._keys is None:
            raise refused
        try:
            claims = jwt.decode(token, self._keys, algorithms=ALGORITHMS).claims
            self._claims.validate(claims)
        except (JoseError, ValueError, TypeError):
            raise refused from None
        found = [claims.get(name) for name in ("sub", "facility", "role")]
        if not all(
            isinstance(value, str) and 0 < len(value) <= _CLAIM_LENGTH_MAX for value in found
        ):
            raise refused
        subject, facility, role = cast("list[str]", found)
        # They stand in events: who signed must be opaque, and the facility no free text.
        if not (legal("id", subject) and legal("facilityid", facility)):
            raise refused
        known = role_and_service(role)
        if known is None:
            raise Forbidden(
                "role-unknown",
                "The token's role is none of those that may call.",
                hint="Ask the issuer for a token with one of the roles in docs/security.md.",
            )
        return Actor(subject, facility, *known), float(claims["exp"])


def _read(jwks: str) -> KeySet | None:
    """A key set from a JSON document or the path of one; None when nothing is configured."""
    if not jwks:
        return None
    try:
        text = jwks if jwks.lstrip().startswith("{") else Path(jwks).read_text(encoding="utf-8")
        document: Any = json.loads(text)
        return KeySet.import_key_set(document)
    except (OSError, ValueError, JoseError) as error:
        raise ConfigurationError(
            "jwks-unreadable", "CARE_JWKS is neither a JWKS document nor the path of one."
        ) from error

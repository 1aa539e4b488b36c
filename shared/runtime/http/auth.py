"""Authenticates the caller: a signed token names an actor, a facility and a role.

Without a key for the tokens, nobody may call.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import time
from typing import Any, Final

from joserfc import jws, jwt
from joserfc.errors import JoseError

from shared.errors import ConfigurationError, Unauthenticated
from shared.runtime import development
from shared.runtime.http.claims import Actor, Claims, read_role_map, refused
from shared.runtime.http.keys import (
    KINDS,
    WELL_KNOWN,
    DiscoveredKeys,
    FixedKeys,
    Keys,
    KeySource,
    algorithms,
)
from shared.runtime.settings import ServiceSettings

LEEWAY_SECONDS: Final = 30
"""How far the clocks of issuer and service may differ."""
INSTANT_MAX: Final = 1e12
"""Seconds since 1970; no token is used in thirty thousand years."""
_REMEMBERED: Final = 1_000
_DEFAULT_ISSUER: Final = ServiceSettings.model_fields["issuer"].default


class KeyUnknown(Unauthenticated):
    """The token names a key that is not known. The issuer may have one since."""


class _Registry(jws.JWSRegistry):
    """EdDSA with a key on Ed25519 is Ed25519 under its older name (RFC 9864)."""

    def get_alg(self, name: str) -> Any:
        return super().get_alg("Ed25519" if name == "EdDSA" else name)


_REGISTRY: Final = _Registry(algorithms=[*algorithms()], strict_check_header=False)


class Authenticator:
    """Checks tokens: a listed algorithm, a key of the issuer, its name, the audience, expiry and age."""

    def __init__(
        self,
        source: KeySource,
        *,
        audience: str = "throughcare",
        claims: Claims | None = None,
        max_age_seconds: float = 86_400.0,
        now: Callable[[], float] = time,
    ) -> None:
        self._now = now
        self.source = source
        self._claims = claims or Claims()
        self._max_age_seconds = max_age_seconds
        self._registry = jwt.JWTClaimsRegistry(
            now=lambda: int(now()),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": source.issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            iat={"essential": True},
        )
        self._checked_with: Keys | None = None
        self._known: OrderedDict[str, tuple[Actor, float]] = OrderedDict()

    @classmethod
    def of(cls, settings: ServiceSettings) -> Authenticator:
        """As the settings say. Raises `ConfigurationError` for settings that can't be used."""
        claims = Claims(
            settings.claim_actor,
            settings.claim_facility,
            settings.claim_role,
            read_role_map(settings.role_map),
        )
        return cls(
            _source(settings),
            audience=settings.audience,
            claims=claims,
            max_age_seconds=settings.token_max_age_seconds,
        )

    def actor(self, authorization: str | None) -> Actor:
        """The caller behind an `Authorization: Bearer …` header.

        Raises `Unauthenticated`; `RoleUnknown` for a token that can be trusted but has a role that is on no list; and
        `Unavailable` while the issuer's keys are not known.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated(
                "token-required",
                "A bearer token is required.",
                hint="Send Authorization: Bearer …",
            )
        keys = self.source.keys()
        if keys is not self._checked_with:  # a key may have been withdrawn
            self._known.clear()
            self._checked_with = keys
        known = self._known.get(token)
        if known is not None and known[1] > self._now():
            return known[0]
        if keys is None:
            raise refused()
        actor, until = self._verified(token, keys)
        self._known[token] = (actor, until)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return actor

    def _verified(self, token: str, keys: Keys) -> tuple[Actor, float]:
        try:
            header = jws.extract_compact(token.encode(), registry=_REGISTRY).headers()
            algorithm: Any = header.get("alg")
            if not isinstance(algorithm, str) or algorithm not in KINDS:
                raise refused()
            key = keys.find(header.get("kid"), algorithm)
            if key is None:
                error = refused()
                raise KeyUnknown(error.code, error.detail, hint=error.hint)
            claims = jwt.decode(token, key, registry=_REGISTRY).claims
            self._registry.validate(claims)
        except (JoseError, ValueError, TypeError, RecursionError):
            raise refused() from None
        too_old_at = _instant(claims["iat"]) + self._max_age_seconds
        until = min(_instant(claims["exp"]), too_old_at) + LEEWAY_SECONDS
        if until <= self._now():
            raise refused()
        return self._claims.actor_of(claims, self.source.issuer), until


def _instant(claim: Any) -> float:
    """A time as a claim states it. Python's JSON also reads NaN and numbers of any length: they are no time."""
    if (
        isinstance(claim, bool)
        or not isinstance(claim, int | float)
        or not abs(claim) < INSTANT_MAX
    ):
        raise refused()
    return float(claim)


def _source(settings: ServiceSettings) -> KeySource:
    in_development = development.is_on(settings)
    if not settings.oidc_discovery:
        return FixedKeys(settings.jwks, settings.issuer, development=in_development)
    found = DiscoveredKeys(settings.oidc_discovery, development=in_development)
    if settings.jwks or settings.issuer not in (_DEFAULT_ISSUER, found.issuer):
        raise ConfigurationError(
            "issuer-settings-differ",
            "CARE_OIDC_DISCOVERY already names the issuer and its keys: leave CARE_JWKS out, and leave CARE_ISSUER out "
            f"or set it to the same address without {WELL_KNOWN}.",
            setting="CARE_JWKS" if settings.jwks else "CARE_ISSUER",
        )
    return found

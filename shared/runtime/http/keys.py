"""The keys that verify tokens: from a document, or from the issuer by OpenID Connect Discovery.

The service fetches discovered keys again every few minutes. It also fetches them at once, but not often, when a token
names an unknown key, so that an issuer may change its keys at any time. While the issuer is away, the service uses the
last keys that the issuer gave.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from time import monotonic
from typing import Any, Final, Protocol, cast
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

from shared.errors import ConfigurationError, Unavailable
from shared.runtime.development import is_published, refusal
from shared.runtime.logs import log

Key = RSAKey | ECKey | OKPKey
KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "RS256": ("RSA", ""),
    "ES256": ("EC", "P-256"),
    "EdDSA": ("OKP", "Ed25519"),
    "Ed25519": ("OKP", "Ed25519"),
}
"""The algorithms that tokens may be signed with, and the keys that each takes: type and curve. EdDSA: an older name."""
RSA_MODULUS_CHARACTERS_MIN: Final = 342
"""2,048 bits in base64url."""
WELL_KNOWN: Final = "/.well-known/openid-configuration"
REFRESH_SECONDS: Final = 300.0
LOOK_AGAIN_SECONDS: Final = 30.0
"""How often at most an unknown key, which anybody can make up, leads to a question to the issuer."""
KEPT_SECONDS: Final = 24 * 3600.0
"""How long the last keys hold while the issuer is away."""
FETCH_SECONDS: Final = 5.0
DOCUMENT_BYTES_MAX: Final = 256 * 1024

_NO_KEYS: Final = (
    OSError,
    HTTPException,
    ValueError,
    RecursionError,
    JoseError,
    ConfigurationError,
)
"""What may come of asking, instead of keys."""

Fetch = Callable[[str], Awaitable[Any]]
"""Gets a JSON document from a URL. Raises `OSError` or `ValueError`."""


class Keys:
    """Public keys by the name (`kid`) under which tokens refer to them."""

    def __init__(self, document: Any, *, development: bool) -> None:
        """Raises `ValueError` for a document that is no JWKS, or has a private key.

        Raises `ConfigurationError` for a key that is published for development, unless `development`.
        """
        about = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
        listed: Any = about.get("keys")
        if not isinstance(listed, list):
            raise ValueError("not a JWKS")  # noqa: TRY004 - as for any other document that is none
        self._keys: list[tuple[Mapping[str, Any], Key]] = []
        for found in cast("list[Any]", listed):
            if not isinstance(found, dict):
                raise ValueError("not a JWK")  # noqa: TRY004
            raw = cast("dict[str, Any]", found)
            if "d" in raw or raw.get("kty") == "oct":
                raise ValueError("a private key")
            if not _usable(raw):
                continue
            key = cast("Key", JWKRegistry.import_key(raw))
            if not development and is_published(raw, key.thumbprint()):
                raise refusal("CARE_JWKS")
            self._keys.append((raw, key))

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, kid: object, algorithm: str) -> Key | None:
        """The key that a token names, if it is for this algorithm; without a name, the only one that is."""
        kind, curve = KINDS[algorithm]
        found = [
            key
            for raw, key in self._keys
            if raw["kty"] == kind
            and raw.get("crv", "") == curve
            and KINDS.get(raw.get("alg", algorithm)) == (kind, curve)
            and (kid is None or raw.get("kid") == kid)
        ]
        return found[0] if len(found) == 1 else None


def _usable(raw: Mapping[str, Any]) -> bool:
    """Whether tokens may be checked with the key: for signatures, of a type we take, and not too short."""
    if raw.get("use", "sig") != "sig" or not isinstance(raw.get("alg", ""), str):
        return False
    if raw.get("kty") == "RSA":
        return len(str(raw.get("n", ""))) >= RSA_MODULUS_CHARACTERS_MIN
    return (raw.get("kty"), raw.get("crv")) in KINDS.values()


class KeySource(Protocol):
    """Where the keys come from."""

    @property
    def issuer(self) -> str:
        """The `iss` that tokens must carry."""
        ...

    @property
    def failing(self) -> bool:
        """Whether the issuer could not be asked the last time."""
        ...

    @property
    def known(self) -> bool:
        """Whether there are keys that hold, or never will be."""
        ...

    def keys(self) -> Keys | None:
        """The keys that hold; None when nobody may call. Raises `Unavailable` while they are not known."""
        ...

    async def look_again(self) -> None:
        """A token names a key that is not known: perhaps the issuer has changed its keys."""
        ...

    async def run(self) -> None:
        """Keep the keys fresh, for ever."""
        ...


class FixedKeys:
    """The keys of a document that the deployment has."""

    def __init__(self, jwks: str, issuer: str, *, development: bool) -> None:
        self.issuer: Final = issuer
        self._keys = _read(jwks, development=development)

    @property
    def failing(self) -> bool:
        return False

    @property
    def known(self) -> bool:
        return True

    def keys(self) -> Keys | None:
        return self._keys

    async def look_again(self) -> None: ...

    async def run(self) -> None:
        await asyncio.Event().wait()


def _read(jwks: str, *, development: bool) -> Keys | None:
    """Keys from a JSON document or the path of one; None when nothing is configured."""
    if not jwks:
        return None
    try:
        text = jwks if jwks.lstrip().startswith("{") else Path(jwks).read_text(encoding="utf-8")
        keys = Keys(json.loads(text), development=development)
        if not keys:
            raise ValueError("no usable key")  # noqa: TRY301
    except (OSError, ValueError, RecursionError, JoseError) as error:
        raise ConfigurationError(
            "jwks-unreadable",
            "CARE_JWKS is neither a JWKS document with public keys that can verify tokens, nor its path.",
            hint="Use RSA keys of 2,048 bits or more, P-256 or Ed25519. Never put a private key here.",
            setting="CARE_JWKS",
        ) from error
    return keys


class DiscoveredKeys:
    """The keys that the issuer publishes, by OpenID Connect Discovery 1.0."""

    def __init__(
        self,
        url: str,
        *,
        development: bool,
        fetch: Fetch | None = None,
        now: Callable[[], float] = monotonic,
    ) -> None:
        """Raises `ConfigurationError` for an address that is none. `fetch` and `now` are for tests."""
        if not url.endswith(WELL_KNOWN) or not _may_be_asked(url, development=development):
            raise ConfigurationError(
                "discovery-url-unusable",
                f"CARE_OIDC_DISCOVERY must be an https:// address that ends in {WELL_KNOWN}.",
                setting="CARE_OIDC_DISCOVERY",
            )
        self.issuer: Final = url.removesuffix(WELL_KNOWN)
        """Discovery, section 4.3: the document of another issuer is not taken."""
        self._url = url
        self._development = development
        self._fetch = fetch or _fetch
        self._now = now
        self._keys: Keys | None = None
        self._fetched_at = self._asked_at = -KEPT_SECONDS
        self._asking = asyncio.Lock()
        self.failing = False

    @property
    def known(self) -> bool:
        return self._keys is not None and self._now() - self._fetched_at <= KEPT_SECONDS

    def keys(self) -> Keys | None:
        if not self.known:
            raise Unavailable(
                "issuer-unreachable",
                "The service could not get the issuer's keys.",
                hint="Retry shortly.",
            )
        return self._keys

    async def look_again(self) -> None:
        before = self._asked_at
        async with self._asking:
            if self._asked_at == before and self._now() - before >= LOOK_AGAIN_SECONDS:
                await self._ask()

    async def run(self) -> None:
        while True:
            async with self._asking:
                await self._ask()
            await asyncio.sleep(LOOK_AGAIN_SECONDS if self.failing else REFRESH_SECONDS)

    async def _ask(self) -> None:
        """Fetch the keys; when that fails, those that are known hold."""
        self._asked_at = self._now()
        try:
            found = await self._fetch(self._url)
            about = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
            if about.get("issuer") != self.issuer:
                raise ValueError("another issuer's document")
            where: Any = about.get("jwks_uri")
            if not isinstance(where, str) or not _may_be_asked(
                where, development=self._development
            ):
                raise ValueError("no address of keys")
            keys = Keys(await self._fetch(where), development=self._development)
            if not keys:
                raise ValueError("no usable key")
        except _NO_KEYS as error:
            self.failing = True
            log.warning("issuer.keys_not_fetched", exception=type(error).__name__)
            return
        if self.failing or self._keys is None:
            log.info("issuer.keys_fetched", count=len(keys))
        self._keys, self._fetched_at, self.failing = keys, self._now(), False


def _may_be_asked(url: str, *, development: bool) -> bool:
    """Keys that come over an open line can be anybody's; in development the issuer may be on this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    local = parts.hostname in {"127.0.0.1", "localhost", "::1"}
    return bool(parts.hostname) and (
        parts.scheme == "https" or (development and local and parts.scheme == "http")
    )


class _NoRedirect(HTTPRedirectHandler):
    """Keys come from where the issuer says, and from nowhere else."""

    def redirect_request(
        self,
        req: Request,
        fp: Any,  # noqa: ARG002 - the library's signature
        code: int,
        msg: str,
        headers: Any,
        newurl: str,  # noqa: ARG002
    ) -> Request | None:
        raise HTTPError(req.full_url, code, msg, headers, None)


async def _fetch(url: str) -> Any:
    return await asyncio.to_thread(_get, url)


def _get(url: str) -> Any:
    request = Request(url, headers={"Accept": "application/json"})  # noqa: S310 - see `_may_be_asked`
    with build_opener(_NoRedirect).open(request, timeout=FETCH_SECONDS) as answer:
        body = answer.read(DOCUMENT_BYTES_MAX + 1)
    if len(body) > DOCUMENT_BYTES_MAX:
        raise ValueError("too long")
    return json.loads(body)


def algorithms() -> Sequence[str]:
    """The algorithms that tokens may be signed with."""
    return tuple(KINDS)

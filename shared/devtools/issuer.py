"""A local issuer of tokens, for development, the demo and the tests. Production has its own."""

from __future__ import annotations

import json
from pathlib import Path
from time import time
from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import OKPKey

from shared.runtime.development import LOCAL_KEY
from shared.runtime.settings import ServiceSettings

DEFAULT_ISSUER: Final = "throughcare"
ALGORITHM: Final = "Ed25519"
AUDIENCE: Final = ServiceSettings.model_fields["audience"].default
DEVELOPER: Final = "00000000-0000-4000-8000-000000000001"
VALID_SECONDS: Final = 24 * 3600


class LocalIssuer:
    """Holds a private key, gives out tokens, and publishes the JWKS that services check them with."""

    def __init__(self, key: OKPKey | None = None, issuer: str = DEFAULT_ISSUER) -> None:
        self._key = key or OKPKey.generate_key("Ed25519", parameters={"kid": LOCAL_KEY})
        self._issuer = issuer

    @classmethod
    def kept_in(cls, path: Path) -> LocalIssuer:
        """The issuer whose private key is in this file; the file is made when it is missing."""
        if path.exists():
            return cls(OKPKey.import_key(json.loads(path.read_text(encoding="utf-8"))))
        issuer = cls()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps(issuer._key.as_dict(private=True)), encoding="utf-8")
        return issuer

    @property
    def jwks(self) -> str:
        """The public half, as a JWKS document."""
        return json.dumps({"keys": [self._key.as_dict(private=False)]})

    def token(
        self, facility: str, role: str, actor: str = DEVELOPER, valid_seconds: int = VALID_SECONDS
    ) -> str:
        now = int(time())
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": actor,
            "facility": facility,
            "role": role,
            "iat": now,
            "exp": now + valid_seconds,
        }
        return jwt.encode(
            {"alg": ALGORITHM, "kid": LOCAL_KEY}, claims, self._key, algorithms=[ALGORITHM]
        )

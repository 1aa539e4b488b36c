"""Fetches tokens for Kafka's OAUTHBEARER by the client-credentials grant (RFC 6749, section 4.4)."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from dataclasses import dataclass
from time import monotonic
from typing import Final
from urllib.parse import quote
from urllib.request import Request, urlopen

from aiokafka.abc import AbstractTokenProvider

LEFT_SECONDS: Final = 30.0
"""A token with less time left than this is replaced before it is used."""
TIMEOUT_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    ends: float


class ClientCredentials(AbstractTokenProvider):
    """Gets a token when there is none or it is about to end; all connections of one client share it."""

    def __init__(self, url: str, client_id: str, secret: str, tls: ssl.SSLContext) -> None:
        self._url = url
        self._basic = base64.b64encode(f"{quote(client_id)}:{quote(secret)}".encode()).decode()
        self._tls = tls
        self._token: _Token | None = None
        self._asking = asyncio.Lock()

    async def token(self) -> str:
        """Raises `OSError` when the endpoint does not answer, or answers with something else than a token."""
        async with self._asking:
            if self._token is None or self._token.ends - monotonic() < LEFT_SECONDS:
                self._token = await asyncio.to_thread(self._ask)
            return self._token.text

    def _ask(self) -> _Token:
        asked = monotonic()
        request = Request(  # noqa: S310 - https only, as both that make it check
            self._url,
            data=b"grant_type=client_credentials",
            headers={"Authorization": f"Basic {self._basic}", "Accept": "application/json"},
        )
        with urlopen(request, timeout=TIMEOUT_SECONDS, context=self._tls) as answer:  # noqa: S310
            body = json.load(answer)
        try:
            return _Token(str(body["access_token"]), asked + float(body.get("expires_in", 60)))
        except (KeyError, TypeError, ValueError) as error:
            raise OSError("The token endpoint did not answer with a token.") from error

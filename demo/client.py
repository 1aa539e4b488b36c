"""The driver's HTTP client. Everything specific to the library stands here, so that it can be replaced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

ANSWER_SECONDS: Final = 30.0
CONNECTIONS_MAX: Final = 40


class NoAnswer(Exception):
    """The service could not be reached, or went away before it answered; the message names the library's error."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, and the body as it came."""

    status: int
    text: str


class Client:
    """JSON over HTTP, on connections that are kept."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Mapping[str, Any] | None = None,
        *,
        within_seconds: float = ANSWER_SECONDS,
    ) -> Answer:
        """Send one request. Raises `NoAnswer`."""
        timeout = aiohttp.ClientTimeout(total=within_seconds)
        try:
            async with self._open().request(
                method, url, json=body, headers=headers, timeout=timeout
            ) as response:
                return Answer(response.status, await response.text())
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NoAnswer(type(error).__name__) from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX)
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

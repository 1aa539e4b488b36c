"""The HTTP client for a service: it holds address, token and timeout, and raises one clear error for each refusal."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self, cast

import httpx2

from shared.errors import CareError

ANSWER_SECONDS: Final = 30.0
TRANSPORT: httpx2.AsyncBaseTransport | None = None
"""What a test puts in the place of the network."""

Query = Mapping[str, str | None]


class ServiceError(CareError):
    """A service refused a request or did not answer: which one, the problem's code and detail, and what to do."""

    def __init__(
        self, service: str, url: str, code: str, detail: str, hint: str = "", status: int = 0
    ) -> None:
        super().__init__(code, detail, hint=hint)
        self.service = service
        self.url = url
        self.status_code = status
        """The HTTP status; 0 when there was no answer."""

    def __str__(self) -> str:
        return f"{self.service} at {self.url}: {self.code}: {self.detail}"


class ServiceClient:
    """One service. Use it as an asynchronous context manager; several may share one `http`."""

    def __init__(
        self,
        service: str,
        url: str,
        token: str,
        *,
        timeout_seconds: float = ANSWER_SECONDS,
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        self.service: Final = service
        self.url: Final = url.rstrip("/")
        self._token = token
        self._timeout = timeout_seconds
        self._shared = http is not None
        self._http = http or httpx2.AsyncClient(transport=TRANSPORT)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if not self._shared:
            await self._http.aclose()

    async def get(self, path: str, **query: str | None) -> Any:
        """The answer to a question. Parameters that are None are left out. Raises `ServiceError`."""
        return self.answer(await self.send("GET", path, query=query))

    async def post(self, path: str, body: Mapping[str, Any], *, key: str | None = None) -> Any:
        """The answer to a command; `key` is its idempotency key. Raises `ServiceError`."""
        return self.answer(await self.send("POST", path, body=body, key=key))

    async def send(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Query | None = None,
        key: str | None = None,
        token: str | None = None,
    ) -> httpx2.Response:
        """The response as it is, also when it is a refusal. `token` replaces the client's own for this request.

        Raises `ServiceError` (`no-answer`) when the service can't be reached or does not answer in time.
        """
        headers = {"Authorization": f"Bearer {token or self._token}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        try:
            return await self._http.request(
                method,
                f"{self.url}{path}",
                params={name: value for name, value in (query or {}).items() if value is not None},
                json=body,
                headers=headers,
                timeout=self._timeout,
            )
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise ServiceError(
                self.service,
                self.url,
                "no-answer",
                f"The service does not answer ({type(error).__name__}).",
                "Check the address, or start all services with: care up",
            ) from error

    def answer(self, response: httpx2.Response) -> Any:
        """The body of an answer. Raises `ServiceError` for a refusal, and for what is not JSON."""
        try:
            body = response.json()
        except ValueError:
            body = None
        if response.is_success and body is not None:
            return body
        problem = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
        raise ServiceError(
            self.service,
            self.url,
            str(problem.get("code") or f"http-{response.status_code}"),
            str(problem.get("detail") or "The answer can't be read."),
            str(problem.get("hint") or ""),
            response.status_code,
        )


def ask(
    service: str,
    url: str,
    token: str,
    method: str,
    path: str,
    *,
    body: Mapping[str, Any] | None = None,
    query: Query | None = None,
    key: str | None = None,
    timeout_seconds: float = ANSWER_SECONDS,
) -> Any:
    """One request and its answer, for a command that has nothing else to wait for. Raises `ServiceError`."""

    async def once() -> Any:
        async with ServiceClient(service, url, token, timeout_seconds=timeout_seconds) as client:
            return client.answer(await client.send(method, path, body=body, query=query, key=key))

    return asyncio.run(once())

"""The HTTP API, with the client's own token; the routes and shapes are those of the server's /docs."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx

from parley_sdk.errors import ParleyError

Token = str | Callable[[], Awaitable[str]]
"""An access token or a bot's; or what gives a fresh one, asked before each request and each connection."""


class Api:
    """`await api.get("/users/me")`: JSON in, JSON out; a refusal is a ParleyError."""

    def __init__(self, url: str, token: Token | None = None, *, timeout_s: float = 30.0) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._http = httpx.AsyncClient(base_url=f"{self.url}/api/v1", timeout=timeout_s)

    async def token(self) -> str | None:
        return await self._token() if callable(self._token) else self._token

    async def get(self, path: str, **query: str | int) -> Any:
        return await self.request("GET", path, params=query)

    async def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return await self.request("POST", path, json=body or {})

    async def request(self, method: str, path: str, **more: Any) -> Any:
        """`more` goes to httpx. Raises ParleyError; `not_connected` (retryable) when the server cannot be reached."""
        return await self._request(method, path, await self.token(), more)

    async def request_as(self, token: str, method: str, path: str) -> Any:
        """With another token than the client's."""
        return await self._request(method, path, token, {})

    async def _request(self, method: str, path: str, token: str | None, more: Mapping[str, Any]) -> Any:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        try:
            answer = await self._http.request(method, path, headers=headers, **more)
        except httpx.TransportError as error:
            raise ParleyError("not_connected", f"{type(error).__name__}: {error}", retryable=True) from error
        if answer.is_success:
            return answer.json() if answer.content else None
        try:
            problem = answer.json()
        except ValueError:
            problem = {"name": "bad_answer", "message": f"HTTP {answer.status_code}"}
        raise ParleyError.of(problem)

    async def close(self) -> None:
        await self._http.aclose()

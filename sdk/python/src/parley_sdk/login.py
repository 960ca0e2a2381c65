"""Signing in as a person: an access token that renews itself. Bots have a token that needs no renewal."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from parley_sdk.http import Api

EARLY_S = 60.0
"""Renewed this long before it ends."""


class Login:
    """`Client(url, token=await Login.open(url, username, password))`. Called, it gives an access token that is good."""

    def __init__(self, api: Api, tokens: Mapping[str, Any]) -> None:
        self._api = api
        self._lock = asyncio.Lock()
        self._take(tokens)

    @classmethod
    async def open(cls, url: str, username: str, password: str) -> "Login":
        """Raises ParleyError: invalid_credentials, rate_limited, …"""
        api = Api(url)
        try:
            return cls(api, await api.post("/auth/login", {"username": username, "password": password}))
        except BaseException:
            await api.close()
            raise

    async def __call__(self) -> str:
        async with self._lock:
            if time.monotonic() >= self._until:
                self._take(await self._api.post("/auth/refresh", {"refresh_token": self._refresh}))
            return self._access

    def _take(self, tokens: Mapping[str, Any]) -> None:
        lasts = float(tokens["expires_in"])
        self._access: str = tokens["access_token"]
        self._refresh: str = tokens["refresh_token"]
        self._until = time.monotonic() + max(lasts - EARLY_S, lasts / 2)

    async def close(self) -> None:
        """End the session, so that its tokens are worth nothing."""
        await self._api.request_as(self._access, "POST", "/auth/logout")
        await self._api.close()

"""One user's way in over HTTP: register, log in, stay logged in, and what a test asks for before it can chat."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from parley.testing.outbox import uuid7


class ApiError(Exception):
    """A problem body. `code` and `name` are those of spec/codes.toml."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(status, problem)
        self.status = status
        self.code = int(problem.get("code", 0))
        self.name = str(problem.get("name", ""))
        self.retryable = bool(problem.get("retryable", False))

    def __str__(self) -> str:
        return f"HTTP {self.status} {self.name} ({self.code})"


class Account:
    """A logged-in user. Owns an HTTP connection pool: close it, or use it as a context."""

    def __init__(self, base_url: str, username: str, password: str, *, timeout: float = 20.0) -> None:
        self.base_url = base_url
        self.username = username
        self.password = password
        self.user_id = ""
        self.access_token = ""
        self.refresh_token = ""
        # The environment's proxies are not for a server on this machine.
        self._http = httpx.AsyncClient(base_url=base_url, timeout=timeout, trust_env=False)

    def move_to(self, base_url: str) -> None:
        """Ask another node of the same cluster from now on."""
        self.base_url = base_url
        self._http.base_url = httpx.URL(base_url)

    @classmethod
    async def open(cls, base_url: str, username: str, password: str = "correct horse battery") -> Self:  # noqa: S107
        """Register the user, or log in if it is registered already."""
        account = cls(base_url, username, password)
        try:
            try:
                await account.register()
            except ApiError as error:
                if error.name != "username_taken":
                    raise
                await account.login()
        except BaseException:
            await account.close()
            raise
        return account

    async def register(self, **more: str) -> None:
        """`more`: an invite or a set-up code."""
        body = {"username": self.username, "password": self.password, **more}
        self._accept(await self._call("POST", "/auth/register", body))

    async def login(self) -> None:
        body = {"username": self.username, "password": self.password}
        self._accept(await self._call("POST", "/auth/login", body))

    async def refresh(self) -> None:
        """Swap both tokens. Raises `ApiError` when the session has ended."""
        self._accept(await self._call("POST", "/auth/refresh", {"refresh_token": self.refresh_token}))

    def _accept(self, body: Mapping[str, Any]) -> None:
        self.access_token = body["access_token"]
        self.refresh_token = body["refresh_token"]
        self.user_id = body["user"]["id"]

    async def get(self, path: str, **query: str | int) -> Any:
        return await self._call("GET", path, query=query)

    async def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return await self._call("POST", path, body)

    async def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        return await self._call("PATCH", path, body)

    async def put(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return await self._call("PUT", path, body)

    async def delete(self, path: str) -> Any:
        return await self._call("DELETE", path)

    async def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str | int] | None = None,
    ) -> Any:
        """One request below `/api/v1`; the decoded answer, or `ApiError`. Never retried here."""
        headers = {"Authorization": f"Bearer {self.access_token}"} if self.access_token else {}
        answer = await self._http.request(
            method, f"/api/v1{path}", json=body, params=dict(query or {}), headers=headers
        )
        if answer.is_success:
            return answer.json() if answer.content else None
        is_problem = "json" in answer.headers.get("content-type", "")
        raise ApiError(answer.status_code, answer.json() if is_problem else {"name": answer.text[:200]})

    async def create_room(self, name: str, members: list[str], *, join_policy: str = "invite") -> str:
        """Make a room with these users in it; returns its id."""
        room = await self.post(
            "/conversations",
            {
                "client_id": uuid7(),
                "kind": "room",
                "name": name,
                "title": name,
                "member_ids": members,
                "join_policy": join_policy,
            },
        )
        return str(room["id"])

    async def log(self, conversation: str, *, upto: int) -> list[dict[str, Any]]:
        """The entries 1 to `upto` of a conversation, page by page."""
        found: list[dict[str, Any]] = []
        after = 0
        while after < upto:
            page = await self.get(f"/conversations/{conversation}/log", after=after, limit=200)
            found += [entry for entry in page["entries"] if entry["seq"] <= upto]
            if not page["entries"]:
                break
            after = page["entries"][-1]["seq"]
        return found

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

"""A whole server in this process, people on it, and the requests of tus, one by one."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from parley.app import Parley, running
from parley.clock import Clock
from parley.settings import Settings

HOST = "http://127.0.0.1:8000"
UPLOADS = "/api/v1/files/uploads"
TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {**TUS, "Content-Type": "application/offset+octet-stream"}


class Person:
    """An account and its requests."""

    def __init__(self, http: httpx.AsyncClient, login: dict[str, Any]) -> None:
        self.http = http
        self.id: str = login["user"]["id"]
        self.token: str = login["access_token"]

    async def create(self, size: int, *, content: bytes | None = None, **metadata: str) -> httpx.Response:
        """`POST`, with the first bytes if there are any."""
        headers = {**(TUS if content is None else BYTES), "Upload-Length": str(size), "Upload-Metadata": said(metadata)}
        return await self.http.post(UPLOADS, headers=headers, content=content)

    async def patch(self, where: str, offset: int, content: bytes, **headers: str) -> httpx.Response:
        return await self.http.patch(where, headers={**BYTES, "Upload-Offset": str(offset), **headers}, content=content)

    async def head(self, where: str) -> httpx.Response:
        return await self.http.head(where, headers=TUS)

    async def upload(self, content: bytes, filename: str = "a.bin", **metadata: str) -> str:
        """A complete file; its id."""
        answer = await self.create(len(content), content=content, filename=filename, **metadata)
        assert answer.status_code == 201, answer.text
        assert answer.headers["upload-offset"] == str(len(content))
        return str(answer.headers["location"]).rpartition("/")[2]

    async def send(self, conversation: str, files: list[str], kind: str = "file", **more: Any) -> httpx.Response:
        body = {
            "client_id": f"c{len(files)}-{more.pop('client_id', files[0][::-1])}",
            "kind": kind,
            "attachments": files,
        }
        return await self.http.post(f"/api/v1/conversations/{conversation}/messages", json={**body, **more})

    async def messages(self, conversation: str) -> list[dict[str, Any]]:
        return list((await self.http.get(f"/api/v1/conversations/{conversation}/messages")).json()["items"])

    async def group(self, *others: Person) -> str:
        body = {
            "client_id": f"g{self.id}-{len(others)}",
            "kind": "group",
            "title": "g",
            "member_ids": [one.id for one in others],
        }
        answer = await self.http.post("/api/v1/conversations", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


class Here:
    """The server and how to come to it."""

    def __init__(self, parley: Parley) -> None:
        self.parley = parley

    def client(self, token: str | None = None) -> httpx.AsyncClient:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        transport = httpx.ASGITransport(self.parley.http, client=("127.0.0.1", 50_000))
        return httpx.AsyncClient(transport=transport, base_url=HOST, headers=headers)

    async def person(self, name: str) -> Person:
        body = {"username": name, "password": "correct horse battery"}
        async with self.client() as http:
            answer = await http.post("/api/v1/auth/register", json=body)
        assert answer.status_code == 201, answer.text
        return Person(self.client(answer.json()["access_token"]), answer.json())

    async def lobby(self) -> str:
        return str(await self.parley.legacy.lobby())


def said(metadata: dict[str, str]) -> str:
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in metadata.items())


def settings(folder: Path, **sections: Any) -> Settings:
    return Settings(**{"server": {"data": str(folder)}, **sections})


@asynccontextmanager
async def server(folder: Path, clock: Clock | None = None, **sections: Any) -> AsyncIterator[Here]:
    async with running(settings(folder, **sections), clock) as parley:
        yield Here(parley)


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["name"]

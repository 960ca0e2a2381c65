"""People on the nodes of a running cluster: accounts, sockets of every dialect, and where each is connected."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.legacy.client import Client
from websockets.asyncio.client import connect

from parley.testing import Account, RawSocket, uuid7
from parley.testing.cluster import Cluster

_numbers = itertools.count(1)
_known: dict[tuple[Path, str], Person] = {}
PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Person:
    """An account, and a token of it for the legacy doors."""

    account: Account
    legacy: str

    @property
    def id(self) -> str:
        return self.account.user_id

    @property
    def token(self) -> str:
        return self.account.access_token


class Stage:
    """One test's share of a cluster. `a` and `b` are its nodes; where there is one, both are that one."""

    def __init__(self, cluster: Cluster, stack: AsyncExitStack) -> None:
        self.cluster = cluster
        self.a, self.b = cluster.urls[0], cluster.urls[-1]
        self._stack = stack

    async def person(self, name: str, node: str | None = None, *, fresh: bool = False) -> Person:
        """An account that asks this node. Tests of one cluster share it by its name, for hashing passwords is most of
        a test's time; `fresh` for those that end its session or watch it come."""
        known = _known.get((self.cluster.folder, name))
        if known is None or fresh:
            account = await Account.open(node or self.a, f"{name}{next(_numbers)}", PASSWORD)
            self._stack.push_async_callback(account.close)
            made = Person(account, (await account.post("/auth/legacy-token"))["token"])
            if not fresh:
                _known[self.cluster.folder, name] = made
            return made
        return Person(await self.on(node or self.a, known), known.legacy)

    async def on(self, node: str, person: Person) -> Account:
        """The same login, asking another node."""
        account = Account(node, person.account.username, PASSWORD)
        self._stack.push_async_callback(account.close)
        account.user_id, account.access_token = person.id, person.token
        return account

    async def room(self, owner: Person, *members: Person, join_policy: str = "invite") -> tuple[str, str]:
        """(id, name) of a new room."""
        name = f"room{next(_numbers)}"
        return await owner.account.create_room(name, [it.id for it in members], join_policy=join_policy), name

    async def login(self, node: str, person: Person) -> tuple[RawSocket, dict[str, Any]]:
        """A socket that has seen its welcome and is not live."""
        socket = await self._stack.enter_async_context(await RawSocket.open(node, token=person.token))
        return socket, (await socket.expect("welcome"))["payload"]

    async def native(self, node: str, person: Person) -> RawSocket:
        """A socket that is live from where welcome stood."""
        socket, welcome = await self.login(node, person)
        cursors = {row["id"]: row["head"] for row in welcome["conversations"]}
        await socket.acked("resume", {"epoch": welcome["epoch"], "cursors": cursors})
        return socket

    async def legacy(self, node: str, path: str, headers: Mapping[str, str] | None = None) -> Client:
        """A socket as a plain client has one."""
        socket = await connect(
            node.replace("http", "ws", 1) + path,
            additional_headers=headers,
            max_queue=None,
            ping_interval=None,
            compression=None,
            proxy=None,
            close_timeout=2,
        )
        self._stack.push_async_callback(socket.close)
        return Client(socket)

    async def direct(self, node: str, person: Person) -> Client:
        """A direct client that hears already."""
        client = await self.legacy(node, f"/ws?token={person.legacy}")
        await client.send({"type": "ping"})
        while await client.one() != {"type": "pong"}:
            pass
        return client


async def say(socket: RawSocket, conversation: str, text: str, client_id: str | None = None) -> dict[str, Any]:
    """Post a message; returns its ack. Entries that come first are lost."""
    payload = {"conversation_id": conversation, "client_id": client_id or uuid7(), "kind": "text", "text": text}
    return await socket.acked("message.send", payload)


async def hears(socket: RawSocket, conversation: str, text: str) -> dict[str, Any]:
    """Wait for this text in this conversation; whatever comes before it is passed over. Returns its entry."""
    while True:
        page = await socket.recv()
        if page["type"] != "log" or page["payload"]["conversation_id"] != conversation:
            continue
        for entry in page["payload"]["entries"]:
            if entry["kind"] == "message.created" and entry["message"]["text"] == text:
                found: dict[str, Any] = entry
                return found


async def shows(client: Client, text: str) -> dict[str, Any]:
    """Wait until a client of an older dialect is shown this text; returns the frame's part that holds it."""
    while True:
        frame = await client.one()
        if not isinstance(frame, dict):
            continue
        for part in (frame, frame.get("payload"), frame.get("message")):
            if isinstance(part, dict) and text in (part.get("content"), part.get("message")):
                return part

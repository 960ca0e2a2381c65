"""The real server inside the test's own loop: real uvicorn, real sockets, real SQLite, and every part within reach."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from tests.gateway.hand import HandSocket

from parley.app import Parley, open_store
from parley.clock import Clock, SystemClock
from parley.protocol.commands import Actor, AddMember, RemoveMember, SendMessage
from parley.protocol.events import Ack
from parley.protocol.types import ConversationId, ConversationKind, UserId
from parley.serve.listeners import listen
from parley.serve.process import Server, uvicorn_config
from parley.services.accounts import Client, Identity, Registration
from parley.services.passwords import Passwords
from parley.settings import Settings
from parley.store.migrate import upgrade
from parley.store.sqlite import writer_engine
from parley.testing import RawSocket
from parley.testing.raw import PATIENCE

PASSWORD = "correct horse battery"
KEY = b"k" * 32
HERE = Client("127.0.0.1", "", local=True)


@dataclass(frozen=True)
class Person:
    """An account with a session."""

    name: str
    actor: Actor
    identity: Identity
    token: str

    @property
    def id(self) -> str:
        return str(self.actor.user_id)


class Live:
    """A running server, and what a test does with it. Sockets opened here are closed with it."""

    def __init__(self, parley: Parley, port: int, stack: AsyncExitStack) -> None:
        self.parley = parley
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._stack = stack
        self._numbers = itertools.count(1)

    def client_id(self) -> str:
        return f"t{next(self._numbers)}"

    # People

    async def person(self, name: str) -> Person:
        """Make an account; the first one is the administrator's."""
        login = await self.parley.accounts.register(Registration(name, PASSWORD), HERE)
        return await self._person(name, login.access_token)

    async def another_session(self, person: Person) -> Person:
        """The same user on another device."""
        login = await self.parley.accounts.login(person.name, PASSWORD, HERE)
        return await self._person(person.name, login.access_token)

    async def _person(self, name: str, token: str | None) -> Person:
        assert token is not None
        identity = await self.parley.accounts.authenticate(bearer=token)
        return Person(name, identity.actor, identity, token)

    async def cookie(self, person: Person) -> str:
        login = await self.parley.accounts.login(person.name, PASSWORD, HERE, "cookie")
        return f"parley_session={login.cookie}"

    # Conversations

    async def group(self, owner: Person, *others: Person) -> str:
        made, _ = await self.parley.conversations.create(
            owner.actor,
            self.client_id(),
            ConversationKind.GROUP,
            member_ids=[other.actor.user_id for other in others],
        )
        return str(made.id)

    async def room(self, owner: Person, name: str) -> str:
        made, _ = await self.parley.conversations.create(
            owner.actor, self.client_id(), ConversationKind.ROOM, name=name
        )
        return str(made.id)

    async def say(self, person: Person, conversation: str, text: str = "hello") -> Ack:
        """Post a message past the gateway."""
        command = SendMessage(ConversationId(int(conversation)), self.client_id(), text)
        return await self.parley.dispatch.run(person.actor, command)

    async def say_many(self, person: Person, conversation: str, count: int, text: str = "hello") -> None:
        await asyncio.gather(*(self.say(person, conversation, text) for _ in range(count)))

    async def add(self, owner: Person, conversation: str, user: Person) -> Ack:
        command = AddMember(ConversationId(int(conversation)), self.client_id(), user.actor.user_id)
        return await self.parley.dispatch.run(owner.actor, command)

    async def remove(self, owner: Person, conversation: str, user: Person) -> Ack:
        command = RemoveMember(ConversationId(int(conversation)), self.client_id(), UserId(int(user.id)))
        return await self.parley.dispatch.run(owner.actor, command)

    # Sockets

    async def open(self, **how: Any) -> RawSocket:
        return await self._stack.enter_async_context(await RawSocket.open(self.url, **how))

    async def login(self, person: Person) -> tuple[RawSocket, dict[str, Any]]:
        """Connect; returns the socket and what `welcome` told. Not live yet."""
        socket = await self.open(token=person.token)
        return socket, (await socket.expect("welcome"))["payload"]

    async def connect(self, person: Person) -> RawSocket:
        """Connect and go live from where welcome stood."""
        socket, welcome = await self.login(person)
        cursors = {row["id"]: row["head"] for row in welcome["conversations"]}
        await socket.acked("resume", {"epoch": welcome["epoch"], "cursors": cursors})
        return socket

    async def hand(self) -> HandSocket:
        """A bare TCP connection that has said nothing."""
        socket = await HandSocket.connect(self.port)
        self._stack.push_async_callback(socket.close)
        return socket

    async def hand_open(self, person: Person) -> HandSocket:
        """A hand-made WebSocket that has seen its welcome."""
        socket = await self.hand()
        answer = await socket.upgrade({"Authorization": f"Bearer {person.token}"})
        assert answer.status == 101, answer
        assert (await socket.json())["type"] == "welcome"
        return socket


async def until(true: Callable[[], object], within: float = PATIENCE) -> None:
    """Wait for what nobody announces, such as a socket's buffer."""
    async with asyncio.timeout(within):
        while not true():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)


class Template:
    """An empty database of this version's schema, made once: a copy costs nothing."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "template.db"
        engine = writer_engine(self._file)
        upgrade(engine, now_ms=SystemClock().now_ms())
        engine.dispose()

    def lay_down(self, folder: Path) -> None:
        shutil.copy(self._file, folder / "parley.db")


@asynccontextmanager
async def live_server(folder: Path, clock: Clock | None = None, **sections: Any) -> AsyncIterator[Live]:
    """`sections`: settings by section, such as `limits={"text_chars": 10}`."""
    sections["server"] = {"port": 0, "data": folder, **sections.get("server", {})}
    settings = Settings(**sections)
    at = clock or SystemClock()
    parley = Parley(settings, open_store(settings, at), KEY, at)
    cheap = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    parley.accounts._passwords.close()
    parley.accounts._passwords = cheap
    await parley.start()
    sockets = listen(settings)
    config = uvicorn_config(settings, parley)
    config.load()
    server = Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=sockets)
    try:
        async with AsyncExitStack() as stack:
            yield Live(parley, sockets[0].getsockname()[1], stack)
    finally:
        for listener in server.servers:
            listener.close()
        if not parley.draining:
            await parley.stop()
        await server.shutdown(sockets=sockets)

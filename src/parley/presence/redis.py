"""Presence over Redis: per node a set of who is connected to it, and a register of the nodes that live.

A change is one script, which asks the sets of the other living nodes and tells all nodes on one channel. Nothing in
Redis has to last: every node knows its own users and puts them back.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import structlog

from parley.clock import Clock
from parley.presence.interface import Seen
from parley.presence.scripts import BEAT, CHANGE, LEAVE
from parley.presence.view import ONLINE, View
from parley.protocol.types import UserId
from parley.redis.connect import AWAY
from parley.redis.node import RedisAway, RedisNode

log = structlog.get_logger()

BEAT_S = 5.0
DEAD_AFTER_S = 15.0
"""A node that was not heard of for so long is dead: three beats."""
REMEMBERED_MS = 30 * 86_400_000
"""How long it is known when somebody was last online."""
AT_ONCE = 500
"""Users a script: Redis does nothing else while it runs."""


class RedisPresence:
    """`Presence` of all nodes with one Redis. Without it: of this node, and of the others as they were."""

    def __init__(
        self, node: RedisNode, clock: Clock, *, beat_s: float = BEAT_S, dead_after_s: float = DEAD_AFTER_S
    ) -> None:
        """The node is started and closed by whoever made it."""
        self.on_change: Callable[[UserId, Seen], None] | None = None
        self._node = node
        self._clock = clock
        self._beat_s = beat_s
        self._dead_after_ms = round(dead_after_s * 1000)
        self._here: set[UserId] = set()
        self._view = View(self._tell)
        self._unsent: list[str] = []
        self._moved: set[UserId] | None = None
        """Who changed while a look at everything is under way."""
        self._looked = False
        self._look_again_at: float | None = None
        self._lost = 0
        self._closing = False
        self._wake = asyncio.Event()
        self._beating: asyncio.Task[None] | None = None
        self._channel = node.names.presence.encode()
        node.listener.on_listening.append(self._listening)
        node.talker.on_up.append(self._wake.set)
        node.talker.on_down.append(self._alone)

    # Coming and going

    def came(self, user: UserId) -> None:
        self._here.add(user)
        if self._shared(user):
            self._say(f"+{user}")
        else:
            self._view.came(user)

    def went(self, user: UserId) -> None:
        if user not in self._here:
            return
        self._here.discard(user)
        if self._shared(user):
            self._say(f"-{user}")
        else:
            self._view.went(user, self._clock.now_ms())

    def _shared(self, user: UserId) -> bool:
        """Guests who have written nothing have numbers below nought that mean something on one node only."""
        return user > 0 and self._node.talker.up

    def _say(self, change: str) -> None:
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._send)
        self._unsent.append(change)

    def _send(self) -> None:
        """All of one turn; the channel brings back what became of it, as to every node."""
        unsent, self._unsent = self._unsent, []
        for start in range(0, len(unsent), AT_ONCE):
            self._node.talker.say("EVAL", CHANGE, 1, *self._arguments(unsent[start : start + AT_ONCE]))

    def _arguments(self, more: Collection[str | int] = ()) -> list[str | int]:
        names = self._node.names
        return [
            names.nodes, self._node.id, self._dead_after_ms, REMEMBERED_MS, names.online_prefix, names.seen_prefix,
            names.presence, *more,
        ]  # fmt: skip

    def _tell(self, user: UserId, seen: Seen) -> None:
        if self._moved is not None:
            self._moved.add(user)
        if self.on_change is not None:
            self.on_change(user, seen)

    # Hearing

    def _heard(self, _channel: bytes, payload: bytes) -> None:
        at, *changes = payload.split()
        for change in changes:
            user = UserId(int(change[1:]))
            if self._moved is not None:
                self._moved.add(user)
            if change.startswith(b"+"):
                self._view.came(user)
            # An answer that came late must not send away who has come back since, unknown to Redis.
            elif user not in self._here or self._node.talker.up:
                self._view.went(user, int(at))

    def _listening(self, channels: Collection[bytes] | None) -> None:
        if channels is None or self._channel in channels:
            self._looked = False
            self._wake.set()

    def _alone(self) -> None:
        """Redis is away, and with it the answer to what was said last."""
        for user in self._here:
            self._view.came(user)

    # Keeping it right

    async def start(self) -> None:
        self._node.listener.join(self._channel, self._heard)
        self._beating = asyncio.get_running_loop().create_task(self._keep(), name="presence")

    async def close(self) -> None:
        # Not by cancelling alone: in Python 3.11 the library's `wait_for` can swallow that.
        self._closing = True
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait([self._beating])
        self._node.listener.leave(self._channel)
        self._send()
        # After the last departures, on the same line.
        self._node.talker.say("EVAL", LEAVE, 1, *self._arguments())

    async def _keep(self) -> None:
        while not self._closing:
            self._wake.clear()
            try:
                more = await self._beat()
            except AWAY as error:
                more = False
                log.debug("presence_beat_failed", error=type(error).__name__)
            except Exception:
                more = False
                log.exception("presence_beat_failed")
            if not more:
                await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._beat_s):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _beat(self) -> bool:
        """Say that this node lives, bury a dead one's users, put right what was lost. Whether dead ones are left."""
        if not self._node.talker.up:
            return False
        lost = self._node.talker.lost
        arguments = self._arguments([AT_ONCE])
        mine, more = await self._node.client.eval(BEAT, 1, *map(str, arguments))
        if lost != self._lost or mine != sum(user > 0 for user in self._here):
            await self._restore()
            self._lost = lost
        if self._node.listener.up:
            await self._look_if_due()
        return bool(more)

    async def _look_if_due(self) -> None:
        """At once after a break, for who has come. Once more when every living node has had the time to put its users
        back into a Redis that lost them: who is not there then has gone."""
        if not self._looked:
            await self._look(final=False)
            self._look_again_at = self._clock.monotonic() + self._dead_after_ms / 1000
        elif self._look_again_at is not None and self._clock.monotonic() >= self._look_again_at:
            await self._look(final=True)
            self._look_again_at = None

    async def _restore(self) -> None:
        """Make Redis's set of this node what it is. On the talker's line, so after all that was said before."""
        there = await self._members([self._node.id])
        here = {user for user in self._here if user > 0}
        for user in there - here:
            self._say(f"-{user}")
        for user in here - there:
            self._say(f"+{user}")

    async def _look(self, final: bool) -> None:
        """At everybody who is online: what was told meanwhile may have been missed."""
        self._moved, self._looked = set(), True
        try:
            nodes: list[Any] = await self._node.client.zrange(self._node.names.nodes, 0, -1)
            online = await self._members([node.decode() for node in nodes])
            self._view.becomes(online | self._here, self._moved, final=final)
        except BaseException:
            self._looked = False
            raise
        finally:
            self._moved = None

    async def _members(self, nodes: Iterable[str]) -> set[UserId]:
        async with self._node.client.pipeline(transaction=False) as questions:
            for node in nodes:
                questions.execute_command("SMEMBERS", self._node.names.online(node))
            sets: list[Any] = await questions.execute()
        return {UserId(int(user)) for members in sets for user in members}

    # Asking

    async def seen(self, users: Iterable[UserId]) -> Mapping[UserId, Seen]:
        users = list(users)
        away = [user for user in users if user > 0 and user not in self._view]
        known = await self._last_seen(away)
        return {user: ONLINE if user in self._view else known.get(user) or self._view.last_seen(user) for user in users}

    async def _last_seen(self, users: list[UserId]) -> dict[UserId, Seen]:
        if not users:
            return {}
        keys = [self._node.names.seen(user) for user in users]
        try:
            found = await self._node.ask("presence", lambda: self._node.client.mget(keys))
        except RedisAway:
            return {}
        return {user: Seen(False, int(at)) for user, at in zip(users, found, strict=True) if at is not None}

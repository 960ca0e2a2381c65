"""Comparing heads: what other nodes wrote reaches every socket here, though the fan-out may lose any of it.

A publish is a hint. Of a conversation's last entry nothing follows that would show a hole, so each node on a shared
store asks it, at least every two seconds: which conversations have changed, and who came into one? By the database's
clock, with an overlap longer than any transaction; and every minute all that is heard here, whatever a clock says.
"""

import asyncio
import random
from collections.abc import Collection, Coroutine, Sequence
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Connection as Database

from parley.gateway.feed import Feed
from parley.gateway.hub import Hub
from parley.protocol.types import ConversationId, UserId
from parley.store.bounds import OVERLAP_MS
from parley.store.interface import Database as Store
from parley.store.interface import StoreUnavailable
from parley.store.sql import heads as sql

log = structlog.get_logger()

INTERVAL_S = 1.5
SOON_S = 0.02
"""What is heard anew is gathered so long: ten thousand that come back are asked of in a few questions."""
FULL_S = 60.0
CHUNK = 500
UNDER_WAY_S = 0.1
"""How long a publish may be under way. Who is still behind after it has lost it."""

Joined = tuple[ConversationId, UserId, int]


class Heads:
    """One node's. `start`, then `stop`; between them `listening` may be called at any time."""

    def __init__(self, hub: Hub, store: Store, interval_s: float = INTERVAL_S) -> None:
        self._hub = hub
        self._store = store
        self._interval = interval_s
        self._since: int | None = None
        """By the database's clock, from when on changes may not have been seen; None: nothing was asked yet."""
        self._full_at = 0.0
        self._asked: set[ConversationId] = set()
        self._wake = asyncio.Event()
        self._away = False
        self._loop = asyncio.get_running_loop()
        self._running: asyncio.Task[None] | None = None

    # Its rounds

    def start(self) -> None:
        self._running = self._loop.create_task(self._run())

    async def stop(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
            self._running = None

    def listening(self, conversations: Collection[ConversationId] | None) -> None:
        """From now on these are heard of; compare them at once. None: all, after a break."""
        if conversations is None:
            self._full_at = 0.0
        else:
            self._asked.update(one for one in conversations if one in self._hub.feeds)
        if conversations is None or self._asked:
            self._wake.set()

    async def _run(self) -> None:
        while True:
            due = self._loop.time() + self._interval * random.uniform(0.75, 1.0)
            await self._guarded(self.compare())
            while (left := due - self._loop.time()) > 0 and await self._woken(left):
                await asyncio.sleep(SOON_S)
                await self._guarded(self.compare_asked())

    async def _woken(self, within: float) -> bool:
        try:
            async with asyncio.timeout(within):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    async def _guarded(self, comparing: Coroutine[Any, Any, None]) -> None:
        try:
            await comparing
        except StoreUnavailable as error:
            if not self._away:
                log.warning("heads_not_compared", error=str(error))
            self._away = True
        except Exception:
            log.exception("heads_not_compared")
        else:
            if self._away:
                log.info("heads_compared_again")
            self._away = False

    # Comparing

    async def compare(self) -> None:
        """One round. Raises StoreUnavailable; then nothing is taken for seen."""
        since = self._since

        def question(database: Database) -> tuple[int, Sequence[tuple[ConversationId, int]], Sequence[Joined]]:
            from_ = (1 << 62) if since is None else since - OVERLAP_MS
            now, changed = sql.changed_since(database, from_)
            return now, changed, sql.joined_since(database, from_)

        now, changed, joined = await self._store.read(question)
        stored = {one: head for one, head in changed if one in self._hub.feeds}
        stored |= await self._asked_for()
        await self._settle(stored, joined)
        self._since = now

    async def compare_asked(self) -> None:
        """Those that `listening` told of."""
        await self._settle(await self._asked_for(), ())

    async def _asked_for(self) -> dict[ConversationId, int]:
        """The heads of what `listening` told of, and every minute of all that is heard here."""
        self._wake.clear()
        full_at, asked, self._asked = self._full_at, self._asked, set()
        full = self._loop.time() >= full_at
        if full:
            self._full_at = self._loop.time() + FULL_S
        try:
            return await self._heads_of([one for one in (self._hub.feeds if full else asked) if one in self._hub.feeds])
        except BaseException:
            self._full_at = min(self._full_at, full_at)
            self._asked.update(one for one in asked if one in self._hub.feeds)
            raise

    async def _heads_of(self, asked: Sequence[ConversationId]) -> dict[ConversationId, int]:
        found: dict[ConversationId, int] = {}
        for start in range(0, len(asked), CHUNK):
            part = asked[start : start + CHUNK]
            found.update(await self._store.read(partial(sql.heads_of, ids=part)))
        return found

    async def _settle(self, stored: dict[ConversationId, int], joined: Sequence[Joined]) -> None:
        """What the store has and was not heard here is healed, if it does not come by itself in time."""
        behind = [(feed, head) for one, head in stored.items() if (feed := self._behind(one, head)) is not None]
        strangers = [one for one in joined if self._deaf(one)]
        if not behind and not strangers:
            return
        await asyncio.sleep(UNDER_WAY_S)
        assert self._hub.attacher is not None
        for feed, head in behind:
            if self._behind(feed.conversation_id, head) is feed:
                self._hub.attacher.heal(feed, head)
        for conversation, user, seq in strangers:
            # Who hears it by now, or begins to, is passed over.
            self._hub.invite(conversation, [user], max(seq - 1, 0))

    def _behind(self, conversation_id: ConversationId, head: int) -> Feed | None:
        feed = self._hub.feeds.get(conversation_id)
        return feed if feed is not None and feed.head is not None and feed.head < head else None

    def _deaf(self, joined: Joined) -> bool:
        """Whether somebody came into a conversation and a socket of theirs here does not hear it."""
        conversation, user, _ = joined
        if user not in self._hub.users:
            return False
        feed = self._hub.feeds.get(conversation)
        return any(feed is None or not feed.hears(one) for one in self._hub.users[user])

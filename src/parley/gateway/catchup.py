"""Resume: read what was missed, then go live, as one step that loses and repeats nothing.

For each conversation: (1) the feed begins to note what is published, (2) the store is read from the cursor on, page
by page as the socket takes them, (3) when a page has reached the head and the feed has passed on nothing beyond it,
the connection is subscribed in the same turn of the loop. Between (3)'s look and the subscription nothing can come
in; before it, the feed's head tells.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

import msgspec
import structlog

from parley.gateway.connection import Connection
from parley.gateway.feed import FRAME_BYTES, FRAME_ENTRIES, Feed
from parley.gateway.framing import frame
from parley.gateway.hub import Hub
from parley.protocol.commands import Actor, Resume
from parley.protocol.errors import ChatError, Close
from parley.protocol.events import Entry, Signal
from parley.protocol.types import ConversationId, UserId
from parley.store.interface import StoreUnavailable

log = structlog.get_logger()

LATEST = 1 << 62
"""A cursor beyond every head: a page from there has no entries, and tells the head."""
HEALING = 8
"""Feeds that read the store at once to fill a hole."""
RETRY_S = 1.0
"""After a store that was away, a hole is tried again."""
GAP = 10_000
"""Entries a resume will send of one conversation; a longer gap is a reset and the client takes a snapshot."""


class Source(Protocol):
    """What is read of the store."""

    async def heads(self, user: UserId, conversations: Sequence[ConversationId]) -> Mapping[ConversationId, int]:
        """The heads of those that the user may read now."""

    async def entries_after(
        self, conversation: ConversationId, after: int, limit: int, max_bytes: int, reader: UserId | None
    ) -> tuple[list[Entry], int] | None:
        """(entries, head); None if `reader` may not read it."""

    async def named_entries_after(
        self, conversation: ConversationId, after: int, reader: UserId | None
    ) -> tuple[list[Entry], int] | None:
        """The same with the writers' names; None for a `reader` who may not read it."""

    async def describe(self, actor: Actor, conversation: ConversationId) -> dict[str, Any]:
        """The conversation in welcome's shape. Raises ChatError."""


class CatchUp:
    """Lets connections go live. Also the hub's `Attacher`."""

    def __init__(self, hub: Hub, source: Source, epoch: str) -> None:
        self._hub = hub
        self._source = source
        self._epoch = epoch
        self.tasks: set[asyncio.Task[None]] = set()
        """What is under way; `drain` sees to its end."""
        self._invited: dict[Connection, dict[ConversationId, int | None]] = {}
        """Invitations into what a resume under way is about already, which may hear it by its end."""
        self._healing: set[Feed] = set()
        self._healers = asyncio.Semaphore(HEALING)
        self.on_healed: Callable[[int], None] = lambda _: None
        """Told how many entries a feed had missed and got from the store."""

    # Going live

    def begin(
        self, connection: Connection, resume: Resume | None, done: Callable[[dict[str, Any]], None]
    ) -> Awaitable[None] | None:
        """Start what `resume` asks for (None: live from the heads that welcome told) and call `done` with the ack's
        payload. One at a time: while another is under way, returns what to await, which then starts it."""
        under_way = connection.resuming
        if under_way is not None:
            return self._begin_after(under_way, connection, resume, done)
        bases, connection.bases = connection.bases or {}, None
        connection.live = True
        asked = dict(resume.cursors) if resume is not None else {}
        told = {c: seq for c, seq in bases.items() if c not in asked}
        same = resume is not None and resume.epoch == self._epoch
        connection.resuming = self.spawn(connection, self._resume(connection, asked, same, told, done))
        return None

    async def _begin_after(
        self,
        under_way: asyncio.Task[None],
        connection: Connection,
        resume: Resume | None,
        done: Callable[[dict[str, Any]], None],
    ) -> None:
        await asyncio.wait([under_way])
        if not connection.closing:
            self.begin(connection, resume, done)

    async def _resume(
        self,
        connection: Connection,
        asked: dict[ConversationId, int],
        same_epoch: bool,
        told: dict[ConversationId, int],
        done: Callable[[dict[str, Any]], None],
    ) -> None:
        if connection.catching:
            # They were added before it said where it stands: `conversation.added` comes before their first entry.
            await asyncio.wait(connection.catching.values())
        feeds = {c: self._hub.track(c) for c in (*told, *asked)}
        invited = self._invited[connection] = dict.fromkeys(feeds)
        try:
            for conversation in asked:
                # It sends the asked range again, so live entries must wait until it has.
                self._withdraw(connection, feeds[conversation])
            heads = await self._source.heads(connection.actor.user_id, list(feeds))
            if connection.closing:
                return
            live: dict[str, int] = {}
            reset: dict[str, int] = {}
            slow: list[tuple[Feed, int]] = []
            for conversation, feed in feeds.items():
                if conversation not in heads or self._attached(connection, feed):
                    continue
                head, cursor = heads[conversation], asked.get(conversation, told.get(conversation, 0))
                if conversation in asked and (not same_epoch or cursor > head or head - cursor > GAP):
                    reset[str(conversation)] = cursor = head
                if cursor >= head and not feed.behind(cursor):
                    feed.add(connection, cursor)
                    if conversation in asked and str(conversation) not in reset:
                        live[str(conversation)] = cursor
                else:
                    slow.append((feed, cursor))
            for feed, cursor in slow:
                reached = await self._follow_in_turn(connection, feed, cursor)
                name = str(feed.conversation_id)
                if reached is not None and feed.conversation_id in asked and name not in reset:
                    live[name] = reached
            gone = [str(c) for c in asked if str(c) not in live and str(c) not in reset]
            done({"live": live, "reset": reset, "gone": gone})
        finally:
            connection.resuming = None
            del self._invited[connection]
            for conversation, since in invited.items():
                if since is not None:
                    # Into what was not to be read yet when the resume looked.
                    self._hub.attach(connection, conversation, since)
            for feed in feeds.values():
                self._hub.untrack(feed)

    def _withdraw(self, connection: Connection, feed: Feed) -> None:
        if feed.hears(connection):
            self._hub.unsubscribe(feed, connection)
        if connection.catching is not None and (task := connection.catching.pop(feed.conversation_id, None)):
            task.cancel()

    def _attached(self, connection: Connection, feed: Feed) -> bool:
        """It was removed and added again meanwhile, and hears it by that."""
        catching = connection.catching is not None and feed.conversation_id in connection.catching
        return catching or feed.hears(connection)

    async def _follow_in_turn(self, connection: Connection, feed: Feed, cursor: int) -> int | None:
        """`_follow` where the hub can cut it short, because the user was removed: None then too."""
        if self._attached(connection, feed):
            return None
        task = asyncio.get_running_loop().create_task(self._follow(connection, feed, cursor))
        if connection.catching is None:
            connection.catching = {}
        connection.catching[feed.conversation_id] = task
        await asyncio.wait([task])
        if connection.catching.get(feed.conversation_id) is task:
            del connection.catching[feed.conversation_id]
        return None if task.cancelled() else task.result()

    async def _follow(self, connection: Connection, feed: Feed, cursor: int) -> int | None:
        """Send pages from `cursor` until the head, then subscribe. Returns the seq it is live from, None if it may
        not read."""
        try:
            while await connection.drained():
                page = await self._page(connection, feed.conversation_id, cursor)
                if page is None or connection.closing:
                    return None
                entries, head = page
                if entries:
                    cursor = entries[-1].seq
                    self._push_page(connection, feed, entries, head)
                feed.paging[connection] = min(cursor, head)
                # No await from here to `add`: what is published in between cannot exist.
                if cursor >= head and not feed.behind(cursor):
                    feed.add(connection, cursor)
                    return cursor
            return None
        finally:
            feed.paging.pop(connection, None)

    def _push_page(self, connection: Connection, feed: Feed, entries: Sequence[Entry], head: int) -> None:
        heard = feed.heard_by(connection, entries)
        more = entries[-1].seq < head
        payloads = connection.codec.entries(feed.about, head, more, heard) if heard else ()
        # As one: a page of many frames is no more than the socket was asked to take.
        connection.push(b"".join([frame(payload) for payload in payloads]) or None)

    async def _page(
        self, connection: Connection, conversation: ConversationId, cursor: int
    ) -> tuple[list[Entry], int] | None:
        actor = connection.actor
        if connection.legacy is None:
            return await self._source.entries_after(conversation, cursor, FRAME_ENTRIES, FRAME_BYTES, actor.user_id)
        if actor.guest and actor.guest_of != conversation:
            return None
        return await self._source.named_entries_after(conversation, cursor, None if actor.guest else actor.user_id)

    async def follow(self, connection: Connection, feed: Feed, cursor: int | None) -> int | None:
        """`_follow` for a dialect that does not resume by itself; `cursor` None: from now on."""
        if cursor is None:
            page = await self._page(connection, feed.conversation_id, LATEST)
            if page is None:
                return None
            cursor = page[1]
        return await self._follow(connection, feed, cursor)

    # Joining a conversation while connected

    def attach(self, connection: Connection, conversation_id: ConversationId, cursor: int) -> None:
        if connection.closing:
            return
        if connection.legacy is not None:
            connection.legacy.manners.attach(connection, conversation_id, cursor)
            return
        if connection.bases is not None:
            # Not live yet: it is told, and hears it once it says where it stands.
            if conversation_id in connection.bases:
                return  # it was: an invitation may come late from another node
            connection.bases[conversation_id] = cursor
        if (invited := self._invited.get(connection)) is not None and conversation_id in invited:
            invited[conversation_id] = cursor
            return
        if connection.early is not None:
            return  # welcome tells of it, or is followed by it
        if connection.catching is not None and conversation_id in connection.catching:
            return
        if connection.catching is None:
            connection.catching = {}
        connection.catching[conversation_id] = self.spawn(
            connection, self._attach(connection, conversation_id, cursor, follows=connection.live)
        )

    async def _attach(
        self, connection: Connection, conversation_id: ConversationId, cursor: int, *, follows: bool
    ) -> None:
        """One that is not live yet (not `follows`) hears it by the resume that makes it live."""
        feed = self._hub.track(conversation_id)
        try:
            described = await self._source.describe(connection.actor, conversation_id)
            _as_of(described, cursor)
            self._hub.tell(connection, Signal("conversation.added", {"conversation": described}, conversation_id))
            if not follows or feed.hears(connection):
                return
            if await self._follow(connection, feed, cursor) is None and not connection.closing:
                # Gone again before it could hear that.
                told = {"conversation_id": str(conversation_id)}
                self._hub.tell(connection, Signal("conversation.removed", told, conversation_id))
        except ChatError:
            # Removed again before the store was read: there is nothing to tell.
            log.debug("attach_skipped", conversation=conversation_id)
        finally:
            if connection.catching is not None and connection.catching.get(conversation_id) is asyncio.current_task():
                del connection.catching[conversation_id]
            self._hub.untrack(feed)

    # Holes

    def heal(self, feed: Feed, upto: int) -> None:
        feed.known = max(feed.known, upto)
        if feed not in self._healing:
            self._healing.add(feed)
            feed.tracking += 1
            _ = self._keep(asyncio.get_running_loop().create_task(self._heal(feed)))

    async def _heal(self, feed: Feed) -> None:
        away = False
        try:
            while feed.behind_hole and (feed.live or feed.late):
                try:
                    async with self._healers:
                        found = await self._fill(feed)
                except StoreUnavailable as error:
                    if not away:
                        log.warning("heal_failed", conversation=feed.conversation_id, error=str(error))
                    away = True
                    await asyncio.sleep(RETRY_S)
                    continue
                if not found:
                    # The store does not have what was told of: a restored one. Comparisons go by the store.
                    feed.hold.clear()
                    feed.known = 0
                    log.error("heal_found_nothing", conversation=feed.conversation_id, head=feed.head)
        except Exception:
            log.exception("heal_failed", conversation=feed.conversation_id)
        finally:
            self._healing.discard(feed)
            self._hub.untrack(feed)

    async def _fill(self, feed: Feed) -> bool:
        """One page, with the writers' names where somebody is shown them."""
        head, conversation = feed.head, feed.conversation_id
        assert head is not None
        if feed.shows_names:
            page = await self._source.named_entries_after(conversation, head, None)
        else:
            page = await self._source.entries_after(conversation, head, FRAME_ENTRIES, FRAME_BYTES, None)
        if page is None or not page[0]:
            # What was missing may have come by itself meanwhile.
            return feed.head != head or not feed.behind_hole
        entries, stored = page
        passed = head if feed.head is None else feed.head
        if stored > passed:
            feed.known = max(feed.known, stored)
        missed = sum(entry.seq > passed for entry in entries)
        self._hub.publish(entries)
        self.on_healed(missed)
        return True

    # Tasks

    def spawn(self, connection: Connection, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """For work without which the connection would miss something."""
        task = self._keep(asyncio.get_running_loop().create_task(self._guard(connection, work)))
        # Where it is cancelled before its first step.
        task.add_done_callback(lambda _: work.close())
        return task

    def _keep(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def _guard(self, connection: Connection, work: Awaitable[None]) -> None:
        """A resume that cannot be finished ends the connection: its client comes back and asks again."""
        try:
            await work
        except StoreUnavailable as error:
            log.warning("resume_failed", connection=connection.id, error=str(error))
            connection.close(Close.SERVER_ERROR, "storage unavailable: resume again")
        except Exception:
            log.exception("resume_failed", connection=connection.id)
            connection.close(Close.SERVER_ERROR, "resume failed: resume again")


def _as_of(described: dict[str, Any], cursor: int) -> None:
    """A conversation as it stood at `cursor`: what is beyond follows as entries, and must not be counted twice."""
    described["head"] = cursor
    described["read_seq"] = min(described["read_seq"], cursor)
    described["delivered_seq"] = min(described["delivered_seq"], cursor)
    last = described["last_message"]
    if last is not None and msgspec.json.decode(msgspec.json.encode(last), type=_Place).seq > cursor:
        described["last_message"] = None
        described["unread"] = 0


class _Place(msgspec.Struct):
    seq: int

"""Conversations: making them, opening directs, and what each of their members sees.

What changes a conversation that is there (joining, leaving, renaming …) goes through the dispatcher, not here.
"""

import asyncio
import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from parley.client_ids import new_client_id, valid_client_id
from parley.clock import Clock
from parley.ids import Snowflakes
from parley.protocol.commands import Actor
from parley.protocol.errors import ChatError, Code
from parley.protocol.events import Entry
from parley.protocol.types import ConversationId, ConversationKind, JoinPolicy, Role, UserId
from parley.services.directs import KnownDirects
from parley.services.lobby_size import LobbySize
from parley.store.interface import Database
from parley.store.sql import conversations as sql
from parley.store.sql import founding
from parley.store.sql import members as sql_members
from parley.store.sql.access import enter, standing
from parley.store.sql.conversations import Room, Seat, SeenConversation, conversation_shape
from parley.store.sql.fetch import epoch
from parley.store.sql.founding import Founder, Plan
from parley.store.sql.members import Member

T = TypeVar("T")

WELCOME = 200
"""Conversations shown on open. The rest is a page away."""
MOST_MEMBERS_AT_ONCE = 200
TITLE_CHARS = 200

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_RESERVED = "lobby"

Announce = Callable[[ConversationId, list[Entry], list[UserId]], None]
"""Told of each new conversation after its commit, on the event loop: its first entries (a direct: none), its users."""


class Limits(Protocol):
    """What is used of `[limits]`; 0 is no limit."""

    @property
    def rooms(self) -> int: ...


class Welcome(msgspec.Struct, frozen=True):
    """Where a user stands when a connection opens, read in one transaction: `heads` of all they may read, views of the
    most recent."""

    epoch: str
    views: list[SeenConversation]
    heads: dict[ConversationId, int]


class Conversations:
    """The service. All ids it is given may be anything; what one may not see is answered as if it were not there."""

    def __init__(self, database: Database, clock: Clock, ids: Snowflakes, announce: Announce, limits: Limits) -> None:
        """`ids` is the writer thread's own; it is used there only, inside the writes."""
        self._database = database
        self._clock = clock
        self._ids = ids
        self._announce = announce
        self._limits = limits
        self._directs = KnownDirects()
        self._lobby_size = LobbySize(clock)
        self._lobby: ConversationId | None = None
        self._running: set[asyncio.Task[Any]] = set()

    # Making

    async def create(
        self,
        actor: Actor,
        client_id: str,
        kind: ConversationKind,
        *,
        name: str | None = None,
        title: str | None = None,
        member_ids: Sequence[UserId] = (),
        user_id: UserId | None = None,
        join_policy: JoinPolicy | None = None,
    ) -> tuple[SeenConversation, bool]:
        """Make a conversation; False: this client_id, or for a direct this pair of users, had made it already.

        Raises ChatError: forbidden (guests), bad_payload, too_long, unknown_user, name_taken, limit_reached.
        Once begun it ends by itself: a caller that is cancelled may ask again with the same client_id.
        """
        if not valid_client_id(client_id):
            raise ChatError(Code.BAD_PAYLOAD, "client_id: 1 to 64 of A-Z a-z 0-9 _ . : -")
        founder = Founder(actor.user_id, client_id)
        before = await self._database.read(lambda connection: founding.earlier(connection, founder))
        if before is not None:
            return await self._first_made(actor, *before), False
        _refuse_guest(actor)
        if kind is ConversationKind.DIRECT:
            if user_id is None or name is not None or title is not None or member_ids or join_policy is JoinPolicy.OPEN:
                raise ChatError(Code.BAD_PAYLOAD, "A direct conversation takes user_id and nothing else.")
            conversation_id, created = await self.open_direct(actor, user_id)
            return await self.view(actor, conversation_id), created
        if user_id is not None:
            raise ChatError(Code.BAD_PAYLOAD, "user_id: only for a direct conversation")
        plan = _plan(kind, name, title, join_policy)
        others = [user for user in dict.fromkeys(member_ids) if user != actor.user_id]
        if len(others) > MOST_MEMBERS_AT_ONCE:
            raise ChatError(Code.TOO_LONG, f"member_ids: at most {MOST_MEMBERS_AT_ONCE}")
        return await self._to_its_end(self._found(actor, founder, plan, others))

    async def _found(
        self, actor: Actor, founder: Founder, plan: Plan, others: list[UserId]
    ) -> tuple[SeenConversation, bool]:
        def change(connection: Connection) -> tuple[ConversationId, list[Entry], int]:
            before = founding.earlier(connection, founder)
            if before is not None:
                return before[0], [], before[1]
            called = self._admissible(connection, plan, founder.user_id, others)
            at = self._clock.now_ms()
            made = founding.found(connection, plan, founder, others, called, self._ids.next, new_client_id, at)
            return *made, at

        try:
            conversation_id, entries, at = await self._database.write(change)
        except IntegrityError:
            # Another node was faster with this name or this client_id. Now its rows can be seen, and they answer.
            conversation_id, entries, at = await self._database.write(change)
        if not entries:
            return await self._first_made(actor, conversation_id, at), False
        self._announce(conversation_id, entries, [founder.user_id, *others])
        return await self._first_made(actor, conversation_id, at), True

    def _admissible(
        self, connection: Connection, plan: Plan, founder: UserId, others: list[UserId]
    ) -> dict[UserId, str]:
        """Everybody's display name. Raises ChatError where the plan cannot be carried out."""
        called = founding.names(connection, [founder, *others])
        if founder not in called:
            raise ChatError(Code.FORBIDDEN)
        if unknown := [user for user in others if user not in called]:
            raise ChatError(Code.UNKNOWN_USER, f"There is no such user: {', '.join(map(str, unknown))}.")
        if plan.name is not None and founding.name_taken(connection, plan.name):
            raise ChatError(Code.NAME_TAKEN)
        most = self._limits.rooms
        if most and founding.count_rooms(connection) >= most:
            raise ChatError(Code.LIMIT_REACHED, f"This server holds at most {most} rooms and groups.")
        return called

    async def _first_made(self, actor: Actor, conversation_id: ConversationId, at: int) -> SeenConversation:
        """The conversation for its maker. One who has left it since is told that it was made, and nothing newer."""

        def question(connection: Connection) -> SeenConversation:
            found = standing(connection, conversation_id, actor.user_id)
            if found is None:
                raise ChatError(Code.UNKNOWN_CONVERSATION)
            if found.role is not None:
                return sql.views(connection, actor.user_id, [Seat(conversation_id, found.role)], self._lobby_size)[0]
            return SeenConversation(
                id=conversation_id, kind=found.kind, name=None, title=None, head=1, join_policy=found.join_policy,
                role=Role.OWNER.value, member_count=1, read_seq=1, delivered_seq=1, unread=0, peer=None,
                last_message=None, created_at=at, closed=False, epoch=found.epoch,
            )  # fmt: skip

        return await self._database.read(question)

    async def open_direct(self, actor: Actor, other: UserId) -> tuple[ConversationId, bool]:
        """The direct conversation with `other`, made on first use: one for ever per pair, under any race.

        With oneself it is a place for notes. Raises ChatError: forbidden (guests), unknown_user.
        """
        known = self._directs.get(actor.user_id, other)
        if known is not None:
            return known, False
        _refuse_guest(actor)
        return await self._to_its_end(self._open_direct(actor.user_id, other))

    async def _open_direct(self, one: UserId, other: UserId) -> tuple[ConversationId, bool]:
        def look(connection: Connection) -> ConversationId | None:
            return sql.find_direct(connection, one, other)

        def make(connection: Connection) -> ConversationId:
            if founding.names(connection, [one, other]).keys() != {one, other}:
                raise ChatError(Code.UNKNOWN_USER)
            return founding.found_direct(connection, one, other, self._clock.now_ms())

        created = False
        found = await self._database.read(look)
        if found is None:
            try:
                found = await self._database.write(make)
                created = True
            except IntegrityError:
                found = await self._database.read(look)
                assert found is not None, "the pair's row is what made the insert fail, and it is never removed"
        self._directs.put(one, other, found)
        if created:
            self._announce(found, [], list(dict.fromkeys((one, other))))
        return found, created

    def known_direct(self, one: UserId, other: UserId) -> ConversationId | None:
        """The direct conversation of the two if it was met lately; None says nothing. Never waits."""
        return self._directs.get(one, other)

    async def _to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """A caller that goes away must not leave a conversation committed and never announced."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    # Seeing

    async def lobby_id(self) -> ConversationId | None:
        """The room everybody is in; None while the database has none."""
        if self._lobby is None:
            self._lobby = await self._database.read(sql.find_lobby)
        return self._lobby

    async def member_count(self, conversation_id: ConversationId) -> int:
        """For the server's own use; 0 if there is no such conversation. Of the lobby: how many accounts there are."""

        def question(connection: Connection) -> int:
            lobby, count = sql.size(connection, conversation_id)
            return self._lobby_size(connection) if lobby else count

        return await self._database.read(question)

    async def view(self, actor: Actor, conversation_id: ConversationId) -> SeenConversation:
        """Raises ChatError: unknown_conversation, not_a_member."""

        def question(connection: Connection) -> SeenConversation:
            found = enter(connection, conversation_id, actor.user_id)
            assert found.role is not None
            return sql.views(connection, actor.user_id, [Seat(conversation_id, found.role)], self._lobby_size)[0]

        return await self._database.read(question)

    async def describe(self, actor: Actor, conversation_id: ConversationId) -> dict[str, Any]:
        """The same as frames and HTTP show it."""
        return conversation_shape(await self.view(actor, conversation_id))

    async def page(
        self, actor: Actor, limit: int = 50, after: tuple[int, int] | None = None
    ) -> tuple[list[SeenConversation], tuple[int, int] | None]:
        """A page of one's conversations, where something was said last first, and the `after` of the next page."""
        lobby = await self.lobby_id()

        def question(connection: Connection) -> tuple[list[SeenConversation], tuple[int, int] | None]:
            taken = sql.seats(connection, actor.user_id, lobby, before=after, limit=limit + 1)
            page = taken[:limit]
            following = (page[-1].recency, page[-1].id) if len(taken) > limit else None
            return sql.views(connection, actor.user_id, page, self._lobby_size), following

        return await self._database.read(question)

    async def welcome_list(self, user_id: UserId, limit: int = WELCOME) -> Welcome:
        """What a connection is told on open, all of it read in one transaction."""
        lobby = await self.lobby_id()

        def question(connection: Connection) -> Welcome:
            taken = sql.seats(connection, user_id, lobby)
            shown = sql.views(connection, user_id, taken[:limit], self._lobby_size)
            return Welcome(epoch(connection), shown, {seat.id: seat.head for seat in taken})

        return await self._database.read(question)

    async def views_for(
        self, conversation_id: ConversationId, user_ids: Sequence[UserId]
    ) -> dict[UserId, SeenConversation]:
        """What each of these users, so far as they are members by a row, sees of one conversation."""

        def question(connection: Connection) -> dict[UserId, SeenConversation]:
            seated = sql_members.roles(connection, conversation_id, user_ids)
            return sql.views_for(connection, conversation_id, seated) if seated else {}

        return await self._database.read(question)

    async def heads(self, user_id: UserId, ids: Sequence[ConversationId]) -> dict[ConversationId, int]:
        """The heads of those of `ids` that the user may read at this moment."""
        return await self._database.read(lambda connection: sql.heads(connection, user_id, ids))

    async def rooms(
        self, actor: Actor, q: str = "", limit: int = 50, after: str | None = None
    ) -> tuple[list[Room], str | None]:
        """Open rooms by name, those whose name or title begins with `q`; and the `after` of the next page."""
        found = await self._database.read(
            lambda connection: sql.open_rooms(connection, actor.user_id, q, after, limit + 1)
        )
        return found[:limit], found[limit - 1].name if len(found) > limit else None

    # Members

    async def members(
        self, actor: Actor, conversation_id: ConversationId, limit: int = 100, after: int = 0
    ) -> tuple[list[Member], int | None]:
        """Members by user id, and the `after` of the next page. Raises unknown_conversation, not_a_member."""

        def question(connection: Connection) -> list[Member]:
            if enter(connection, conversation_id, actor.user_id).lobby:
                return sql_members.lobby_page(connection, after, limit + 1)
            return sql_members.page(connection, conversation_id, after, limit + 1)

        found = await self._database.read(question)
        return found[:limit], int(str(found[limit - 1].user["id"])) if len(found) > limit else None

    async def member_ids(self, conversation_id: ConversationId) -> list[UserId]:
        """Everybody who hears it; of the lobby, every account."""
        return await self._database.read(lambda connection: sql_members.ids(connection, conversation_id))

    async def shares_conversation(self, user_id: UserId, other_ids: Sequence[UserId]) -> set[UserId]:
        """Those of `other_ids` who have a conversation with the user; all who are not guests share the lobby."""
        return await self._database.read(lambda connection: sql_members.sharing(connection, user_id, other_ids))


def _refuse_guest(actor: Actor) -> None:
    if actor.guest:
        raise ChatError(Code.FORBIDDEN, "Guests stay in the room they came to.")


def _plan(kind: ConversationKind, name: str | None, title: str | None, join_policy: JoinPolicy | None) -> Plan:
    """Raises ChatError for what no such conversation can have."""
    if title is not None and ("\0" in title or not title.strip()):
        raise ChatError(Code.BAD_PAYLOAD, "title: something to read, or nothing at all")
    if title is not None and len(title) > TITLE_CHARS:
        raise ChatError(Code.TOO_LONG, f"title: at most {TITLE_CHARS} characters")
    if kind is ConversationKind.GROUP:
        if name is not None or join_policy is JoinPolicy.OPEN:
            raise ChatError(Code.BAD_PAYLOAD, "A group has no name and is joined by invitation only.")
        return Plan(kind, None, title, JoinPolicy.INVITE)
    if name is None or not _NAME.fullmatch(name):
        raise ChatError(Code.BAD_PAYLOAD, "name: a room needs one, of 1 to 64 of A-Z a-z 0-9 _ -")
    if name.lower() == _RESERVED:
        raise ChatError(Code.NAME_TAKEN)
    return Plan(kind, name, title, join_policy or JoinPolicy.OPEN)

"""The older dialects' own questions: which room a name means, who a guest is, and what was missed while away."""

import asyncio
import itertools
import secrets
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from parley.client_ids import new_client_id
from parley.clock import Clock
from parley.protocol.commands import Actor, Durable, JoinConversation
from parley.protocol.errors import ChatError, Code
from parley.protocol.events import About, Entry
from parley.protocol.types import ConversationId, JoinPolicy, MessageId, Role, UserId
from parley.services.conversations import Conversations
from parley.services.history import History
from parley.services.policy import DIRECTION_CONTROLS, RESERVED_NAMES, username_key
from parley.store.interface import Database
from parley.store.sql import founding
from parley.store.sql import legacy as sql
from parley.store.sql import members as sql_members

GUEST_NAME_CHARS = 32
MISSED = 1_000
"""Entries served to one who was away, the newest."""
GUEST_HOURS = 24
LOBBY = "lobby"
"""Shown by this name, which in capitals is no other room's either."""


class Runner(Protocol):
    """What is asked of the dispatcher."""

    async def run(self, actor: Actor, command: Durable) -> object: ...


class Legacy:
    """The service behind the legacy doors."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        conversations: Conversations,
        history: History,
        *,
        rooms: int,
        reserved: Sequence[str] = (),
        links: Callable[[dict[str, Any]], str] = lambda _: "",
        node: int = 0,
    ) -> None:
        """`rooms`: how many conversations there may be, 0 for no bound; `reserved`: names no guest may have; `links`:
        the address of a message's attachment, for frames; `node`: this process's number among its like."""
        self.links = links
        self._database = database
        self._clock = clock
        self._conversations = conversations
        self._history = history
        self._most_rooms = rooms
        self.reserved = frozenset(reserved)
        self._reserved = {_key(name, spaces=False) for name in RESERVED_NAMES | self.reserved}
        # No two nodes' may be one, and all of them fit a JavaScript number.
        self._unstored = itertools.count(1 + (node << 32))

    # Rooms

    async def room(self, name: str, *, may_make: bool) -> sql.RoomRow:
        """The room of this name; made, ownerless and open, if the asker may. Raises not_found, limit_reached."""
        if name.lower() == LOBBY:
            name = LOBBY

        def look(connection: Connection) -> sql.RoomRow | None:
            return sql.room_named(connection, name)

        found = await self._database.read(look)
        if found is not None:
            return found
        if not may_make:
            raise ChatError(Code.NOT_FOUND, "There is no such room.")

        def make(connection: Connection) -> sql.RoomRow:
            if self._most_rooms and founding.count_rooms(connection) >= self._most_rooms:
                raise ChatError(Code.LIMIT_REACHED, f"This server holds at most {self._most_rooms} rooms and groups.")
            made = sql.make_room(connection, name, self._clock.now_ms())
            return sql.RoomRow(made, JoinPolicy.OPEN.value, lobby=False, closed=False)

        try:
            return await self._database.write(make)
        except IntegrityError:
            faster = await self._database.read(look)
            if faster is None:
                raise ChatError(Code.NAME_TAKEN) from None
            return faster

    async def admit(self, actor: Actor, room: sql.RoomRow, dispatch: Runner) -> None:
        """Make an account a member of an open room on its first coming. Raises invite_only for the others."""
        if room.lobby or await self._database.read(lambda c: sql.is_member(c, room.id, actor.user_id)):
            return
        if room.join_policy != JoinPolicy.OPEN:
            raise ChatError(Code.INVITE_ONLY)
        await dispatch.run(actor, JoinConversation(room.id, new_client_id()))

    async def lobby(self) -> ConversationId:
        found = await self._conversations.lobby_id()
        assert found is not None, "the first start made it"
        return found

    async def about(self, ids: Sequence[ConversationId]) -> dict[ConversationId, About]:
        return await self._database.read(lambda connection: sql.about(connection, ids))

    async def heard_by(self, actor: Actor, *, lobby: bool) -> dict[ConversationId, int]:
        """Every conversation the user is in, and its head."""
        told = await self._conversations.welcome_list(actor.user_id, limit=0)
        heads = dict(told.heads)
        if not lobby:
            heads.pop(await self.lobby(), None)
        return heads

    async def account(self, user: UserId) -> Actor:
        """An account by its number alone, where a setting says that numbers are believed. Raises unauthenticated."""
        name = await self._database.read(lambda connection: founding.names(connection, [user]).get(user))
        if name is None:
            raise ChatError(Code.UNAUTHENTICATED)
        return Actor(user, name)

    async def seq_of(self, conversation_id: ConversationId, message_id: MessageId) -> int:
        """Raises unknown_message."""
        seq = await self._database.read(lambda connection: sql.seq_of(connection, conversation_id, message_id))
        if seq is None:
            raise ChatError(Code.UNKNOWN_MESSAGE)
        return seq

    async def members_and_owner(self, conversation_id: ConversationId) -> tuple[list[UserId], UserId | None]:
        """A room that nobody made by hand has no owner."""

        def question(connection: Connection) -> tuple[list[UserId], UserId | None]:
            members = sql_members.ids(connection, conversation_id)
            roles = sql_members.roles(connection, conversation_id, members)
            return members, next((user for user, role in roles.items() if role is Role.OWNER), None)

        return await self._database.read(question)

    # Pages with names

    async def entries_after(
        self, conversation_id: ConversationId, after: int, reader: UserId | None
    ) -> tuple[list[Entry], int] | None:
        """Like the history's, with the writers' names, as frames show them."""
        page = await self._history.entries_after(conversation_id, after, reader=reader)
        if page is None:
            return None
        entries, head = page
        writers = {entry.by for entry in entries}
        called = await self._database.read(lambda connection: sql.names(connection, list(writers)))
        return [msgspec.structs.replace(entry, by_name=called.get(entry.by, "")) for entry in entries], head

    # Being away

    async def marks(self, user: UserId, dialect: str) -> dict[ConversationId, int]:
        return await self._database.read(lambda connection: sql.marks_of(connection, user, dialect))

    async def joined(self, user: UserId, ids: Sequence[ConversationId]) -> dict[ConversationId, int]:
        """The seqs at which the user came to those of them that have members."""
        return await self._database.read(lambda connection: sql.joined(connection, user, ids))

    async def move_marks(self, user: UserId, dialect: str, to: Mapping[ConversationId, int]) -> None:
        await self._database.write(lambda connection: sql.move_marks(connection, user, dialect, to))

    # Guests

    async def guest(self, wished: str, room: ConversationId) -> Actor:
        """Somebody without an account: a negative number until the first stored message, never under an account's
        name."""
        name = wished.strip()[:GUEST_NAME_CHARS].strip()
        number = next(self._unstored)
        if not name.isprintable() or not await self.may_be_called(name):
            name = f"访客{secrets.randbelow(9000) + 1000}"
        return Actor(UserId(-number), name, guest=True, guest_of=room)

    async def may_be_called(self, name: str) -> bool:
        """Whether somebody who is not asked for an account may be shown by this name: not the server's, not the
        assistant's, not an account's, however it is spelled."""
        if not name.strip() or any(c in DIRECTION_CONTROLS or unicodedata.category(c) == "Cc" for c in name):
            return False
        if _key(name, spaces=False) in self._reserved:
            return False
        key = _key(name.strip(), spaces=True)
        return not await self._database.read(lambda connection: sql.name_is_taken(connection, name.strip(), key))

    async def is_number_of_account(self, text: str) -> bool:
        """Whether an account has this number, as clients would read it."""
        bare = text.strip()
        if not bare.isdecimal() or len(bare) > 40:
            return False
        number = int(bare)
        if number >= 1 << 63:
            return False
        return bool(await self._database.read(lambda connection: founding.names(connection, [UserId(number)])))

    async def store_guest(self, guest: Actor) -> Actor:
        """Give a guest a row, before the first message. Once begun it ends by itself."""
        at = self._clock.now_ms()
        # No user name holds a colon, so nobody can take it.
        key = f"guest:{secrets.token_hex(12)}"
        user = await asyncio.shield(
            asyncio.ensure_future(
                self._database.write(lambda connection: sql.make_guest(connection, key, guest.name, at))
            )
        )
        return Actor(user, guest.name, guest=True, guest_of=guest.guest_of)

    async def sweep_guests(self, here: Collection[UserId] = ()) -> int:
        """Remove guests who were made a day ago, have no message, and are not `here`: these may still write one."""
        before = self._clock.now_ms() - GUEST_HOURS * 3_600_000
        return await self._database.write(lambda connection: sql.sweep_guests(connection, before, here))


def _key(name: str, *, spaces: bool) -> str:
    """A name as people see it: no case, no width, nothing invisible, and spaces only if they count."""
    unseen = "C" if spaces else "CZ"
    return "".join(letter for letter in username_key(name) if unicodedata.category(letter)[0] not in unseen)

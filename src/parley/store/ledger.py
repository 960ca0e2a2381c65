"""The state a batch is decided against, and the changes it makes: loaded, changed and written inside one transaction.

`rules` decides with it and never sees SQL; later commands of the batch see what earlier ones changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from parley.ids import Snowflakes
from parley.protocol import bodies
from parley.protocol.events import Ack, Entry
from parley.protocol.types import STREAMING, ConversationId, EntryKind, MessageId, Role, ServerRole, UserId
from parley.store import tables as t
from parley.store.interface import Append, Appended, Mark, Marked, Refused
from parley.store.marks import move_marks
from parley.store.sql import files as sql_files
from parley.store.sql.hot import Cursor, HotSql, Row
from parley.store.sql.now import moment

CREATED = EntryKind.MESSAGE_CREATED
ROLES = {role.value: role for role in Role}


@dataclass(slots=True)
class Conversation:
    id: ConversationId
    kind: str
    lobby: bool
    join_policy: str
    name: str | None
    title: str | None
    last_seq: int
    last_ordinal: int
    last_message_id: int | None
    member_count: int
    closed: bool


@dataclass(slots=True)
class Message:
    """A stored `message.created` entry."""

    id: MessageId
    conversation_id: ConversationId
    seq: int
    by: UserId
    edit: int
    deleted: bool
    kind: str
    growing: bool = False
    """An answer without its end."""


class Ledger:
    """One batch's working state. `at`: the batch's time, the same for all its entries."""

    def __init__(self, connection: Connection, cursor: Cursor, hot: HotSql, ids: Snowflakes, at: int) -> None:
        self.connection = connection
        self.at = at
        self._cursor = cursor
        self._hot = hot
        self._ids = ids
        self._conversations: dict[int, Conversation | None] = {}
        self._members: dict[tuple[int, int], tuple[Role, int] | None] = {}
        self._messages: dict[int, Message | None] = {}
        self._answers: dict[tuple[int, str], Ack] = {}
        self._entries: list[Row] = []
        self._sent: list[Row] = []
        """New messages, apart from the other entries: most of their columns are the same, and need not be bound."""
        self._changed: set[int] = set()
        self._marks: dict[tuple[int, int], Row] = {}
        self.first_id: int | None = None
        """Of the first entries it has written, one that stands for all of them."""

    # What is known

    def preload(self, conversations: set[ConversationId], pairs: set[tuple[ConversationId, UserId]]) -> None:
        """Load what every command of the batch will ask for, in two questions instead of two per command."""
        if not conversations:
            return
        found, roles = self._hot.load(self._cursor, conversations, pairs)
        self._know_conversations(conversations, found)
        self._members.update(dict.fromkeys(pairs))
        for conversation, user, role, joined in roles:
            self._members[conversation, user] = (ROLES[role], joined)

    def _know_conversations(self, ids: set[ConversationId], rows: list[Row]) -> None:
        for row in rows:
            self._conversations[row[0]] = Conversation(
                row[0],
                row[1],
                bool(row[2]),
                row[3],
                row[4],
                row[5],
                row[6],
                row[7],
                row[8],
                row[9],
                row[10] is not None,
            )
        for missing in ids - self._conversations.keys():
            self._conversations[missing] = None

    def conversation(self, conversation_id: ConversationId) -> Conversation | None:
        if conversation_id not in self._conversations:
            asked = {conversation_id}
            self._know_conversations(asked, self._hot.conversations(self._cursor, asked))
        return self._conversations[conversation_id]

    def membership(self, conversation: Conversation, user: UserId) -> tuple[Role, int] | None:
        """(role, seq of joining); None for no member. The lobby's is implied."""
        if conversation.lobby:
            return (Role.MEMBER, 0)
        key = (conversation.id, user)
        if key not in self._members:
            rows = self._hot.roles(self._cursor, [key])
            self._members[key] = (ROLES[rows[0][2]], rows[0][3]) if rows else None
        return self._members[key]

    def message(self, message_id: MessageId) -> Message | None:
        if not 0 < message_id < 1 << 63:
            # No engine has such an id, but each says so in its own way.
            return None
        if message_id not in self._messages:
            # Ids grow: only one from this batch on can still be here and not in the table.
            if (self._sent and message_id >= self._sent[0][0]) or (self._entries and message_id >= self._entries[0][0]):
                self.flush_entries()
            e = t.entries.c
            row = self.connection.execute(
                select(e.id, e.conversation_id, e.seq, e.actor_id, e.edit, e.deleted, e.body, e.edited_seq).where(
                    e.id == message_id, e.kind == EntryKind.MESSAGE_CREATED, e.seq.is_not(None)
                )
            ).one_or_none()
            self._messages[message_id] = _message(row) if row else None
        return self._messages[message_id]

    def display_name(self, user: UserId) -> str | None:
        """None for an account that is not there or not active any more."""
        u = t.users.c
        return self.connection.execute(
            select(u.display_name).where(u.id == user, u.deactivated_at.is_(None), u.guest.is_(False))
        ).scalar_one_or_none()

    def is_assistant(self, user: UserId) -> bool:
        """The one account that is spoken to wherever one is, member or not."""
        u = t.users.c
        asked = select(u.id).where(u.id == user, u.role == ServerRole.ASSISTANT.value, u.deactivated_at.is_(None))
        return self.connection.execute(asked).first() is not None

    def attachable(self, ids: Sequence[int], user: UserId) -> dict[int, dict[str, Any]]:
        """Those of the files that the user may put into a message, as messages show them."""
        found = sql_files.attachable(self.connection, ids, user)
        return {file_id: bodies.read_attachment(shown) for file_id, shown in found.items()}

    # What was answered before

    def is_stored(self, entry: int) -> bool:
        """Whether there is an entry of this id, a kept answer too."""
        return self.connection.scalar(select(t.entries.c.id).where(t.entries.c.id == entry)) is not None

    def remember_answers(self, appends: Sequence[Append]) -> None:
        """Look up all commands of the batch at once, so that each repeat is known before anything is decided."""
        keys = list({(append.actor, append.command.client_id) for append in appends})
        for row in self._hot.answers(self._cursor, keys):
            self._answers[row[0], row[1]] = _first_answer(row)

    def answer(self, actor: UserId, client_id: str, *, stored: bool) -> Ack | None:
        """The first answer to this client_id, from this batch or (`stored`) from the store."""
        known = self._answers.get((actor, client_id))
        if known is None and stored:
            rows = self._hot.answers(self._cursor, [(actor, client_id)])
            if rows:
                known = self._answers[actor, client_id] = _first_answer(rows[0])
        return known

    # What changes

    def next_id(self) -> int:
        return self._ids.next()

    def append(
        self,
        conversation: Conversation,
        kind: EntryKind,
        actor: UserId,
        client_id: str,
        body: bytes,
        *,
        message: MessageId | None = None,
        user: UserId | None = None,
    ) -> Entry:
        """The next entry of the conversation, about a message or a member that is there."""
        conversation.last_seq = seq = conversation.last_seq + 1
        self._changed.add(conversation.id)
        ordinal = conversation.last_ordinal
        self._entries.append(
            (
                self._ids.next(), conversation.id, seq, ordinal, int(kind), actor, client_id,
                self.at, message, user, 0, None, False, body.decode(),
            )
        )  # fmt: skip
        self._answers[actor, client_id] = Ack(conversation.id, seq, self.at, True, message)
        return Entry(conversation.id, seq, kind, actor, client_id, self.at, ordinal, body, message, user)

    def append_message(
        self,
        conversation: Conversation,
        actor: UserId,
        client_id: str,
        id_: MessageId,
        body: bytes,
        name: str,
        *,
        reads: bool = True,
    ) -> Entry:
        """The next entry is a new message; it moves its writer's read mark, if the writer `reads` at all."""
        conversation.last_seq = seq = conversation.last_seq + 1
        conversation.last_ordinal = ordinal = conversation.last_ordinal + 1
        conversation.last_message_id = id_
        self._changed.add(conversation.id)
        at = self.at
        self._sent.append((id_, conversation.id, seq, ordinal, actor, client_id, at, body.decode()))
        self._answers[actor, client_id] = Ack(conversation.id, seq, at, True, id_)
        if reads:
            self._marks[actor, conversation.id] = (actor, conversation.id, seq, ordinal, seq)
        return Entry(conversation.id, seq, CREATED, actor, client_id, at, ordinal, body, id_, None, name)

    def attach(self, ids: Sequence[int], message: MessageId, conversation: Conversation) -> None:
        sql_files.attach(self.connection, ids, message, conversation.id)

    def keep_answer(
        self, conversation: Conversation, actor: UserId, client_id: str, seq: int, message: MessageId | None
    ) -> Appended:
        """Answer a command that changes nothing, and keep the answer: a retry after the state has changed must get it
        again."""
        body = b'{"seq":%d}' % seq
        self._entries.append(
            (
                self._ids.next(), conversation.id, None, conversation.last_ordinal, 0, actor, client_id, self.at,
                message, None, 0, None, False, body.decode(),
            )
        )  # fmt: skip
        ack = Ack(conversation.id, seq, self.at, False, message)
        self._answers[actor, client_id] = Ack(conversation.id, seq, self.at, True, message)
        return Appended(ack, ())

    def mark(self, user: UserId, conversation: Conversation) -> None:
        """The user has seen the conversation up to its present end, because they wrote it or came in there."""
        seq = conversation.last_seq
        self._marks[user, conversation.id] = (user, conversation.id, seq, conversation.last_ordinal, seq)

    def join(self, conversation: Conversation, user: UserId, role: Role) -> None:
        seq = conversation.last_seq
        self.connection.execute(
            insert(t.members).values(
                conversation_id=conversation.id,
                user_id=user,
                role=role.value,
                joined_seq=seq,
                joined_at=moment(self.connection, self.at),
            )
        )
        self._members[conversation.id, user] = (role, seq)
        self._count_members(conversation, +1)
        self.mark(user, conversation)

    def leave(self, conversation: Conversation, user: UserId) -> None:
        m = t.members.c
        self.connection.execute(delete(t.members).where(m.conversation_id == conversation.id, m.user_id == user))
        self._members[conversation.id, user] = None
        self._count_members(conversation, -1)

    def _count_members(self, conversation: Conversation, change: int) -> None:
        conversation.member_count += change
        self._update_conversation(conversation, member_count=conversation.member_count)

    def set_role(self, conversation: Conversation, user: UserId, role: Role) -> None:
        m = t.members.c
        self.connection.execute(
            update(t.members).where(m.conversation_id == conversation.id, m.user_id == user).values(role=role.value)
        )
        known = self._members.get((conversation.id, user))
        self._members[conversation.id, user] = (role, known[1] if known else 0)

    def change(self, conversation: Conversation, **fields: Any) -> None:
        """Set `title`, `name` or `join_policy`."""
        self._update_conversation(conversation, **fields)
        for name, value in fields.items():
            setattr(conversation, name, value)

    def close(self, conversation: Conversation) -> None:
        """Its name is free again."""
        conversation.closed = True
        self._update_conversation(conversation, closed_at=self.at, name=None)

    def _update_conversation(self, conversation: Conversation, **values: Any) -> None:
        self.connection.execute(update(t.conversations).where(t.conversations.c.id == conversation.id).values(**values))

    def name_taken(self, name: str) -> bool:
        return (
            self.connection.execute(select(t.conversations.c.id).where(t.conversations.c.name == name)).first()
            is not None
        )

    def edit(self, message: Message, seq: int) -> None:
        self.flush_entries()
        message.edit += 1
        self.connection.execute(
            update(t.entries).where(t.entries.c.id == message.id).values(edit=message.edit, edited_seq=seq)
        )

    def complete(self, message: Message, seq: int) -> None:
        """The entry `seq` has the text that it grew to. That is no edit."""
        self.flush_entries()
        message.growing = False
        self.connection.execute(update(t.entries).where(t.entries.c.id == message.id).values(edited_seq=seq))

    def empty(self, message: Message) -> None:
        """Take away what a message said, in its first writing and every edit, and all that hung on it. Its entries
        stay."""
        self.flush_entries()
        e = t.entries.c
        message.deleted = True
        self.connection.execute(
            update(t.entries)
            .where(e.id == message.id)
            .values(deleted=True, edited_seq=None, body=bodies.emptied(message.id, message.kind).decode())
        )
        rewritings = self.connection.execute(
            select(e.id, e.kind, e.body)
            .where(e.message_id == message.id, e.kind.in_((EntryKind.MESSAGE_EDITED, EntryKind.MESSAGE_COMPLETED)))
            .order_by(e.seq)
        ).all()
        edits = 0
        for entry, kind, body in rewritings:
            if kind == EntryKind.MESSAGE_COMPLETED:
                left = bodies.emptied_completion(message.id, bodies.read_completed(body).status)
            else:
                edits += 1
                left = bodies.emptied_edit(message.id, edits)
            self.connection.execute(update(t.entries).where(e.id == entry).values(deleted=True, body=left.decode()))
        self.connection.execute(delete(t.reactions).where(t.reactions.c.message_id == message.id))
        self.connection.execute(delete(t.pins).where(t.pins.c.message_id == message.id))
        sql_files.detach(self.connection, message.id)

    def deleted_seq(self, message: Message) -> int:
        """The entry that deleted it."""
        self.flush_entries()
        e = t.entries.c
        seq: int = self.connection.execute(
            select(func.min(e.seq)).where(e.message_id == message.id, e.kind == EntryKind.MESSAGE_DELETED)
        ).scalar_one()
        return seq

    def reactions_of(self, message: Message, user: UserId) -> dict[str, int]:
        """The user's reactions: emoji -> seq of its entry."""
        r = t.reactions.c
        return {
            row[0]: row[1]
            for row in self.connection.execute(
                select(r.emoji, r.seq).where(r.message_id == message.id, r.user_id == user)
            )
        }

    def react(self, message: Message, user: UserId, emoji: str, seq: int) -> None:
        self.connection.execute(insert(t.reactions).values(message_id=message.id, user_id=user, emoji=emoji, seq=seq))

    def unreact(self, message: Message, user: UserId, emoji: str) -> None:
        r = t.reactions.c
        self.connection.execute(
            delete(t.reactions).where(r.message_id == message.id, r.user_id == user, r.emoji == emoji)
        )

    def pins_of(self, conversation: Conversation) -> dict[int, int]:
        """message id -> seq of its pin.added."""
        p = t.pins.c
        return {
            row[0]: row[1]
            for row in self.connection.execute(select(p.message_id, p.seq).where(p.conversation_id == conversation.id))
        }

    def pin(self, message: Message, seq: int) -> None:
        self.connection.execute(
            insert(t.pins).values(conversation_id=message.conversation_id, message_id=message.id, seq=seq)
        )

    def unpin(self, message: Message) -> None:
        self.connection.execute(delete(t.pins).where(t.pins.c.message_id == message.id))

    # Writing it down

    def flush_entries(self) -> None:
        if self.first_id is None and (made := self._sent or self._entries):
            self.first_id = made[0][0]
        if self._sent:
            self._hot.insert_messages(self._cursor, self._sent)
            self._sent.clear()
        if self._entries:
            self._hot.insert_entries(self._cursor, self._entries)
            self._entries.clear()

    def flush(self, marks: Sequence[Mark] = ()) -> list[Marked | Refused]:
        """Write all that is still only here, and move `marks`. After it the transaction can commit."""
        with self._hot.together(self._cursor):
            self._flush_log()
            if not marks and self._marks:
                self._hot.move_marks(self._cursor, list(self._marks.values()))
        return move_marks(self._cursor, self._hot, marks, self._marks) if marks else []

    def _flush_log(self) -> None:
        self.flush_entries()
        if self._changed:
            loaded = (self._conversations[key] for key in sorted(self._changed))
            self._hot.bump(self._cursor, [(c.id, c.last_seq, c.last_ordinal, c.last_message_id) for c in loaded if c])


def _message(row: Any) -> Message:
    id_, conversation, seq, actor, edit, deleted, body, present = row
    written = bodies.read_created(body)
    # Until its end it is not edited, so what has a later text has ended.
    growing = written.status == STREAMING and present is None and not deleted
    return Message(id_, conversation, seq, actor, edit, bool(deleted), written.kind, growing)


def _first_answer(row: Row) -> Ack:
    _actor, _client_id, id_, conversation, seq, at, kind, message, body = row
    if seq is None:
        seq = int(body[len('{"seq":') : -1])
    elif kind == EntryKind.MESSAGE_CREATED:
        message = id_
    return Ack(conversation, seq, at, True, message)

"""The SQL of the assistant's own account, of what it may read for an answer, and of answers under way."""

from collections.abc import Collection, Mapping, Sequence

import msgspec
from sqlalchemy import Connection, and_, bindparam, delete, insert, or_, select, text, update
from sqlalchemy.exc import IntegrityError

from parley.protocol.bodies import read_created
from parley.protocol.types import (
    STREAMING,
    ConversationId,
    ConversationKind,
    EntryKind,
    MessageId,
    ServerRole,
    UserId,
)
from parley.store.assistant_tables import answers
from parley.store.sql.fetch import Query, one_of
from parley.store.tables import conversations, entries, users

LEASE_MS = 8_000
"""An answer whose owner has not renewed it for so long is another node's to end."""

_e, _a, _u, _c = entries.c, answers.c, users.c, conversations.c

# The clock of the database: nodes' own differ, and a lease is a promise between nodes.
_NOW = {
    "sqlite": text("SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"),
    "postgresql": text("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"),
    "mysql": text("SELECT CAST(unix_timestamp(now(3)) * 1000 AS SIGNED)"),
}
_NOW["mariadb"] = _NOW["mysql"]


def now_ms(connection: Connection) -> int:
    """Milliseconds since 1970, by the database's clock."""
    return int(connection.execute(_NOW[connection.dialect.name]).scalar_one())


# --- its account ------------------------------------------------------------------------------------------------------


def account(connection: Connection, username: str, key: str, name: str, at: int) -> UserId:
    """The assistant's account, made, renamed or woken as needed. IntegrityError: another node was faster."""
    found = connection.execute(select(_u.id).where(_u.role == ServerRole.ASSISTANT.value)).scalar_one_or_none()
    if found is not None:
        connection.execute(update(users).where(_u.id == found).values(display_name=name, deactivated_at=None))
        return UserId(found)
    made = connection.execute(
        insert(users).values(
            username=username, username_key=key, display_name=name, role=ServerRole.ASSISTANT.value, guest=False,
            created_at=at,
        )
    ).inserted_primary_key  # fmt: skip
    assert made is not None
    return UserId(made[0])


def retire(connection: Connection, at: int) -> None:
    """There is no assistant any more: nobody finds it or writes to it. What it said stays."""
    mine = and_(_u.role == ServerRole.ASSISTANT.value, _u.deactivated_at.is_(None))
    connection.execute(update(users).where(mine).values(deactivated_at=at))


# --- who asks ---------------------------------------------------------------------------------------------------------

_PAIRS = Query(
    select(_c.id, _c.low_user, _c.high_user).where(_c.id.in_(one_of("ids")), _c.kind == ConversationKind.DIRECT.value)
)
_ROLES = Query(select(_u.id, _u.role, _u.guest).where(_u.id.in_(one_of("ids"))))
_WRITERS = Query(select(_e.id, _e.actor_id).where(_e.id.in_(one_of("ids"))))


def directs_with(connection: Connection, ids: Collection[int], user: UserId) -> set[int]:
    """Those of these conversations that are direct ones of this user."""
    rows = _PAIRS.rows(connection, ids=list(ids)) if ids else []
    return {row[0] for row in rows if user in row[1:]}


def roles(connection: Connection, ids: Collection[int]) -> dict[int, tuple[str, bool]]:
    """(role, whether a guest) of each."""
    rows = _ROLES.rows(connection, ids=list(ids)) if ids else []
    return {row[0]: (row[1], bool(row[2])) for row in rows}


def writers(connection: Connection, ids: Collection[int]) -> dict[int, int]:
    """Who wrote each of these messages."""
    rows = _WRITERS.rows(connection, ids=list(ids)) if ids else []
    return {row[0]: row[1] for row in rows}


# --- what was said ----------------------------------------------------------------------------------------------------


class Said(msgspec.Struct, frozen=True):
    """A living message as it stood at a seq."""

    id: int
    seq: int
    by: UserId
    name: str
    text: str


_SAID = Query(
    select(_e.id, _e.seq, _e.actor_id, _u.display_name, _e.body)
    .outerjoin_from(entries, users, _u.id == _e.actor_id)
    .where(
        _e.conversation_id == bindparam("conversation"),
        _e.seq <= bindparam("upto"),
        _e.kind == EntryKind.MESSAGE_CREATED,
        _e.deleted.is_(False),
    )
    .order_by(_e.seq.desc())
    .limit(bindparam("limit"))
)
_REWRITTEN = Query(
    select(_e.message_id, _e.seq, _e.body)
    .where(
        _e.message_id.in_(one_of("messages")),
        _e.kind.in_((EntryKind.MESSAGE_EDITED, EntryKind.MESSAGE_COMPLETED)),
        _e.seq <= bindparam("upto"),
    )
    .order_by(_e.seq)
)


class _Text(msgspec.Struct):
    text: str | None = None


_text = msgspec.json.Decoder(_Text).decode


def said(connection: Connection, conversation_id: ConversationId, upto: int, limit: int) -> list[Said]:
    """The newest `limit` messages with seq ≤ `upto`, oldest first, in the words they had then; without what has been
    deleted since, and without answers that had not ended."""
    rows = _SAID.rows(connection, conversation=conversation_id, upto=upto, limit=limit)
    later = _REWRITTEN.rows(connection, messages=[row[0] for row in rows], upto=upto) if rows else []
    texts = {message: _text(body).text for message, _, body in later}
    found = []
    for id_, seq, by, name, body in reversed(rows):
        written = read_created(body)
        words = texts.get(id_, None if written.status == STREAMING else written.text)
        if words:
            found.append(Said(id_, seq, UserId(by), name or f"u{by}", words))
    return found


# --- answers under way ------------------------------------------------------------------------------------------------


class Asked(msgspec.Struct, frozen=True):
    """A question that waits or is being answered."""

    question_id: MessageId
    conversation_id: ConversationId
    seq: int
    asker: UserId


class Left(msgspec.Struct, frozen=True):
    """What a process that died left over. `message_id` None: it had not begun to answer."""

    asked: Asked
    message_id: MessageId | None
    draft: str
    age_ms: int


class Growing(msgspec.Struct, frozen=True):
    """An answer under way somewhere, as its last draft has it."""

    message_id: MessageId
    conversation_id: ConversationId
    draft: str


def note(connection: Connection, questions: Sequence[Asked], owner: str) -> set[MessageId]:
    """Write down what was asked. Returns those that were not noted before."""
    now = now_ms(connection)
    new = set()
    for it in questions:
        row = {
            "question_id": it.question_id, "conversation_id": it.conversation_id, "question_seq": it.seq,
            "asker_id": it.asker, "draft": "", "cancelled": False, "owner": owner, "until": now + LEASE_MS,
            "asked_at": now,
        }  # fmt: skip
        try:
            with connection.begin_nested():
                connection.execute(insert(answers).values(row))
        except IntegrityError:
            continue
        new.add(it.question_id)
    return new


def begin(connection: Connection, question: MessageId, message: MessageId, owner: str) -> bool:
    """The answer has its message. False: it is another node's now."""
    mine = and_(_a.question_id == question, _a.owner == owner)
    return bool(connection.execute(update(answers).where(mine).values(message_id=message)).rowcount)


def forget(connection: Connection, question: MessageId, owner: str) -> None:
    connection.execute(delete(answers).where(_a.question_id == question, _a.owner == owner))


_KEEP = (
    update(answers)
    .where(_a.question_id == bindparam("question"), _a.owner == bindparam("mine"))
    .values(draft=bindparam("text"))
)


def renew(connection: Connection, owner: str, drafts: Mapping[MessageId, str]) -> tuple[set[int], set[int]]:
    """Keep what is ours for a while longer, with its drafts. Returns (still ours, cancelled elsewhere)."""
    until = now_ms(connection) + LEASE_MS
    if drafts:
        # All in one call: chat's own batches wait for this one.
        connection.execute(
            _KEEP, [{"question": question, "mine": owner, "text": draft} for question, draft in drafts.items()]
        )
    connection.execute(update(answers).where(_a.owner == owner).values(until=until))
    rows = connection.execute(select(_a.question_id, _a.cancelled).where(_a.owner == owner)).all()
    return {row[0] for row in rows}, {row[0] for row in rows if row[1]}


def take_over(connection: Connection, owner: str, *, alone: bool, limit: int) -> list[Left]:
    """Make ours what its owner does not keep any more; `alone`: there is no other process, so whatever is not ours."""
    now = now_ms(connection)
    dead = _a.owner != owner if alone else and_(_a.owner != owner, _a.until < now)
    rows = connection.execute(select(answers).where(dead).order_by(_a.question_id).limit(limit)).all()
    taken = []
    for row in rows:
        same = and_(_a.question_id == row.question_id, _a.owner == row.owner, _a.until == row.until)
        if connection.execute(update(answers).where(same).values(owner=owner, until=now + LEASE_MS)).rowcount:
            asked = Asked(row.question_id, row.conversation_id, row.question_seq, row.asker_id)
            taken.append(Left(asked, row.message_id, row.draft, now - row.asked_at))
    return taken


def answer_of(connection: Connection, assistant: UserId, client_id: str) -> MessageId | None:
    """The message that this command of the assistant's made, if it did."""
    asked = select(_e.id).where(
        _e.client_id == client_id, _e.actor_id == assistant, _e.kind == EntryKind.MESSAGE_CREATED
    )
    found = connection.execute(asked).scalar_one_or_none()
    return None if found is None else MessageId(found)


def named(connection: Connection, conversation_id: ConversationId, message_id: MessageId) -> Asked | None:
    """What is under way under this id, the question's or the answer's."""
    # By what it replies to: the row may not have its message yet.
    body = connection.execute(
        select(_e.body).where(_e.id == message_id, _e.kind == EntryKind.MESSAGE_CREATED)
    ).scalar_one_or_none()
    replies_to = None if body is None else read_created(body).reply_to
    ids = [message_id] if replies_to is None else [message_id, int(replies_to)]
    row = connection.execute(
        select(answers).where(
            _a.conversation_id == conversation_id,
            or_(_a.message_id == message_id, _a.question_id.in_(ids)),
        )
    ).first()
    return None if row is None else Asked(row.question_id, row.conversation_id, row.question_seq, row.asker_id)


def ask_to_cancel(connection: Connection, question: MessageId) -> None:
    connection.execute(update(answers).where(_a.question_id == question).values(cancelled=True))


def growing(connection: Connection, limit: int) -> list[Growing]:
    """All answers under way, on every node."""
    found = connection.execute(
        select(_a.message_id, _a.conversation_id, _a.draft).where(_a.message_id.is_not(None)).limit(limit)
    )
    return [Growing(MessageId(row[0]), ConversationId(row[1]), row[2]) for row in found]


def written_by(connection: Connection, conversation_id: ConversationId, message_id: MessageId, user: UserId) -> bool:
    """Whether this message is there and this user's."""
    asked = select(_e.id).where(
        _e.id == message_id, _e.conversation_id == conversation_id, _e.actor_id == user,
        _e.kind == EntryKind.MESSAGE_CREATED,
    )  # fmt: skip
    return connection.execute(asked).first() is not None

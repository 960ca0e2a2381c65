"""Messages as they stand now: writing, present text, reactions and pin; a page of them costs at most four questions."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, and_, select

from parley.clock import rfc3339
from parley.protocol.types import EntryKind, MessageId
from parley.protocol.wire import Message, Reaction
from parley.store.sql.fetch import Query, Row, one_of
from parley.store.tables import entries, pins, reactions

_NULL = msgspec.Raw(b"null")
_NONE = msgspec.Raw(b"[]")


class _Written(msgspec.Struct):
    """A stored message, its fields still JSON."""

    kind: msgspec.Raw
    text: msgspec.Raw = _NULL
    reply_to: msgspec.Raw = _NULL
    thread_of: msgspec.Raw = _NULL
    mentions: msgspec.Raw = _NONE
    attachments: msgspec.Raw = _NONE
    status: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Created(msgspec.Struct):
    message: _Written


class _Rewritten(msgspec.Struct):
    """What `message.edited` and `message.completed` say."""

    text: msgspec.Raw = _NULL
    status: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Reacted(msgspec.Struct):
    emoji: str


_created = msgspec.json.Decoder(_Created).decode
_rewritten = msgspec.json.Decoder(_Rewritten).decode
_reacted = msgspec.json.Decoder(_Reacted).decode

_e = entries.c
_now = entries.alias("present")


def message_rows() -> Select[Any]:
    """What `build` needs of each message. Add the condition, the order and the limit."""
    return (
        select(
            _e.id, _e.conversation_id, _e.seq, _e.ordinal, _e.actor_id, _e.at, _e.client_id, _e.edit, _e.deleted,
            _e.body,
            _now.c.at.label("present_at"), _now.c.body.label("present_body"), pins.c.seq.label("pinned"),
        )
        .outerjoin_from(
            entries, _now, and_(_now.c.conversation_id == _e.conversation_id, _now.c.seq == _e.edited_seq)
        )
        .outerjoin(pins, and_(pins.c.conversation_id == _e.conversation_id, pins.c.message_id == _e.id))
        .where(_e.kind == EntryKind.MESSAGE_CREATED, _e.seq.is_not(None))
    )  # fmt: skip


_changes = _e.message_id.in_(one_of("messages")) & _e.seq.is_not(None)
_BY_ID = Query(message_rows().where(_e.id.in_(one_of("ids"))))
_COMPLETIONS = Query(select(_e.message_id, _e.body).where(_changes, _e.kind == EntryKind.MESSAGE_COMPLETED))
_REACTIONS = Query(
    select(reactions.c.message_id, reactions.c.emoji, reactions.c.user_id)
    .where(reactions.c.message_id.in_(one_of("messages")))
    .order_by(reactions.c.seq)
)
_REACTED = Query(
    select(_e.message_id, _e.seq, _e.kind, _e.actor_id, _e.body)
    .where(_changes, _e.kind.in_((EntryKind.REACTION_ADDED, EntryKind.REACTION_REMOVED)))
    .order_by(_e.seq)
)


def build(connection: Connection, rows: Sequence[Row]) -> list[Message]:
    """The messages of `message_rows`, in the order given."""
    living = [row[0] for row in rows if not row[8]]
    chosen = reactions_of(connection, living)
    read = [(_created(row[9]).message, _rewritten(row[11]) if row[11] else None) for row in rows]
    # An edit after the completion holds the text but not how the completion ended.
    unsure = [
        row[0] for row, (written, now) in zip(rows, read, strict=True) if written.status and now and not now.status
    ]
    ended = completions_of(connection, unsure)
    return [
        _message(row, written, now, chosen.get(row[0], []), ended.get(row[0]))
        for row, (written, now) in zip(rows, read, strict=True)
    ]


def _message(
    row: Row, written: _Written, now: _Rewritten | None, chosen: list[Reaction], ended: msgspec.Raw | None
) -> Message:
    id_, conversation, seq, ordinal, by, at, client_id, edit, deleted, _, present_at, _, pinned = row
    status = (now.status if now else None) or ended or written.status
    return Message(
        id=str(id_),
        conversation_id=str(conversation),
        seq=seq,
        ordinal=ordinal,
        by=str(by),
        at=rfc3339(at),
        client_id=client_id,
        kind=written.kind,
        text=_NULL if deleted else now.text if now else written.text,
        reply_to=written.reply_to,
        thread_of=written.thread_of,
        mentions=written.mentions,
        attachments=_NONE if deleted else written.attachments,
        edit=edit,
        edited_at=rfc3339(present_at) if edit and present_at else None,
        deleted=bool(deleted),
        pinned=pinned is not None,
        reactions=chosen,
        status=status or msgspec.UNSET,
    )


def completions_of(connection: Connection, messages: Sequence[int]) -> dict[int, msgspec.Raw]:
    """How the growing of each of these messages ended, of those that did."""
    if not messages:
        return {}
    found = {message: _rewritten(body).status for message, body in _COMPLETIONS.rows(connection, messages=messages)}
    return {message: status for message, status in found.items() if isinstance(status, msgspec.Raw)}


def reactions_of(connection: Connection, messages: Sequence[int]) -> dict[int, list[Reaction]]:
    """Reactions by message, grouped by emoji in the order that one gets by following the log."""
    if not messages:
        return {}
    found: dict[int, dict[str, list[str]]] = {}
    for message, emoji, user in _REACTIONS.rows(connection, messages=messages):
        found.setdefault(message, {}).setdefault(emoji, []).append(str(user))
    since = _first_uses(connection, [message for message, groups in found.items() if len(groups) > 1])
    return {message: _grouped(groups, since.get(message, {})) for message, groups in found.items()}


def _grouped(groups: dict[str, list[str]], since: dict[str, int]) -> list[Reaction]:
    return [Reaction(emoji, groups[emoji]) for emoji in sorted(groups, key=lambda emoji: since.get(emoji, 0))]


def _first_uses(connection: Connection, messages: Sequence[int]) -> dict[int, dict[str, int]]:
    """For each message, since which seq each emoji has been on it without a break.

    The present reactions do not tell: who chose an emoji first may have taken theirs back while others kept it there.
    """
    if not messages:
        return {}
    users: dict[tuple[int, str], set[int]] = {}
    since: dict[int, dict[str, int]] = {}
    for message, seq, kind, actor, body in _REACTED.rows(connection, messages=messages):
        emoji = _reacted(body).emoji
        group = users.setdefault((message, emoji), set())
        if kind == EntryKind.REACTION_ADDED:
            if not group:
                since.setdefault(message, {})[emoji] = seq
            group.add(actor)
        else:
            group.discard(actor)
    return since


def messages_by_id(connection: Connection, ids: Iterable[int]) -> dict[MessageId, Message]:
    """Of any conversations; one may read them only if one may read those."""
    wanted = list(ids)
    if not wanted:
        return {}
    rows = _BY_ID.rows(connection, ids=wanted)
    return {MessageId(row[0]): message for row, message in zip(rows, build(connection, rows), strict=True)}

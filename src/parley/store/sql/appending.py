"""What an appender and a gateway ask of the store beside their batches: where a partition begins, what was set aside,
and what a client_id was answered with. `offsets` moves offsets on, inside the batches."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, and_, insert, or_, select, update

from parley.protocol.events import Ack
from parley.protocol.types import EntryKind, MessageId, UserId
from parley.store.cluster_tables import log_offsets, poison
from parley.store.tables import entries

AT_ONCE = 200
"""Keys in one question: SQLite's expressions go no deeper than a thousand."""

_o = log_offsets.c
_p = poison.c
_e = entries.c


class SetAside(msgspec.Struct, frozen=True):
    """A record that no appender could take. `record`: its value, base64."""

    topic: str
    partition: int
    offset: int
    reason: str
    record: str


def begin_partition(connection: Connection, topic: str, partition: int, offset: int) -> None:
    """Of a partition that has none yet. Raises IntegrityError if it has one by now."""
    connection.execute(insert(log_offsets).values(topic=topic, partition=partition, next_offset=offset))


def skip_to(connection: Connection, topic: str, partition: int, was: int, offset: int) -> bool:
    """Past what the partition does not have any more. False: it is not at `was`, so someone else moved it."""
    moved = connection.execute(
        update(log_offsets)
        .where(_o.topic == topic, _o.partition == partition, _o.next_offset == was)
        .values(next_offset=offset)
    )
    return moved.rowcount == 1


def set_aside(connection: Connection, records: Sequence[SetAside], at: int) -> list[SetAside]:
    """Keep what is not kept yet, and return that: after a crash the same records come again."""
    known = {
        tuple(row)
        for start in range(0, len(records), AT_ONCE)
        for row in connection.execute(
            select(_p.topic, _p.partition, _p.offset).where(or_(*map(_is_kept, records[start : start + AT_ONCE])))
        )
    }
    fresh = [record for record in records if (record.topic, record.partition, record.offset) not in known]
    for record in fresh:
        connection.execute(insert(poison).values(at=at, **msgspec.structs.asdict(record)))
    return fresh


def _is_kept(record: SetAside):  # type: ignore[no-untyped-def]  # SQLAlchemy's own type is not worth its length
    return and_(_p.topic == record.topic, _p.partition == record.partition, _p.offset == record.offset)


def first_answers(connection: Connection, keys: Sequence[tuple[UserId, str]]) -> dict[tuple[UserId, str], Ack]:
    """What the actors' client_ids were answered with; who has no answer is not in it. At most `AT_ONCE` keys."""
    assert len(keys) <= AT_ONCE
    rows = connection.execute(
        select(
            _e.actor_id, _e.client_id, _e.id, _e.conversation_id, _e.seq, _e.at, _e.kind, _e.message_id, _e.body
        ).where(or_(*(and_(_e.client_id == client_id, _e.actor_id == actor) for actor, client_id in keys)))
    )
    answers: dict[tuple[UserId, str], Ack] = {}
    for actor, client_id, id_, conversation, seq, at, kind, message, body in rows:
        if seq is None:
            # The kept answer of a command that changed nothing.
            seq = int(msgspec.json.decode(body)["seq"])
        elif kind == EntryKind.MESSAGE_CREATED:
            message = MessageId(id_)
        answers[actor, client_id] = Ack(conversation, seq, at, True, message)
    return answers

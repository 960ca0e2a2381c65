"""Up to where commands from a topic are in the log: moved in the transaction of the batch they were in, or not."""

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from parley.store.cluster_tables import log_offsets
from parley.store.interface import Fence, Fenced

_o = log_offsets.c


def stored_offsets(connection: Connection, topic: str) -> dict[int, int]:
    """partition -> the offset of the next record to append."""
    rows = connection.execute(select(_o.partition, _o.next_offset).where(_o.topic == topic))
    return {row.partition: row.next_offset for row in rows}


def move_offsets(connection: Connection, fences: Sequence[Fence]) -> None:
    """Each from `first` to `after`; a partition that has no row yet is taken to stand at `first`.

    Raises Fenced where another appender was here. It waits for one that is here just now, at the row or at its key.
    """
    for fence in sorted(fences, key=lambda it: (it.topic, it.partition)):
        here = (_o.topic == fence.topic, _o.partition == fence.partition)
        moved = update(log_offsets).where(*here, _o.next_offset == fence.first).values(next_offset=fence.after)
        if connection.execute(moved).rowcount != 1:
            _begin(connection, fence)


def _begin(connection: Connection, fence: Fence) -> None:
    row = {"topic": fence.topic, "partition": fence.partition, "next_offset": fence.after}
    try:
        with connection.begin_nested():
            connection.execute(insert(log_offsets).values(row))
    except IntegrityError:
        stands = connection.scalar(
            select(_o.next_offset).where(_o.topic == fence.topic, _o.partition == fence.partition)
        )
        raise Fenced(
            f"{fence.topic}[{fence.partition}] stands at {stands}; this batch begins at {fence.first}"
        ) from None

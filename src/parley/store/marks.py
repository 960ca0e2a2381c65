"""Read and delivered marks of a batch: forward only, never past the head, and `unread` by subtraction."""

from collections.abc import Mapping, Sequence

from parley.protocol.errors import Code
from parley.store.interface import Mark, Marked, Refused
from parley.store.sql.hot import Cursor, HotSql, Row


def move_marks(
    cursor: Cursor, hot: HotSql, marks: Sequence[Mark], written: Mapping[tuple[int, int], Row]
) -> list[Marked | Refused]:
    """Move them; the read position carries the delivered one along.

    `written`: marks that the batch's own entries move, by (user, conversation). All go in one statement, since two
    could lock rows in an order in which another node's batch waits for us.
    """
    states: dict[int, Row] = {
        row[0]: row for row in hot.mark_states(cursor, [(m.user_id, m.conversation_id, m.read_seq) for m in marks])
    }
    results: list[Marked | Refused] = []
    rows = dict(written)
    for index, mark in enumerate(marks):
        state = states.get(index)
        if state is None or not state[1]:
            results.append(Refused(Code.UNKNOWN_CONVERSATION))
            continue
        _, _, head, head_ordinal, read, read_ordinal, delivered, ordinal, member_count = state
        key = (mark.user_id, mark.conversation_id)
        if key in rows:
            # An earlier one of this batch has moved it already, or what was written in it has.
            read, read_ordinal, delivered = map(max, (read, read_ordinal, delivered), rows[key][2:])
        new_read = max(read, min(mark.read_seq, head))
        new_delivered = max(delivered, new_read, min(mark.delivered_seq, head))
        new_ordinal = max(read_ordinal, ordinal)
        moved = (new_read, new_delivered) != (read, delivered)
        if moved:
            rows[key] = (*key, new_read, new_ordinal, new_delivered)
        unread = head_ordinal - new_ordinal
        results.append(Marked(*key, new_read, new_delivered, unread, moved, member_count))
    if rows:
        hot.move_marks(cursor, list(rows.values()))
    return results

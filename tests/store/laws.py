"""What holds of a store, as functions: the suite calls them, and the controls hold them against broken stores."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlalchemy import Connection
from tests.store.stores import Store, ack_of

from parley.protocol.commands import AddReaction, DeleteMessage, EditMessage, RemoveReaction, SendMessage
from parley.protocol.types import ConversationId, UserId
from parley.store.interface import Append

FULL = 2


def durable_settings(connection: Connection) -> None:
    """The claim rests on these: `NORMAL` loses what was acknowledged in nearly every power cut."""

    def pragma(name: str) -> object:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()

    assert pragma("journal_mode") == "wal", "not in WAL"
    assert pragma("synchronous") == FULL, "commits are not synced"
    assert pragma("fullfsync") == 1, "on macOS, fsync alone does not reach the disk"
    assert pragma("query_only") == 0, "the writer cannot write"


def repeats_are_stored_once(store: Store, actor: UserId, here: ConversationId) -> None:
    """In one batch and in the next."""
    send = Append(actor, SendMessage(here, "once", "hello"))
    first = ack_of(store.write(send, send)[0])
    again = ack_of(store.write(send)[0])

    stored = [entry for entry in store.log(here) if entry.client_id == "once"]
    assert len(stored) == 1, "stored more than once"
    assert (again.seq, again.duplicate) == (first.seq, True), "the repeat got another answer"


def a_no_op_is_answered_alike_for_ever(store: Store, actor: UserId, here: ConversationId) -> None:
    """A reaction that was there already: its retry, after the reaction was taken back, must not put it there again."""
    message = store.say(actor, here)
    store.do(actor, AddReaction(here, "first", message, "👍"))
    kept = store.do(actor, AddReaction(here, "no-op", message, "👍"))
    store.do(actor, RemoveReaction(here, "back", message, "👍"))
    before = store.log(here)

    again = store.do(actor, AddReaction(here, "no-op", message, "👍"))

    assert store.log(here) == before, "the retry changed something"
    assert (again.seq, again.duplicate) == (kept.seq, True), "the repeat got another answer"


def nothing_is_left_of_a_deleted_message(store: Store, actor: UserId, here: ConversationId) -> None:
    """Not in its first writing and not in an edit."""
    message = store.say(actor, here, "first-secret")
    store.do(actor, EditMessage(here, "edit", message, "second-secret"))
    store.do(actor, DeleteMessage(here, "delete", message))

    assert "secret" not in repr(store.everything()), "what was deleted can still be read"


def acknowledged_is_stored(log: Iterable[tuple[int, str]], acknowledged: dict[str, int]) -> None:
    """Every acknowledged id at its seq, and no hole, whatever became of the process. `log`: (seq, client_id)."""
    stored = list(log)
    assert [seq for seq, _ in stored] == list(range(1, len(stored) + 1)), "the log has a hole"
    by_id = {client_id: seq for seq, client_id in stored}
    assert len(by_id) == len(stored), "stored more than once"
    lost = {client_id: seq for client_id, seq in acknowledged.items() if by_id.get(client_id) != seq}
    assert not lost, f"acknowledged and not there: {lost}"


def a_reader_misses_nothing(commit: Callable[[], object], read_after: Callable[[int], list[int]]) -> None:
    """Who goes on from the last position they saw has seen everything, however writers and reading mix."""
    seen: list[int] = []
    for _ in range(2):
        commit()
        seen += read_after(max(seen, default=0))
    assert seen == read_after(0), "the reader skipped an entry"

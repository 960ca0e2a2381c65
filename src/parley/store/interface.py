"""The seam of the store, cut by the questions that services ask.

All methods are coroutines that run their SQL on a thread; none is on the path of a message but `write_batch`, which
the log's writer thread calls itself. Reads see what was committed before they were called. A failed write raises
`StoreUnavailable` and has changed nothing.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import msgspec
from sqlalchemy import Connection

from parley.protocol.commands import Durable
from parley.protocol.errors import ErrorSpec
from parley.protocol.events import Ack, Entry
from parley.protocol.types import ConversationId, SessionId, UserId

T = TypeVar("T")


class StoreUnavailable(Exception):
    """The database could not do it just now (disk full, gone away). Nothing was changed; the same may succeed later."""


class StoreBroken(StoreUnavailable):
    """An fsync failed: what is on the disk is not known any more. The process must stop and recover by starting
    again."""


class Append(msgspec.Struct, frozen=True, gc=False):
    """One command on its way into the log.

    `refusal`: the service already said no; the store then only looks whether the command was answered before, because a
    repeat is answered first, whatever has changed since.
    """

    actor: UserId
    command: Durable
    admin: bool = False
    refusal: ErrorSpec | None = None
    detail: str | None = None
    name: str = ""
    """The actor's display name, for frames that show it."""
    guest_of: ConversationId | None = None
    """Of a guest: the only conversation they may act in."""


class Refused(msgspec.Struct, frozen=True):
    spec: ErrorSpec
    detail: str | None = None


class Appended(msgspec.Struct, frozen=True, gc=False):
    """`entries`: usually one; handing over a conversation changes two members."""

    ack: Ack
    entries: tuple[Entry, ...]


Outcome = Appended | Ack | Refused
"""Of one `Append`: appended, the first answer of a duplicate, or refused."""


class Mark(msgspec.Struct, frozen=True, gc=False):
    """Someone has read, or has been delivered, up to here. Marks only move forward."""

    user_id: UserId
    conversation_id: ConversationId
    read_seq: int
    delivered_seq: int


class Marked(msgspec.Struct, frozen=True):
    """Where the mark stands after the write; `moved` tells whether the write changed it."""

    user_id: UserId
    conversation_id: ConversationId
    read_seq: int
    delivered_seq: int
    unread: int
    moved: bool
    member_count: int = 0


class Fence(msgspec.Struct, frozen=True):
    """What a batch was read from: in its transaction the partition's stored offset moves from `first` to `after`."""

    topic: str
    partition: int
    first: int
    after: int


class Fenced(StoreUnavailable):
    """The stored offset is not where this batch begins: another appender was here. Nothing was written."""


class BatchResult(msgspec.Struct, frozen=True):
    """One outcome per append and one per mark, in the order given. A mark in a conversation one may not read is
    Refused."""

    outcomes: list[Outcome]
    marks: list[Marked | Refused]


class BatchStore(Protocol):
    """What the log needs of the store."""

    def submit(
        self,
        appends: Sequence[Append],
        marks: Sequence[Mark],
        done: Callable[[BatchResult | StoreUnavailable], None],
        fences: Sequence[Fence] = (),
    ) -> None:
        """Write all of it in one transaction on the writer's thread; `done` is called there, when it is durable.

        Batches are written in the order they were submitted. Appends are decided in the order given, each against the
        state the ones before it left: a repeat first, then membership, role and target. One that fails on its own
        data is refused alone. StoreUnavailable: nothing was written, nothing may be acknowledged.

        With `fences`, everything stays one transaction even where a command is refused alone, and the stored offsets
        move with it, or `done` gets Fenced and nothing was written.
        """


class Database(Protocol):
    """Transactions for everything that is not the log."""

    async def read(self, question: Callable[[Connection], T]) -> T:
        """Run `question` in a read transaction on a reader's thread. It must not write and must be done within a
        second."""

    async def write(self, change: Callable[[Connection], T]) -> T:
        """Run `change` in a write transaction of its own, committed and durable when this returns.

        What `change` raises rolls it back and is raised here. Never cancel-unsafe: once begun it runs to its end.
        """


class ConversationView(msgspec.Struct, frozen=True):
    """A conversation as one of its readers sees it; `last_message` is a message in the native shape, or None."""

    id: ConversationId
    kind: str
    name: str | None
    title: str | None
    head: int
    join_policy: str
    role: str
    member_count: int
    read_seq: int
    delivered_seq: int
    unread: int
    peer: dict[str, object] | None
    last_message: msgspec.Raw | None
    created_at: int
    closed: bool


class SessionRow(msgspec.Struct, frozen=True):
    """What has to be known of a session to let a request through."""

    id: SessionId
    user_id: UserId
    kind: str
    username: str
    display_name: str
    role: str
    created_at: int

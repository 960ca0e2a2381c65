"""Every store the conformance suite runs over, and what a test asks of one.

A new implementation earns its place by one row in `KITS`: its id stands in the name of every test of the suite.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, insert, select, text
from tests.store.servers import MARIADB, POSTGRESQL, Server

from parley.ids import Snowflakes
from parley.protocol.commands import AddMember, ChangeRole, Durable, LeaveConversation, SendMessage
from parley.protocol.errors import ErrorSpec
from parley.protocol.events import Ack, Entry
from parley.protocol.types import ConversationId, ConversationKind, JoinPolicy, MessageId, Role, UserId
from parley.store import mariadb, postgresql
from parley.store.batches import SqlBatches
from parley.store.interface import (
    Append,
    Appended,
    BatchResult,
    Fence,
    Mark,
    Marked,
    Outcome,
    Refused,
    StoreUnavailable,
)
from parley.store.migrate import upgrade
from parley.store.sql import founding
from parley.store.sql import history as sql_history
from parley.store.sql.founding import Founder, Plan
from parley.store.sql.hot import HotSql, SqliteHot
from parley.store.sql.hot_mariadb import MariadbHot
from parley.store.sql.hot_postgresql import PostgresqlHot
from parley.store.sqlite import reader_engine, writer_engine
from parley.store.tables import conversations, users
from parley.store.threads import SqlDatabase
from parley.testing.clock import FakeClock

T = TypeVar("T")
PATIENCE = 30.0
"""Seconds a test waits for the writer's thread before it fails."""


@dataclass(frozen=True)
class Kit:
    """How one implementation is opened on a folder: the writer's engine, the readers' engine, the hot statements, and
    whether batches are decided on the thread that submits them. `server`: where it runs, if not in this process."""

    writer: Callable[[Path], Engine]
    readers: Callable[[Path], Engine]
    hot: Callable[[], HotSql]
    inline: bool
    server: Server | None = None


SQLITE = Kit(
    writer=lambda folder: writer_engine(folder / "parley.db"),
    readers=lambda folder: reader_engine(folder / "parley.db", 2),
    hot=SqliteHot,
    inline=True,
)
KITS = {
    "sqlite": SQLITE,
    # As engines behind a network do it; on SQLite, what cannot be decided inline goes this way too.
    "sqlite-threaded": replace(SQLITE, inline=False),
    "postgresql": Kit(
        writer=lambda folder: postgresql.writer_engine(POSTGRESQL.url(folder)),
        readers=lambda folder: postgresql.reader_engine(POSTGRESQL.url(folder), 2),
        hot=PostgresqlHot,
        inline=False,
        server=POSTGRESQL,
    ),
    "mariadb": Kit(
        writer=lambda folder: mariadb.writer_engine(MARIADB.url(folder)),
        readers=lambda folder: mariadb.reader_engine(MARIADB.url(folder), 2),
        hot=MariadbHot,
        inline=False,
        server=MARIADB,
    ),
}
EMBEDDED = {name: kit for name, kit in KITS.items() if kit.server is None}
SHARED = {name: kit for name, kit in KITS.items() if kit.server is not None}


@dataclass
class Store:
    """An open store, driven from the test's own thread: what was asked of it is done when the call returns."""

    kit: Kit
    folder: Path
    clock: FakeClock = field(default_factory=FakeClock)
    hot: HotSql | None = None
    """Set it before a `reopen` to put a fault into the hot statements."""
    node: int = 0
    _numbers: count[int] = field(default_factory=lambda: count(1))

    def open(self) -> Store:
        self.engine = self.kit.writer(self.folder)
        if self.kit.server is not None:
            self.kit.server.opened(self.folder)
        upgrade(self.engine, now_ms=self.clock.now_ms())
        with self.engine.connect() as connection, connection.begin():
            newest = connection.scalar(text("SELECT max(id) FROM entries")) or 0
            self.lobby = ConversationId(connection.scalars(select(conversations.c.id)).first() or 0)
        self.ids = Snowflakes(self.clock, self.node, after=newest)
        self.database = SqlDatabase(self.engine, self.kit.readers(self.folder), 2)
        self.batches = SqlBatches(
            self.database.writer, self.hot or self.kit.hot(), self.ids, self.clock, inline=self.kit.inline
        )
        self.database.start()
        return self

    def close(self) -> None:
        self.database.stop()
        self.engine.dispose()
        if self.kit.server is not None:
            self.kit.server.closed(self.folder)

    def reopen(self) -> None:
        """As a restart does."""
        self.close()
        self.open()

    def another(self) -> Store:
        """A second node on the same database."""
        return Store(self.kit, self.folder, self.clock, node=self.node + 1, _numbers=count(1_000_000)).open()

    # Batches

    def attempt(
        self, appends: Sequence[Append], marks: Sequence[Mark] = (), fences: Sequence[Fence] = ()
    ) -> BatchResult | StoreUnavailable:
        while self.kit.inline and self.database.writer._unfinished:
            # It has answered and is about to put its job down; only then is the next batch decided inline.
            time.sleep(0)
        answers: queue.SimpleQueue[BatchResult | StoreUnavailable] = queue.SimpleQueue()
        self.batches.submit(appends, marks, answers.put, fences)
        return answers.get(timeout=PATIENCE)

    def write(self, *appends: Append) -> list[Outcome]:
        """One batch of them all."""
        result = self.attempt(appends)
        assert isinstance(result, BatchResult), result
        return result.outcomes

    def mark(self, *marks: Mark) -> list[Marked | Refused]:
        result = self.attempt((), marks)
        assert isinstance(result, BatchResult), result
        return result.marks

    def do(self, actor: UserId, command: Durable, *, admin: bool = False) -> Ack:
        """A batch of its own; must be accepted."""
        [outcome] = self.write(Append(actor, command, admin))
        return ack_of(outcome)

    def say(self, actor: UserId, conversation: ConversationId, text: str = "hello") -> MessageId:
        """Post a message and give its id."""
        message = self.do(actor, SendMessage(conversation, self.client_id(), text)).message_id
        assert message is not None
        return message

    def client_id(self) -> str:
        return f"auto-{next(self._numbers)}"

    # What there is

    def on_writer(self, job: Callable[[Connection], T]) -> T:
        """Run a transaction where the batches run."""
        answers: queue.SimpleQueue[tuple[T | None, Exception | None]] = queue.SimpleQueue()

        def transact(connection: Connection) -> None:
            try:
                with connection.begin():
                    result = job(connection)
                answers.put((result, None))
            except Exception as error:
                answers.put((None, error))

        self.database.writer.submit(transact)
        result, error = answers.get(timeout=PATIENCE)
        if error is not None:
            raise error
        return result  # type: ignore[return-value]  # None only where T is None

    def rows(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        return self.on_writer(lambda connection: [tuple(row) for row in connection.execute(text(sql), values)])

    def log(self, conversation: ConversationId) -> list[Entry]:
        """The whole of it, as readers get it."""
        return self.on_writer(
            lambda connection: sql_history.log_page(connection, conversation, 0, 1 << 53, 1 << 20, 1 << 40)
        )

    def head(self, conversation: ConversationId) -> int:
        [(head,)] = self.rows("SELECT last_seq FROM conversations WHERE id = :id", id=conversation)
        return int(head)

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of all tables that commands change, to hold before against after."""
        tables = ("conversations", "members", "marks", "entries", "reactions", "pins")
        return {table: sorted(self.rows(f"SELECT * FROM {table}"), key=repr) for table in tables}

    # Making what commands need

    def user(self, name: str, *, guest: bool = False, gone: bool = False) -> UserId:
        row = {
            "username": name, "username_key": name, "display_name": name.title(), "role": "member", "guest": guest,
            "created_at": 1, "deactivated_at": 1 if gone else None,
        }  # fmt: skip
        key = self.on_writer(lambda connection: connection.execute(insert(users).values(row)).inserted_primary_key)
        assert key is not None
        return UserId(key[0])

    def found(
        self,
        kind: ConversationKind,
        owner: UserId,
        *others: UserId,
        name: str | None = None,
        join_policy: JoinPolicy = JoinPolicy.INVITE,
    ) -> ConversationId:
        def make(connection: Connection) -> ConversationId:
            plan = Plan(kind, name, None, join_policy)
            called = founding.names(connection, [owner, *others])
            founder = Founder(owner, self.client_id())
            made, _ = founding.found(
                connection, plan, founder, others, called, self.ids.next, self.client_id, self.clock.now_ms()
            )
            return made

        return self.on_writer(make)

    def group(self, owner: UserId, *others: UserId) -> ConversationId:
        return self.found(ConversationKind.GROUP, owner, *others)

    def open_room(self, owner: UserId, *others: UserId) -> ConversationId:
        return self.found(
            ConversationKind.ROOM, owner, *others, name=f"room-{self.client_id()}", join_policy=JoinPolicy.OPEN
        )

    def invite_room(self, owner: UserId, *others: UserId) -> ConversationId:
        return self.found(ConversationKind.ROOM, owner, *others, name=f"room-{self.client_id()}")

    def direct(self, one: UserId, other: UserId) -> ConversationId:
        return self.on_writer(lambda connection: founding.found_direct(connection, one, other, self.clock.now_ms()))


@dataclass
class Cast:
    """One of each: everybody who may stand before a conversation."""

    owner: UserId
    admin: UserId
    member: UserId
    stranger: UserId
    ex: UserId
    second_admin: UserId
    second_member: UserId
    newcomer: UserId

    @classmethod
    def of(cls, store: Store) -> Cast:
        names = ("owner", "admin", "member", "stranger", "ex", "second_admin", "second_member", "newcomer")
        return cls(*(store.user(store.client_id() + name) for name in names))

    @classmethod
    def of_new_pair(cls, store: Store, cast: Cast) -> Cast:
        """The same people, but for an owner and a member who have never met."""
        return replace(cast, owner=store.user(store.client_id()), member=store.user(store.client_id()))

    def gather(self, store: Store, found: Callable[..., ConversationId]) -> ConversationId:
        """A conversation in which everybody stands where their name says."""
        here = found(self.owner, self.admin, self.member, self.second_admin, self.second_member)
        outcomes = store.write(
            Append(self.owner, ChangeRole(here, store.client_id(), self.admin, Role.ADMIN)),
            Append(self.owner, ChangeRole(here, store.client_id(), self.second_admin, Role.ADMIN)),
            Append(self.owner, AddMember(here, store.client_id(), self.ex)),
            Append(self.ex, LeaveConversation(here, store.client_id())),
        )
        assert not [outcome for outcome in outcomes if isinstance(outcome, Refused)]
        return here


def ack_of(outcome: Outcome) -> Ack:
    assert not isinstance(outcome, Refused), outcome
    return outcome.ack if isinstance(outcome, Appended) else outcome


def refusal_of(outcome: Outcome) -> ErrorSpec:
    assert isinstance(outcome, Refused), outcome
    return outcome.spec


def appended(outcome: Outcome) -> tuple[Entry, ...]:
    assert isinstance(outcome, Appended), outcome
    return outcome.entries

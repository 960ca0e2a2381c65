"""Opening a shared database: what it must be, how it is refused, who works on it, what nodes ask it of one another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, make_url, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import NullPool
from structlog.testing import capture_logs
from tests.store.servers import connected, needs
from tests.store.stores import SHARED, Kit, Store, ack_of

from parley.clock import SystemClock
from parley.ids import NODES
from parley.protocol import commands as c
from parley.protocol.types import ConversationId, ServerRole, UserId
from parley.store import shared
from parley.store.bounds import OVERLAP_MS
from parley.store.cluster_tables import nodes as nodes_table
from parley.store.interface import Append
from parley.store.shared import BadStoreUrl, NotDurable, Shared, StoreUnreachable
from parley.store.sql import accounts, heads, leases, nodes
from parley.store.sql.now import now_ms
from parley.store.tables import conversations, members
from parley.testing.engines import MariadbServer, PostgresqlServer

SECRET = "hunter2secret"


@pytest.fixture(params=list(SHARED.values()), ids=list(SHARED))
def kit(request: pytest.FixtureRequest) -> Kit:
    assert isinstance(request.param, Kit)
    assert request.param.server is not None
    needs(request.param.server)
    return request.param


@pytest.fixture
def two(store: Store) -> Iterator[tuple[Store, Store]]:
    other = store.another()
    yield store, other
    other.close()


def at_once(*jobs: Callable[[], Any]) -> list[Any]:
    """All of them at the same moment; what each returned, or raised."""
    ready, results = threading.Barrier(len(jobs)), [None] * len(jobs)

    def run(n: int, job: Callable[[], Any]) -> None:
        ready.wait()
        try:
            results[n] = job()
        except Exception as error:
            results[n] = error  # type: ignore[call-overload]

    threads = [threading.Thread(target=run, args=(n, job)) for n, job in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


# Two nodes


def test_two_nodes_make_one_log(two: tuple[Store, Store], ann: UserId, bob: UserId, group: ConversationId) -> None:
    """No hole, nobody's message lost or doubled, each sender's in their order."""

    def talk(one: Store, actor: UserId) -> list[int]:
        return [
            ack_of(it).seq
            for n in range(30)
            for it in one.write(*[Append(actor, c.SendMessage(group, f"{actor}.{n}.{k}", "hello")) for k in range(5)])
        ]

    said = at_once(lambda: talk(two[0], ann), lambda: talk(two[1], bob))

    assert all(seqs == sorted(seqs) for seqs in said)
    assert sorted(said[0] + said[1]) == list(range(3, 303))
    assert [entry.seq for entry in two[0].log(group)] == list(range(1, 303))


def test_a_conversation_that_is_held_holds_no_other(
    two: tuple[Store, Store], ann: UserId, group: ConversationId
) -> None:
    """Whoever has the row of one, a node or a person at the database, is in the way of that one alone."""
    here, there = two
    held = here.group(ann)

    def hold(connection: Connection) -> int:
        connection.execute(select(conversations.c.id).where(conversations.c.id == held).with_for_update())
        [outcome] = there.write(Append(ann, c.SendMessage(group, "not held", "hello")))
        return ack_of(outcome).seq

    assert here.on_writer(hold) == 3
    [stored] = there.log(group)[2:]
    assert stored.client_id == "not held"


def test_the_same_at_both_nodes_is_stored_once(two: tuple[Store, Store], ann: UserId, group: ConversationId) -> None:
    """As a client does that lost its node before the answer came. In another conversation too: no lock is shared then,
    but the UNIQUE is."""
    elsewhere = two[0].group(ann)
    for n in range(15):
        rooms = (group, elsewhere) if n % 2 else (group, group)
        sends = [Append(ann, c.SendMessage(room, f"once{n}", "hello")) for room in rooms]
        first, second = (ack_of(outcome) for [outcome] in at_once(*map(partial, (two[0].write, two[1].write), sends)))
        assert (first.conversation_id, first.seq) == (second.conversation_id, second.seq)
        assert sorted((first.duplicate, second.duplicate)) == [False, True]
    stored = [entry.client_id for room in (group, elsewhere) for entry in two[0].log(room)]
    assert sorted(it for it in stored if it.startswith("once")) == sorted(f"once{n}" for n in range(15))


def test_two_nodes_make_a_pair_a_name_and_an_account_once(two: tuple[Store, Store], ann: UserId) -> None:
    """One of the two is told, in the one way that the services know."""

    def account(one: Store) -> Any:
        def add(connection: Connection) -> Any:
            accounts.lock_registration(connection)
            return accounts.add_user(
                connection, username="Eve", key="eve", display_name="Eve", password_hash="x", role=ServerRole.MEMBER,
                now_ms=1,
            )  # fmt: skip

        return one.on_writer(add)

    for n in range(5):
        other = two[0].user(f"other{n}")
        made = at_once(partial(two[0].direct, ann, other), partial(two[1].direct, other, ann))
        assert sorted(isinstance(it, IntegrityError) for it in made) == [False, True]
    eves = at_once(lambda: account(two[0]), lambda: account(two[1]))
    assert sorted(it is None for it in eves) == [False, True]


def test_one_first_account_is_the_administrators(two: tuple[Store, Store]) -> None:
    def register(one: Store, name: str) -> ServerRole:
        def add(connection: Connection) -> ServerRole:
            accounts.lock_registration(connection)
            role = ServerRole.ADMIN if accounts.nobody_yet(connection) else ServerRole.MEMBER
            accounts.add_user(
                connection, username=name, key=name, display_name=name, password_hash="x", role=role, now_ms=1
            )
            return role

        return one.on_writer(add)

    roles = at_once(*[lambda n=n: register(two[n % 2], f"user{n}") for n in range(8)])

    assert sorted(roles) == sorted([ServerRole.ADMIN] + [ServerRole.MEMBER] * 7)


# What nodes ask


def test_a_node_finds_what_others_changed(two: tuple[Store, Store], ann: UserId, bob: UserId) -> None:
    """By the database's clock, whatever the nodes' say: these are set years ahead."""
    here, there = two
    before = here.on_writer(lambda connection: connection.execute(select(now_ms())).scalar_one())
    group, direct = there.group(ann), there.direct(ann, bob)
    there.say(ann, group)
    there.do(ann, c.AddMember(group, "in", bob))

    now, changed = here.on_writer(lambda connection: heads.changed_since(connection, before))
    joined = here.on_writer(lambda connection: heads.joined_since(connection, before))

    assert before <= now < here.clock.now_ms()
    assert dict(changed) == {group: 3, direct: 0}
    assert sorted(joined) == sorted([(group, ann, 1), (direct, ann, 0), (direct, bob, 0), (group, bob, 3)])
    assert here.on_writer(lambda connection: heads.heads_of(connection, [group, ConversationId(404)])) == [(group, 3)]


def test_only_what_is_within_the_overlap_is_told_again(store: Store, ann: UserId, group: ConversationId) -> None:
    """A time in the future, as after the database's clock was set back, does not hide what comes now."""
    assert dict(store.on_writer(lambda connection: heads.changed_since(connection, 1 << 60))[1]) == {group: 2}

    older = conversations.update().values(changed_at=now_ms() - OVERLAP_MS - 1000)
    store.on_writer(lambda connection: connection.execute(older).close())
    store.on_writer(lambda connection: connection.execute(members.update().values(joined_at=1)).close())

    assert store.on_writer(lambda connection: heads.changed_since(connection, 1 << 60))[1] == []
    assert store.on_writer(lambda connection: heads.joined_since(connection, 1 << 60)) == []
    assert ann


# Numbers and leases


def test_every_node_has_a_number_of_its_own(two: tuple[Store, Store]) -> None:
    def claim(one: Store) -> nodes.Node:
        return one.on_writer(lambda connection: nodes.claim(connection, nodes.new_owner(), "gateway"))

    claimed = at_once(*[lambda n=n: claim(two[n % 2]) for n in range(12)])

    assert sorted(node.id for node in claimed) == list(range(12))
    assert two[0].on_writer(nodes.live) == sorted(claimed, key=lambda node: node.id)


def test_a_number_is_free_again_when_its_node_is_gone(store: Store) -> None:
    first = store.on_writer(lambda connection: nodes.claim(connection, "first", "gateway"))
    with pytest.raises(nodes.NoFreeNode, match="node 0 is at work"):
        store.on_writer(lambda connection: nodes.claim(connection, "second", "gateway", 0))
    assert store.on_writer(lambda connection: nodes.renew(connection, first))

    asleep = nodes_table.update().values(seen_at=now_ms() - nodes.LEASE_MS)
    store.on_writer(lambda connection: connection.execute(asleep).close())
    assert store.on_writer(nodes.live) == []
    second = store.on_writer(lambda connection: nodes.claim(connection, "second", "gateway", 0))

    assert not store.on_writer(lambda connection: nodes.renew(connection, first))
    store.on_writer(lambda connection: nodes.release(connection, first))
    assert store.on_writer(nodes.live) == [second]
    store.on_writer(lambda connection: nodes.release(connection, second))
    assert store.on_writer(lambda connection: nodes.claim(connection, "third", "gateway", NODES - 1)).id == NODES - 1


def test_a_lease_has_one_owner(two: tuple[Store, Store]) -> None:
    def take(one: Store, owner: str, ms: int = 60_000) -> bool:
        return one.on_writer(lambda connection: leases.take_lease(connection, "sweep", owner, ms))

    assert sorted(at_once(lambda: take(two[0], "a"), lambda: take(two[1], "b"))) == [False, True]
    owner, other = ("a", "b") if take(two[0], "a") else ("b", "a")
    assert not take(two[0], other)
    two[0].on_writer(lambda connection: leases.give_back_lease(connection, "sweep", other))
    assert not take(two[0], other)
    two[0].on_writer(lambda connection: leases.give_back_lease(connection, "sweep", owner))
    assert take(two[1], other, ms=-1)
    assert take(two[0], owner)


def test_a_node_that_starts_again_repeats_no_id(store: Store, ann: UserId, group: ConversationId) -> None:
    """Its clock was years ahead when it wrote; now it is right."""
    last = store.say(ann, group)
    url = store.engine.url.render_as_string(hide_password=False)
    again = Shared(url, SystemClock())
    again.close()
    assert again.ids.next() > last


# Refusals


@pytest.mark.parametrize(
    "url",
    [
        "parley.db", "", "postgresql://a:{}@b/c", "postgresql+asyncpg://a:{}@b/c", "mysql://a:{}@b/c",
        "sqlite:////tmp/x.db", "postgresql+psycopg://a:{}@b/", "mariadb+pymysql://a:{}@b",
    ],
)  # fmt: skip
def test_an_address_of_another_kind_is_refused_with_those_that_are_known(url: str) -> None:
    with pytest.raises(BadStoreUrl) as refused:
        Shared(url.format(SECRET), SystemClock())
    assert all(
        form in str(refused.value) for form in ("postgresql+psycopg://", "mariadb+pymysql://", "mysql+pymysql://")
    )
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("wrong", ["port", "password", "database"])
def test_an_address_that_leads_nowhere_is_refused_in_a_sentence(store: Store, wrong: str) -> None:
    url = store.engine.url
    changed = {
        "port": url.set(port=1, password=SECRET),
        "password": url.set(password=SECRET),
        "database": url.set(database="nowhere"),
    }[wrong]
    given = changed.render_as_string(hide_password=False)

    with pytest.raises(StoreUnreachable) as refused:
        Shared(given, SystemClock())

    assert "\n" not in str(refused.value)
    assert changed.password is not None
    assert str(changed.password) not in str(refused.value)


@pytest.mark.parametrize("kit", [SHARED["mariadb"]], ids=["mariadb"], indirect=True)
def test_a_mariadb_that_is_called_mysql_is_refused(store: Store) -> None:
    url = store.engine.url.set(drivername="mysql+pymysql").render_as_string(hide_password=False)
    with pytest.raises(NotDurable, match=r"mariadb\+pymysql"):
        Shared(url, SystemClock())


@pytest.mark.parametrize("kit", [SHARED["postgresql"]], ids=["postgresql"], indirect=True)
def test_a_database_that_only_reads_is_refused(store: Store) -> None:
    """MariaDB's `read_only` is of the whole server: see below."""
    with connected(store.engine.url) as connection:
        name = connection.execute(text("SELECT current_database()")).scalar_one()
        connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
    try:
        with pytest.raises(NotDurable, match="read_only is on"):
            Shared(store.engine.url.render_as_string(hide_password=False), SystemClock())
    finally:
        with connected(store.engine.url) as connection:
            connection.execute(text("SET TRANSACTION READ WRITE"))
            connection.execute(text(f"ALTER DATABASE {name} RESET default_transaction_read_only"))


@pytest.fixture(scope="module")
def careless_postgresql() -> Iterator[str]:
    settings = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
    with PostgresqlServer(settings=settings) as server:
        yield server.url


@pytest.fixture(scope="module")
def careless_mariadb() -> Iterator[str]:
    settings = {"innodb-flush-log-at-trx-commit": "2", "log-bin": "ON", "server-id": "1", "sync-binlog": "0"}
    with MariadbServer(settings=settings) as server:
        engine = create_engine(server.url, poolclass=NullPool)
        with engine.connect() as connection:
            connection.execute(text("CREATE DATABASE parley"))
        yield make_url(server.url).set(database="parley").render_as_string(hide_password=False)


CARELESS = {
    "careless_postgresql": ["fsync is off", "full_page_writes is off", "synchronous_commit is off"],
    "careless_mariadb": ["innodb_flush_log_at_trx_commit is 2", "sync_binlog is 0"],
}


@pytest.mark.parametrize("careless", CARELESS)
def test_a_database_that_may_lose_what_it_committed_is_refused_by_name(
    request: pytest.FixtureRequest, careless: str
) -> None:
    """Unless the operator says that they know; then it is in the log."""
    url = request.getfixturevalue(careless)
    shared.upgrade(url, 1)

    with pytest.raises(NotDurable) as refused:
        Shared(url, SystemClock())
    with capture_logs() as logged:
        Shared(url, SystemClock(), checked=False).close()

    assert [it for it in CARELESS[careless] if it not in str(refused.value)] == []
    assert [it["setting"] for it in logged if it["event"] == "store_not_durable"] == CARELESS[careless]


def test_a_read_only_mariadb_is_refused(careless_mariadb: str) -> None:
    shared.upgrade(careless_mariadb, 1)
    with connected(make_url(careless_mariadb)) as connection, ExitStack() as undo:
        connection.execute(text("SET GLOBAL read_only = ON"))
        undo.callback(lambda: connection.execute(text("SET GLOBAL read_only = OFF")))
        with pytest.raises(NotDurable, match="read_only is on"):
            Shared(careless_mariadb, SystemClock(), checked=False)


@pytest.mark.slow
def test_a_standby_is_refused() -> None:
    with PostgresqlServer() as primary:
        shared.upgrade(primary.url, 1)
        with PostgresqlServer(standby_of=primary) as standby, pytest.raises(NotDurable, match="standby"):
            Shared(standby.url, SystemClock(), checked=False)

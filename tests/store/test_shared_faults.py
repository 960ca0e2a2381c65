"""Several nodes, a network between, a database that is restarted: nothing lost, nothing doubled, nothing guessed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, text
from tests.store.cuts import Commits, kill, lost, number_of, somebody_waits, steal, wait_for
from tests.store.faults import FaultyHot, inserts
from tests.store.servers import connected, needs
from tests.store.stores import SHARED, Kit, Store, ack_of, appended

from parley.protocol import commands as c
from parley.protocol.types import ConversationId, UserId
from parley.store import batches, threads
from parley.store.attempts import Patience
from parley.store.interface import Append, Appended, BatchResult, Fence, Fenced, Mark, StoreUnavailable
from parley.store.sql.offsets import stored_offsets
from parley.store.tables import conversations, meta


@pytest.fixture(params=list(SHARED.values()), ids=list(SHARED))
def kit(request: pytest.FixtureRequest) -> Kit:
    assert isinstance(request.param, Kit)
    assert request.param.server is not None
    needs(request.param.server)
    return request.param


@pytest.fixture
def hot(kit: Kit) -> FaultyHot:
    return FaultyHot(kit.hot())


@pytest.fixture
def store(kit: Kit, hot: FaultyHot, tmp_path: Path) -> Iterator[Store]:
    store = Store(kit, tmp_path, hot=hot.hot).open()
    yield store
    store.close()


@pytest.fixture
def commits(store: Store, group: ConversationId, monkeypatch: pytest.MonkeyPatch) -> Commits:
    assert group
    return Commits(store, monkeypatch)


def send(actor: UserId, here: ConversationId, client_id: str, text: str = "hello") -> Append:
    return Append(actor, c.SendMessage(here, client_id, text))


def client_ids(store: Store, here: ConversationId) -> list[str]:
    log = store.log(here)
    assert [entry.seq for entry in log] == list(range(1, len(log) + 1))
    return [entry.client_id for entry in log[2:]]


def writer_number(store: Store) -> int:
    return store.on_writer(lambda connection: number_of(connection.connection.dbapi_connection))


def once(what: Callable[[], object]) -> Callable[[], None]:
    spent = False

    def run() -> None:
        nonlocal spent
        if not spent:
            spent = True
            what()

    return run


@pytest.mark.parametrize("statement", ["load", "insert_messages", "bump", "move_marks"])
def test_a_connection_that_is_cut_before_the_commit_is_nothing_to_anybody(
    store: Store, hot: FaultyHot, ann: UserId, bob: UserId, group: ConversationId, statement: str
) -> None:
    """Wherever it happens: the batch runs again on a new one, and everybody gets the answer of a first try."""
    number = writer_number(store)
    cut = once(lambda: kill(store, number))
    hot.before = lambda name, _: cut() if name == statement else None

    outcomes = store.write(send(ann, group, "a"), send(bob, group, "b"))

    assert [ack_of(it).duplicate for it in outcomes] == [False, False]
    assert client_ids(store, group) == ["a", "b"]
    assert writer_number(store) != number


def test_an_idle_connection_that_was_cut_is_nothing_to_anybody(
    store: Store, ann: UserId, group: ConversationId
) -> None:
    kill(store, writer_number(store))
    assert ack_of(store.write(send(ann, group, "a"))[0]).seq == 3


def test_a_commit_that_never_arrived_is_done_again(
    store: Store, commits: Commits, ann: UserId, group: ConversationId
) -> None:
    def cut(connection: Any, commit: Callable[[], None]) -> None:
        kill(store, number_of(connection.dbapi_connection))
        commit()

    commits.plan = [cut]
    [outcome] = store.write(send(ann, group, "a"))

    assert [entry.seq for entry in appended(outcome)] == [3]
    assert client_ids(store, group) == ["a"]


def test_a_commit_whose_answer_was_lost_stands(
    store: Store, commits: Commits, ann: UserId, bob: UserId, group: ConversationId
) -> None:
    """Its entries are handed on to be published, as new ones and as they are stored; nothing is written twice."""

    def cut(connection: Any, commit: Callable[[], None]) -> None:
        commit()
        kill(store, number_of(connection.dbapi_connection))
        raise lost(store)

    commits.plan = [cut]
    before = store.clock.now_ms()
    result = store.attempt([send(ann, group, "a"), send(bob, group, "b")], [Mark(bob, group, 3, 3)])

    assert isinstance(result, BatchResult)
    assert [type(outcome) for outcome in result.outcomes] == [Appended, Appended]
    assert [entry for outcome in result.outcomes for entry in appended(outcome)] == store.log(group)[2:]
    assert client_ids(store, group) == ["a", "b"]
    assert ack_of(result.outcomes[0]).at == before


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_lost_transaction_that_is_still_open_is_waited_for(
    store: Store, commits: Commits, ann: UserId, group: ConversationId, end: str
) -> None:
    """The connection is gone for us, not yet for the server: only when it has ended is it known what to say."""
    endings: list[threading.Thread] = []

    def vanish(connection: Any, _commit: Callable[[], None]) -> None:
        raw = steal(connection, lost(store))

        def later() -> None:
            wait_for(lambda: somebody_waits(store))
            raw.commit() if end == "commit" else raw.rollback()
            raw.close()

        endings.append(threading.Thread(target=later))
        endings[0].start()
        raise lost(store)

    commits.plan = [vanish]
    [outcome] = store.write(send(ann, group, "a"))
    endings[0].join()

    assert [entry.seq for entry in appended(outcome)] == [3]
    assert client_ids(store, group) == ["a"]


def test_a_deadlock_is_ended_and_tried_again(store: Store, ann: UserId) -> None:
    """Somebody locks two conversations in the wrong order, and holds out longer than we do."""
    one, two = store.group(ann), store.group(ann)
    wanted = select(conversations.c.id).with_for_update()
    answers: list[Any] = []
    with connected(store.engine.url) as other:
        if store.engine.dialect.name == "postgresql":
            other.execute(text("SET deadlock_timeout = '60s'"))
        else:
            # The server gives up whoever has written less.
            rows = [{"key": f"k{n}", "value": "x"} for n in range(50)]
            other.execute(insert(meta), rows)
        other.execute(wanted.where(conversations.c.id == two))
        batch = [send(ann, one, "a"), send(ann, two, "b")]
        asking = threading.Thread(target=lambda: answers.append(store.attempt(batch)))
        asking.start()
        wait_for(lambda: somebody_waits(store))
        other.execute(wanted.where(conversations.c.id == one))
    asking.join()

    assert isinstance(answers[0], BatchResult)
    assert [ack_of(outcome).duplicate for outcome in answers[0].outcomes] == [False, False]


async def test_while_the_database_is_away_nobody_waits_in_vain_after_the_first(
    store: Store, ann: UserId, group: ConversationId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waited behind it is refused without a try; when it is back, everything goes on."""
    asked: list[int] = []

    def connect(*_: Any, **__: Any) -> Any:
        asked.append(1)
        raise lost(store)

    async def write() -> None:
        await store.database.write(lambda connection: connection.execute(insert(meta).values(key="a", value="b")))

    kill(store, writer_number(store))
    with monkeypatch.context() as patch:
        patch.setattr(store.engine.dialect, "connect", connect)
        patch.setattr(batches, "Patience", lambda: Patience(tries=3))
        patch.setattr(threads, "AWAY_S", 3600.0)
        assert isinstance(store.attempt([send(ann, group, "a")]), StoreUnavailable)
        tries = len(asked)
        assert isinstance(store.attempt([send(ann, group, "a")]), StoreUnavailable)
        with pytest.raises(StoreUnavailable, match="away"):
            await write()
    assert 0 < tries == len(asked)

    store.database.writer._away_until = 0.0
    assert ack_of(store.write(send(ann, group, "a"))[0]).seq == 3
    await write()


async def test_a_change_whose_connection_is_cut_runs_again(store: Store) -> None:
    number = writer_number(store)
    cut = once(lambda: kill(store, number))
    runs: list[int] = []

    def change(connection: Connection) -> str:
        connection.execute(insert(meta).values(key="once", value="x"))
        runs.append(1)
        cut()
        return str(connection.scalar(select(meta.c.value).where(meta.c.key == "once")))

    assert await store.database.write(change) == "x"
    assert len(runs) == 2


@pytest.mark.parametrize("arrived", [True, False], ids=["arrived", "never arrived"])
async def test_nobody_guesses_whether_a_lost_change_was_committed(
    store: Store, commits: Commits, arrived: bool
) -> None:
    """PostgreSQL is asked what became of the transaction; MariaDB cannot tell, and so neither do we."""

    def cut(connection: Any, commit: Callable[[], None]) -> None:
        if arrived:
            commit()
        kill(store, number_of(connection.dbapi_connection))
        raise lost(store)

    commits.plan = [cut]

    def change(connection: Connection) -> None:
        connection.execute(insert(meta).values(key="once", value="x"))

    if store.engine.dialect.name == "postgresql":
        await store.database.write(change)
        assert store.rows("SELECT value FROM meta WHERE key = 'once'") == [("x",)]
    else:
        with pytest.raises(StoreUnavailable, match="may be there"):
            await store.database.write(change)
        assert len(store.rows("SELECT value FROM meta WHERE `key` = 'once'")) == arrived


async def test_a_reader_that_was_cut_asks_again(store: Store) -> None:
    def number(connection: Connection) -> int:
        return number_of(connection.connection.dbapi_connection)

    kill(store, await store.database.read(number))
    assert await store.database.read(lambda connection: connection.scalar(select(meta.c.key).limit(1)))


async def test_a_reader_sees_one_moment(store: Store, ann: UserId, group: ConversationId) -> None:
    """The head and what is behind it, although somebody writes between the two questions."""

    def question(connection: Connection) -> tuple[int, int]:
        head = connection.scalar(select(conversations.c.last_seq).where(conversations.c.id == group))
        store.say(ann, group)
        last = connection.scalar(
            text("SELECT max(seq) FROM entries WHERE conversation_id = :group"), {"group": int(group)}
        )
        return head or 0, last or 0

    assert await store.database.read(question) == (2, 2)


async def test_a_reader_cannot_write(store: Store) -> None:
    with pytest.raises(StoreUnavailable):
        await store.database.read(lambda connection: connection.execute(insert(meta).values(key="a", value="b")))


# Fences


def test_a_lost_commit_under_a_fence_stands(store: Store, commits: Commits, ann: UserId, group: ConversationId) -> None:
    """The offset has moved, but it was this batch that moved it."""

    def cut(connection: Any, commit: Callable[[], None]) -> None:
        commit()
        kill(store, number_of(connection.dbapi_connection))
        raise lost(store)

    commits.plan = [cut]
    result = store.attempt([send(ann, group, "a")], fences=[Fence("t", 0, 0, 1)])

    assert isinstance(result, BatchResult)
    assert [entry.seq for entry in appended(result.outcomes[0])] == [3]


def test_of_two_appenders_of_the_same_records_one_is_fenced(
    store: Store, hot: FaultyHot, ann: UserId, group: ConversationId
) -> None:
    """A zombie that stood still within its batch finds, when it goes on, that another one was there."""
    other, results = store.another(), []
    batch, fences = [send(ann, group, "a")], [Fence("t", 0, 0, 1)]
    store.attempt([], fences=[Fence("t", 0, 0, 0)])

    def race(one: Store) -> None:
        results.append(one.attempt(batch, fences=fences))

    both = [threading.Thread(target=race, args=(one,)) for one in (store, other)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    other.close()

    assert sorted(type(result).__name__ for result in results) == ["BatchResult", "Fenced"]
    assert client_ids(store, group) == ["a"]


def test_what_fails_under_a_fence_fails_in_its_savepoint(
    store: Store, commits: Commits, hot: FaultyHot, ann: UserId, group: ConversationId
) -> None:
    """By the database's own hand: a row that it refuses. One commit for all, and the offsets with it."""

    def too_long(name: str, rows: Any) -> None:
        if inserts(name, rows, "bad"):
            raise ValueError("this row")

    hot.before = too_long
    batch = [send(ann, group, "a"), send(ann, group, "x" * 65), send(ann, group, "bad"), send(ann, group, "b")]
    result = store.attempt(batch, [Mark(ann, group, 1, 1)], [Fence("t", 0, 0, 4)])

    assert isinstance(result, BatchResult)
    assert [getattr(it, "spec", None) is not None for it in result.outcomes] == [False, True, True, False]
    assert commits.count == 1
    assert client_ids(store, group) == ["a", "b"]
    assert store.on_writer(lambda connection: stored_offsets(connection, "t")) == {0: 4}


def test_a_fence_that_does_not_hold_writes_nothing(store: Store, ann: UserId, group: ConversationId) -> None:
    assert isinstance(store.attempt([], fences=[Fence("t", 0, 0, 5), Fence("t", 1, 7, 9)]), BatchResult)
    before = store.everything()

    for wrong in (Fence("t", 0, 0, 6), Fence("t", 0, 4, 6), Fence("t", 1, 8, 10)):
        assert isinstance(store.attempt([send(ann, group, "a")], fences=[wrong]), Fenced)

    assert store.everything() == before
    assert store.on_writer(lambda connection: stored_offsets(connection, "t")) == {0: 5, 1: 9}

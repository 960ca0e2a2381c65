"""Between nodes anything may be lost, late, doubled or overtaken; every socket hears every entry once and in order."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.nodes_lab import TALK, Network, Node, SharedStore, heard, told

from parley.gateway import catchup, heads, hold
from parley.protocol.events import Entry
from parley.protocol.types import EntryKind, UserId

JOINED, LEFT, SAID = EntryKind.MEMBER_JOINED, EntryKind.MEMBER_LEFT, EntryKind.MESSAGE_CREATED


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience has no part in what is tested here."""
    monkeypatch.setattr(hold, "HOLD_S", 0.0)
    monkeypatch.setattr(heads, "UNDER_WAY_S", 0.0)
    monkeypatch.setattr(catchup, "RETRY_S", 0.0)


class World:
    """Two nodes; 1 is a member on the first, 2 on the second, and neither ever leaves."""

    def __init__(self) -> None:
        self.store = SharedStore()
        self.network = Network()
        self.a, self.b = Node(self.store, self.network), Node(self.store, self.network)
        for user in (1, 2):
            self.store.commit(JOINED, UserId(user))

    def at(self, node: Node, kind: EntryKind = SAID, user: int | None = None) -> Entry:
        entry = self.store.commit(kind, None if user is None else UserId(user))
        node.publish([entry])
        return entry

    async def settle(self) -> None:
        for node in self.network.nodes:
            await node.settle()

    async def compare(self) -> None:
        for node in self.network.nodes:
            await node.heads.compare()
        await self.settle()


@contextmanager
def world() -> Iterator[World]:
    made = World()
    try:
        yield made
    finally:
        made.store.close()


# One after another


async def test_what_crossed_is_put_in_order_without_the_store() -> None:
    with world() as w:
        his = await w.b.live(2, 2)
        reads = w.store.reads
        w.at(w.a)
        w.at(w.b)  # heard here at once, before the other came
        assert heard(his) == []
        w.network.deliver(0)

        assert heard(his) == [3, 4]
        assert (w.store.reads, w.b.healed) == (reads, 0)
        assert not w.b.hub.feeds[TALK].hold.timer


async def test_a_hole_that_stays_is_healed_once() -> None:
    with world() as w:
        first, second = await w.b.live(2, 2), await w.b.live(2, 2)
        w.at(w.a)
        w.network.waiting.clear()
        for _ in range(5):
            w.at(w.b)
        reads = w.store.reads
        await w.settle()

        assert heard(first) == heard(second) == [3, 4, 5, 6, 7, 8]
        assert w.store.reads == reads + 1


async def test_the_last_publish_of_all_is_found_by_comparing() -> None:
    """Nothing follows that would show the hole. The same is a node that died between commit and publish."""
    with world() as w:
        his = await w.b.live(2, 2)
        w.store.commit()
        await w.settle()
        assert heard(his) == []
        await w.compare()

        assert heard(his) == [3]
        assert w.b.healed == 1


async def test_a_publish_under_way_is_no_fault() -> None:
    with world() as w:
        his = await w.b.live(2, 2)
        await w.compare()
        w.at(w.a)
        comparing = asyncio.ensure_future(w.b.heads.compare())
        await asyncio.sleep(0)
        w.network.deliver_all()
        await comparing
        await w.settle()

        assert heard(his) == [3]
        assert w.b.healed == 0


async def test_what_is_heard_anew_is_compared_at_once() -> None:
    with world() as w:
        his = await w.b.live(2, 2)
        await w.b.heads.compare()
        w.store.commit()
        w.b.heads.listening([TALK, TALK + 1])  # type: ignore[list-item]  # one that nobody hears
        reads = w.store.reads
        await w.b.heads.compare_asked()
        await w.settle()

        assert heard(his) == [3]
        assert w.store.reads == reads + 2, "its head, and its entries"


async def test_after_a_break_everything_is_compared() -> None:
    with world() as w:
        his = await w.b.live(2, 2)
        await w.b.heads.compare()
        w.store._sql.exec_driver_sql("UPDATE conversations SET changed_at = 0, last_seq = 3")
        w.store.entries.append(w.store.entries[-1].__class__(TALK, 3, SAID, UserId(1), "x", 0, 3, b"{}"))
        await w.compare()
        assert heard(his) == [], "by its time it did not change lately"
        w.b.heads.listening(None)
        await w.b.heads.compare_asked()
        await w.settle()

        assert heard(his) == [3]


async def test_a_lost_joining_is_made_good() -> None:
    with world() as w:
        hers = await w.b.live(3)
        w.at(w.a, JOINED, 3)
        w.network.waiting.clear()
        await w.compare()

        assert heard(hers) == [3]
        assert told(hers, {"conversation.added"}) == ["conversation.added"]
        await w.compare()
        assert told(hers, {"conversation.added"}) == ["conversation.added"], "told once"


async def test_a_lost_leaving_is_made_good() -> None:
    with world() as w:
        w.store.commit(JOINED, UserId(3))
        hers, his = await w.b.live(3, 3), await w.b.live(2, 3)
        w.at(w.a, LEFT, 3)
        w.at(w.a)
        w.network.waiting.clear()
        await w.compare()

        assert heard(hers) == [4], "up to their own going, and no further"
        assert told(hers, {"conversation.removed"}) == ["conversation.removed"]
        assert heard(his) == [4, 5]


async def test_who_leaves_behind_a_hole_hears_all_up_to_that() -> None:
    """A removal that came early takes effect when what is before it has come."""
    with world() as w:
        w.store.commit(JOINED, UserId(3))
        hers = await w.b.live(3, 3)
        w.at(w.a)
        w.at(w.b, LEFT, 3)
        w.at(w.b)
        assert told(hers, {"conversation.removed"}) == []
        w.network.deliver(0)

        assert heard(hers) == [4, 5]
        assert told(hers, {"conversation.removed"}) == ["conversation.removed"]


async def test_an_old_leaving_that_comes_again_is_nothing() -> None:
    with world() as w:
        hers = await w.b.live(3)
        w.network.instant = True
        w.at(w.a, JOINED, 3)
        left = w.at(w.a, LEFT, 3)
        w.at(w.a, JOINED, 3)
        await w.settle()
        w.b.hub.publish([left])
        w.at(w.a)
        await w.settle()

        assert heard(hers)[-1] == 6


@pytest.mark.parametrize("bound", ["HELD_ENTRIES", "HELD_BYTES"])
async def test_too_much_behind_a_hole_is_not_kept(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold, "HOLD_S", 60.0)
    monkeypatch.setattr(hold, bound, 5)
    with world() as w:
        his = await w.b.live(2, 2)
        w.at(w.a)
        for _ in range(20):
            w.at(w.b)
        await w.settle()

        assert heard(his) == list(range(3, 24))
        assert not w.b.hub.feeds[TALK].hold


async def test_a_store_that_is_away_is_asked_again() -> None:
    with world() as w:
        his = await w.b.live(2, 2)
        w.at(w.a)
        w.network.waiting.clear()
        w.store.away = True
        w.at(w.b)
        for _ in range(20):
            await asyncio.sleep(0)
        w.store.away = False
        await w.settle()

        assert heard(his) == [3, 4]


async def test_nothing_remains_of_a_feed_with_a_hole_when_all_have_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold, "HOLD_S", 60.0)
    with world() as w:
        his = await w.b.live(2, 2)
        w.at(w.a)
        w.at(w.b)
        feed = w.b.hub.feeds[TALK]
        timer = feed.hold.timer
        assert timer is not None
        w.b.hub.leave(his)

        assert not w.b.hub.feeds
        assert timer.cancelled()


# Anything at all

OPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["say", "toggle", "turn"]), st.integers(0, 1)),
        st.tuples(st.sampled_from(["deliver", "drop", "double"]), st.integers(0, 30)),
    ),
    max_size=40,
)


@given(OPS)
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
def test_whatever_the_network_does(ops: list[tuple[str, int]]) -> None:
    """1 and 2 stay; 3 comes and goes, with a socket on each node. After at most two comparisons all is well."""

    async def run() -> None:
        with world() as w:
            nodes = (w.a, w.b)
            staying = [await w.a.live(1, 2), await w.b.live(2, 2)]
            moving = [await w.a.live(3), await w.b.live(3)]
            since = 0
            for what, number in ops:
                waiting = w.network.waiting
                if what == "say":
                    w.at(nodes[number])
                elif what == "toggle":
                    since = w.at(nodes[number], LEFT if UserId(3) in w.store.members else JOINED, 3).seq
                elif what == "turn":
                    await asyncio.sleep(0)
                elif waiting and what == "deliver":
                    w.network.deliver(number % len(waiting))
                elif waiting and what == "drop":
                    waiting.pop(number % len(waiting))
                elif waiting:
                    waiting.append(waiting[number % len(waiting)])
            w.network.waiting.clear()
            await w.compare()
            await w.compare()

            head = len(w.store.entries)
            for connection in staying:
                assert heard(connection) == list(range(3, head + 1))
            for connection in moving:
                got = heard(connection)
                assert got == sorted(set(got)), "once, in order"
                if UserId(3) in w.store.members:
                    assert [seq for seq in got if seq >= since] == list(range(since, head + 1))
                else:
                    assert all(seq <= since for seq in got)

    asyncio.run(run())

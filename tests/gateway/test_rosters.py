"""Who is there, for lobby and room clients, when people are on different nodes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from tests.gateway.nodes_lab import TALK, Network, Node, SharedStore
from tests.gateway.resume_lab import RecordingWire

from parley.dialects.base import Codec
from parley.dialects.lobby import LobbyCodec
from parley.dialects.room import RoomCodec
from parley.gateway.connection import Connection
from parley.gateway.legacy import attendance, rosters
from parley.gateway.legacy.manners import LegacyState, Manners
from parley.gateway.legacy.rosters import Rosters


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANSWERS_S", "SOON_S", "APART_S"):
        monkeypatch.setattr(rosters, name, 0.0)


class Place:
    """A node with its rosters, and clients that come straight to the room's feed."""

    def __init__(self, network: Network, store: SharedStore) -> None:
        self.node = Node(store, network)
        self.rosters = Rosters(self.node.hub, self.node, lambda _: "#000000", lambda: 0)
        self.room, self.lobby = RoomCodec(TALK, "den"), LobbyCodec(TALK)

    async def come(self, user: int, dialect: str = "room") -> Connection:
        known: dict[str, Codec | None] = {"room": self.room, "lobby": self.lobby, "native": None}
        codec = known[dialect]
        connection = self.node.connect(user, codec)
        if codec is not None:
            connection.legacy = LegacyState(Manners.__new__(Manners))
        feed = self.node.hub.track(TALK)
        if codec is not None:
            await self.rosters.attend(feed)
        feed.add(connection, 0)
        self.node.hub.untrack(feed)
        await calm()
        return connection

    def go(self, connection: Connection) -> None:
        self.node.hub.leave(connection)


async def calm() -> None:
    for _ in range(20):
        await asyncio.sleep(0.001)


@pytest.fixture
async def places() -> AsyncIterator[list[Place]]:
    store, network = SharedStore(), Network()
    network.instant = True
    made = [Place(network, store) for _ in range(3)]
    yield made
    for place in made:
        place.rosters.close()
    store.close()


def frames(connection: Connection) -> list[dict[str, Any]]:
    """What came since this was asked last."""
    connection.outbound.flush()
    wire = connection.wire
    assert isinstance(wire, RecordingWire)
    found = wire.frames()
    wire.written.clear()
    return found


def names(users: list[dict[str, Any]]) -> list[str]:
    return [user["username"] for user in users]


async def test_people_of_other_nodes_are_in_the_first_list(places: list[Place]) -> None:
    """Whatever they speak: also a native member is there."""
    a, b, c = places
    await a.come(1)
    await b.come(2, "native")
    joiner = await c.come(3)

    init, *rest = frames(joiner)
    assert (init["type"], sorted(names(init["payload"]["users"]))) == ("init", ["u1", "u2", "u3"])
    assert [one["type"] for one in rest] == ["message"], "of nobody but oneself"


async def test_coming_and_going_is_told_on_every_node(places: list[Place]) -> None:
    a, b, _ = places
    watcher, old = await a.come(1), await a.come(2, "lobby")
    frames(watcher), frames(old)
    guest = await b.come(3)

    joined, notice = frames(watcher)
    assert (joined["type"], joined["payload"]["username"]) == ("user_joined", "u3")
    assert sorted(names(joined["payload"]["users"])) == ["u1", "u2", "u3"]
    assert notice["payload"]["content"] == "u3 加入了聊天室"
    assert frames(old) == [{"online": {"userid": "3", "userphone": "u3"}}]

    b.go(guest)
    await calm()
    left, notice = frames(watcher)
    assert (left["type"], left["payload"]["username"]) == ("user_left", "u3")
    assert notice["payload"]["content"] == "u3 离开了聊天室"
    assert frames(old) == [{"offline": {"userid": "3", "userphone": "u3"}}]


async def test_one_person_on_two_nodes_is_there_once(places: list[Place]) -> None:
    a, b, _ = places
    watcher, here = await a.come(1), await a.come(2)
    frames(watcher)
    there = await b.come(2)
    a.go(here)
    await calm()
    assert frames(watcher) == []
    b.go(there)
    await calm()

    assert [one["type"] for one in frames(watcher)] == ["user_left", "message"]


async def test_of_a_node_that_died_nobody_is_there_any_more(
    places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, _ = places
    watcher, _ = await a.come(1), await b.come(2)
    frames(watcher)
    a.node.network.nodes.remove(b.node)
    monkeypatch.setattr(rosters, "SILENT_S", 0.0)
    await calm()
    a.rosters._call_rolls()

    assert [one["type"] for one in frames(watcher)] == ["user_left", "message"]


async def test_a_word_that_was_lost_is_made_good_by_the_next_roll(places: list[Place]) -> None:
    a, b, _ = places
    watcher = await a.come(1)
    network = a.node.network
    network.instant = False
    await b.come(2)
    network.waiting.clear()
    frames(watcher)
    network.instant = True
    a.rosters._call_rolls()
    await calm()

    assert frames(watcher)[0]["payload"]["username"] == "u2"


async def test_a_roster_that_was_overtaken_is_old(places: list[Place]) -> None:
    a, b, _ = places
    watcher = await a.come(1)
    network = a.node.network
    network.instant = False
    guest = await b.come(2)
    coming = [carry for node, carry in network.waiting if node is a.node]
    network.waiting.clear()
    b.go(guest)
    network.deliver_all()
    frames(watcher)
    for late in coming:
        late()

    assert frames(watcher) == []


async def test_a_crowd_elsewhere_is_kept_within_bounds(places: list[Place], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attendance, "SHOWN", 5)
    monkeypatch.setattr(rosters, "SHOWN", 5)
    a, b, _ = places
    watcher = await a.come(1)
    crowd = [await b.come(user) for user in range(10, 30)]
    seen = a.node.hub.feeds[TALK].attendance
    assert isinstance(seen, attendance.Attendance)

    assert len(seen._people) == 6
    assert all(len(node.people) == 5 for node in seen._nodes.values())
    for one in crowd:
        b.go(one)
    await calm()
    assert list(seen._people) == [1]
    assert watcher in next(iter(seen._people.values())).devices


async def test_nothing_is_kept_when_nobody_looks(places: list[Place], monkeypatch: pytest.MonkeyPatch) -> None:
    a, b, _ = places
    watcher, member = await a.come(1), await b.come(2, "native")
    a.rosters._call_rolls()
    assert b.node.hub.feeds[TALK].attendance is not None
    a.go(watcher)
    assert a.rosters._rooms == {}
    monkeypatch.setattr(rosters, "SILENT_S", -1.0)
    b.rosters._call_rolls()

    assert b.node.hub.feeds[TALK].attendance is None
    assert (b.rosters._rooms, b.rosters._calling) == ({}, None)
    b.go(member)


async def test_a_guest_who_gets_a_number_stays_one_person(places: list[Place]) -> None:
    a, b, _ = places
    watcher = await a.come(1)
    guest = await b.come(-1)
    guest.actor = msgspec.structs.replace(guest.actor, guest=True)
    frames(watcher)
    seen = b.node.hub.feeds[TALK].attendance
    assert seen is not None
    seen.became(guest, 77)
    await calm()

    assert frames(watcher) == []

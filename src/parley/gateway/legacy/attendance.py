"""Who is in a conversation, as lobby and room clients are told: presence, never history.

A person is there once, on however many devices and in whatever dialect. Lists hold the newest 200; while there are
more, comings and goings are told once a second, and one who came and went in between not at all.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec

from parley.clock import rfc3339
from parley.gateway.connection import Connection
from parley.gateway.feed import Feed
from parley.gateway.framing import frame
from parley.protocol.events import Signal

SHOWN = 200
SHOWING = frozenset({"lobby", "room"})
"""The dialects whose clients are shown who is there."""
MERGE_S = 1.0


class Row(msgspec.Struct, frozen=True, array_like=True):
    """A person as nodes tell each other of them. `key`: an account's number, or a guest's connection."""

    key: int | str
    user_id: int
    name: str
    userid: str
    userphone: str


class Person:
    """Someone who is there. `label`: how a lobby client wants to be shown."""

    __slots__ = ("devices", "elsewhere", "label", "name", "user_id")

    def __init__(self, user_id: int, name: str) -> None:
        self.user_id = user_id
        self.name = name
        self.label: dict[str, str] = {"userid": str(user_id), "userphone": name}
        self.devices: dict[Connection, None] = {}
        self.elsewhere: set[str] = set()
        """The other nodes that they are on."""


class Node:
    """What another node has told of its people in this room."""

    __slots__ = ("heard_at", "number", "people")

    def __init__(self) -> None:
        self.heard_at = 0.0
        self.number = 0
        self.people: dict[int | str, None] = {}


Colour = Callable[[int], str]


class Attendance:
    """One conversation's. Kept while any lobby or room client hears it, here or on another node."""

    def __init__(
        self,
        feed: Feed,
        colour: Colour,
        now_ms: Callable[[], int],
        changed: Callable[[], None] = lambda: None,
        closed: Callable[[], None] = lambda: None,
    ) -> None:
        """`changed` is called when people here come, go or call themselves something else; `closed` at the end."""
        self._feed = feed
        self._colour = colour
        self._now_ms = now_ms
        self._changed = changed
        self._closed = closed
        self._people: dict[int | str, Person] = {}
        self._nodes: dict[str, Node] = {}
        self._left: dict[int | str, None] = {}
        """Who went away here since other nodes were told."""
        self._news: dict[int | str, tuple[Person, bool]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.settled: asyncio.Future[None] | None = None
        """Done when other nodes had time to answer who is there."""
        self.told_at: float | None = None
        """When other nodes were told last who is here."""
        self.wanted_at = 0.0
        """When somebody, here or elsewhere, was last known to look."""
        for connection in feed.connections():
            self._seat(connection)

    @property
    def shown_here(self) -> bool:
        return any(codec.name in SHOWING and connections for codec, connections in self._feed.live.items())

    # The feed tells of subscriptions

    def came(self, connection: Connection) -> None:
        person, new = self._seat(connection)
        self._greet(connection, person)
        self._changed()
        if new:
            self._tell(_key(connection), person, connection, came=True)

    def went(self, connection: Connection) -> None:
        key = _key(connection)
        person = self._people.get(key)
        if person is None or connection not in person.devices:
            return
        del person.devices[connection]
        if person.devices:
            return
        self._left[key] = None
        if len(self._left) > SHOWN:
            del self._left[next(iter(self._left))]
        self._changed()
        if not person.elsewhere:
            del self._people[key]
            self._tell(key, person, connection, came=False)

    def _seat(self, connection: Connection) -> tuple[Person, bool]:
        key = _key(connection)
        person = self._people.get(key)
        new = person is None
        if person is None:
            person = self._people[key] = Person(connection.actor.user_id, connection.actor.name)
            state = connection.legacy
            if state is not None and state.label:
                person.label = dict(state.label)
        person.devices[connection] = None
        self._left.pop(key, None)
        return person, new

    # Other nodes tell of their people

    def own_people(self) -> tuple[int, list[Row], list[int | str]]:
        """(how many are here, the newest of them, who went since this was asked last)."""
        here = [(key, person) for key, person in self._people.items() if person.devices]
        rows = [
            Row(key, person.user_id, person.name, person.label.get("userid", ""), person.label.get("userphone", ""))
            for key, person in here[-SHOWN:]
        ]
        went, self._left = list(self._left), {}
        return len(here), rows, went

    def heard(
        self, name: str, number: int, total: int, people: Sequence[Row], went: Sequence[int | str], now: float
    ) -> None:
        """Another node's people: all of them, or the newest of more."""
        node = self._nodes.get(name)
        if node is None:
            node = self._nodes[name] = Node()
        elif number <= node.number:
            return
        node.number, node.heard_at = number, now
        for row in people:
            node.people[row.key] = None
            self._seat_elsewhere(name, row)
        there = {row.key for row in people}
        for key in list(node.people) if total <= len(people) else went:
            if key not in there and key in node.people:
                del node.people[key]
                self._unseat_elsewhere(name, key)
        while len(node.people) > SHOWN:
            # Past what is shown nobody is told that they go, because nobody is shown that they are there.
            oldest = next(iter(node.people))
            del node.people[oldest]
            self._unseat_elsewhere(name, oldest, told=False)

    def _seat_elsewhere(self, node: str, row: Row) -> None:
        person = self._people.get(row.key)
        label = {"userid": row.userid, "userphone": row.userphone}
        if person is None:
            person = self._people[row.key] = Person(row.user_id, row.name)
            person.label = label
            person.elsewhere.add(node)
            self._tell(row.key, person, None, came=True)
            return
        person.elsewhere.add(node)
        if not person.devices:
            person.user_id, person.name = row.user_id, row.name
            self._relabel(person, label)

    def _unseat_elsewhere(self, node: str, key: int | str, *, told: bool = True) -> None:
        person = self._people.get(key)
        if person is None:
            return
        person.elsewhere.discard(node)
        if not person.elsewhere and not person.devices:
            del self._people[key]
            if told:
                self._tell(key, person, None, came=False)

    def forget_silent(self, before: float) -> None:
        """Nodes that have said nothing since then are gone, and their people with them."""
        for name, node in list(self._nodes.items()):
            if node.heard_at < before:
                del self._nodes[name]
                for key in node.people:
                    self._unseat_elsewhere(name, key)

    # What a person says of themselves

    def relabel(self, connection: Connection, label: dict[str, str]) -> None:
        """A lobby client said how it is to be shown: the old label goes, the new one comes."""
        person = self._people.get(_key(connection))
        if person is None or person.label == label:
            return
        self._relabel(person, dict(label))
        self._changed()

    def _relabel(self, person: Person, label: dict[str, str]) -> None:
        if person.label != label:
            self._tell_lobby("presence.went", person.label)
            person.label = label
            self._tell_lobby("presence.came", label)

    def became(self, connection: Connection, user_id: int) -> None:
        """A guest got a number of their own."""
        person = self._people.get(_key(connection))
        if person is not None:
            person.user_id = user_id
            self._changed()

    # Telling

    def _greet(self, connection: Connection, person: Person) -> None:
        """What a newcomer is shown first: who else is there."""
        if connection.codec.name == "lobby":
            for other in self._shown():
                if other is not person:
                    self._send(connection, Signal("presence.came", dict(other.label)))
        elif connection.codec.name == "room":
            room = getattr(connection.codec, "room", "")
            payload = {"room_id": room, "user": self._card(person), "users": self._cards()}
            self._send(connection, Signal("room.init", payload))

    def _tell(self, key: int | str, person: Person, connection: Connection | None, *, came: bool) -> None:
        """`connection`: the one that came or went, which knows; None if that was on another node."""
        # What waits to be told goes first: else one who came and left could be told of in the wrong order.
        if len(self._people) <= SHOWN and self._timer is None:
            self._tell_now(connection, person, came=came)
            return
        before = self._news.pop(key, None)
        if before is None or before[1] == came:
            self._news[key] = (person, came)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(MERGE_S, self._tell_merged)

    def _tell_merged(self) -> None:
        self._timer = None
        news, self._news = self._news, {}
        for person, came in news.values():
            self._tell_lobby("presence.came" if came else "presence.went", person.label)
        came_last = [person for person, came in news.values() if came][-1:]
        left_last = [person for person, came in news.values() if not came][-1:]
        for person in came_last:
            self._tell_rooms(Signal("room.joined", {**self._card(person), "users": self._cards()}), person.devices)
        for person in left_last:
            self._tell_rooms(Signal("room.left", {**self._card(person), "users": self._cards()}))

    def _tell_now(self, connection: Connection | None, person: Person, *, came: bool) -> None:
        self._tell_lobby("presence.came" if came else "presence.went", person.label)
        card = {**self._card(person), "users": self._cards()}
        self._tell_rooms(
            Signal("room.joined" if came else "room.left", card),
            without=(connection,) if connection is not None else (),
        )
        content = f"{person.name} {'加入了聊天室' if came else '离开了聊天室'}"
        self._tell_rooms(Signal("notice", {"content": content, "created_at": rfc3339(self._now_ms())}))

    def _tell_lobby(self, kind: str, label: dict[str, str]) -> None:
        self._tell_dialect("lobby", Signal(kind, dict(label)), ())

    def _tell_rooms(self, signal: Signal, without: Collection[Connection] = ()) -> None:
        self._tell_dialect("room", signal, without)

    def _tell_dialect(self, dialect: str, signal: Signal, without: Collection[Connection]) -> None:
        for codec, connections in self._feed.live.items():
            if codec.name != dialect:
                continue
            payload = codec.signal(signal)
            if payload is None:
                continue
            ready = frame(payload)
            for connection in connections:
                if connection not in without:
                    connection.push(ready)

    def _send(self, connection: Connection, signal: Signal) -> None:
        payload = connection.codec.signal(signal)
        if payload is not None:
            connection.push(frame(payload))

    def _card(self, person: Person) -> dict[str, Any]:
        return {"user_id": person.user_id, "username": person.name, "color": self._colour(person.user_id)}

    def _shown(self) -> list[Person]:
        return list(self._people.values())[-SHOWN:]

    def _cards(self) -> list[dict[str, Any]]:
        return [self._card(person) for person in self._shown()]

    def nobody(self) -> None:
        """The last word to other nodes."""
        self._people.clear()

    def end(self) -> None:
        """Nobody looks any more, though somebody is here."""
        self._feed.attendance = None
        self.close()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._closed()


def _key(connection: Connection) -> int | str:
    """An account is one person on all devices; every guest is a person of their own."""
    return connection.id if connection.actor.guest else connection.actor.user_id

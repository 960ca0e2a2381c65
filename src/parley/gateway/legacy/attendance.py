"""Who is in a conversation, as lobby and room clients are told: presence, never history.

A person is there once, on however many devices and in whatever dialect. Lists hold the newest 200; while there are
more, comings and goings are told once a second, and one who came and went in between not at all.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Any

from parley.clock import rfc3339
from parley.gateway.connection import Connection
from parley.gateway.feed import Feed
from parley.gateway.framing import frame
from parley.protocol.events import Signal

SHOWN = 200
MERGE_S = 1.0


class Person:
    """Someone who is there. `label`: how a lobby client wants to be shown."""

    __slots__ = ("devices", "label", "name", "user_id")

    def __init__(self, user_id: int, name: str) -> None:
        self.user_id = user_id
        self.name = name
        self.label: dict[str, str] = {"userid": str(user_id), "userphone": name}
        self.devices: dict[Connection, None] = {}


Colour = Callable[[int], str]


class Attendance:
    """One conversation's. Kept while any lobby or room client is in it."""

    def __init__(self, feed: Feed, colour: Colour, now_ms: Callable[[], int]) -> None:
        self._feed = feed
        self._colour = colour
        self._now_ms = now_ms
        self._people: dict[object, Person] = {}
        self._news: dict[object, tuple[Person, bool]] = {}
        self._timer: asyncio.TimerHandle | None = None
        for connection in feed.connections():
            self._seat(connection)

    # The feed tells of subscriptions

    def came(self, connection: Connection) -> None:
        person, new = self._seat(connection)
        self._greet(connection, person)
        if new:
            self._tell(connection, person, came=True)

    def went(self, connection: Connection) -> None:
        key = _key(connection)
        person = self._people.get(key)
        if person is None or connection not in person.devices:
            return
        del person.devices[connection]
        if not person.devices:
            del self._people[key]
            self._tell(connection, person, came=False)

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
        return person, new

    # What a person says of themselves

    def relabel(self, connection: Connection, label: dict[str, str]) -> None:
        """A lobby client said how it is to be shown: the old label goes, the new one comes."""
        person = self._people.get(_key(connection))
        if person is None or person.label == label:
            return
        self._tell_lobby("presence.went", person.label)
        person.label = dict(label)
        self._tell_lobby("presence.came", person.label)

    def became(self, connection: Connection, user_id: int) -> None:
        """A guest got a number of their own."""
        person = self._people.get(_key(connection))
        if person is not None:
            person.user_id = user_id

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

    def _tell(self, connection: Connection, person: Person, *, came: bool) -> None:
        # What waits to be told goes first: else one who came and left could be told of in the wrong order.
        if len(self._people) <= SHOWN and self._timer is None:
            self._tell_now(connection, person, came=came)
            return
        key = _key(connection)
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

    def _tell_now(self, connection: Connection, person: Person, *, came: bool) -> None:
        self._tell_lobby("presence.came" if came else "presence.went", person.label)
        card = {**self._card(person), "users": self._cards()}
        self._tell_rooms(Signal("room.joined" if came else "room.left", card), without=(connection,))
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

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _key(connection: Connection) -> object:
    """An account is one person on all devices; every guest is a person of their own."""
    return connection.id if connection.actor.guest else connection.actor.user_id

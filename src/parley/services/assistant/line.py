"""Whose turn it is: questions that wait, and how many are answered at once. Pure: nothing in here waits.

Answers of one conversation begin in the order of their questions. So where the first of a conversation has to wait,
because its asker has as many running as one may have, the others of that conversation wait behind it.
"""

from collections import Counter
from typing import TypeVar

import msgspec

from parley.protocol.types import ConversationId, UserId
from parley.store.sql.assistant import Asked

K = TypeVar("K")


class Bounds(msgspec.Struct, frozen=True):
    """How many are answered at once, and how many may wait."""

    running: int
    running_per_room: int
    running_per_user: int
    waiting: int
    waiting_per_user: int


class Line:
    """One process's."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._waiting: dict[int, Asked] = {}
        """By question, the one that was asked first first."""
        self._running: dict[int, Asked] = {}
        self._rooms: Counter[ConversationId] = Counter()
        self._users: Counter[UserId] = Counter()
        self._waiting_users: Counter[UserId] = Counter()

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def has_room_for(self, user: UserId, *, of_theirs: int = 0, of_all: int = 0) -> bool:
        """May another of this user's questions wait, beside so many that are about to join?"""
        bounds = self._bounds
        if self._waiting_users[user] + of_theirs >= bounds.waiting_per_user:
            return False
        return len(self._waiting) + of_all < bounds.waiting

    def join(self, asked: Asked) -> None:
        self._waiting[asked.question_id] = asked
        self._waiting_users[asked.asker] += 1

    def leave(self, question: int) -> Asked | None:
        """It is not to be answered any more. None: it does not wait."""
        asked = self._waiting.pop(question, None)
        if asked is not None:
            _less(self._waiting_users, asked.asker)
        return asked

    def start(self) -> list[Asked]:
        """All whose turn it is now. They run from here on, until `done`."""
        started: list[Asked] = []
        held: set[ConversationId] = set()
        for asked in list(self._waiting.values()):
            if len(self._running) >= self._bounds.running:
                break
            room = asked.conversation_id
            if room in held:
                continue
            if (
                self._rooms[room] >= self._bounds.running_per_room
                or self._users[asked.asker] >= self._bounds.running_per_user
            ):
                held.add(room)
                continue
            self.leave(asked.question_id)
            self._running[asked.question_id] = asked
            self._rooms[room] += 1
            self._users[asked.asker] += 1
            started.append(asked)
        return started

    def done(self, question: int) -> None:
        asked = self._running.pop(question, None)
        if asked is not None:
            _less(self._rooms, asked.conversation_id)
            _less(self._users, asked.asker)

    def places(self) -> list[tuple[Asked, int]]:
        """Who waits, and where in the line: 1 is next."""
        return [(asked, place) for place, asked in enumerate(self._waiting.values(), 1)]

    def of_conversation(self, conversation_id: ConversationId) -> list[Asked]:
        return [asked for asked in self._waiting.values() if asked.conversation_id == conversation_id]


def _less(counter: Counter[K], key: K) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]

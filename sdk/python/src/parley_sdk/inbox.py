"""Events on their way to whoever iterates: bounded, in order, and done only when the next one is asked for."""

import asyncio
from collections import deque

from parley_sdk.events import Entry, Event, Reset


class Inbox:
    def __init__(self, most: int) -> None:
        self._most = most
        self._events: deque[Event] = deque()
        self._there = asyncio.Event()
        self._end: BaseException | None = None
        self._handed: Event | None = None
        self.done: dict[str, int] = {}
        """Since it was last cleared: up to where the consumer has dealt with each conversation."""

    @property
    def full(self) -> bool:
        return len(self._events) >= self._most

    @property
    def roomy(self) -> bool:
        return len(self._events) <= self._most // 2

    def put(self, event: Event) -> None:
        self._events.append(event)
        self._there.set()

    def end(self, why: BaseException) -> None:
        """`why` is raised once everything before it was taken."""
        self._end = why
        self._there.set()

    def settle(self) -> None:
        """The event that was handed out last is dealt with."""
        match self._handed:
            case Entry(conversation_id=conversation, seq=seq) | Reset(conversation_id=conversation, head=seq):
                self.done[conversation] = seq
        self._handed = None

    async def next(self) -> Event:
        self.settle()
        while not self._events:
            if self._end is not None:
                raise self._end
            self._there.clear()
            await self._there.wait()
        self._handed = self._events.popleft()
        return self._handed

"""Messages on their way out: kept until the server has them for certain, in order, each once in effect."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from parley_sdk.errors import ParleyError
from parley_sdk.events import Sent
from parley_sdk.state import State

Surely = Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""Sends a command again and again under the same client_id, until there is an answer that stays."""


class Outbox:
    """In each conversation one message is in flight and the others wait, so that a repeated one is never overtaken."""

    def __init__(self, state: State, surely: Surely, most: int) -> None:
        self._state = state
        self._surely = surely
        self._most = most
        self._lanes: dict[str, asyncio.Lock] = {}
        self._flights: dict[str, asyncio.Task[Sent]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def add(self, payload: Mapping[str, Any]) -> asyncio.Task[Sent]:
        """Raises `outbox_full`. What is in, goes out, also when nobody waits for it."""
        if len(self._flights) >= self._most:
            raise ParleyError("outbox_full", f"{self._most} messages wait to be sent")
        self._state.put(payload["client_id"], payload)
        return self.go(payload)

    def go(self, payload: Mapping[str, Any]) -> asyncio.Task[Sent]:
        """One that is in the state already."""
        client_id = str(payload["client_id"])
        task = self._flights[client_id] = asyncio.create_task(self._fly(client_id, payload))
        task.add_done_callback(lambda done: self._landed(client_id, done))
        return task

    def _landed(self, client_id: str, task: asyncio.Task[Sent]) -> None:
        self._flights.pop(client_id, None)
        if not task.cancelled():
            # Whoever awaits it hears of it; nobody need.
            task.exception()

    async def _fly(self, client_id: str, payload: Mapping[str, Any]) -> Sent:
        lane = str(payload.get("conversation_id") or f"to {payload.get('to_user_id')}")
        async with self._lanes.setdefault(lane, asyncio.Lock()):
            try:
                ack = await self._surely("message.send", payload)
            except ParleyError as error:
                if not error.retryable:
                    self._state.drop(client_id)
                raise
            self._state.drop(client_id)
        return Sent(ack["conversation_id"], ack["message_id"], ack["seq"], ack["at"], ack["duplicate"])

    async def flushed(self) -> None:
        """Wait until nothing is left."""
        while self._flights:
            await asyncio.wait(list(self._flights.values()))

    async def close(self) -> None:
        """What is not sent stays in the state."""
        for task in list(self._flights.values()):
            task.cancel()
        if self._flights:
            await asyncio.wait(list(self._flights.values()))

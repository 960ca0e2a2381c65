"""A native client as the protocol tells it to be: entries in order, and answers put together from deltas by offset."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tests.gateway.live import Live, Person
from websockets.exceptions import ConnectionClosed

from parley.testing import RawSocket

PATIENCE = 15.0

Json = dict[str, Any]


class Listener:
    """One device of one person. `entries` by conversation; `texts` by message: what it could show of an answer."""

    def __init__(self, socket: RawSocket, welcome: Json) -> None:
        self.socket = socket
        self.welcome = welcome
        self.entries: dict[str, list[Json]] = {}
        self.signals: list[Json] = []
        self.answers: dict[str, Json] = {}
        self.texts: dict[str, str] = {}
        self.deltas: list[Json] = []
        self.gaps = 0
        self._changed = asyncio.Event()
        self._count = 0
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def connect(cls, live: Live, person: Person, cursors: dict[str, int] | None = None) -> Listener:
        socket, welcome = await live.login(person)
        listener = cls(socket, welcome)
        at = cursors if cursors is not None else {it["id"]: 0 for it in welcome["conversations"]}
        await listener.ask("resume", {"epoch": welcome["epoch"], "cursors": at})
        return listener

    async def _read(self) -> None:
        try:
            while True:
                self._hear(await self.socket.recv(within=3600))
                self._changed.set()
        except ConnectionClosed:
            pass

    def _hear(self, frame: Json) -> None:
        payload = frame["payload"]
        match frame["type"]:
            case "log":
                for entry in payload["entries"]:
                    known = self.entries.setdefault(payload["conversation_id"], [])
                    assert not known or entry["seq"] == known[-1]["seq"] + 1, "a hole or a repeat"
                    known.append(entry)
            case "ai.delta":
                self.deltas.append(payload)
                self._grow(payload["message_id"], payload["offset"], payload["text"])
            case "ack" | "error":
                self.answers[frame["id"]] = frame
            case _:
                self.signals.append(frame)

    def _grow(self, message: str, offset: int, text: str) -> None:
        have = self.texts.get(message, "")
        if offset == 0:
            self.texts[message] = text
        elif offset == len(have):
            self.texts[message] = have + text
        elif offset > len(have):
            self.gaps += 1

    async def until(self, true: Callable[[], Any], within: float = PATIENCE) -> Any:
        async with asyncio.timeout(within):
            while not (found := true()):
                self._changed.clear()
                await self._changed.wait()
        return found

    async def ask(self, type_: str, payload: Json) -> Json:
        self._count += 1
        ref = f"r{self._count}"
        await self.socket.send({"type": type_, "id": ref, "payload": payload})
        found: Json = await self.until(lambda: self.answers.get(ref))
        return found

    async def say(self, conversation: str, text: str, **more: Any) -> str:
        """Post; returns the message's id."""
        self._count += 1
        body = {"conversation_id": conversation, "client_id": f"l{id(self)}.{self._count}", "text": text, **more}
        answer = await self.ask("message.send", body)
        assert answer["type"] == "ack", answer
        return str(answer["payload"]["message_id"])

    def of_kind(self, conversation: str, kind: str) -> list[Json]:
        return [entry for entry in self.entries.get(conversation, []) if entry["kind"] == kind]

    def begun(self, conversation: str, question: str | None = None) -> list[Json]:
        """Answers that have begun, in log order."""
        created = self.of_kind(conversation, "message.created")
        found = [it for it in created if it["message"].get("status") == "streaming"]
        return [it for it in found if question is None or it["message"]["reply_to"] == question]

    def ended(self, conversation: str, message: str | None = None) -> list[Json]:
        found = self.of_kind(conversation, "message.completed")
        return [it for it in found if message is None or it["message_id"] == message]

    async def answer_to(self, conversation: str, question: str) -> Json:
        """The end of the answer to this question."""
        begun = await self.until(lambda: self.begun(conversation, question))
        message = begun[0]["message"]["id"]
        ended: list[Json] = await self.until(lambda: self.ended(conversation, message))
        return ended[0]

    async def growing(self, conversation: str, question: str, chars: int = 1) -> str:
        """Wait until this much of an answer is to be seen; returns its message."""
        begun = await self.until(lambda: self.begun(conversation, question))
        message = str(begun[0]["message"]["id"])
        await self.until(lambda: len(self.texts.get(message, "")) >= chars)
        return message

    async def close(self) -> None:
        await self.socket.socket.close()
        await self._reading

"""A node that came late to an answer, or missed a part of it: what it shows joins up, by offsets."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec
import pytest

from parley.dialects.native import NativeCodec
from parley.gateway import growing as module
from parley.gateway.connection import Connection, Outbound
from parley.gateway.hub import Hub
from parley.protocol.commands import Actor
from parley.protocol.events import Signal
from parley.protocol.types import ConversationId, MessageId, UserId

ROOM, MESSAGE = ConversationId(7), MessageId(70)
CODEC = NativeCodec()
TEXT = "".join(f"w{n} 字😀 " for n in range(200))


@dataclass
class Draft:
    message_id: MessageId
    conversation_id: ConversationId
    draft: str


class Wire:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written = b""

    def __getattr__(self, name: str) -> Any:
        return lambda *args: None

    def write(self, data: bytes) -> None:
        self.written += bytes(data)


class Straight(Outbound):
    """Writes at once."""

    def deliver(self, connections: dict[Connection, None], frame: bytes) -> None:
        for connection in list(connections):
            connection.push(frame)


class Shown(Connection):
    """What a client makes of the frames of one socket, by the rules of the protocol."""

    __slots__ = ("frames", "gaps", "text")

    def __init__(self, hub: Hub, number: int) -> None:
        wire: Any = Wire()
        super().__init__(f"c{number}", Actor(UserId(number), "n"), 1, CODEC, wire, hub.outbound)
        self.frames: list[dict[str, Any]] = []
        self.text = ""
        self.gaps = 0

    def push(self, frame: Any) -> None:
        payload = msgspec.json.decode(frame[frame.index(b'{"type"') :])["payload"]
        self.frames.append(payload)
        if payload["offset"] == 0:
            self.text = payload["text"]
        elif payload["offset"] == len(self.text):
            self.text += payload["text"]
        else:
            self.gaps += 1


class Node:
    """A hub with a reader of drafts, and clients of one room."""

    def __init__(self, drafts: list[Draft] | None) -> None:
        self.hub = Hub(Straight(256, 1 << 20))
        self.clients: list[Shown] = []
        self.loads = 0
        self.drafts = drafts
        if drafts is not None:
            self.hub.growing.load = self._load

    async def _load(self) -> list[Draft]:
        self.loads += 1
        return list(self.drafts or [])

    def connect(self) -> Shown:
        feed = self.hub.track(ROOM)
        shown = Shown(self.hub, len(self.clients) + 1)
        feed.add(shown, 0)
        self.hub.untrack(feed)
        self.clients.append(shown)
        return shown

    def tell(self, offset: int, text: str) -> None:
        payload = {"conversation_id": str(ROOM), "message_id": str(MESSAGE), "offset": offset, "text": text}
        self.hub.tell_conversation(ROOM, Signal("ai.delta", payload, ROOM))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.0)
    monkeypatch.setattr(module, "LOOKS", 1_000_000)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_late_node_takes_the_beginning_from_the_draft() -> None:
    """The draft is behind what is being told: nothing is shown twice, and nothing is left out."""
    draft = Draft(MESSAGE, ROOM, TEXT[:100])
    node = Node([draft])
    client = node.connect()
    await settled()
    node.tell(120, TEXT[120:150])
    await settled()
    draft.draft = TEXT[:130]
    node.tell(150, TEXT[150:180])
    await settled()
    node.tell(180, TEXT[180:200])

    assert client.text == TEXT[:200]


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_is_lost_on_the_way_it_joins_up(seed: int) -> None:
    """Deltas lost, drafts behind, clients that come at any time: at the end all show the same, in full."""
    random = Random(seed)
    draft = Draft(MESSAGE, ROOM, "")
    node = Node([draft])
    at = 0
    while at < len(TEXT):
        size = random.randint(1, 60)
        if random.random() < 0.7:
            node.tell(at, TEXT[at : at + size])
        at = min(at + size, len(TEXT))
        if random.random() < 0.3:
            draft.draft = TEXT[: random.randint(len(draft.draft), at)]
        if random.random() < 0.15:
            node.connect()
        if random.random() < 0.5:
            await settled()
    draft.draft = TEXT
    late = node.connect()
    await settled()
    node.connect()
    await settled()

    assert late.text == TEXT
    assert {client.text for client in node.clients} == {TEXT}


async def test_a_node_that_hears_everything_asks_nobody() -> None:
    node = Node(None)
    node.tell(0, TEXT[:50])
    client = node.connect()
    node.tell(50, TEXT[50:90])
    await settled()

    assert client.text == TEXT[:90]
    assert [it["offset"] for it in client.frames] == [0, 50]


async def test_a_crowd_that_comes_at_once_costs_one_read() -> None:
    """All are told, and the store is asked once."""
    node = Node([Draft(MESSAGE, ROOM, TEXT)])
    clients = [node.connect() for _ in range(500)]
    await settled()

    assert {client.text for client in clients} == {TEXT}
    assert node.loads <= 2

"""Two nodes on one database: an answer is seen to grow on both, and one node ends what the other left over."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.assistant.provider_process import Provider
from tests.conftest import service

from parley.testing import Account, RawSocket
from parley.testing.cluster import Engines, running_cluster

PATIENCE = 30.0


async def watch(socket: RawSocket, chars: int) -> tuple[str, str]:
    """Put deltas together until there is so much; returns the message and its text. A gap is passed over."""
    texts: dict[str, str] = {}
    async with asyncio.timeout(PATIENCE):
        while True:
            frame = await socket.recv(within=PATIENCE)
            if frame["type"] != "ai.delta":
                continue
            it = frame["payload"]
            have = texts.get(it["message_id"], "")
            if it["offset"] in (0, len(have)):
                texts[it["message_id"]] = it["text"] if it["offset"] == 0 else have + it["text"]
            if len(texts.get(it["message_id"], "")) >= chars:
                return it["message_id"], texts[it["message_id"]]


async def ended(socket: RawSocket, message: str) -> list[dict[str, str]]:
    async with asyncio.timeout(PATIENCE + 15):
        while True:
            frame = await socket.recv(within=PATIENCE + 15)
            entries = frame["payload"]["entries"] if frame["type"] == "log" else []
            found = [it for it in entries if it["kind"] == "message.completed" and it["message_id"] == message]
            if found:
                return found


async def test_the_other_node_sees_it_grow_and_ends_it(tmp_path: Path, provider: Provider) -> None:
    """Who connects to the other node in mid-answer has it from the beginning; after kill -9 it is ended, once."""
    engines = Engines(store=service("PARLEY_TEST_POSTGRESQL"), redis=service("PARLEY_TEST_REDIS"))
    settings = {f"assistant.{name}": str(value) for name, value in provider.settings().items()}
    async with running_cluster(tmp_path / "c", engines, nodes=2, settings=settings) as cluster:
        one, two = cluster.urls
        async with await Account.open(one, "alice") as alice:
            room = await alice.create_room("room", [])
            here, _ = await RawSocket.login(alice)
            await here.acked("resume", {"epoch": None, "cursors": {}})
            payload = {"conversation_id": room, "client_id": "q1", "text": "@ai never end"}
            await here.send({"type": "message.send", "id": "1", "payload": payload})
            message, _ = await watch(here, 60)

            there = await RawSocket.open(two, token=alice.access_token)
            await there.expect("welcome")
            await there.acked("resume", {"epoch": None, "cursors": {}})
            same, text = await watch(there, 200)
            assert (same, text.startswith("word0 word1 word2")) == (message, True)
            # Committed there, so answered there.
            cluster.nodes[0].kill()
            [end] = await ended(there, message)

            assert end["status"] == "interrupted"
            assert end["text"].startswith("word0 word1")
            for socket in (here, there):
                await socket.socket.close()

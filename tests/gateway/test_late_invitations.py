"""An invitation that comes late, from another node: into what the client was told of, or is hearing about just now."""

from __future__ import annotations

from typing import Any

import pytest
from tests.gateway.live import Live, Person

from parley.protocol.types import ConversationId, UserId


def invite(server: Live, person: Person, talk: str) -> None:
    server.parley.hub.invite(ConversationId(int(talk)), [UserId(int(person.id))], 0)


def seqs(frames: list[dict[str, Any]]) -> list[int]:
    return [entry["seq"] for frame in frames if frame["type"] == "log" for entry in frame["payload"]["entries"]]


async def test_it_says_nothing_new_after_welcome(server: Live, alice: Person, bob: Person, talk: str) -> None:
    socket, welcome = await server.login(bob)

    invite(server, bob, talk)

    assert await socket.heard() == []
    answer, events = await socket.gather("resume", {"epoch": welcome["epoch"], "cursors": {talk: 0}})
    head = answer["payload"]["live"][talk]
    assert [frame["type"] for frame in events] == ["log"]
    assert seqs(events) == list(range(1, head + 1))


async def test_it_repeats_nothing_during_a_resume(
    server: Live, alice: Person, bob: Person, talk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The resume reads the conversation already; every entry comes once."""
    socket, welcome = await server.login(bob)
    source = server.parley.catch_up._source
    honest = source.heads

    async def heads(*of: Any) -> Any:
        found = await honest(*of)
        invite(server, bob, talk)
        return found

    monkeypatch.setattr(source, "heads", heads)
    answer, events = await socket.gather("resume", {"epoch": welcome["epoch"], "cursors": {talk: 0}})
    head = answer["payload"]["live"][talk]

    await server.say(alice, talk, "next")
    events += await socket.heard()
    assert {frame["type"] for frame in events} == {"log"}
    assert seqs(events) == list(range(1, head + 2))

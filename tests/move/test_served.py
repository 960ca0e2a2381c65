"""A server on SQLite, then on PostgreSQL, then on SQLite again: clients notice nothing but a reconnect."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from parley_sdk import Client, Message, Reset, StateFile

from parley.testing import Account, ServerProcess, running_server


def parley(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "parley", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


async def talk(server: ServerProcess, ann: Account, room: str, state: Path, *texts: str) -> list[str | None]:
    """Say this, and return everything that was heard since the last time."""

    async def token() -> str:
        return ann.access_token

    heard: list[str | None] = []
    async with Client(server.url, token=token, state=StateFile(state)) as chat:
        for text in texts:
            await chat.send(text, conversation_id=room)
        async for event in chat:
            assert not isinstance(event, Reset), "the history is the same one"
            if isinstance(event, Message):
                heard.append(event.text)
                if event.text == texts[-1]:
                    break
    return heard


async def test_clients_only_notice_a_reconnect(tmp_path: Path, postgresql_url: str) -> None:
    data, state = tmp_path / "data", tmp_path / "client.db"
    file = f"sqlite:///{data / 'parley.db'}"
    key = {"auth.signing_key_file": str(data / "signing.key")}
    embedded = running_server(data)
    async with embedded, await Account.open(embedded.url, "ann") as ann:
        room = await ann.create_room("tea", [])
        assert await talk(embedded, ann, room, state, "one", "two 你好") == ["one", "two 你好"]
        await embedded.terminated()

        there = parley("move", "--from", file, "--to", postgresql_url, "--verify")
        assert (there.returncode, there.stderr) == (0, "")
        assert "no entry is missing" in there.stdout
        assert "was moved to" in parley("serve", "--port", "0", "--data", str(data)).stderr

        shared = running_server(tmp_path / "other", settings={"store.url": postgresql_url, **key})
        async with shared:
            assert await talk(shared, ann, room, state, "three") == ["three"]
            beside = parley("move", "--from", postgresql_url, "--to", file, "--replace")
            assert (beside.returncode, beside.stdout) == (1, "")
            assert "these nodes are at work" in beside.stderr
            await shared.terminated()

        back = parley("move", "--from", postgresql_url, "--to", file, "--verify", "--replace")
        assert (back.returncode, back.stderr) == (0, "")
        async with running_server(data) as again:
            assert await talk(again, ann, room, state, "four") == ["four"]
    log = back.stdout + there.stdout
    assert postgresql_url not in log, "its password is nobody's business"


def test_what_does_not_go_together_is_said(tmp_path: Path) -> None:
    both = parley("move", "--from", "sqlite:///x.db", "--to", "sqlite:///y.db", "--release")
    neither = parley("move", "--from", "sqlite:///x.db")

    assert (both.returncode, neither.returncode) == (2, 2)
    assert "--release" in both.stderr
    assert "--to" in neither.stderr

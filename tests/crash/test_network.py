"""A network that cuts, slices and loses acks costs nobody a message."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from parley.testing import UNLIMITED, Account, RawSocket, running_server, steady_port, uuid7
from parley.testing.scenarios.network import cut_rounds, lost_acks


@pytest.mark.crash
@pytest.mark.slow
async def test_cuts_at_random_bytes_lose_nothing(tmp_path: Path, seed: int) -> None:
    """Closed, reset, half open, and byte by byte: the logs of all clients end up whole."""
    result = await cut_rounds(tmp_path, 80, seed)

    assert result.more["cuts"] >= 80
    assert result.more["reset"] > 0


@pytest.mark.crash
@pytest.mark.slow
async def test_a_message_whose_ack_was_lost_is_stored_once(tmp_path: Path, seed: int) -> None:
    result = await lost_acks(tmp_path, 150, seed)

    assert result.figures.duplicates >= 75


async def repeat(account: Account, payload: dict[str, Any]) -> dict[str, Any]:
    raw, _ = await RawSocket.login(account)
    async with raw:
        return await raw.acked("message.send", payload)


@pytest.mark.crash
async def test_a_repeat_gets_the_first_answer_from_everywhere_and_after_a_kill(tmp_path: Path) -> None:
    """Twenty at once over twenty connections, then again after kill -9: one message, one seq, one id."""
    async with running_server(tmp_path / "data", settings=UNLIMITED, port=steady_port()) as server:
        async with await Account.open(server.url, "anna") as anna:
            room = await anna.create_room("room", [])
            payload = {"conversation_id": room, "client_id": uuid7(), "kind": "text", "text": "once"}

            answers = await asyncio.gather(*(repeat(anna, payload) for _ in range(20)))
            await server.restarted()
            answers.append(await repeat(anna, payload | {"text": "another body changes nothing"}))

            assert len({(answer["seq"], answer["message_id"]) for answer in answers}) == 1
            assert [answer["duplicate"] for answer in answers].count(False) == 1
            head = answers[0]["seq"]
            assert [entry["seq"] for entry in await anna.log(room, upto=head + 1)] == list(range(1, head + 1))

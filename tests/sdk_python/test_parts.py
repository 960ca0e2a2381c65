"""The parts that need no server: the arithmetic of cursors, the codes, the frames that others send."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley_sdk import CLOSES, ERRORS, ParleyError
from parley_sdk import codes as generated
from parley_sdk.backoff import Backoff
from parley_sdk.http import Api
from parley_sdk.socket import Socket
from parley_sdk.standing import Standing
from websockets.exceptions import ConnectionClosed

ROOT = Path(__file__).parents[2]


def page(first: int, last: int) -> dict[str, Any]:
    rows = [
        {"seq": seq, "kind": "message.created", "by": "1", "at": "", "client_id": str(seq), "message": {"id": str(seq)}}
        for seq in range(first, last + 1)
    ]
    return {"conversation_id": "7", "head": last, "more": False, "entries": rows}


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 12)), max_size=40))
def test_whatever_comes_what_is_taken_is_without_hole_or_repeat(frames: list[tuple[int, int]]) -> None:
    standing = Standing({"7": 0})
    taken = [entry.seq for first, more in frames for entry in standing.take(page(first, first + more))]

    assert taken == list(range(1, len(taken) + 1))
    assert standing.cursors["7"] == len(taken)
    # Something beyond was told: it is known that something is missing.
    if any(first > len(taken) + 1 for first, _ in frames):
        assert "7" in standing.holes


def test_an_unknown_conversation_begins_with_its_first_entry() -> None:
    standing = Standing({})

    assert [entry.seq for entry in standing.take(page(5, 6))] == [5, 6]


def test_a_resume_that_came_short_is_a_hole() -> None:
    standing = Standing({"7": 3})

    assert standing.resumed({"7": 3}, {"live": {"7": 5}, "reset": {}, "gone": []}) == ({}, [])
    assert standing.holes == {"7"}


def test_gone_and_reset() -> None:
    standing = Standing({"7": 3, "8": 2})

    assert standing.resumed({"7": 3, "8": 2}, {"live": {}, "reset": {"8": 90}, "gone": ["7"]}) == ({"8": 90}, ["7"])
    assert standing.cursors == {"8": 90}


def test_the_codes_are_those_of_the_specification() -> None:
    spec = importlib.util.spec_from_file_location("codes_script", ROOT / "sdk" / "python" / "scripts" / "codes.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    wanted: dict[str, Any] = {}
    exec(script.rendered((ROOT / "spec" / "codes.toml").read_text(encoding="utf-8")), wanted)

    assert wanted["ERRORS"] == ERRORS == generated.ERRORS
    assert wanted["CLOSES"] == CLOSES


def test_the_log_frames_of_the_golden_file_are_understood() -> None:
    rows = json.loads((ROOT / "spec" / "golden" / "native" / "events.json").read_text(encoding="utf-8"))
    frames = [json.loads(row["frame"]) for row in rows if row["frame"]]
    logs = [frame["payload"] for frame in frames if frame["type"] == "log"]

    assert logs
    for payload in logs:
        standing = Standing({})
        entries = standing.take(payload)
        assert [entry.seq for entry in entries] == [row["seq"] for row in payload["entries"]]
        assert all(entry.kind and entry.by for entry in entries)


def test_the_backoff_doubles_up_to_its_bound() -> None:
    backoff = Backoff(1.0, 30.0)
    waits = [max(Backoff(1.0, 30.0).next() for _ in range(200)) for _ in range(3)]
    assert all(0 <= wait <= 1 for wait in waits)

    for most in (1, 2, 4, 8, 16, 30, 30):
        assert 0 <= backoff.next() <= most
    backoff.reset()
    assert backoff.next() <= 1


async def test_a_question_that_is_cut_while_it_is_sent_leaves_no_error_that_nobody_hears() -> None:
    """asyncio would print each of them, for every message under way at a restart of the server."""
    unheard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))

    async def opened(_: dict[str, Any]) -> None: ...

    socket = Socket(
        Api("http://127.0.0.1", None), backoff=Backoff(1.0, 2.0), answer_s=5.0, opened=opened,
        heard=lambda _: None, changed=lambda *_: None,
    )  # fmt: skip

    class Cut:
        async def send(self, _: str) -> None:
            socket._fail_all()
            raise ConnectionClosed(None, None)

    socket._connection = Cut()  # type: ignore[assignment]
    with pytest.raises(ParleyError, match="not_connected"):
        await socket.ask("message.send", {})
    gc.collect()

    assert unheard == []

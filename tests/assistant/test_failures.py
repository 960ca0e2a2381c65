"""A provider that fails, in every way: the room is told once, chat goes on, and the key is nowhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.assistant.conftest import Serving
from tests.assistant.listener import Listener
from tests.assistant.provider_process import HEAD, KEY, Provider, chunk, raw_provider, running_provider
from tests.gateway.live import Live, Person, Template, live_server

from parley.assistant.interface import Failed, Failure, Line, Piece
from parley.assistant.openai import OpenAIProvider
from parley.services.assistant import calling
from parley.services.assistant.calling import Breaker
from parley.testing import FakeClock

SORRY = "抱歉，我现在无法回答您的问题，请稍后重试。"
AWAY = "AI服务暂时不可用，请稍后重试"


def provider_at(url: str, **more: Any) -> OpenAIProvider:
    how = {"api_key": KEY, "model": "m", "temperature": 0.7, "max_tokens": 100, "timeout_s": 0.5, **more}
    return OpenAIProvider(base_url=url, **how)


async def collected(provider: OpenAIProvider) -> tuple[str, Failed | None]:
    """What came, and how it failed."""
    text = ""
    try:
        async for part in provider.answer([Line("user", "hello")]):
            if isinstance(part, Piece):
                text += part.text
    except Failed as failed:
        return text, failed
    finally:
        await provider.close()
    return text, None


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries again at once."""
    monkeypatch.setattr(calling, "FIRST_PAUSE_S", 0.0)


@pytest.mark.parametrize(
    ("question", "kind", "tries"),
    [("@ai too many", "rate_limited", 3), ("@ai break down", "unavailable", 3), ("@ai hang", "timeout", 3)],
)
async def test_a_provider_that_fails_is_said_to_have(
    serving: Serving, provider: Provider, impatient: None, question: str, kind: str, tries: int
) -> None:
    """Tried again while nothing has come; then the assistant itself says that it cannot."""
    before = len(provider.asked())
    async with serving(timeout_s=0.3) as server:
        ann = await server.person("ann")
        room = await server.group(ann)
        asker = await Listener.connect(server, ann)

        ended = await asker.answer_to(room, await asker.say(room, question))
        await server.say(ann, room, "chat goes on")

        assert (ended["text"], ended["status"]) == (SORRY, "interrupted")
        assert len(asker.ended(room)) == 1
        figures = server.parley.metrics.page().decode()
        assert f'parley_assistant_failures_total{{kind="{kind}"}} {float(tries)}' in figures
    assert len(provider.asked()) - before == tries


async def test_an_answer_that_breaks_off_shows_what_there_was(server: Live, alice: Person) -> None:
    """And is not asked for again: half of it has been seen."""
    room = await server.group(alice)
    asker = await Listener.connect(server, alice)

    ended = await asker.answer_to(room, await asker.say(room, "@ai cut off"))

    assert ended["status"] == "interrupted"
    assert ended["text"]
    assert " ".join(f"word{n}" for n in range(200)).startswith(ended["text"])


async def test_a_wrong_key_is_not_shown(template: Template, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In no entry, no notice, no log line and no answer."""
    template.lay_down(tmp_path)
    with running_provider(PROVIDER_KEYS="sk-another") as strict:
        async with live_server(tmp_path, assistant=strict.settings()) as server:
            ann = await server.person("ann")
            room = await server.group(ann)
            asker = await Listener.connect(server, ann)

            ended = await asker.answer_to(room, await asker.say(room, "@ai hello"))

            assert (ended["text"], ended["status"]) == (SORRY, "interrupted")
            assert 'kind="refused"' in server.parley.metrics.page().decode()
            said = json.dumps([asker.entries, asker.signals], ensure_ascii=False) + caplog.text
            assert KEY not in said
            assert "canary" not in said


async def test_what_a_provider_can_write_that_is_no_stream() -> None:
    """Each is a failure of its kind, and none says anything of the key."""

    def writing(*pieces: bytes, head: bytes = HEAD) -> Callable[..., Any]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.writelines([head, *pieces])
            await writer.drain()

        return answer

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.writelines([HEAD, chunk("half")])
        await reader.read()

    echo = b"HTTP/1.1 401 No\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
    echo += json.dumps({"error": {"message": f"bad {KEY}"}}).encode()
    cases: list[tuple[Callable[..., Any], str, Failure | None]] = [
        (writing(b"data: not json\n\n"), "", Failure.GARBLED),
        (writing(b"data: [1, 2]\n\n"), "", Failure.GARBLED),
        (writing(b'data: {"choices": [{"delta": null}]}\n\n'), "", Failure.GARBLED),
        (writing(b'data: {"choices": "x"}\n\n'), "", Failure.GARBLED),
        (writing(chunk("so far"), b"data: {\n\n"), "so far", Failure.GARBLED),
        (writing(chunk("so far"), b'data: {"error": {"message": "no"}}\n\n'), "so far", Failure.GARBLED),
        (writing(chunk("so far")), "so far", Failure.CUT),
        (writing(b"\xff\xfe\x00garbage\n\n" * 50), "", Failure.GARBLED),
        (writing(head=b""), "", Failure.UNAVAILABLE),
        (writing(head=b"\x16\x03\x01 no http\r\n\r\n"), "", Failure.UNAVAILABLE),
        (writing(head=echo), "", Failure.REFUSED),
        (writing(head=b"HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n"), "", Failure.UNAVAILABLE),
        (silent, "half", Failure.TIMEOUT),
        (writing(chunk("a\x00b"), chunk("\ud83d"), chunk("\ude00\ud83d"), chunk("", "stop")), "ab😀�", None),
    ]
    for answer, text, kind in cases:
        async with raw_provider(answer) as url:
            came, failed = await collected(provider_at(url))
        assert (came, failed and failed.kind) == (text, kind)
        assert KEY not in repr(failed)
        assert failed is None or (failed.__cause__ is None and failed.__suppress_context__)
    assert (await collected(provider_at("http://127.0.0.1:9/v1")))[1].kind is Failure.UNAVAILABLE  # type: ignore[union-attr]


async def test_it_is_told_when_to_come_again() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 429 Slow\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()

    async with raw_provider(answer) as url:
        _, failed = await collected(provider_at(url))

    assert failed is not None
    assert failed.retry_after_s == 7.0


async def test_a_provider_that_keeps_failing_is_left_alone_for_a_while() -> None:
    """Then one may try, and how that ends decides for all."""
    clock = FakeClock()
    breaker = Breaker(clock, trips=3, open_s=30.0)
    for _ in range(3):
        breaker.check()
        breaker.failed()

    with pytest.raises(Failed, match="open"):
        breaker.check()
    clock.advance(31)
    breaker.check()
    with pytest.raises(Failed, match="open"):
        breaker.check()
    breaker.went_well()
    breaker.check()


async def test_nobody_is_there_to_ask(template: Template, tmp_path: Path) -> None:
    """The question stays, and the system says so to all."""
    template.lay_down(tmp_path)
    async with live_server(tmp_path) as server:
        ann, ben = await server.person("ann"), await server.person("ben")
        room = await server.group(ann, ben)
        asker, other = await Listener.connect(server, ann), await Listener.connect(server, ben)

        question = await asker.say(room, "@ai hello")
        for listener in (asker, other):
            await listener.until(lambda it=listener: [s for s in it.signals if s["type"] == "notice"])  # type: ignore[misc]
        cancelled = await asker.ask("assistant.cancel", {"conversation_id": room, "message_id": question})

        notice = next(it["payload"] for it in other.signals if it["type"] == "notice")
        assert (notice["name"], notice["message"], notice["message_id"]) == ("assistant_unavailable", AWAY, question)
        assert cancelled["payload"]["name"] == "unsupported"
        assert asker.begun(room) == []

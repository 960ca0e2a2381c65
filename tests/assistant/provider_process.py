"""The provider of the tests, as a process of its own on loopback; and doors that lead to it and break what passes."""

from __future__ import annotations

import asyncio
import fcntl
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path("tests", "assistant", "provider")
sys.path.insert(0, str(ROOT / "tools"))

import build_page  # noqa: E402 - how the page's build finds Node is how this finds it
from build_page import CannotBuild, find_node  # noqa: E402

__all__ = ["CannotBuild", "find_node"]

KEY = "sk-canary-0123456789abcdef"


class Provider:
    """Its address, and what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url

    def settings(self, **more: Any) -> dict[str, Any]:
        """Of `[assistant]`."""
        return {"base_url": f"{self.url}/v1", "api_key": KEY, "model": "gpt-4o", "timeout_s": 5.0, **more}

    def asked(self) -> list[str]:
        """The bodies of all requests so far, as JSON text."""
        with httpx.Client(trust_env=False) as http:
            return [
                json.dumps(it["body"], ensure_ascii=False) for it in http.get(f"{self.url}/__aimock/journal").json()
            ]

    def paths(self) -> set[str]:
        with httpx.Client(trust_env=False) as http:
            return {it["path"] for it in http.get(f"{self.url}/__aimock/journal").json()}


@contextmanager
def running_provider(**environment: str) -> Iterator[Provider]:
    node = build_page.find_node()
    lock = ROOT / ".cache" / "test-provider.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        build_page.install(ROOT, FOLDER)
    process = subprocess.Popen(
        [str(node.node), "serve.mjs"],
        cwd=ROOT / FOLDER,
        env={**build_page.environment(ROOT, node), **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Provider(json.loads(process.stdout.readline())["url"])
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw_provider(answer: Answer) -> AsyncIterator[str]:
    """What no well-behaved server does: `answer` reads a request and writes what it likes. Yields the base URL."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
            await answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other side went away, or the test is over
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


def chunk(text: str, finish: str | None = None) -> bytes:
    """One event of a stream."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    body = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(body)}\n\n".encode()

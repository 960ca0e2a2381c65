"""The bot of ten lines, as it stands in the documentation, with a token of its own against a real server."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from pathlib import Path

import httpx
from parley_sdk import Client, StateFile
from tests.sdk_python.conftest import Place

from parley.testing.server import environment

ROOT = Path(__file__).resolve().parents[2]
SDK = ROOT / "sdk" / "python" / "src"
PATIENCE = 60.0
HEARING = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    " runpy.run_path('bot.py', run_name='__main__')"
)


def documented(page: str) -> str:
    blocks: list[str] = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    return next(block for block in blocks if "asyncio.run(main())" in block)


async def make_bot(place: Place, name: str) -> str:
    headers = {"Authorization": f"Bearer {place.ann.access_token}"}
    async with httpx.AsyncClient(base_url=place.server.url, headers=headers, trust_env=False) as http:
        made = (await http.post("/api/v1/bots", json={"username": name})).raise_for_status().json()
        added = {"user_ids": [made["bot"]["id"]]}
        (await http.post(f"/api/v1/conversations/{place.room}/members", json=added)).raise_for_status()
    return str(made["token"])


async def answers(asker: Client, room: str, last: str) -> list[str]:
    """What the bot said in the room, up to and including this."""
    said: list[str] = []
    async for message in asker.messages():
        if message.conversation_id == room and message.text:
            said.append(message.text)
            if message.text == last:
                break
    return said


async def test_the_ten_lines_run_and_answer_also_what_was_said_while_they_were_away(
    place: Place, tmp_path: Path
) -> None:
    source = documented("docs/topics/bots.md")
    assert len([line for line in source.splitlines() if line.strip()]) <= 10
    (tmp_path / "bot.py").write_text(source)
    token = await make_bot(place, "echo")
    environ = environment({}) | {"PARLEY_URL": place.server.url, "PARLEY_TOKEN": token, "PYTHONPATH": str(SDK)}

    async with asyncio.timeout(PATIENCE), place.client(place.ann) as ann:
        await ann.ready()
        # It has been here before: from now on it hears everything.
        async with Client(place.server.url, token=token, state=StateFile(tmp_path / "echo.db")) as before:
            await before.ready()
        for said in ("first", "while away"):
            await ann.send(f"!echo {said}", conversation_id=place.room)
            bot = await asyncio.create_subprocess_exec(
                # What runs in the background is often started deaf to Ctrl-C, and its children inherit that.
                sys.executable,
                "-c",
                HEARING,
                cwd=tmp_path,
                env=environ,
                stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                assert await answers(ann, place.room, said) == [said]
            finally:
                bot.send_signal(signal.SIGINT)
                await bot.wait()

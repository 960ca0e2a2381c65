"""Two people chat through the real page, over a network that comes and goes, on a server that is killed under them."""

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest
from playwright.async_api import Browser
from tests.end_to_end.person import Person, Seen

from parley.testing import ServerProcess, running_server
from parley.testing.chaos import ChaosProxy, Cut, Fate

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


class Network:
    """What lies between browsers and server, and can be taken away."""

    def __init__(self, server: ServerProcess) -> None:
        self.there = True
        self.proxy = ChaosProxy(server.host, server.port, self._fate)

    def _fate(self, _number: int) -> Fate:
        return Fate() if self.there else Fate(up_bytes=0, cut=Cut.CLOSE)

    def goes(self) -> None:
        self.there = False
        self.proxy.cut_all()

    def comes_back(self) -> None:
        self.there = True


def stored(file: Path) -> list[Seen]:
    """The lobby's messages as the server has them."""
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
        rows = database.execute(
            "SELECT e.seq, e.body FROM entries e JOIN conversations c ON c.id = e.conversation_id"
            " WHERE c.lobby AND e.kind = 1 AND e.seq IS NOT NULL ORDER BY e.seq"
        ).fetchall()
    database.close()
    return [Seen(seq, json.loads(body)["message"]["text"]) for seq, body in rows]


async def test_both_timelines_equal_the_log_after_reload_cut_and_kill(browser: Browser, tmp_path: Path) -> None:
    """Nothing is lost, doubled or out of order in either timeline, whatever happened in between."""
    async with running_server(tmp_path / "data") as server:
        network = Network(server)
        async with network.proxy as proxy:
            ann = await Person.signs_up(browser, proxy.url, "ann")
            bob = await Person.signs_up(browser, proxy.url, "bob", locale="zh-CN")

            await ann.says("hello bob")
            await bob.hears("hello bob")
            await bob.says("你好，安")
            await ann.hears("你好，安")

            await ann.page.reload()
            await ann.hears("你好，安")

            network.goes()
            await ann.connection_is("reconnecting")
            await ann.says("written while away 1")
            await ann.says("written while away 2")
            await bob.says("离线时写的")
            network.comes_back()
            await bob.hears("written while away 2")
            await ann.hears("离线时写的")

            await ann.says("just before the end")
            server.kill()
            await bob.says("在它死后")
            await server.started()
            await ann.hears("在它死后")
            await bob.hears("just before the end")

            await asyncio.gather(ann.all_stored(), bob.all_stored())
            log = stored(server.store)
            assert len(log) == 7
            assert await ann.timeline() == log
            assert await bob.timeline() == log
            assert ann.complaints + bob.complaints == []


async def test_what_was_written_offline_survives_a_reload(browser: Browser, tmp_path: Path) -> None:
    """A message that waits in the outbox is still there, and still goes out once, after the page was loaded anew."""
    async with running_server(tmp_path / "data") as server:
        ann = await Person.signs_up(browser, server.url, "ann")
        bob = await Person.signs_up(browser, server.url, "bob")
        await ann.page.context.route("**/api/**", lambda route: route.abort())
        server.kill()
        await ann.says("do not forget me")
        await ann.page.wait_for_selector("[data-testid=message][data-state=pending]")
        await ann.page.context.unroute("**/api/**")
        await server.started()
        await ann.page.reload()

        await bob.hears("do not forget me")

        await ann.all_stored()
        assert [seen.text for seen in stored(server.store)] == ["do not forget me"]
        assert await ann.timeline() == stored(server.store)

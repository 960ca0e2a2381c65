"""Guests: where they are let in, what they may be called, and what is kept of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import text
from tests.gateway.live import until
from tests.legacy.client import Doors
from tests.legacy.conftest import OpenDoors
from tests.legacy.test_lobby import CHAT, come

from parley.clock import SystemClock

FORWARDED = {"X-Forwarded-For": "203.0.113.7"}


async def guests(doors: Doors) -> list[tuple[int, str]]:
    """(id, name) of the guests who have a row."""
    statement = text("SELECT id, display_name FROM users WHERE guest ORDER BY id")
    rows = await doors.live.parley.database.read(lambda connection: connection.execute(statement).all())
    return [(row[0], row[1]) for row in rows]


async def test_guests_from_here_only(doors: Doors) -> None:
    """By default a request that may come from elsewhere needs a token."""
    ann = await doors.account("ann")

    for path in ("/ws", "/ws?room=general"):
        assert (await doors.refused(path, FORWARDED)).status == 401
        await doors.connect(path)
    await doors.connect("/ws/lobby", {**FORWARDED, "Authorization": f"Bearer {ann.legacy}"})


@pytest.mark.parametrize(("policy", "status"), [("everywhere", None), ("never", 401)])
async def test_the_setting_says_where(opening: OpenDoors, policy: str, status: int | None) -> None:
    """`everywhere` lets guests in from anywhere, `never` not even from here."""
    async with opening(auth={"guests": policy}) as doors:
        if status is None:
            await doors.connect("/ws", FORWARDED)
        else:
            assert (await doors.refused("/ws")).status == status
            assert (await doors.refused("/ws?room=general")).status == status


async def test_a_bad_token_is_no_guest(doors: Doors) -> None:
    """Who brings a token that is not good is refused, not let in as somebody else."""
    for path in ("/ws/lobby?token=nonsense", "/ws?room=general&token=nonsense"):
        assert (await doors.refused(path)).status == 401


async def test_other_origins_are_refused(doors: Doors) -> None:
    """A page of another site gets in nowhere."""
    for path in ("/ws", "/ws?room=general"):
        assert (await doors.refused(path, {"Origin": "https://evil.example"})).status == 403
        await doors.connect(path, {"Origin": doors.live.url})


POSING = [
    {"userid": "ai"},
    {"userid": "{kim}"},
    {"userid": " {kim} "},
    {"userphone": "系统"},
    {"userphone": "系 统"},
    {"userphone": "ＡＩ"},
    {"userphone": "kim"},
    {"userphone": "KIM"},
    {"userphone": "k\u200bim"},
    {"userphone": "Kim Lee"},
    {"userphone": "KIM lee"},
    {"userphone": "\u202emik"},
    {"userphone": "豆包AI"},
    {"username": "kim"},
]


async def test_nobody_passes_for_another(opening: OpenDoors) -> None:
    """A label that is the server's, the assistant's or an account's becomes the sender's own, in messages and lists."""
    async with opening(assistant={"name": "豆包AI"}) as doors:
        kim = await doors.account("kim")
        await doors.live.parley.accounts.rename(kim.person.actor, "Kim Lee")
        bob, _ = await come(doors)
        for posing in POSING:
            ((field, value),) = ((field, value.replace("{kim}", kim.id)) for field, value in posing.items())
            ann, label = await come(doors)
            await bob.heard()

            await ann.send({"online": {field: value}})
            await ann.send("ping")
            while await ann.one() != "pong":
                pass
            told = await bob.heard()
            assert all(value not in one["online"].values() for one in told if "online" in one), posing
            await ann.send({"message": CHAT | {"userid": "web-1", "userphone": "x", field: value}})
            shown = (await bob.one())["message"]

            assert shown.get(field) != value, posing
            assert field == "username" or shown[field] == label[field], posing
            assert all(name != value for _, name in await guests(doors)), posing
            await ann.close()
            await until(lambda: doors.live.parley.gateway.connections == 1)


async def test_an_account_may_be_itself(doors: Doors) -> None:
    """Its own number and name are its own."""
    kim = await doors.account("kim")
    client, label = await come(doors, f"/ws/lobby?token={kim.legacy}")

    await client.send({"message": CHAT | label})

    assert (await client.one())["message"] == CHAT | label
    assert label == {"userid": kim.id, "userphone": "kim"}


async def test_a_guest_is_stored_with_the_first_message(doors: Doors) -> None:
    """Until then there is no row; natives see a guest, by the name they gave themselves."""
    kim = await doors.account("kim")
    native = await doors.live.connect(kim.person)
    ann, _ = await come(doors)
    assert await guests(doors) == []

    for words in ("one", "two"):
        await ann.send({"message": CHAT | {"message": words}})
        await ann.one()

    ((number, name),) = await guests(doors)
    assert name == "网页-Ann"
    entry = (await native.expect("log"))["payload"]["entries"][0]
    assert entry["by"] == str(number)
    answer = await doors.get(f"/api/v1/users/{number}", {"Authorization": f"Bearer {kim.access}"})
    assert (answer.json()["guest"], answer.json()["display_name"]) == (True, "网页-Ann")


async def test_a_guest_comes_by_a_wished_name(doors: Doors) -> None:
    """`username` in the query, unless it is taken or reserved."""
    await doors.account("kim")
    for wished, granted in (("Zoe", True), ("kim", False), ("AI", False), ("x" * 40, True), ("a%00b", False)):
        client = await doors.connect(f"/ws?room=general&username={wished}")
        name = (await client.one())["payload"]["user"]["username"]
        assert name == wished[:32] if granted else name.startswith("访客"), wished


@dataclass
class Later:
    """A clock that a test sets forward."""

    ahead_ms: int = 0

    def now_ms(self) -> int:
        return SystemClock().now_ms() + self.ahead_ms


async def test_unused_guests_are_swept(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who wrote nothing for a day is removed; who wrote, or is still here, is not."""
    legacy = doors.live.parley.legacy
    wrote, _ = await come(doors)
    await wrote.send("hello")
    await wrote.one()
    here, _ = await come(doors)
    await here.send("x" * 9000)
    await here.one()
    assert len(await guests(doors)) == 2
    unused = await legacy.store_guest(await legacy.guest("Zoe", await legacy.lobby()))

    monkeypatch.setattr(legacy, "_clock", Later(25 * 3_600_000))
    assert await legacy.sweep_guests(frozenset(doors.live.parley.hub.users)) == 1

    left = [number for number, _ in await guests(doors)]
    assert unused.user_id not in left
    assert len(left) == 2
    await here.send("now I write")
    assert await here.raw() == "now I write"


async def test_the_server_sweeps_by_itself(opening: OpenDoors, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every hour, from the start on."""

    from parley.app import parley as app
    from parley.services.legacy import Legacy

    swept: list[Any] = []

    async def sweep(_: Legacy, here: Any = ()) -> int:
        swept.append(here)
        return 0

    monkeypatch.setattr(app, "SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(Legacy, "sweep_guests", sweep)
    async with opening():
        await until(lambda: len(swept) > 2)

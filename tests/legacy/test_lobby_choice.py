"""Which dialect a client gets, and who is let in."""

from __future__ import annotations

import pytest
from tests.legacy.client import Doors
from tests.legacy.conftest import OpenDoors

ALL = ["lobby", "direct", "room", "kama"]


async def test_nothing_is_the_lobby(doors: Doors) -> None:
    """A client that brings nothing speaks the lobby dialect."""
    client = await doors.connect("/ws")

    await client.send("ping")

    assert "pong" in await client.got(2)


async def test_a_room_is_the_room_dialect(doors: Doors) -> None:
    """`room` in the query, or its path: the first frame is `init`."""
    for path in ("/ws?room=general", "/ws/room/general"):
        client = await doors.connect(path)
        first = await client.one()
        assert (first["type"], first["payload"]["room_id"]) == ("init", "general")


async def test_named_paths(doors: Doors) -> None:
    """A path that names a dialect wins over what the query says."""
    lobby = await doors.connect("/ws/lobby?room=general")

    await lobby.send("ping")

    assert "pong" in await lobby.got(2)
    assert (await doors.refused("/ws/direct")).status == 401
    assert (await doors.refused("/ws/kama")).status == 200
    assert (await doors.refused("/ws?client_id=&room=general")).status == 200
    assert (await doors.refused("/ws/nowhere")).status == 404


@pytest.mark.parametrize("off", ALL)
async def test_a_dialect_that_is_off_is_not_there(opening: OpenDoors, off: str) -> None:
    """404, and never the next in line."""
    paths = {
        "lobby": ["/ws", "/ws/lobby"],
        "direct": ["/ws?token=x", "/ws/direct"],
        "room": ["/ws?room=general", "/ws/room/general", "/ws?room=general&token=x"],
        "kama": ["/ws?client_id=U1", "/ws?client_id=", "/ws/kama", "/wss"],
    }
    async with opening(compat={"enabled": [name for name in ALL if name != off]}) as doors:
        for path in paths[off]:
            assert (await doors.refused(path)).status == 404, path


async def test_a_bad_room_name_is_refused(doors: Doors) -> None:
    """A name that no room could have is a bad request before the upgrade."""
    for name in ["", "a%20b", "..", "a/b", "x" * 65, "%E5%A4%A7", "a%00b", "room%0A"]:
        assert (await doors.refused(f"/ws?room={name}")).status == 400, name
        assert (await doors.refused(f"/ws/room/{name}")).status == 400, name

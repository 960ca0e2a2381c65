"""The lobby clients' HTTP routes: always `{code, message, data}`."""

from __future__ import annotations

from typing import Any

import pytest
from tests.legacy.client import Doors
from tests.legacy.conftest import OpenDoors

ANN = {"username": "ann", "password": "password1"}


async def test_health(doors: Doors) -> None:
    """The envelope, byte for byte."""
    answer = await doors.get("/api/health")

    assert answer.content == b'{"code":200,"message":"success","data":{"status":"ok"}}'


async def test_register_login_connect(doors: Doors) -> None:
    """The token of either is good at the doors."""
    made = await doors.post("/api/user/register", ANN)
    again = await doors.post("/api/user/login", ANN | {"remember": True})

    for answer in (made, again):
        assert answer.status_code == 200
        body = answer.json()
        assert (body["code"], body["message"]) == (200, "success")
        assert (body["data"]["username"], body["data"]["user_id"].isdecimal()) == ("ann", True)
        client = await doors.connect("/ws?room=general", {"Authorization": f"Bearer {body['data']['token']}"})
        assert (await client.one())["payload"]["user"]["username"] == "ann"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("register", {}, 400),
        ("register", [], 400),
        ("register", {"username": 1, "password": None}, 400),
        ("register", {"username": "系统", "password": "password1"}, 409),
        ("register", {"username": "bob", "password": "short"}, 400),
        ("register", {"username": "ann", "password": "password1"}, 409),
        ("login", {"username": "ann", "password": "wrong one"}, 401),
        ("login", "text", 400),
    ],
    ids=str,
)
async def test_refusals_are_enveloped(doors: Doors, path: str, body: Any, status: int) -> None:
    """HTTP's status, and the same number inside."""
    await doors.post("/api/user/register", ANN)

    answer = await doors.post(f"/api/user/{path}", body)

    told = answer.json()
    assert (answer.status_code, told["code"], told["data"]) == (status, status, None)
    assert isinstance(told["message"], str)
    assert told["message"]


async def test_no_assistant(doors: Doors) -> None:
    """Said in the clients' own words; a guest from elsewhere is not even told that."""
    answer = await doors.post("/api/ai/chat", {"message": "hi", "stream": False})
    assert answer.json() == {"code": 503, "message": "AI服务暂时不可用，请稍后重试", "data": None}

    far = await doors.post("/api/ai/chat", {"message": "hi"}, {"X-Forwarded-For": "203.0.113.7"})
    assert far.json()["code"] == 401


async def test_the_routes_go_with_the_dialect(opening: OpenDoors) -> None:
    """Where the lobby dialect is off its routes are not there."""
    async with opening(compat={"enabled": ["room"]}) as doors:
        assert (await doors.get("/api/health")).status_code == 404
        assert (await doors.post("/api/user/login", ANN)).status_code == 404

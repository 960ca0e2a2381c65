"""Bots: a token shown once lets a program in by HTTP and by WebSocket, until it is revoked."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from fastapi.routing import APIRoute
from tests.bots.conftest import by
from tests.gateway.live import Live, Person, Template, live_server
from websockets.exceptions import ConnectionClosed, InvalidStatus

from parley.http.bots import router
from parley.testing import RawSocket


async def made(http: httpx.AsyncClient, owner: Person, name: str = "robot") -> tuple[str, str]:
    """A bot's id and token."""
    answer = await http.post("/bots", json={"username": name}, headers=by(owner.token))
    assert answer.status_code == 201, answer.text
    return answer.json()["bot"]["id"], answer.json()["token"]


async def test_a_bot_reads_and_writes_where_it_is_a_member(
    server: Live, admin: Person, http: httpx.AsyncClient
) -> None:
    bot, token = await made(http, admin)
    room = await server.group(admin)
    mine = {"client_id": "b1", "kind": "text", "text": "beep"}

    outside = await http.post(f"/conversations/{room}/messages", json=mine, headers=by(token))
    await http.post(f"/conversations/{room}/members", json={"user_ids": [bot]}, headers=by(admin.token))
    inside = await http.post(f"/conversations/{room}/messages", json=mine, headers=by(token))
    socket = await server.open(token=token)
    welcome = (await socket.expect("welcome"))["payload"]
    await socket.acked("message.send", {"conversation_id": room, "client_id": "b2", "text": "boop"})
    found = (await http.get("/users", params={"q": "robot"}, headers=by(admin.token))).json()["items"]

    assert (outside.status_code, inside.status_code) == (404, 201)
    assert (welcome["user"]["role"], welcome["user"]["id"]) == ("bot", bot)
    assert [(it["id"], it["role"]) for it in found] == [(bot, "bot")]


async def test_a_revoked_token_is_good_for_nothing(server: Live, admin: Person, http: httpx.AsyncClient) -> None:
    """Its socket closes at once; another token of the same bot goes on."""
    bot, token = await made(http, admin)
    other = (await http.post(f"/bots/{bot}/tokens", headers=by(admin.token))).json()
    listed = (await http.get(f"/bots/{bot}/tokens", headers=by(admin.token))).json()["items"]
    first = next(it["id"] for it in listed if it["id"] != other["id"])
    socket = await server.open(token=token)
    await socket.expect("welcome")

    gone = await http.delete(f"/bots/{bot}/tokens/{first}", headers=by(admin.token))
    with pytest.raises(ConnectionClosed) as closed:
        await socket.recv()
    refused = await http.get("/users/me", headers=by(token))
    with pytest.raises(InvalidStatus):
        await RawSocket.open(server.url, token=token)

    assert gone.status_code == 204
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4500
    assert (refused.status_code, refused.json()["name"]) == (401, "session_ended")
    assert (await http.get("/users/me", headers=by(other["token"]))).status_code == 200
    assert token not in str(listed)


async def test_a_removed_bot_never_comes_in_again(server: Live, admin: Person, http: httpx.AsyncClient) -> None:
    bot, token = await made(http, admin)
    other = (await http.post(f"/bots/{bot}/tokens", headers=by(admin.token))).json()["token"]

    assert (await http.delete(f"/bots/{bot}", headers=by(admin.token))).status_code == 204

    for each in (token, other):
        assert (await http.get("/users/me", headers=by(each))).status_code == 401
    assert (await http.get("/bots", headers=by(admin.token))).json()["items"] == []
    again = await http.post("/bots", json={"username": "robot"}, headers=by(admin.token))
    assert again.json()["name"] == "username_taken"


@pytest.mark.parametrize("forged", ["pbt-", "pbt-1.x", "{0}x", "{1}", "pbt-{2}.{3}", "{4}"])
async def test_what_is_nearly_a_token_is_none(
    server: Live, admin: Person, http: httpx.AsyncClient, forged: str
) -> None:
    """Cut, lengthened, another session's, another's secret."""
    _, token = await made(http, admin)
    secret = token.partition(".")[2]
    wrong = forged.format(
        token, token[:-1], admin.identity.session_id, secret, token[:-1] + ("A" if token[-1] != "A" else "B")
    )

    assert (await http.get("/users/me", headers=by(wrong))).status_code == 401


async def test_a_bot_is_a_bot_and_no_way_around_it(server: Live, admin: Person, http: httpx.AsyncClient) -> None:
    """It makes no bots, no longer-lived tokens and no invites, and nobody signs in as it."""
    bot, token = await made(http, admin)

    refused = [
        await http.post("/bots", json={"username": "child"}, headers=by(token)),
        await http.post("/auth/legacy-token", headers=by(token)),
        await http.post("/invites", json={}, headers=by(token)),
        await http.post(f"/bots/{bot}/tokens", headers=by(token)),
        await http.delete(f"/bots/{bot}", headers=by(token)),
        await http.post("/auth/login", json={"username": "robot", "password": ""}),
        await http.post("/auth/refresh", json={"refresh_token": token}),
    ]

    assert [it.status_code for it in refused] == [403, 403, 403, 404, 404, 401, 401]


async def test_everyone_may_make_bots_where_that_is_set(template: Template, tmp_path: Path) -> None:
    """A few each; and only where it is set."""
    template.lay_down(tmp_path)
    async with live_server(tmp_path, bots={"create": "everyone", "per_owner": 2}) as server:
        await server.person("admin")
        ann = await server.person("ann")
        async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", trust_env=False) as http:
            codes = [
                (await http.post("/bots", json={"username": f"bot{n}"}, headers=by(ann.token))).status_code
                for n in range(3)
            ]
    assert codes == [201, 201, 409]


async def test_a_bot_has_a_rate(template: Template, tmp_path: Path) -> None:
    """Each token its own."""
    template.lay_down(tmp_path)
    async with live_server(tmp_path, bots={"requests_per_minute": 3}) as server:
        admin = await server.person("admin")
        async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", trust_env=False) as http:
            _, token = await made(http, admin)
            _, other = await made(http, admin, "other")
            answers = [await http.get("/users/me", headers=by(token)) for _ in range(4)]
            fresh = await http.get("/users/me", headers=by(other))
    assert [it.status_code for it in answers] == [200, 200, 200, 429]
    assert "retry-after" in answers[-1].headers
    assert fresh.status_code == 200


ROUTES = [
    ("POST", "/bots", {"username": "fresh"}),
    ("GET", "/bots", None),
    ("GET", "/bots?all=true", None),
    ("GET", "/bots/{bot}/tokens", None),
    ("POST", "/bots/{bot}/tokens", {}),
    ("DELETE", "/bots/{bot}/tokens/{token}", None),
    ("DELETE", "/bots/{bot}", None),
]
ALLOWED = {
    # nobody, another user, the bot itself, an administrator
    "POST /bots": (401, 403, 403, 201),
    "GET /bots": (401, 200, 200, 200),
    "GET /bots?all=true": (401, 403, 403, 200),
    "GET /bots/{bot}/tokens": (401, 404, 404, 200),
    "POST /bots/{bot}/tokens": (401, 404, 404, 201),
    "DELETE /bots/{bot}/tokens/{token}": (401, 404, 404, 204),
    "DELETE /bots/{bot}": (401, 404, 404, 204),
}


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_who_may_do_what(
    server: Live, admin: Person, http: httpx.AsyncClient, method: str, path: str, body: dict[str, str] | None
) -> None:
    """Each route by everybody; a route without a row fails here."""
    bot, token = await made(http, admin)
    other = await server.person("other")
    listed = (await http.get(f"/bots/{bot}/tokens", headers=by(admin.token))).json()["items"]
    where = path.format(bot=bot, token=listed[0]["id"])
    callers = [{}, by(other.token), by(token), by(admin.token)]

    answers = [await http.request(method, where, json=body, headers=caller) for caller in callers]

    assert tuple(it.status_code for it in answers) == ALLOWED[f"{method} {path}"]
    routes = {
        f"{name} {route.path.replace('bot_id', 'bot').replace('token_id', 'token')}"
        for route in router.routes
        if isinstance(route, APIRoute)
        for name in route.methods or ()
    }
    assert routes == {f"{name} {route.partition('?')[0]}" for name, route, _ in ROUTES}

"""Webhooks: whoever has the address posts into one conversation, under the webhook's name, and can do nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from tests.bots.conftest import by
from tests.gateway.live import Live, Person, Template, live_server

from parley.observability import without_secrets
from parley.services.webhooks import plain


async def hooked(http: httpx.AsyncClient, owner: Person, room: str, name: str = "Builds") -> tuple[str, str]:
    """A webhook's id, and the address within the API."""
    answer = await http.post(f"/conversations/{room}/webhooks", json={"name": name}, headers=by(owner.token))
    assert answer.status_code == 201, answer.text
    return answer.json()["webhook"]["id"], answer.json()["path"].removeprefix("/api/v1")


async def texts(http: httpx.AsyncClient, reader: Person, room: str) -> list[str]:
    page = (await http.get(f"/conversations/{room}/messages", headers=by(reader.token))).json()
    return [it["text"] for it in page["items"]]


async def test_it_posts_as_json_and_as_a_form(server: Live, admin: Person, http: httpx.AsyncClient) -> None:
    """As programs written for such addresses do; what else they send is passed over."""
    room = await server.group(admin)
    _, path = await hooked(http, admin, room)
    more = {"username": "admin", "channel": "#other", "icon_emoji": ":x:"}

    as_json = await http.post(path, json={"text": "one", **more})
    as_form = await http.post(path, data={"payload": json.dumps({"text": "two <https://a.example|a> &amp; b"})})
    again = [await http.post(path, params={"client_id": "same"}, json={"text": "three"}) for _ in range(2)]

    assert [(it.status_code, it.text) for it in (as_json, as_form, *again)] == [(200, "ok")] * 4
    assert await texts(http, admin, room) == ["one", "two a (https://a.example) & b", "three"]
    page = (await http.get(f"/conversations/{room}/messages", headers=by(admin.token))).json()["items"]
    writer = (await http.get(f"/users/{page[0]['by']}", headers=by(admin.token))).json()
    assert (writer["display_name"], writer["role"]) == ("Builds", "webhook")


async def test_without_the_secret_there_is_nothing(server: Live, admin: Person, http: httpx.AsyncClient) -> None:
    """Wrong, cut, another's, revoked: all are answered alike."""
    room, other = await server.group(admin), await server.group(admin)
    hook, path = await hooked(http, admin, room)
    second, elsewhere = await hooked(http, admin, other)
    swapped = f"/hooks/{second}.{path.rpartition('.')[2]}"
    revoked = await http.delete(f"/conversations/{other}/webhooks/{second}", headers=by(admin.token))

    wrong = [path[:-1], path + "x", swapped, elsewhere, "/hooks/x", "/hooks/999.", f"/hooks/{hook}"]
    answers = [await http.post(it, json={"text": "hello"}) for it in wrong]

    assert revoked.status_code == 204
    assert {(it.status_code, it.json()["name"]) for it in answers} == {(404, "not_found")}
    assert await texts(http, admin, room) == await texts(http, admin, other) == []


@pytest.mark.parametrize(
    ("content", "kind", "name"),
    [
        (b"", "application/json", "bad_payload"),
        (b"not json", "application/json", "bad_payload"),
        (b"[]", "application/json", "bad_payload"),
        (b'{"text": 1}', "application/json", "bad_payload"),
        (b'{"text": " "}', "application/json", "bad_payload"),
        (b'{"blocks": []}', "application/json", "bad_payload"),
        (b'{"text": "a\\u0000"}', "application/json", "bad_payload"),
        (b"payload=%7B%22text%22%3A%22a%5Cu0000%22%7D", "application/x-www-form-urlencoded", "bad_payload"),
        (b"payload=%7B%22text%22%3A%22%5Cud800%22%7D", "application/x-www-form-urlencoded", "bad_payload"),
        (b"text=hello", "application/x-www-form-urlencoded", "bad_payload"),
        (b"&".join([b"a=1"] * 50), "application/x-www-form-urlencoded", "bad_payload"),
        (json.dumps({"text": "x" * 8001}).encode(), "application/json", "too_long"),
        (b'{"text": "' + b"x" * 300_000 + b'"}', "application/json", "too_long"),
    ],
)
async def test_what_is_no_post_is_refused(
    server: Live, admin: Person, http: httpx.AsyncClient, content: bytes, kind: str, name: str
) -> None:
    room = await server.group(admin)
    _, path = await hooked(http, admin, room)

    answer = await http.post(path, content=content, headers={"content-type": kind})

    assert answer.json()["name"] == name
    assert await texts(http, admin, room) == []


async def test_it_takes_nobody_elses_name(server: Live, admin: Person, http: httpx.AsyncClient) -> None:
    room = await server.group(admin)

    answers = [
        await http.post(f"/conversations/{room}/webhooks", json={"name": name}, headers=by(admin.token))
        for name in ("admin", "ADMIN", "ai", "系统", " ", "a\u202eb", "x" * 65)
    ]

    assert [it.status_code for it in answers] == [409, 409, 409, 409, 400, 400, 400]


async def test_it_has_a_rate_and_a_conversation_a_number_of_them(template: Template, tmp_path: Path) -> None:
    template.lay_down(tmp_path)
    async with live_server(tmp_path, bots={"posts_per_minute": 2, "webhooks_per_conversation": 1}) as server:
        admin = await server.person("admin")
        room = await server.group(admin)
        async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", trust_env=False) as http:
            _, path = await hooked(http, admin, room)
            posts = [await http.post(path, json={"text": "x"}) for _ in range(3)]
            second = await http.post(f"/conversations/{room}/webhooks", json={"name": "B"}, headers=by(admin.token))
    assert [it.status_code for it in posts] == [200, 200, 429]
    assert second.json()["name"] == "limit_reached"


async def test_a_closed_conversation_takes_no_posts(server: Live, admin: Person, http: httpx.AsyncClient) -> None:
    room = await server.group(admin)
    _, path = await hooked(http, admin, room)
    await http.delete(f"/conversations/{room}", headers=by(admin.token))

    assert (await http.post(path, json={"text": "x"})).json()["name"] == "conversation_closed"


ROUTES = [
    ("POST", "/conversations/{room}/webhooks", {"name": "New"}),
    ("GET", "/conversations/{room}/webhooks", None),
    ("DELETE", "/conversations/{room}/webhooks/{hook}", None),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_administrators_of_the_conversation_only(
    server: Live, admin: Person, http: httpx.AsyncClient, method: str, path: str, body: dict[str, str] | None
) -> None:
    """Not nobody, not a stranger, not the server's administrator, not one who has left, not a member; its owner."""
    owner, member, gone, stranger = [await server.person(it) for it in ("owner", "member", "gone", "stranger")]
    room = await server.group(owner, member, gone)
    await server.remove(owner, room, gone)
    hook, _ = await hooked(http, owner, room)
    where = path.format(room=room, hook=hook)
    callers = [{}, by(stranger.token), by(admin.token), by(gone.token), by(member.token), by(owner.token)]

    answers = [await http.request(method, where, json=body, headers=caller) for caller in callers]

    done = {"POST": 201, "GET": 200, "DELETE": 204}[method]
    assert [it.status_code for it in answers] == [401, 404, 404, 404, 403, done]


async def test_a_direct_conversation_has_none(server: Live, admin: Person, http: httpx.AsyncClient) -> None:
    other = await server.person("other")
    direct, _ = await server.parley.conversations.open_direct(admin.actor, other.actor.user_id)

    answer = await http.post(f"/conversations/{direct}/webhooks", json={"name": "B"}, headers=by(admin.token))

    assert answer.json()["name"] == "unsupported"


def test_its_address_is_in_no_log_line() -> None:
    """Nor a bot's token."""
    secret = "A" * 43

    assert secret not in without_secrets(f"request path=/api/v1/hooks/12.{secret} status=404")
    assert secret not in without_secrets(f"authorization pbt-382392041.{secret}")


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("<https://a.example>", "https://a.example"),
        ("<https://a.example|here>", "here (https://a.example)"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("&lt;b&gt; &amp;amp;", "<b> &amp;"),
        ("<!channel> <@U1>", "<!channel> <@U1>"),
    ],
)
def test_what_is_meant_by_a_text(sent: str, shown: str) -> None:
    assert plain(sent) == shown

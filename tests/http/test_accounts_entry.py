"""Coming in: registration, the first account, login."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select, update
from tests.http.accounts_server import (
    PASSWORD,
    SmallServer,
    bearer,
    cheap_passwords,
    log_in,
    name_of,
    register,
    small_server,
)

from parley.store.tables import conversations, marks, users

RACERS = int(os.environ.get("PARLEY_RACERS", "200"))
"""First registrations at once; the proof runs a thousand."""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[SmallServer]:
    async with small_server(tmp_path) as it:
        yield it


async def test_the_first_local_account_is_the_administrator(server: SmallServer) -> None:
    """And only the first."""
    assert (await server.account("alice"))["user"]["role"] == "admin"
    assert (await server.account("bob"))["user"]["role"] == "member"


@pytest.mark.parametrize(
    ("host", "peer", "headers"),
    [
        ("chat.example.org", "127.0.0.1", {}),
        ("127.0.0.1:8000", "203.0.113.9", {}),
        ("127.0.0.1:8000", "127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}),
        ("127.0.0.1:8000", "127.0.0.1", {"Forwarded": "for=127.0.0.1"}),
    ],
)
async def test_a_first_account_from_elsewhere_needs_the_code(
    server: SmallServer, host: str, peer: str, headers: dict[str, str]
) -> None:
    """One hint of a stranger is enough."""
    async with server.client(host, peer, **headers) as client:
        config = (await client.get("/api/v1/auth/config")).json()
        assert config["first_account"]
        assert config["setup_code_needed"]
        assert name_of(await register(client, "mallory")) == (403, "setup_code_required")
        assert name_of(await register(client, "mallory", setup_code="AAAAA")) == (403, "setup_code_required")

        made = await register(client, "alice", setup_code=f" {server.accounts.setup_code.lower()} ")
        assert made.status_code == 201
        assert made.json()["user"]["role"] == "admin"
        assert not (await client.get("/api/v1/auth/config")).json()["first_account"]


async def test_a_public_listener_makes_nobody_local(tmp_path: Path) -> None:
    """On 0.0.0.0 a request that looks local may come through a proxy."""
    async with small_server(tmp_path, server={"host": "0.0.0.0"}) as server, server.client() as client:
        assert name_of(await register(client, "alice")) == (403, "setup_code_required")


async def test_many_first_registrations_at_once_make_one_administrator(tmp_path: Path) -> None:
    """Decided inside the write transaction, so no race has two winners."""
    async with small_server(tmp_path, cheap_passwords(waiting=RACERS)) as server, server.client() as client:
        answers = await asyncio.gather(*(register(client, f"user-{n}") for n in range(RACERS)))
        assert Counter(answer.status_code for answer in answers) == {201: RACERS}
        assert Counter(answer.json()["user"]["role"] for answer in answers) == {"admin": 1, "member": RACERS - 1}


async def test_the_lobby_begins_read_for_a_newcomer(server: SmallServer) -> None:
    """What was said before one came is not unread; the lobby counts its members."""

    def talk(connection: object) -> None:
        connection.execute(update(conversations).values(last_seq=42, last_ordinal=40))  # type: ignore[attr-defined]

    await server.database.write(talk)
    user_id = int((await server.account("alice"))["user"]["id"])
    mark = await server.database.read(lambda connection: connection.execute(select(marks)).one())
    assert (mark.user_id, mark.read_seq, mark.read_ordinal, mark.delivered_seq) == (user_id, 42, 40, 42)
    assert await server.database.read(lambda connection: connection.scalar(select(conversations.c.member_count))) == 1


@pytest.mark.parametrize(
    ("username", "refusal"),
    [
        ("a", (400, "bad_payload")),
        ("x" * 33, (400, "bad_payload")),
        ("two words", (400, "bad_payload")),
        (".dot", (400, "bad_payload")),
        ("ﷺ-x", (400, "bad_payload")),
        ("al\u202eice", (400, "bad_payload")),
        ("AI", (409, "username_taken")),
        ("ＡＩ", (409, "username_taken")),
        ("系统", (409, "username_taken")),
        ("ＡLICE", (409, "username_taken")),
    ],
)
async def test_names_that_cannot_be_had(server: SmallServer, username: str, refusal: tuple[int, str]) -> None:
    """Compatibility forms and case do not make another name."""
    await server.account("alice")
    async with server.client() as client:
        assert name_of(await register(client, username)) == refusal


async def test_chinese_names_are_names(server: SmallServer) -> None:
    assert (await server.account("张伟"))["user"]["username"] == "张伟"


@pytest.mark.parametrize("password", ["short", "x" * 257])
async def test_passwords_have_bounds(server: SmallServer, password: str) -> None:
    async with server.client() as client:
        answer = await client.post("/api/v1/auth/register", json={"username": "alice", "password": password})
        assert name_of(answer) == (400, "bad_payload")
        assert password not in answer.text


async def test_wrong_name_and_wrong_password_get_one_answer(server: SmallServer) -> None:
    """Nobody can ask the server who has an account."""
    await server.account("alice")
    async with server.client() as client:
        wrong = await log_in(client, "alice", "not the password")
        nobody = await log_in(client, "nobody", "not the password")
        assert name_of(wrong) == (401, "invalid_credentials")
        assert wrong.text == nobody.text
        assert (await log_in(client, "ALICE")).status_code == 200


async def test_guessing_is_slowed_and_a_right_password_is_not(server: SmallServer) -> None:
    """Ten tries a minute of a name from an address; time alone brings them back, whatever the wall clock does."""
    await server.account("alice")
    async with server.client() as client:
        for _ in range(20):
            assert (await log_in(client, "alice")).status_code == 200
        for _ in range(10):
            assert name_of(await log_in(client, "alice", "wrong password")) == (401, "invalid_credentials")
        refused = await log_in(client, "alice")
        assert name_of(refused) == (429, "rate_limited")
        assert 0 < refused.json()["retry_after_ms"] <= 60_000
        assert refused.headers["retry-after"] == "60"

        server.clock.jump(-10 * 365 * 86_400)
        server.clock.advance(61)
        assert (await log_in(client, "alice")).status_code == 200


async def test_a_full_password_queue_is_busy(tmp_path: Path) -> None:
    """A flood of logins is refused early and may be tried again."""
    async with small_server(tmp_path, cheap_passwords(threads=1, waiting=0)) as server, server.client() as client:
        await register(client, "alice")
        answers = await asyncio.gather(*(log_in(client, f"user-{n}") for n in range(20)))
        names = Counter(name_of(answer) for answer in answers)
        assert set(names) == {(401, "invalid_credentials"), (503, "busy")}
        assert all(answer.json()["retryable"] for answer in answers if answer.status_code == 503)


async def test_a_deactivated_account_is_out_at_once(server: SmallServer) -> None:
    login = await server.account("alice")

    def deactivate(connection: object) -> None:
        connection.execute(update(users).values(deactivated_at=1))  # type: ignore[attr-defined]

    await server.database.write(deactivate)
    server.clock.advance(1)
    async with server.client() as client:
        assert name_of(await log_in(client, "alice")) == (401, "invalid_credentials")
        assert name_of(await client.get("/api/v1/users/me", headers=bearer(login))) == (401, "session_ended")


async def test_invites_let_in_as_often_as_they_say(tmp_path: Path) -> None:
    """Also when ten use one at the same moment."""
    async with small_server(tmp_path, auth={"registration": "invite"}) as server, server.client() as client:
        admin = bearer(await server.account("admin"))
        assert name_of(await register(client, "bob")) == (403, "invalid_invite")

        made = (await client.post("/api/v1/invites", json={"uses": 2}, headers=admin)).json()
        answers = await asyncio.gather(*(register(client, f"user-{n}", invite=made["code"]) for n in range(10)))
        assert Counter(answer.status_code for answer in answers) == {201: 2, 403: 8}

        listed = (await client.get("/api/v1/invites", headers=admin)).json()["items"]
        assert [(it["id"], it["used"], it.get("code")) for it in listed] == [(made["id"], 2, None)]
        member = bearer(next(answer.json() for answer in answers if answer.status_code == 201))
        assert name_of(await client.get("/api/v1/invites", headers=member)) == (403, "forbidden")
        assert (await client.delete(f"/api/v1/invites/{made['id']}", headers=admin)).status_code == 204
        assert name_of(await client.delete(f"/api/v1/invites/{made['id']}", headers=admin)) == (404, "not_found")


async def test_a_taken_name_does_not_use_an_invite_up(tmp_path: Path) -> None:
    async with small_server(tmp_path, auth={"registration": "invite"}) as server, server.client() as client:
        admin = bearer(await server.account("admin"))
        made = (await client.post("/api/v1/invites", json={}, headers=admin)).json()
        assert name_of(await register(client, "Admin", invite=made["code"])) == (409, "username_taken")
        assert (await register(client, "bob", invite=made["code"])).status_code == 201


async def test_an_expired_invite_is_none(tmp_path: Path) -> None:
    async with small_server(tmp_path, auth={"registration": "invite"}) as server, server.client() as client:
        admin = bearer(await server.account("admin"))
        code = (await client.post("/api/v1/invites", json={"hours": 1}, headers=admin)).json()["code"]
        server.clock.advance(3600)
        assert name_of(await register(client, "bob", invite=code)) == (403, "invalid_invite")


async def test_a_closed_server_takes_its_first_account_and_no_other(tmp_path: Path) -> None:
    async with small_server(tmp_path, auth={"registration": "closed"}) as server, server.client() as client:
        assert (await register(client, "admin")).status_code == 201
        assert name_of(await register(client, "bob")) == (403, "registration_closed")


async def test_registering_from_elsewhere_is_slowed(server: SmallServer) -> None:
    await server.account("admin")
    async with server.client("chat.example.org", "203.0.113.9") as client:
        codes = [(await register(client, f"user-{n}")).status_code for n in range(25)]
    assert codes == [201] * 20 + [429] * 5


async def test_the_cookie_is_the_only_credential_it_brings(server: SmallServer) -> None:
    """With `cookie` both tokens are null and the cookie cannot be read by scripts."""
    await server.account("alice")
    async with server.client(Origin="http://127.0.0.1:8000") as client:
        answer = await log_in(client, "alice", PASSWORD, cookie=True)
        assert (answer.json()["access_token"], answer.json()["refresh_token"]) == (None, None)
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Secure" not in cookie
        assert (await client.get("/api/v1/users/me")).json()["username"] == "alice"

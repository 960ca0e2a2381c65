"""Staying in and being put out: tokens, refreshes, sessions, tickets, the cookie's Origin."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.http.accounts_server import KEY, SmallServer, bearer, log_in, name_of, small_server

from parley.protocol.errors import ChatError, Code
from parley.services.sessions import A_USER, GRACE_MS, IDLE_MS
from parley.services.tickets.interface import A_SESSION
from parley.store.tables import sessions
from parley.testing.clock import FakeClock

ME = "/api/v1/users/me"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[SmallServer]:
    async with small_server(tmp_path) as it:
        yield it


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forge(good: str, header: dict[str, Any] | None = None, key: bytes | None = None, **claims: Any) -> str:
    """A token like `good` with another header, other claims (None removes one), another key than ours."""
    head, body, _ = good.split(".")
    said = {**json.loads(base64.urlsafe_b64decode(body + "==")), **claims}
    said = {name: value for name, value in said.items() if value is not None}
    head = b64(json.dumps({"alg": "HS256", "typ": "JWT"} if header is None else header).encode())
    body = b64(json.dumps(said).encode())
    ours = hmac.new(KEY, b"access token", hashlib.sha256).digest()
    digest = "sha512" if (header or {}).get("alg") == "HS512" else "sha256"
    return f"{head}.{body}.{b64(hmac.new(ours if key is None else key, f'{head}.{body}'.encode(), digest).digest())}"


HS256 = {"alg": "HS256", "typ": "JWT"}
FORGERIES: dict[str, Callable[[str], str]] = {
    "empty": lambda good: "",
    "text": lambda good: "abc",
    "two_parts": lambda good: good.rpartition(".")[0],
    "no_signature": lambda good: good.rpartition(".")[0] + ".",
    "four_parts": lambda good: good + ".x",
    "five_parts": lambda good: good + ".x.y",
    "signature_changed": lambda good: good[:-8] + "AAAAAAAA",
    "signature_of_another": lambda good: good.rpartition(".")[0] + "." + forge(good, sub="7").rpartition(".")[2],
    "foreign_key": lambda good: forge(good, key=b"x" * 32),
    "master_key": lambda good: forge(good, key=KEY),
    "empty_key": lambda good: forge(good, key=b""),
    "none": lambda good: forge(good, {"alg": "none"}).rpartition(".")[0] + ".",
    "None": lambda good: forge(good, {"alg": "None", "typ": "JWT"}).rpartition(".")[0] + ".",
    "none_signed": lambda good: forge(good, {"alg": "none", "typ": "JWT"}),
    "hs512": lambda good: forge(good, {"alg": "HS512", "typ": "JWT"}),
    "rs256": lambda good: forge(good, {"alg": "RS256", "typ": "JWT"}),
    "lower_case": lambda good: forge(good, {"alg": "hs256", "typ": "JWT"}),
    "no_algorithm": lambda good: forge(good, {"typ": "JWT"}),
    "algorithm_list": lambda good: forge(good, {"alg": ["HS256"], "typ": "JWT"}),
    "crit": lambda good: forge(good, {**HS256, "crit": ["exp"], "exp": 1}),
    "crit_unknown": lambda good: forge(good, {**HS256, "crit": ["x"], "x": 1}),
    "b64_false": lambda good: forge(good, {**HS256, "b64": False, "crit": ["b64"]}),
    "jku": lambda good: forge(good, {**HS256, "jku": "https://evil.example"}),
    "jwk": lambda good: forge(good, {**HS256, "jwk": {"kty": "oct", "k": "AAAA"}}),
    "kid": lambda good: forge(good, {**HS256, "kid": "../../dev/null"}),
    "other_type": lambda good: forge(good, {"alg": "HS256", "typ": "at+jwt"}),
    "no_audience": lambda good: forge(good, aud=None),
    "foreign_audience": lambda good: forge(good, aud="other"),
    "legacy_audience": lambda good: forge(good, aud="legacy"),
    "audience_list": lambda good: forge(good, aud=["parley"]),
    "audience_begins": lambda good: forge(good, aud="parley2"),
    "foreign_issuer": lambda good: forge(good, iss="other"),
    "no_expiry": lambda good: forge(good, exp=None),
    "expiry_text": lambda good: forge(good, exp="9999999999"),
    "expiry_float": lambda good: forge(good, exp=9e9),
    "expiry_true": lambda good: forge(good, exp=True),
    "expired": lambda good: forge(good, exp=1_700_000_000),
    "not_yet": lambda good: forge(good, nbf=9_999_999_999),
    "no_subject": lambda good: forge(good, sub=None),
    "other_subject": lambda good: forge(good, sub="2"),
    "subject_number": lambda good: forge(good, sub=1),
    "subject_sql": lambda good: forge(good, sub="1 OR 1=1"),
    "no_session": lambda good: forge(good, sid=None),
    "other_session": lambda good: forge(good, sid="12345"),
    "huge_session": lambda good: forge(good, sid="9" * 19),
    "very_long": lambda good: forge(good, jti="x" * 10_000),
}


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_forged_tokens_open_nothing(server: SmallServer, forgery: str) -> None:
    """Neither over HTTP nor at the gateway's door."""
    good = (await server.account("alice"))["access_token"]
    forged = FORGERIES[forgery](good)
    async with server.client() as client:
        answer = await client.get(ME, headers={"Authorization": f"Bearer {forged}"})
        assert name_of(answer) in {(401, "unauthenticated"), (401, "session_ended")}
        assert answer.headers["www-authenticate"] == "Bearer"
        assert (await client.get(ME, headers={"Authorization": f"Bearer {good}"})).status_code == 200
    with pytest.raises(ChatError):
        await server.accounts.authenticate(bearer=forged)


async def test_the_forger_can_sign(server: SmallServer) -> None:
    """Without a change the forged token is good, so the table above is refused for what it changes."""
    good = (await server.account("alice"))["access_token"]
    assert (await server.accounts.authenticate(bearer=forge(good))).actor.name == "alice"


async def test_an_access_token_ends_by_the_time_that_passes(server: SmallServer) -> None:
    """Not by what somebody sets the clock to."""
    login = await server.account("alice")
    async with server.client(**bearer(login)) as client:
        for jump in (10 * 365 * 86_400, -20 * 365 * 86_400):
            server.clock.jump(jump)
            server.clock.advance(2)
            assert (await client.get(ME)).status_code == 200
        server.clock.advance(15 * 60)
        assert name_of(await client.get(ME)) == (401, "unauthenticated")


async def refresh(server: SmallServer, token: str) -> Any:
    async with server.client() as client:
        return await client.post("/api/v1/auth/refresh", json={"refresh_token": token})


async def test_a_refresh_rotates_both_tokens(server: SmallServer) -> None:
    first = await server.account("alice")
    second = (await refresh(server, first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert second["user"] == first["user"]
    assert (await server.accounts.authenticate(bearer=second["access_token"])).actor.name == "alice"


async def test_twenty_honest_refreshes_at_once_are_one(server: SmallServer) -> None:
    """All get the same successor, which is good; nobody is logged out."""
    login = await server.account("alice")
    answers = await asyncio.gather(*(refresh(server, login["refresh_token"]) for _ in range(20)))
    (successor,) = {answer.json()["refresh_token"] for answer in answers}
    assert (await refresh(server, successor)).status_code == 200


async def test_a_stolen_refresh_token_ends_the_session(server: SmallServer) -> None:
    """Whoever comes second after the grace shows that there are two, and both are out, sockets included."""
    login = await server.account("alice")
    ended = []
    server.accounts.on_session_ended.append(lambda session, user: ended.append((session, user)))
    assert (await refresh(server, login["refresh_token"])).status_code == 200
    server.clock.advance(GRACE_MS / 1000)
    assert name_of(await refresh(server, login["refresh_token"])) == (401, "refresh_reused")
    assert [user for _, user in ended] == [int(login["user"]["id"])]
    async with server.client(**bearer(login)) as client:
        assert name_of(await client.get(ME)) == (401, "session_ended")
    assert name_of(await refresh(server, login["refresh_token"])) == (401, "session_ended")


async def test_the_grace_survives_a_clock_set_back_over_a_restart(tmp_path: Path) -> None:
    """A negative age is a young one: nobody is called a thief because a clock was wrong."""
    async with small_server(tmp_path) as server:
        login = await server.account("alice")
        await refresh(server, login["refresh_token"])
    async with small_server(tmp_path, clock=FakeClock(now_ms=1_700_000_000_000)) as restarted:
        assert (await refresh(restarted, login["refresh_token"])).status_code == 200


@pytest.mark.parametrize("token", ["", "x", "1.0.", "1.0." + "A" * 43, "1.-1." + "A" * 43, "٣.0." + "A" * 43])
async def test_refresh_tokens_that_are_none(server: SmallServer, token: str) -> None:
    await server.account("alice")
    assert name_of(await refresh(server, token)) == (401, "unauthenticated")


async def test_a_refresh_token_is_good_for_its_generation_only(server: SmallServer) -> None:
    """Its parts are under the MAC."""
    session, generation, mac = (await server.account("alice"))["refresh_token"].split(".")
    assert generation == "0"
    assert name_of(await refresh(server, f"{session}.1.{mac}")) == (401, "unauthenticated")
    assert name_of(await refresh(server, f"{int(session) + 1}.0.{mac}")) == (401, "unauthenticated")


async def test_logout_is_at_once(server: SmallServer) -> None:
    """No answer from the cache outlives it."""
    login = await server.account("alice")
    ended = []
    server.accounts.on_session_ended.append(lambda session, user: ended.append(user))
    async with server.client(**bearer(login)) as client:
        assert (await client.get(ME)).status_code == 200
        assert (await client.post("/api/v1/auth/logout")).status_code == 204
        assert name_of(await client.get(ME)) == (401, "session_ended")
    assert name_of(await refresh(server, login["refresh_token"])) == (401, "session_ended")
    assert ended == [int(login["user"]["id"])]


async def test_another_nodes_revocation_is_seen_within_a_second(server: SmallServer) -> None:
    login = await server.account("alice")
    session = int(login["refresh_token"].partition(".")[0])
    async with server.client(**bearer(login)) as client:
        assert (await client.get(ME)).status_code == 200
        await server.database.write(lambda it: it.execute(sessions.update().values(revoked_at=1)))
        assert await server.accounts.sessions.ended_among([session]) == {session}  # type: ignore[list-item]
        server.clock.advance(1)
        assert name_of(await client.get(ME)) == (401, "session_ended")


async def test_a_password_change_ends_the_other_sessions(server: SmallServer) -> None:
    here = await server.account("alice")
    async with server.client() as client:
        there = (await log_in(client, "alice")).json()
        change = {"old_password": "wrong", "new_password": "another password"}
        answer = await client.post("/api/v1/auth/password", json=change, headers=bearer(here))
        assert name_of(answer) == (401, "invalid_credentials")
        change["old_password"] = "correct horse battery"
        assert (await client.post("/api/v1/auth/password", json=change, headers=bearer(here))).status_code == 204
        assert (await client.get(ME, headers=bearer(here))).status_code == 200
        assert name_of(await client.get(ME, headers=bearer(there))) == (401, "session_ended")
        assert name_of(await log_in(client, "alice")) == (401, "invalid_credentials")
        assert (await log_in(client, "alice", "another password")).status_code == 200


async def test_sessions_are_listed_and_ended_by_their_owner_only(server: SmallServer) -> None:
    alice, bob = await server.account("alice"), await server.account("bob")
    async with server.client(**{"User-Agent": "Test/1"}) as client:
        second = (await log_in(client, "alice")).json()
        items = (await client.get("/api/v1/auth/sessions", headers=bearer(second))).json()["items"]
        assert [it["current"] for it in items] == [False, True]
        assert (items[1]["kind"], items[1]["user_agent"], items[1]["address"]) == ("native", "Test/1", "127.0.0.1")
        one = f"/api/v1/auth/sessions/{items[0]['id']}"
        assert name_of(await client.delete(one, headers=bearer(bob))) == (404, "not_found")
        assert (await client.delete(one, headers=bearer(second))).status_code == 204
        assert name_of(await client.get(ME, headers=bearer(alice))) == (401, "session_ended")
        page = (await client.get("/api/v1/auth/sessions?limit=1", headers=bearer(second))).json()
        assert (len(page["items"]), page["next"]) == (1, None)


async def test_use_keeps_a_session_and_disuse_ends_it(server: SmallServer) -> None:
    """Thirty days after the last use, written down at most every five minutes."""
    login = await server.account("alice")
    for _ in range(3):
        server.clock.advance(20 * 86_400)
        login = (await refresh(server, login["refresh_token"])).json()
    server.clock.advance(600)
    await server.accounts.authenticate(bearer=login["access_token"])
    await server.accounts.sessions.close()
    row = await server.database.read(lambda it: it.execute(select(sessions)).one())
    assert row.last_used_at == server.clock.now_ms()
    assert row.expires_at == row.last_used_at + IDLE_MS
    server.clock.advance(IDLE_MS / 1000)
    assert name_of(await refresh(server, login["refresh_token"])) == (401, "session_ended")


async def test_an_account_has_a_bound_of_sessions(server: SmallServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one not used for longest makes room."""
    assert A_USER == 2000
    monkeypatch.setattr("parley.services.sessions.A_USER", 3)
    logins = [await server.account("alice")]
    async with server.client() as client:
        for _ in range(3):
            server.clock.advance(1)
            logins.append((await log_in(client, "alice")).json())
        seen = [(await client.get(ME, headers=bearer(login))).status_code for login in logins]
    assert seen == [401, 200, 200, 200]


async def test_a_ticket_opens_its_session_once(server: SmallServer) -> None:
    """Used, expired, unknown, raced, or its session over: nothing."""
    login = await server.account("alice")
    async with server.client(**bearer(login)) as client:

        async def ticket() -> str:
            return str((await client.post("/api/v1/auth/ws-ticket")).json()["ticket"])

        async def redeem(it: str) -> str:
            try:
                return (await server.accounts.authenticate(ticket=it)).actor.name
            except ChatError as error:
                return error.spec.name

        one = await ticket()
        assert Counter(await asyncio.gather(*(redeem(one) for _ in range(20)))) == {"alice": 1, "unauthenticated": 19}
        late = await ticket()
        server.clock.jump(-86_400)
        server.clock.advance(30)
        assert await redeem(late) == "unauthenticated"
        assert await redeem("") == "unauthenticated"
        assert await redeem("\ud800") == "unauthenticated"
        many = [await ticket() for _ in range(A_SESSION + 1)]
        assert await redeem(many[0]) == "unauthenticated"
        assert await redeem(many[1]) == "alice"
        await client.post("/api/v1/auth/logout")
        assert await redeem(many[2]) == "session_ended"


async def test_a_legacy_token_is_good_at_the_legacy_doors_only(server: SmallServer) -> None:
    """And has a session that is ended by itself."""
    login = await server.account("alice")
    async with server.client(**bearer(login)) as client:
        made = (await client.post("/api/v1/auth/legacy-token")).json()
        assert made["expires_in"] == 168 * 3600
        legacy = {"Authorization": f"Bearer {made['token']}"}
        assert name_of(await client.get(ME, headers=legacy)) == (401, "unauthenticated")
        identity = await server.accounts.authenticate(bearer=made["token"], audiences=("legacy", "parley"))
        assert identity.kind == "legacy"
        assert (await client.delete(f"/api/v1/auth/sessions/{identity.session_id}")).status_code == 204
        with pytest.raises(ChatError) as refused:
            await server.accounts.authenticate(bearer=made["token"], audiences=("legacy", "parley"))
        assert refused.value.spec is Code.SESSION_ENDED
        assert (await client.get(ME)).status_code == 200


ORIGINS = {
    "http://127.0.0.1:8000": True,
    "https://chat.example.org": True,
    "https://CHAT.example.org": True,
    "https://chat.example.org:443": True,
    "https://127.0.0.1:8000": False,
    "http://127.0.0.1:8001": False,
    "http://127.0.0.1": False,
    "http://chat.example.org": False,
    "https://chat.example.org.evil.test": False,
    "https://evil-chat.example.org": False,
    "https://evil.test/https://chat.example.org": False,
    "https://evil.test#chat.example.org": False,
    "https://chat.example.org@evil.test": False,
    "https://chat.example.org:8443": False,
    "https://sub.chat.example.org": False,
    "https://chat.example.org/": False,
    "https://chat.example.org.": False,
    "https://chat.example.org, https://evil.test": False,
    "chat.example.org": False,
    "//chat.example.org": False,
    "null": False,
    "": False,
    "*": False,
    "file://": False,
    "javascript:alert(1)": False,
    None: False,
}


@pytest.mark.parametrize(("origin", "allowed"), ORIGINS.items(), ids=map(repr, ORIGINS))
async def test_the_cookie_changes_things_for_our_pages_only(tmp_path: Path, origin: str | None, allowed: bool) -> None:
    """Scheme, host and port are compared whole; without an Origin, the browser must say that it is the same."""
    async with small_server(tmp_path, auth={"allowed_origins": ["https://chat.example.org"]}) as server:
        await server.account("alice")
        async with server.client() as client:
            home = {"Origin": "http://127.0.0.1:8000"}
            login = {"username": "alice", "password": "correct horse battery", "cookie": True}
            assert (await client.post("/api/v1/auth/login", json=login, headers=home)).status_code == 200
            headers = {} if origin is None else {"Origin": origin}
            answer = await client.post("/api/v1/auth/ws-ticket", headers=headers)
            assert (answer.status_code == 200) == allowed
            if not allowed:
                assert name_of(answer) == (403, "origin_refused")
                assert name_of(await client.post("/api/v1/auth/login", json=login, headers=headers))[0] == 403
            shown = answer.headers.get("access-control-allow-origin")
            assert shown == (origin if origin == "https://chat.example.org" else None)
            assert (await client.get(ME, headers=headers)).status_code == 200
            same = {"Sec-Fetch-Site": "same-origin"}
            assert (await client.post("/api/v1/auth/ws-ticket", headers=same)).status_code == 200


@pytest.mark.parametrize("change", ["mac", "session", "label", "shape"])
async def test_forged_cookies_open_nothing(server: SmallServer, change: str) -> None:
    login = await server.account("alice")
    async with server.client(Origin="http://127.0.0.1:8000") as client:
        await log_in(client, "alice", cookie=True)
        session, mac = client.cookies["parley_session"].split(".")
        refresh_session, _, refresh_mac = login["refresh_token"].split(".")
        forged = {
            "mac": f"{session}.{'A' * 43}",
            "session": f"{int(session) - 1}.{mac}",
            "label": f"{refresh_session}.{refresh_mac}",
            "shape": f"{session}.0.{mac}",
        }[change]
    async with server.client(Cookie=f"parley_session={forged}") as stranger:
        assert name_of(await stranger.get(ME)) == (401, "unauthenticated")


async def test_a_bad_bearer_is_not_saved_by_a_good_cookie(server: SmallServer) -> None:
    await server.account("alice")
    async with server.client(Origin="http://127.0.0.1:8000") as client:
        await log_in(client, "alice", cookie=True)
        assert (await client.get(ME)).status_code == 200
        for header in ("Bearer", "Bearer ", "Bearer x"):
            assert name_of(await client.get(ME, headers={"Authorization": header})) == (401, "unauthenticated")
        assert (await client.post("/api/v1/auth/logout")).status_code == 204
        assert "parley_session" not in client.cookies

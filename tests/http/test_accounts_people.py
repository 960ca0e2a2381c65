"""People: oneself, others, and the search by beginnings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.http.accounts_server import SmallServer, bearer, name_of, register, small_server


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[SmallServer]:
    async with small_server(tmp_path) as it:
        yield it


async def test_a_user_is_the_same_to_oneself_and_to_others(server: SmallServer) -> None:
    alice, bob = await server.account("alice"), await server.account("bob")
    async with server.client(**bearer(bob)) as client:
        shown = (await client.get(f"/api/v1/users/{alice['user']['id']}")).json()
    assert shown == alice["user"]
    assert set(shown) == {"id", "username", "display_name", "role", "guest", "created_at"}
    assert shown["created_at"].endswith("Z")


@pytest.mark.parametrize("user_id", ["999", "0", "-1", "1.0", "x", "١", "9" * 19, "01"])
async def test_what_is_no_user(server: SmallServer, user_id: str) -> None:
    async with server.client(**bearer(await server.account("alice"))) as client:
        assert name_of(await client.get(f"/api/v1/users/{user_id}")) == (404, "unknown_user")


async def test_a_display_name_is_trimmed_and_kept(server: SmallServer) -> None:
    async with server.client(**bearer(await server.account("alice"))) as client:
        changed = await client.patch("/api/v1/users/me", json={"display_name": "  爱丽丝 🎈 "})
        assert changed.json()["display_name"] == "爱丽丝 🎈"
        assert (await client.get("/api/v1/users/me")).json() == changed.json()


@pytest.mark.parametrize("display_name", ["", "   ", "x" * 65, "a\nb", "a\u202eb", "a\x7fb", 5, None])
async def test_display_names_that_cannot_be(server: SmallServer, display_name: object) -> None:
    async with server.client(**bearer(await server.account("alice"))) as client:
        answer = await client.patch("/api/v1/users/me", json={"display_name": display_name})
        assert name_of(answer) == (400, "bad_payload")
        assert "display_name" in answer.json()["detail"]


async def test_search_finds_beginnings_page_by_page(server: SmallServer) -> None:
    """Of user names without regard to case, and of display names; what looks like a pattern is only text."""
    async with server.client() as client:
        for name, shown in (
            ("alice", "Anna"),
            ("Albert", "B"),
            ("bob", "Alfred"),
            ("张伟", "z"),
            ("x_y", "q"),
            ("xzy", "q"),
        ):
            await register(client, name, display_name=shown)
        client.headers.update(bearer(await server.account("last")))

        async def found(query: str) -> list[str]:
            return [it["username"] for it in (await client.get(f"/api/v1/users?q={query}")).json()["items"]]

        assert await found("AL") == ["alice", "Albert", "bob"]
        assert await found("张") == ["张伟"]
        assert await found("x_") == ["x_y"]
        assert await found("%25") == []
        first = (await client.get("/api/v1/users?q=al&limit=2")).json()
        assert [it["username"] for it in first["items"]] == ["alice", "Albert"]
        rest = (await client.get(f"/api/v1/users?q=al&limit=2&after={first['next']}")).json()
        assert ([it["username"] for it in rest["items"]], rest["next"]) == (["bob"], None)
        assert name_of(await client.get("/api/v1/users?after=x")) == (400, "bad_payload")
        assert name_of(await client.get("/api/v1/users?limit=0")) == (400, "bad_payload")


@pytest.mark.parametrize("path", ["/users/me", "/users/1", "/users", "/auth/sessions", "/invites"])
async def test_nothing_is_told_to_strangers(server: SmallServer, path: str) -> None:
    async with server.client() as client:
        assert name_of(await client.get(f"/api/v1{path}")) == (401, "unauthenticated")

"""What ends on one node ends on all: sessions, tickets, seats and tries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.end_to_end.cluster.stage import PASSWORD, Person, Stage, hears, say
from websockets.exceptions import InvalidStatus

from parley.gateway.legacy.by_number import SAME_MOMENT_SECONDS
from parley.protocol.errors import Close
from parley.testing import Account, ApiError, RawSocket

SOON = 5.0
"""How long another node may take to close the sockets of a session that has ended (S2)."""


async def log_out(stage: Stage, person: Person, other: Account) -> None:
    await person.account.post("/auth/logout")


async def change_password(stage: Stage, person: Person, other: Account) -> None:
    await other.post("/auth/password", {"old_password": PASSWORD, "new_password": "another horse battery"})


async def end_session(stage: Stage, person: Person, other: Account) -> None:
    sessions = (await person.account.get("/auth/sessions"))["items"]
    current = next(it["id"] for it in sessions if it["current"])
    await other.delete(f"/auth/sessions/{current}")


@pytest.mark.parametrize("end", [log_out, change_password, end_session], ids=lambda end: end.__name__)
async def test_a_session_that_ends_here_is_closed_there(
    stage: Stage, end: Callable[[Stage, Person, Account], Awaitable[None]]
) -> None:
    """Within five seconds, and it lets nobody in any more."""
    ann = await stage.person("ann", fresh=True)
    socket = await stage.native(stage.b, ann)
    other = Account(stage.a, ann.account.username, PASSWORD)
    await other.login()

    try:
        await end(stage, ann, other)
    finally:
        await other.close()

    async with asyncio.timeout(SOON):
        await socket.expect_close(Close.SESSION_ENDED, within=SOON)
        # A node may believe its own memory of a session for a second.
        while (status := await knock(stage.b, ann)) == 101:
            pass
    assert status == 401


async def knock(node: str, person: Person) -> int:
    try:
        async with await RawSocket.open(node, token=person.token):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


async def test_a_ticket_is_good_once_on_any_node(stage: Stage) -> None:
    ann = await stage.person("ann", fresh=True)
    ticket = (await ann.account.post("/auth/ws-ticket"))["ticket"]

    async with await RawSocket.open(stage.b, path=f"/api/v1/ws?ticket={ticket}") as socket:
        assert (await socket.expect("welcome"))["payload"]["user"]["id"] == ann.id

    for node in (stage.a, stage.b):
        with pytest.raises(InvalidStatus) as refused:
            await RawSocket.open(node, path=f"/api/v1/ws?ticket={ticket}")
        assert refused.value.response.status_code == 401


@pytest.mark.over_redis
async def test_tries_are_counted_over_all_nodes(stage: Stage) -> None:
    """Ten wrong passwords on one node, and the other refuses the next."""
    ann = await stage.person("ann", fresh=True)

    async def names(node: str, tries: int) -> list[str]:
        found = []
        async with Account(node, ann.account.username, "not the password") as thief:
            for _ in range(tries):
                with pytest.raises(ApiError) as refused:
                    await thief.login()
                found.append(refused.value.name)
        return found

    assert await names(stage.a, 10) == ["invalid_credentials"] * 10
    assert await names(stage.b, 1) == ["rate_limited"]


@pytest.mark.over_redis
async def test_a_direct_client_has_one_connection_on_all_nodes(stage: Stage) -> None:
    """The older one is closed with 4501, on whichever node; the native socket stays."""
    ann = await stage.person("ann", fresh=True)
    native = await stage.native(stage.a, ann)
    older = await stage.direct(stage.a, ann)
    # Of two that come within this time neither is the newer one.
    await asyncio.sleep(SAME_MOMENT_SECONDS)

    newer = await stage.direct(stage.b, ann)

    assert await older.closed() == Close.REPLACED
    room, _ = await stage.room(ann)
    await say(native, room, "still here")
    await newer.send({"type": "ping"})
    while await newer.one() != {"type": "pong"}:
        pass


async def test_an_ended_session_does_not_end_the_others(stage: Stage) -> None:
    ann = await stage.person("ann", fresh=True)
    other = Account(stage.a, ann.account.username, PASSWORD)
    await other.login()
    stays = await stage.native(stage.b, ann)
    async with await RawSocket.open(stage.b, token=other.access_token) as goes:
        await goes.expect("welcome")
        await other.post("/auth/logout")
        await other.close()
        await goes.expect_close(Close.SESSION_ENDED, within=SOON)

    room, _ = await stage.room(ann)
    await say(await stage.native(stage.a, ann), room, "hello")
    await stays.expect("conversation.added", skip=("log", "read"))
    await hears(stays, room, "hello")

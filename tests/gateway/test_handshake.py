"""Before the upgrade: who is let in, in which words, and what a refusal looks like."""

import base64
import json

from tests.gateway.conftest import Serving
from tests.gateway.hand import ACCEPT, Answer
from tests.gateway.live import Live, Person

from parley.testing import FakeClock


async def ask(server: Live, headers: dict[str, str] | None = None, target: str = "/api/v1/ws", **how: str) -> Answer:
    return await (await server.hand()).upgrade(headers, target, **how)


def bearer(person: Person) -> dict[str, str]:
    return {"Authorization": f"Bearer {person.token}"}


def forged(header: dict[str, str]) -> str:
    """A token that says all the right things and has no right signature."""
    claims = {"sub": "1", "sid": "1", "aud": "parley", "iat": 0, "exp": 9_999_999_999}
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims)
    )


def refused(answer: Answer, status: int, name: str) -> None:
    assert (answer.status, answer.problem["name"], answer.problem["status"]) == (status, name, status)


async def test_a_bearer_token_opens_a_socket(server: Live, alice: Person) -> None:
    """The upgrade is answered as RFC 6455 wants it."""
    answer = await ask(server, bearer(alice))

    assert answer.status == 101
    assert answer.headers["sec-websocket-accept"] == ACCEPT
    assert "sec-websocket-protocol" not in answer.headers


async def test_firefox_asks_to_keep_alive_and_upgrade(server: Live, alice: Person) -> None:
    """`Connection` is a list, and its words have no case."""
    answer = await ask(server, bearer(alice) | {"Connection": "keep-alive, Upgrade", "Upgrade": "WebSocket"})

    assert answer.status == 101


async def test_our_subprotocol_is_chosen_when_offered_and_no_other(server: Live, alice: Person) -> None:
    for offered, chosen in {
        "parley.v1.json": "parley.v1.json",
        "soap, parley.v1.json": "parley.v1.json",
        "soap": None,
    }.items():
        answer = await ask(server, bearer(alice) | {"Sec-WebSocket-Protocol": offered})

        assert (answer.status, answer.headers.get("sec-websocket-protocol")) == (101, chosen)


async def test_a_ticket_opens_one_socket_and_no_second(server: Live, alice: Person) -> None:
    ticket, _ = await server.parley.accounts.ws_ticket(alice.identity)

    assert (await ask(server, target=f"/api/v1/ws?ticket={ticket}")).status == 101
    refused(await ask(server, target=f"/api/v1/ws?ticket={ticket}"), 401, "unauthenticated")


async def test_a_ticket_is_worth_nothing_after_thirty_seconds(serving: Serving) -> None:
    clock = FakeClock()
    async with serving(clock=clock) as server:
        alice = await server.person("alice")
        ticket, _ = await server.parley.accounts.ws_ticket(alice.identity)
        clock.advance(30.1)

        refused(await ask(server, target=f"/api/v1/ws?ticket={ticket}"), 401, "unauthenticated")


async def test_an_access_token_is_worth_nothing_after_its_time(serving: Serving) -> None:
    clock = FakeClock()
    async with serving(clock=clock) as server:
        alice = await server.person("alice")
        clock.advance(15 * 60 + 1)

        refused(await ask(server, bearer(alice)), 401, "unauthenticated")


async def test_the_page_comes_in_by_its_cookie(server: Live, alice: Person) -> None:
    """From its own origin, which is the address that it asked."""
    own = {"Host": f"127.0.0.1:{server.port}", "Origin": server.url}

    assert (await ask(server, own | {"Cookie": await server.cookie(alice)})).status == 101


async def test_other_cookies_of_the_host_do_not_hide_ours(server: Live, alice: Person) -> None:
    """Cookies know no port: what another program on this host has set is sent to us too."""
    own = {"Host": f"127.0.0.1:{server.port}", "Origin": server.url}
    ours = await server.cookie(alice)

    for others in ('{"theme":"dark"}', "weird[name]=1", 'quoted="a b"; ,', "lonely", "xparley_session=1"):
        assert (await ask(server, own | {"Cookie": f"{others}; {ours}"})).status == 101


async def test_a_foreign_origin_is_refused_whatever_it_shows(server: Live, alice: Person) -> None:
    """Neither the cookie nor a token helps a page of somebody else's."""
    cookie = {"Cookie": await server.cookie(alice)}
    here = f"127.0.0.1:{server.port}"

    for origin in (
        "https://evil.example",
        "null",
        "http://127.0.0.1:1",
        f"http://{here}.evil.example",
        f"https://{here}",
    ):
        told = {"Host": here, "Origin": origin}
        refused(await ask(server, told | cookie), 403, "origin_refused")
        refused(await ask(server, told | bearer(alice)), 403, "origin_refused")


async def test_a_cookie_without_an_origin_is_refused(server: Live, alice: Person) -> None:
    refused(await ask(server, {"Cookie": await server.cookie(alice)}), 403, "origin_refused")


async def test_an_allowed_origin_may_come_in(serving: Serving) -> None:
    async with serving(auth={"allowed_origins": ["https://chat.example.org"]}) as server:
        alice = await server.person("alice")
        cookie = {"Cookie": await server.cookie(alice)}

        assert (await ask(server, cookie | {"Origin": "https://chat.example.org"})).status == 101
        refused(await ask(server, cookie | {"Origin": "https://chat.example.org.evil"}), 403, "origin_refused")


NOBODY = {
    "nothing": {},
    "nonsense": {"Authorization": "Bearer nonsense"},
    "empty": {"Authorization": "Bearer "},
    "basic": {"Authorization": "Basic YTpi"},
    "alg none": {"Authorization": f"Bearer {forged({'alg': 'none'})}."},
    "another key": {"Authorization": f"Bearer {forged({'alg': 'HS256'})}.{'A' * 43}"},
    "endless": {"Authorization": "Bearer " + "a" * 5000},
}


async def test_no_login_is_a_problem_before_the_upgrade(server: Live, alice: Person) -> None:
    """Never a socket that is opened and then closed: a client would take that for the network's fault."""
    for headers in NOBODY.values():
        answer = await ask(server, headers)

        refused(answer, 401, "unauthenticated")
        assert (answer.problem["code"], answer.problem["retryable"]) == (1101, False)


async def test_there_is_one_door(server: Live, alice: Person) -> None:
    for target in ("/api/v1/wss", "/", "/api/v1/ws/", "/api/v1/WS", "/api/v1/../v1/ws"):
        refused(await ask(server, bearer(alice), target), 404, "not_found")


async def test_hostile_targets_are_refused_and_nothing_breaks(server: Live, alice: Person) -> None:
    for target in ("//[", "/api/v1/ws?" + "a=1&" * 60, "/%00", "/api/v1/ws?ticket=%ff%00"):
        assert (await ask(server, bearer(alice) if "?a" in target else {}, target)).status in (400, 401, 404)

    assert (await ask(server, bearer(alice))).status == 101


async def test_a_broken_upgrade_is_a_bad_request(server: Live, alice: Person) -> None:
    """It takes no place and uses up no ticket, and the server goes on."""
    ticket, _ = await server.parley.accounts.ws_ticket(alice.identity)
    target = f"/api/v1/ws?ticket={ticket}"
    for header in ({"Sec-WebSocket-Key": ""}, {"Sec-WebSocket-Key": "short"}, {"Sec-WebSocket-Version": "8"}):
        refused(await ask(server, header, target), 400, "bad_payload")
    refused(await ask(server, target=target, method="POST"), 400, "bad_payload")

    assert server.parley.gateway.connections == 0
    assert (await ask(server, target=target)).status == 101


async def test_a_user_has_so_many_sockets_and_no_more(serving: Serving) -> None:
    """The next one is told to come back, and a place that is given up can be taken."""
    async with serving(limits={"connections_per_user": 2}) as server:
        alice = await server.person("alice")
        first, _ = await server.login(alice)
        await server.login(alice)
        answer = await ask(server, bearer(alice))
        refused(answer, 429, "too_many_connections")
        assert answer.problem["retryable"]
        assert answer.problem["retry_after_ms"] > 0

        await first.close()

        assert (await ask(server, bearer(alice))).status == 101


async def test_a_draining_server_takes_nobody_in(server: Live, alice: Person) -> None:
    server.parley.gateway.draining = True

    refused(await ask(server, bearer(alice)), 503, "draining")

    server.parley.gateway.draining = False

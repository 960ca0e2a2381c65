"""Behind a proxy: whom the server believes, and about what."""

from typing import Any

import pytest
from tests.gateway.conftest import Serving
from tests.gateway.hand import UPGRADE
from tests.gateway.live import Live, Person

from parley.gateway.handshake import UpgradeRequest, parse_request
from parley.gateway.proxies import Proxies
from parley.store.interface import StoreUnavailable

proxies = Proxies(["10.0.0.0/8", "::1", "192.0.2.7"])


def request(peer: str, *lines: str) -> UpgradeRequest:
    told = [f"{name}: {value}" for name, value in UPGRADE.items()]
    head = "\r\n".join(["GET /api/v1/ws HTTP/1.1", *told, *lines, "", ""])
    return proxies.seen_through(parse_request(head.encode(), peer, False))


CHAINS: dict[str, tuple[str, list[str], str]] = {
    "a client of its own": ("203.0.113.5", ["X-Forwarded-For: 1.2.3.4"], "203.0.113.5"),
    "through one": ("10.1.2.3", ["X-Forwarded-For: 1.2.3.4"], "1.2.3.4"),
    "through two": ("10.1.2.3", ["X-Forwarded-For: 1.2.3.4, 192.0.2.7"], "1.2.3.4"),
    "with a forged beginning": ("10.1.2.3", ["X-Forwarded-For: 6.6.6.6, 1.2.3.4"], "1.2.3.4"),
    "with a forged line": ("10.1.2.3", ["X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 1.2.3.4"], "1.2.3.4"),
    "through one as IPv6 writes it": ("::ffff:10.1.2.3", ["X-Forwarded-For: 2001:db8::1"], "2001:db8::1"),
    "without a word": ("10.1.2.3", [], "10.1.2.3"),
    "of nothing but commas": ("::1", ["X-Forwarded-For: ,, ,"], "::1"),
}


@pytest.mark.parametrize("case", CHAINS)
def test_who_is_there(case: str) -> None:
    """The first from the right that is no proxy of ours; what stands before it anybody can write."""
    peer, lines, wanted = CHAINS[case]

    assert request(peer, *lines).peer == wanted


def test_what_lies_before_the_proxy_is_believed_of_a_proxy_only() -> None:
    assert request("10.1.2.3", "X-Forwarded-Proto: https").secure is True
    assert request("10.1.2.3", "X-Forwarded-Proto: gopher").secure is False
    assert request("203.0.113.5", "X-Forwarded-Proto: https").secure is False


@pytest.mark.parametrize(("trusted", "status"), [(["127.0.0.1"], 101), ([], 403)], ids=["trusted", "not"])
async def test_the_page_behind_a_proxy_with_tls(serving: Serving, trusted: list[str], status: int) -> None:
    """Its origin is https, though the proxy speaks plain HTTP to us."""
    async with serving(server={"trusted_proxies": trusted}) as server:
        cookie = await server.cookie(await server.person("alice"))
        page = {"Host": "chat.example.org", "Origin": "https://chat.example.org", "Cookie": cookie}
        socket = await server.hand()

        assert (await socket.upgrade(page | {"X-Forwarded-Proto": "https"})).status == status


async def test_a_store_that_is_away_is_said_before_the_upgrade(
    server: Live, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As something that passes, and not as a fault of ours."""

    async def away(question: Any) -> Any:
        raise StoreUnavailable("away")

    server.parley.accounts.sessions._known.clear()
    monkeypatch.setattr(server.parley.database, "read", away)
    answer = await (await server.hand()).upgrade({"Authorization": f"Bearer {alice.token}"})
    monkeypatch.undo()

    assert (answer.status, answer.problem["name"], answer.problem["retryable"]) == (503, "storage_unavailable", True)

"""What is local, and which key an address or a name counts under."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.protocol.errors import ChatError
from parley.services.policy import address_key, check_username, is_local, origin_allowed, parse_id, username_key


@pytest.mark.parametrize(
    ("listeners", "peer", "host", "header", "local"),
    [
        (["127.0.0.1"], "127.0.0.1", "127.0.0.1:8000", "accept", True),
        (["localhost"], "::1", "localhost", "accept", True),
        (["127.0.0.1"], "::ffff:127.0.0.1", "[::1]:8000", "accept", True),
        (["0.0.0.0"], "127.0.0.1", "127.0.0.1", "accept", False),
        (["127.0.0.1", "0.0.0.0:9000"], "127.0.0.1", "127.0.0.1", "accept", False),
        (["::"], "::1", "[::1]", "accept", False),
        (["127.0.0.1"], "10.0.0.1", "127.0.0.1", "accept", False),
        (["127.0.0.1"], None, "127.0.0.1", "accept", False),
        (["127.0.0.1"], "127.0.0.1", None, "accept", False),
        (["127.0.0.1"], "127.0.0.1", "localhost.evil.test", "accept", False),
        (["127.0.0.1"], "127.0.0.1", "127.0.0.1.evil.test:80", "accept", False),
        (["127.0.0.1"], "127.0.0.1", "127.0.0.1", "Forwarded", False),
        (["127.0.0.1"], "127.0.0.1", "127.0.0.1", "X-Forwarded-Proto", False),
        (["127.0.0.1"], "127.0.0.1", "127.0.0.1", "x-real-ip", False),
        (["/run/parley.sock"], "127.0.0.1", "127.0.0.1", "accept", False),
    ],
)
def test_local_is_certain_or_not(
    listeners: list[str], peer: str | None, host: str | None, header: str, local: bool
) -> None:
    assert is_local(listeners=listeners, peer=peer, host=host, header_names=[header]) is local


def test_no_origin_is_no_browser() -> None:
    """The caller asks for one where the cookie is the credential."""
    assert origin_allowed(None, "chat.example.org", True)


@given(st.text())
def test_no_text_is_an_origin_of_ours_by_accident(text: str) -> None:
    """Whatever surrounds it."""
    allowed = ["https://chat.example.org"]
    for origin in (f"https://chat.example.org{text}", f"{text}https://chat.example.org"):
        exact = origin.lower() in {"https://chat.example.org", "https://chat.example.org:443"}
        assert origin_allowed(origin, None, True, allowed) in {exact, exact or _padded_port(origin)}


def _padded_port(origin: str) -> bool:
    port = origin.rpartition(":")[2]
    return port.isascii() and port.isdigit() and int(port) == 443


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("", ""),
    ],
)
def test_an_address_counts_by_what_its_owner_cannot_change(address: str, key: str) -> None:
    assert address_key(address) == key


@given(st.text(max_size=40))
def test_a_stored_name_has_a_stable_key(text: str) -> None:
    """Whatever was let in fits the columns and gives its key again."""
    try:
        name = check_username(text)
    except ChatError:
        return
    assert len(name) <= 32
    assert len(username_key(name)) <= 64
    assert username_key(username_key(name)) == username_key(name)
    assert username_key(name.upper()) == username_key(name.upper().lower()) or not name.isascii()


@pytest.mark.parametrize("text", ["", "0", "01", "-1", "+1", "1_0", " 1", "1\n", "１", "9223372036854775808"])
def test_what_is_no_id(text: str) -> None:
    assert parse_id(text) is None


def test_the_largest_id_is_one() -> None:
    assert parse_id("9223372036854775807") == 2**63 - 1

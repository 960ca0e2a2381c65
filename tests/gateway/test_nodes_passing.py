"""What is not history gets from node to node too: typing, the lobby's binary frames, a kama client's logout, and names
in what was healed.
"""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from tests.gateway.nodes_lab import TALK, Network, Node, SharedStore, heard, told
from tests.gateway.resume_lab import RecordingWire

from parley.dialects.kama import KAMA_LOGOUT, LOGGED_OUT, KamaCodec
from parley.dialects.lobby import LobbyCodec
from parley.dialects.room import RoomCodec
from parley.gateway import heads, hold
from parley.gateway.connection import Connection
from parley.gateway.framing import BINARY, frame
from parley.gateway.legacy.by_number import KamaManners
from parley.gateway.legacy.manners import LegacyState, Manners
from parley.gateway.legacy.one_room import BINARY_BYTES, LobbyManners
from parley.gateway.legacy.rosters import Rosters
from parley.gateway.typing_notices import TypingNotices
from parley.protocol.events import Entry, Signal
from parley.protocol.types import EntryKind, UserId

NOT_ASKED: Any = None


@pytest.fixture
async def pair(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Node, Node, SharedStore]]:
    monkeypatch.setattr(hold, "HOLD_S", 0.0)
    monkeypatch.setattr(heads, "UNDER_WAY_S", 0.0)
    store, network = SharedStore(), Network()
    network.instant = True
    for user in (1, 2):
        store.commit(EntryKind.MEMBER_JOINED, UserId(user))
    yield Node(store, network), Node(store, network), store
    store.close()


def written(connection: Connection) -> bytes:
    connection.outbound.flush()
    return bytes(cast(RecordingWire, connection.wire).written)


def legacy(node: Node, user: int, codec: Any, cursor: int) -> Connection:
    connection = node.connect(user, codec)
    connection.legacy = LegacyState(Manners.__new__(Manners))
    feed = node.hub.track(TALK)
    feed.add(connection, cursor)
    node.hub.untrack(feed)
    return connection


async def test_typing(pair: tuple[Node, Node, SharedStore]) -> None:
    """To the others on every node, and to the writer's own devices on none."""
    a, b, _ = pair
    hers, also_hers, his = await a.live(1, 2), await b.live(1, 2), await b.live(2, 2)

    async def two(_: object) -> int:
        return 2

    notices = TypingNotices(a.hub, a, two)
    await notices.learn_size(TALK)
    notices.set(hers, TALK, True)
    notices.set(hers, TALK, False)

    assert told(his, {"typing"}) == ["typing", "typing"]
    assert told(hers, {"typing"}) == told(also_hers, {"typing"}) == []


@pytest.mark.parametrize("alone", [False, True], ids=["over the network", "where nobody else is"])
async def test_binary_frames_of_the_lobby(pair: tuple[Node, Node, SharedStore], alone: bool) -> None:
    """Byte for byte, to lobby clients and nobody else."""
    a, b, _ = pair
    a.reaches_others = not alone
    sender, _ = (
        LobbyManners(node.hub, *[NOT_ASKED] * 6, Rosters(node.hub, node, lambda _: "", lambda: 0)) for node in (a, b)
    )
    hers, his = legacy(a, 1, LobbyCodec(TALK), 2), legacy(b, 2, LobbyCodec(TALK), 2)
    native = await b.live(2, 2)
    before = written(native)
    data = bytes(range(256)) * (BINARY_BYTES // 256)
    sender.binary(hers, data)

    assert written(hers) == frame(data, BINARY)
    assert written(his) == (b"" if alone else frame(data, BINARY))
    assert written(native) == before


async def test_a_kama_client_is_logged_out_wherever_it_is(pair: tuple[Node, Node, SharedStore]) -> None:
    a, b, _ = pair
    service: Any = SimpleNamespace(links=str)
    for node in (a, b):
        KamaManners(
            node.hub, service, node.catch_up, NOT_ASKED, NOT_ASKED, NOT_ASKED, node,
            text_type=1, trust_client_id=False,
        )  # fmt: skip
    kama, native, other = b.connect(2, KamaCodec()), b.connect(2), b.connect(1, KamaCodec())
    a.tell_user(UserId(2), Signal(KAMA_LOGOUT, {}))

    assert written(kama).startswith(frame(LOGGED_OUT.encode()))
    assert (kama.closing, native.closing, other.closing) == (True, False, False)
    assert written(native) == written(other) == b""


async def test_words_between_nodes_never_reach_a_client(pair: tuple[Node, Node, SharedStore]) -> None:
    """Also those that this node does not know, from a newer one."""
    a, b, _ = pair
    his = await b.live(2, 2)
    before = written(his)
    a.tell_conversation(TALK, Signal("node.unheard_of", {}))
    a.tell_user(UserId(2), Signal("node.unheard_of", {}))

    assert written(his) == before


async def test_what_was_healed_shows_who_wrote_it(pair: tuple[Node, Node, SharedStore]) -> None:
    """Older dialects have names in their frames; the store is asked for them only then."""
    _, b, store = pair
    native = await b.live(2, 2)
    old = legacy(b, 2, RoomCodec(TALK, "den"), 2)
    said = store.commit()
    body = {"message": {"id": "1", "kind": "text", "text": "hello"}}
    store.entries[-1] = msgspec.structs.replace(said, body=msgspec.json.encode(body))
    await b.heads.compare()
    await b.settle()

    assert heard(native) == [3]
    assert b"name of 1" in written(old)


async def test_a_crossing_of_batches_of_several(pair: tuple[Node, Node, SharedStore]) -> None:
    """Pieces that overlap, and a batch that comes twice."""
    _, b, store = pair
    his = await b.live(2, 2)
    made: list[Entry] = [store.commit() for _ in range(9)]
    for piece in (made[4:7], made[2:5], made[4:7], made[7:], made[:3], made[:3], made):
        b.hub.publish(piece)

    assert heard(his) == list(range(3, 12))
    assert b.healed == 0
    assert not b.hub.feeds[TALK].known

"""What every fan-out owes: the same laws for one process and for two nodes over Redis."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.fanout.nodes import Hearing, entry, node

from parley.fanout.interface import FanOut
from parley.fanout.memory import MemoryFanOut
from parley.protocol.events import Signal
from parley.protocol.types import ConversationId, EntryKind, UserId

ROOM, OTHER = ConversationId(7), ConversationId(8)
ANN = UserId(1)


@dataclass
class Pair:
    """Where it is said, and who hears it at the other end (in one process: the same)."""

    fanout: FanOut
    here: Hearing
    there: Hearing


@pytest.fixture(params=["memory", "redis"])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    if request.param == "memory":
        hearing = Hearing()
        fanout: FanOut = MemoryFanOut(hearing)
        _everything(fanout)
        yield Pair(fanout, hearing, hearing)
        await fanout.close()
        return
    url, prefix = request.getfixturevalue("redis_url"), request.getfixturevalue("redis_prefix")
    async with node(url, prefix) as one, node(url, prefix) as other:
        _everything(one.fanout)
        _everything(other.fanout)
        await other.hearing.listens_to(OTHER)
        yield Pair(one.fanout, one.hearing, other.hearing)


def _everything(fanout: FanOut) -> None:
    fanout.hear_user(ANN)
    fanout.hear(ROOM)
    fanout.hear(ROOM)
    fanout.hear(OTHER)


async def test_this_node_hears_before_the_call_returns(pair: Pair) -> None:
    pair.fanout.publish([entry(1)])

    assert pair.here.heard == [("entries", entry(1))]


async def test_an_entry_arrives_as_it_was_committed(pair: Pair) -> None:
    """Every field: names, 64-bit ids, the body's own bytes, nothing where there was nothing."""
    whole = entry(1, user_id=UserId(2**53 + 1), body=bytes(range(256)))
    bare = entry(2, message_id=None, by_name="", body=b"{}")
    guest = entry(3, by=UserId(-5), kind=EntryKind.CALL_ENDED)

    pair.fanout.publish([whole, bare, guest])

    await pair.there.until(lambda: pair.there.entries() == [whole, bare, guest])


async def test_a_batch_keeps_the_order_of_each_conversation(pair: Pair) -> None:
    batch = [entry(1, ROOM), entry(1, OTHER), entry(2, ROOM), entry(2, OTHER), entry(3, ROOM)]

    pair.fanout.publish(batch)
    pair.fanout.publish([entry(4, ROOM)])

    await pair.there.until(lambda: len(pair.there.entries()) == 6)
    for conversation, seqs in ((ROOM, [1, 2, 3, 4]), (OTHER, [1, 2])):
        assert [e.seq for e in pair.there.entries() if e.conversation_id == conversation] == seqs


async def test_everything_arrives_once(pair: Pair) -> None:
    """Also at the node that said it."""
    for seq in range(1, 301):
        pair.fanout.publish([entry(seq)])

    await pair.there.until(lambda: len(pair.there.entries()) >= 300)
    pair.fanout.tell_user(ANN, Signal("end", {}))
    await pair.there.hears("user", ANN, Signal("end", {}))
    for end in (pair.here, pair.there):
        assert [e.seq for e in end.entries()] == list(range(1, 301))


PAYLOADS: dict[str, dict[str, Any]] = {
    "typing": {"conversation_id": "7", "user_id": "1", "is_typing": True},
    "read": {"conversation_id": "7", "user_id": "1", "read_seq": 5, "delivered_seq": 2**53},
    "presence": {"users": [{"user_id": "1", "online": False, "last_seen": "2026-11-21T08:30:00.123Z"}]},
    "call.frame": {"from": 1, "from_name": "Ann", "to": 2, "data": '{"sdp":"\u0000 你"}'},
    "assistant.delta": {"message_id": "9", "text": "Hel", "index": 0, "nothing": None, "share": 0.5},
}


@pytest.mark.parametrize("kind", PAYLOADS)
async def test_a_signal_arrives_as_it_was_told(pair: Pair, kind: str) -> None:
    signal = Signal(kind, PAYLOADS[kind], ROOM, "Ann 安")

    pair.fanout.tell_conversation(ROOM, signal, without=ANN)
    pair.fanout.tell_user(ANN, signal)

    await pair.there.hears("conversation", ROOM, signal, ANN)
    await pair.there.hears("user", ANN, signal)


async def test_an_invitation_arrives(pair: Pair) -> None:
    pair.fanout.invite(ConversationId(99), [ANN], 12)

    await pair.there.hears("invite", ConversationId(99), ANN, 12)

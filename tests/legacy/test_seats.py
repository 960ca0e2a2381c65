"""One connection a user, over several nodes: who keeps the seat, and who counts."""

from types import SimpleNamespace
from typing import Any

import pytest

from parley.gateway.legacy import by_number
from parley.gateway.legacy.by_number import DirectManners
from parley.protocol.errors import ChatError, Code
from parley.protocol.types import UserId
from parley.services.throttle.interface import Throttle, Throttles
from parley.services.throttle.memory import MemoryThrottles
from parley.testing.clock import FakeClock

ANN = UserId(1)


class Wire:
    """The fan-out of one node, which notes what it is to say."""

    reaches_others = True

    def __init__(self) -> None:
        self.said: list[tuple[UserId, str, str]] = []

    def seat_taken(self, user: UserId, dialect: str, connection_id: str) -> None:
        self.said.append((user, dialect, connection_id))


class OneForAll:
    """Throttles of nodes that count together."""

    def __init__(self) -> None:
        self._throttle = MemoryThrottles(FakeClock())("replacement", by_number.REPLACEMENTS)

    def __call__(self, what: str, a_minute: int) -> Throttle:
        return self._throttle


def manners(wire: Any, throttles: Throttles) -> DirectManners:
    """Of a node to which nobody is connected."""
    hub = SimpleNamespace(connections_of=lambda _user: [])
    return DirectManners(hub, None, None, None, None, fanout=wire, throttles=throttles)


def seat(manners: DirectManners, id_: str, since: float) -> Any:
    """A connection that has been there since then, by the monotonic clock."""
    manners._seated[id_] = since
    return SimpleNamespace(id=id_, actor=SimpleNamespace(user_id=ANN))


async def counted(manners: DirectManners) -> None:
    """What is counted in the background is counted."""
    for counting in list(manners._counting):
        await counting


@pytest.mark.parametrize(("mine", "newer"), [("a", "b"), ("b", "a")])
async def test_the_newer_one_has_the_seat(mine: str, newer: str) -> None:
    """Whatever their ids."""
    wire = Wire()
    here = manners(wire, OneForAll())

    assert not here.keeps_seat(seat(here, mine, since=float("-inf")), newer)
    await counted(here)
    assert wire.said == []


async def test_of_two_at_the_same_moment_exactly_one_keeps_it() -> None:
    """And says so again: the other may have opened after it was first said."""
    wires = Wire(), Wire()
    one, other = (manners(wire, OneForAll()) for wire in wires)
    now = float("inf")
    a, b = seat(one, "a", since=now), seat(other, "b", since=now)

    assert [one.keeps_seat(a, "b"), other.keeps_seat(b, "a")] == [False, True]
    await counted(one)
    assert [wire.said for wire in wires] == [[], [(ANN, "direct", "b")]]


async def test_replacements_by_other_nodes_are_counted_for_all() -> None:
    """Five a minute; the sixth newcomer is refused on whatever node it comes."""
    together = OneForAll()
    one, other = manners(Wire(), together), manners(Wire(), together)
    for turn in range(by_number.REPLACEMENTS):
        loses, gets = (one, other) if turn % 2 else (other, one)
        await gets._may_replace(ANN)
        assert not loses.keeps_seat(seat(loses, "a", since=float("-inf")), "b")
        await counted(loses)

    for node in (one, other):
        with pytest.raises(ChatError) as refusal:
            await node._may_replace(ANN)
        assert refusal.value.spec is Code.RATE_LIMITED
        await node._may_replace(UserId(2))

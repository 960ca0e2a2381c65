"""Which conversations and users a node hears of: told before anything is read, and given up late."""

from collections.abc import Iterator

import pytest
from tests.gateway.nodes_lab import TALK, Network, Node, SharedStore

from parley.gateway import lingering
from parley.gateway.lingering import Lingering
from parley.protocol.commands import Actor
from parley.protocol.types import ConversationId, EntryKind, UserId


class Ears:
    def __init__(self) -> None:
        self.said: list[str] = []

    def hear(self, conversation_id: ConversationId) -> None:
        self.said.append(f"hear {conversation_id}")

    def unhear(self, conversation_id: ConversationId) -> None:
        self.said.append(f"unhear {conversation_id}")

    def hear_user(self, user: UserId) -> None:
        self.said.append(f"hear user {user}")

    def unhear_user(self, user: UserId) -> None:
        self.said.append(f"unhear user {user}")


@pytest.fixture
def store() -> Iterator[SharedStore]:
    made = SharedStore()
    made.commit(EntryKind.MEMBER_JOINED, UserId(2))
    yield made
    made.close()


async def test_the_hub_tells_whom_it_hears_before_it_reads(store: SharedStore) -> None:
    """Once each, however many sockets there are."""
    node, ears = Node(store, Network()), Ears()
    node.hub.ears = ears
    one, other = await node.live(2), await node.live(2)
    assert ears.said == ["hear user 2", f"hear {TALK}"]
    node.hub.leave(one)
    assert len(ears.said) == 2
    node.hub.leave(other)

    assert ears.said[2:] == [f"unhear {TALK}", "unhear user 2"]


async def test_a_guest_is_asked_for_only_with_a_number_of_their_own(store: SharedStore) -> None:
    node, ears = Node(store, Network()), Ears()
    node.hub.ears = ears
    guest = node.connect(-1)
    assert ears.said == []
    node.hub.rename(guest, Actor(UserId(9), "guest", guest=True))
    node.hub.leave(guest)

    assert ears.said == ["hear user 9", "unhear user 9"]


async def test_who_comes_back_soon_costs_nothing() -> None:
    ears = Ears()
    slow = Lingering(ears)
    slow.hear(TALK)
    for _ in range(3):
        slow.unhear(TALK)
        slow._turn()
        slow.hear(TALK)
        slow._turn()
    slow._turn()
    assert ears.said == [f"hear {TALK}"]

    slow.unhear(TALK)
    slow._turn()
    assert ears.said == [f"hear {TALK}"]
    slow._turn()
    assert ears.said == [f"hear {TALK}", f"unhear {TALK}"]
    slow.hear(TALK)
    assert ears.said[2:] == [f"hear {TALK}"]
    slow.close()


async def test_how_many_linger_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lingering, "LINGERING", 3)
    ears = Ears()
    slow = Lingering(ears)
    for number in range(10):
        slow.unhear_user(UserId(number))

    assert ears.said == [f"unhear user {number}" for number in range(7)]
    slow.close()

"""Conformance: read and delivered marks only move forward, stop at the head, and make `unread` a subtraction."""

from __future__ import annotations

import pytest
from tests.store.stores import Store

from parley.protocol import commands as c
from parley.protocol.errors import Code
from parley.protocol.types import ConversationId, UserId
from parley.store.interface import Append, BatchResult, Mark, Marked, Refused


def stands(marked: Marked | Refused) -> tuple[int, int, int]:
    """(read, delivered, unread)"""
    assert isinstance(marked, Marked), marked
    return marked.read_seq, marked.delivered_seq, marked.unread


@pytest.fixture
def talk(store: Store, ann: UserId, group: ConversationId) -> ConversationId:
    """Two joinings, then six messages of Ann's and a pin: seqs 3 to 8, and 9."""
    for _ in range(5):
        store.say(ann, group)
    message = store.say(ann, group)
    store.do(ann, c.AddPin(group, "pin", message))
    return group


@pytest.mark.parametrize(
    ("read", "delivered", "expected"),
    [
        (0, 0, (2, 2, 6)),
        (2, 2, (2, 2, 6)),
        (3, 3, (3, 3, 5)),
        (8, 8, (8, 8, 0)),
        (9, 9, (9, 9, 0)),
        (1 << 53, 1 << 53, (9, 9, 0)),
        (5, 0, (5, 5, 3)),
        (3, 7, (3, 7, 5)),
        (0, 7, (2, 7, 6)),
    ],
)
def test_a_mark_stands_where_it_was_put_within_the_log(
    store: Store, bob: UserId, talk: ConversationId, read: int, delivered: int, expected: tuple[int, int, int]
) -> None:
    """Bob's stood at 2 from his joining on. Reading carries delivery along."""
    [marked] = store.mark(Mark(bob, talk, read, delivered))

    assert stands(marked) == expected
    assert store.rows("SELECT read_seq, delivered_seq FROM marks WHERE user_id = :u", u=bob) == [expected[:2]]


def test_a_mark_never_goes_back(store: Store, bob: UserId, talk: ConversationId) -> None:
    store.mark(Mark(bob, talk, 7, 8))

    [marked] = store.mark(Mark(bob, talk, 4, 4))

    assert (stands(marked), isinstance(marked, Marked) and marked.moved) == ((7, 8, 1), False)


def test_marks_of_one_batch_never_go_back_either(store: Store, bob: UserId, talk: ConversationId) -> None:
    """Each is told where the mark stands after it, and whether it was the one that moved it."""
    marked = store.mark(Mark(bob, talk, 7, 7), Mark(bob, talk, 4, 8), Mark(bob, talk, 5, 5), Mark(bob, talk, 9, 9))

    assert [stands(each) for each in marked] == [(7, 7, 1), (7, 8, 1), (7, 8, 1), (9, 9, 0)]
    assert [isinstance(each, Marked) and each.moved for each in marked] == [True, True, False, True]
    assert store.rows("SELECT read_seq, delivered_seq FROM marks WHERE user_id = :u", u=bob) == [(9, 9)]


def test_a_mark_survives_a_restart(store: Store, bob: UserId, talk: ConversationId) -> None:
    store.mark(Mark(bob, talk, 7, 8))
    store.reopen()

    assert [stands(marked) for marked in store.mark(Mark(bob, talk, 0, 0))] == [(7, 8, 1)]


def test_writing_is_reading(store: Store, bob: UserId, talk: ConversationId) -> None:
    store.say(bob, talk)

    assert [stands(marked) for marked in store.mark(Mark(bob, talk, 0, 0))] == [(10, 10, 0)]


def test_a_repeat_is_not_reading(store: Store, ann: UserId, bob: UserId, talk: ConversationId) -> None:
    store.do(bob, c.SendMessage(talk, "once", "hello"))
    store.say(ann, talk)
    store.do(bob, c.SendMessage(talk, "once", "hello"))

    assert [stands(marked) for marked in store.mark(Mark(bob, talk, 0, 0))] == [(10, 10, 1)]


def test_who_comes_in_has_nothing_to_catch_up_with(store: Store, ann: UserId, talk: ConversationId) -> None:
    newcomer = store.user("newcomer")
    store.do(ann, c.AddMember(talk, "add", newcomer))
    store.say(ann, talk)

    assert [stands(marked) for marked in store.mark(Mark(newcomer, talk, 0, 0))] == [(10, 10, 1)]


def test_who_comes_back_does_not_lose_their_mark(store: Store, ann: UserId, bob: UserId, talk: ConversationId) -> None:
    store.write(Append(ann, c.RemoveMember(talk, "out", bob)), Append(ann, c.SendMessage(talk, "x", "meanwhile")))
    store.do(ann, c.AddMember(talk, "in", bob))

    assert [stands(marked) for marked in store.mark(Mark(bob, talk, 0, 0))] == [(12, 12, 0)]


def test_a_mark_counts_entries_of_its_own_batch(store: Store, ann: UserId, bob: UserId, talk: ConversationId) -> None:
    result = store.attempt([Append(ann, c.SendMessage(talk, "new", "new"))], [Mark(bob, talk, 10, 10)])

    assert isinstance(result, BatchResult)
    assert [stands(marked) for marked in result.marks] == [(10, 10, 0)]


def test_everybody_is_in_the_lobby_from_its_first_message(store: Store, ann: UserId, bob: UserId) -> None:
    """There are no member rows and no joinings: who never came has everything unread."""
    for _ in range(3):
        store.say(ann, store.lobby)

    marked = store.mark(Mark(bob, store.lobby, 0, 0), Mark(bob, store.lobby, 2, 2))

    assert [stands(each) for each in marked] == [(0, 0, 3), (2, 2, 1)]
    assert store.rows("SELECT * FROM members") == []


def test_where_one_may_not_read_one_has_no_mark(store: Store, ann: UserId, bob: UserId, talk: ConversationId) -> None:
    """Strangers, former members, nowhere at all; the others of the batch are not held up."""
    stranger, former = store.user("stranger"), store.user("former")
    store.do(ann, c.AddMember(talk, "in", former))
    store.do(former, c.LeaveConversation(talk, "out"))

    marked = store.mark(
        Mark(stranger, talk, 5, 5),
        Mark(bob, talk, 5, 5),
        Mark(former, talk, 11, 11),
        Mark(bob, ConversationId(404), 1, 1),
    )

    refused = [each.spec if isinstance(each, Refused) else None for each in marked]
    assert refused == [Code.UNKNOWN_CONVERSATION, None, Code.UNKNOWN_CONVERSATION, Code.UNKNOWN_CONVERSATION]
    assert stands(marked[1]) == (5, 5, 3)
    assert store.rows("SELECT * FROM marks WHERE user_id = :u", u=stranger) == []


def test_a_thousand_marks_in_one_batch_are_all_answered(store: Store, ann: UserId, talk: ConversationId) -> None:
    marked = store.mark(*[Mark(ann, talk, n % 10, 0) for n in range(1000)])

    assert {stands(each)[0] for each in marked} == {8, 9}
    assert stands(marked[-1]) == (9, 9, 0)

"""Conformance: text keys compare as bytes on every engine. A collation that is kinder would lose messages."""

from __future__ import annotations

import json
import unicodedata
from itertools import combinations

import pytest
from tests.store.stores import Store, ack_of

from parley.protocol import commands as c
from parley.protocol.types import ConversationId, UserId
from parley.store.interface import Append

# What some engine's default collation, padding or normal form takes for the same.
ALIKE = {
    "case": ("once", "Once"),
    "trailing space": ("once", "once "),
    "trailing tab": ("once", "once\t"),
    "leading space": ("once", " once"),
    "accent": ("cafe", "café"),
    "normal form": (unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")),
    "width": ("A", "\uff21"),
    "dotted i": ("i", "\u0131"),
    "sharp s": ("ss", "ß"),
    "emoji": ("👍", "👎"),
    "skin tone": ("👍", "👍🏽"),
    "variation selector": ("❤", "❤\ufe0f"),
    "invisible": ("once", "on\u200bce"),
    "digits": ("1", "\u0661"),
}


@pytest.mark.parametrize("pair", ALIKE.values(), ids=ALIKE)
def test_client_ids_that_look_alike_are_two(
    store: Store, ann: UserId, group: ConversationId, pair: tuple[str, str]
) -> None:
    """In one batch, in two, and looked up again."""
    sends = [c.SendMessage(group, client_id, "hello") for client_id in pair]
    first = [ack_of(outcome) for outcome in store.write(*[Append(ann, send) for send in sends])]

    again = [store.do(ann, send) for send in sends]

    assert [(ack.seq, ack.duplicate) for ack in first] == [(3, False), (4, False)]
    assert [(ack.seq, ack.duplicate) for ack in again] == [(3, True), (4, True)]
    assert [entry.client_id for entry in store.log(group)[2:]] == list(pair)


@pytest.mark.parametrize("pair", ALIKE.values(), ids=ALIKE)
def test_emoji_that_look_alike_are_two(store: Store, ann: UserId, group: ConversationId, pair: tuple[str, str]) -> None:
    message = store.say(ann, group)
    for emoji in pair:
        store.do(ann, c.AddReaction(group, store.client_id(), message, emoji))
    assert {emoji for (emoji,) in store.rows("SELECT emoji FROM reactions")} == set(pair)

    store.do(ann, c.RemoveReaction(group, store.client_id(), message, pair[0]))
    assert store.rows("SELECT emoji FROM reactions") == [(pair[1],)]


def test_names_that_look_alike_are_two(store: Store, ann: UserId) -> None:
    """Of what a name may hold, only the case could be mistaken."""
    one, two = store.open_room(ann), store.open_room(ann)
    store.do(ann, c.ChangeConversation(one, "1", name="here"))
    store.do(ann, c.ChangeConversation(two, "2", name="Here"))

    assert sorted(store.rows("SELECT name FROM conversations WHERE name IN ('here', 'Here')")) == [("Here",), ("here",)]


def test_the_pairs_are_pairs() -> None:
    """Each two differ as bytes, or the tests above would prove nothing."""
    assert all(one.encode() != other.encode() for pair in ALIKE.values() for one, other in combinations(pair, 2))


@pytest.mark.parametrize(
    "text",
    [
        "", "\U0010ffff", "a\u0301\u0302" * 500, "\ufeff\u202e", '"\\\n\x1b\x7f', "</script>",
        "'; DROP TABLE entries; --", "漢" * 8000,
    ],
)  # fmt: skip
def test_a_text_comes_back_as_it_was_given(store: Store, ann: UserId, group: ConversationId, text: str) -> None:
    """No normal form, no trimming, no escaping that stays."""

    store.say(ann, group, text)

    assert json.loads(store.log(group)[-1].body)["message"]["text"] == text

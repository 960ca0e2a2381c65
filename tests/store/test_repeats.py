"""Conformance: the same (actor, client_id) changes nothing again and gets the first answer, for ever."""

from __future__ import annotations

import msgspec
import pytest
from tests.store.stores import Store, ack_of

from parley.protocol import commands as c
from parley.protocol.errors import Code
from parley.protocol.events import Ack
from parley.protocol.types import ConversationId, JoinPolicy, MessageId, MessageKind, Role, UserId
from parley.store.interface import Append


def repeated(ack: Ack) -> Ack:
    """The first answer, as it is given again."""
    return msgspec.structs.replace(ack, duplicate=True)


def send(actor: UserId, conversation: ConversationId, client_id: str, text: str = "hello") -> Append:
    return Append(actor, c.SendMessage(conversation, client_id, text))


def test_twenty_at_once_are_stored_once(store: Store, ann: UserId, group: ConversationId) -> None:
    """In one batch, the first is new and all others are told so."""
    outcomes = [ack_of(outcome) for outcome in store.write(*[send(ann, group, "once")] * 20)]

    assert not outcomes[0].duplicate
    assert outcomes[1:] == [repeated(outcomes[0])] * 19
    assert store.head(group) == 3


@pytest.mark.parametrize("restart", [False, True], ids=["later", "after a restart"])
def test_a_later_repeat_gets_the_first_answer(store: Store, ann: UserId, group: ConversationId, restart: bool) -> None:
    first = store.do(ann, c.SendMessage(group, "once", "hello"))
    store.say(ann, group, "something else")
    store.clock.advance(365 * 86_400.0)
    if restart:
        store.reopen()
    before = store.everything()

    [again] = store.write(send(ann, group, "once"))

    assert again == repeated(first)
    assert store.everything() == before


def test_the_body_of_a_repeat_does_not_matter(store: Store, ann: UserId, group: ConversationId) -> None:
    """Another text, another kind of command, another conversation: it is still the first command."""
    message = store.say(ann, group)
    elsewhere = store.group(ann)
    first = store.do(ann, c.SendMessage(group, "once", "hello"))
    before = store.everything()
    others: list[c.Durable] = [
        c.SendMessage(group, "once", "goodbye"),
        c.SendMessage(group, "once", None, MessageKind.STICKER, mentions=(UserId(99),)),
        c.SendMessage(elsewhere, "once", "hello"),
        c.SendMessage(ConversationId(404), "once", "hello"),
        c.DeleteMessage(group, "once", message),
        c.EditMessage(group, "once", MessageId(404), "better"),
        c.CloseConversation(group, "once"),
        c.LeaveConversation(elsewhere, "once"),
    ]

    apart = [store.write(Append(ann, command))[0] for command in others]
    together = store.write(*[Append(ann, command) for command in others])

    assert apart == together == [repeated(first)] * len(others)
    assert store.everything() == before


def test_a_client_id_is_the_actors_own(store: Store, ann: UserId, bob: UserId, group: ConversationId) -> None:
    outcomes = store.write(send(ann, group, "once"), send(bob, group, "once"))

    assert [(ack_of(outcome).seq, ack_of(outcome).duplicate) for outcome in outcomes] == [(3, False), (4, False)]


def test_a_repeat_among_new_ones_costs_them_nothing(
    store: Store, ann: UserId, bob: UserId, group: ConversationId
) -> None:
    """The batch in which a repeat is met is decided a second time, and comes to the same."""
    first = store.do(ann, c.SendMessage(group, "once", "hello"))

    outcomes = store.write(send(bob, group, "a"), send(ann, group, "once"), send(bob, group, "b"))

    assert [ack_of(outcome).seq for outcome in outcomes] == [4, first.seq, 5]
    assert [ack_of(outcome).duplicate for outcome in outcomes] == [False, True, False]


def test_a_repeat_is_answered_before_membership_is_looked_at(
    store: Store, ann: UserId, bob: UserId, group: ConversationId
) -> None:
    first = store.do(bob, c.SendMessage(group, "once", "hello"))
    store.do(ann, c.RemoveMember(group, "out", bob))

    assert store.write(send(bob, group, "once")) == [repeated(first)]


def test_a_repeat_is_answered_after_the_conversation_has_closed(
    store: Store, ann: UserId, group: ConversationId
) -> None:
    first = store.do(ann, c.SendMessage(group, "once", "hello"))
    closed = store.do(ann, c.CloseConversation(group, "close"))

    outcomes = store.write(send(ann, group, "once"), Append(ann, c.CloseConversation(group, "close")))

    assert outcomes == [repeated(first), repeated(closed)]


def test_a_repeat_is_answered_before_the_services_own_refusal(store: Store, ann: UserId, group: ConversationId) -> None:
    """Whoever is too fast, or says it too long the second time, is told that it was stored."""
    first = store.do(ann, c.SendMessage(group, "once", "hello"))

    [again] = store.write(Append(ann, c.SendMessage(group, "once", "hello"), refusal=Code.RATE_LIMITED))

    assert again == repeated(first)


def test_a_refused_command_may_be_tried_again(store: Store, ann: UserId, bob: UserId, group: ConversationId) -> None:
    """A no is not an answer to keep: what was refused may be allowed the next time."""
    command = c.ChangeConversation(group, "title", title="Ours")
    refused, _, allowed = store.write(
        Append(bob, command),
        Append(ann, c.ChangeRole(group, "role", bob, Role.ADMIN)),
        Append(bob, command),
    )

    assert getattr(refused, "spec", None) is Code.ROLE_REQUIRED
    assert not ack_of(allowed).duplicate


def everything_once(here: ConversationId, message: MessageId, bob: UserId, newcomer: UserId) -> list[c.Durable]:
    """Each kind of command, in an order in which each changes something."""
    return [
        c.EditMessage(here, "edit", message, "better"),
        c.AddReaction(here, "react", message, "👍"),
        c.RemoveReaction(here, "unreact", message, "👍"),
        c.AddPin(here, "pin", message),
        c.RemovePin(here, "unpin", message),
        c.DeleteMessage(here, "delete", message),
        c.AddMember(here, "add", newcomer),
        c.ChangeRole(here, "role", newcomer, Role.ADMIN),
        c.RemoveMember(here, "remove", newcomer),
        c.ChangeConversation(here, "change", title="Ours", name="ours", join_policy=JoinPolicy.INVITE),
        c.ChangeRole(here, "hand-over", bob, Role.OWNER),
        c.LeaveConversation(here, "leave"),
    ]


def test_every_kind_of_command_is_answered_alike_for_ever(store: Store, ann: UserId, bob: UserId) -> None:
    """At once, after all the others have changed everything, and after a restart."""
    here = store.open_room(ann, bob)
    commands = everything_once(here, store.say(ann, here), bob, store.user("newcomer"))
    first = [store.do(ann, command) for command in commands]
    assert [ack.duplicate for ack in first] == [False] * len(commands)
    before = store.everything()

    for _ in range(2):
        assert store.write(*[Append(ann, command) for command in commands]) == [repeated(ack) for ack in first]
        assert [store.do(ann, command) for command in reversed(commands)] == [repeated(ack) for ack in reversed(first)]
        store.reopen()
    assert store.everything() == before


def test_joining_is_answered_alike_for_ever(store: Store, ann: UserId) -> None:
    """Also after one has left again: the retry does not bring one back in."""
    visitor, room = store.user("visitor"), store.open_room(ann)
    first = store.do(visitor, c.JoinConversation(room, "in"))
    store.do(visitor, c.LeaveConversation(room, "out"))

    assert store.do(visitor, c.JoinConversation(room, "in")) == repeated(first)
    assert store.rows("SELECT user_id FROM members WHERE conversation_id = :c", c=room) == [(ann,)]

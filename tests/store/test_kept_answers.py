"""Conformance: a command that changes nothing is acknowledged too, and its answer outlives what made it true."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from tests.store.stores import Store, ack_of
from tests.store.test_repeats import repeated

from parley.protocol import commands as c
from parley.protocol.types import ConversationId, MessageId, Role, UserId
from parley.store.interface import Append


@dataclass
class Scene:
    """A room of Ann's with Bob in it, and a message that Bob wrote."""

    store: Store
    ann: UserId
    bob: UserId
    room: ConversationId
    message: MessageId


Make = Callable[[Scene, str], c.Durable]


@dataclass
class Case:
    """`again` changes nothing once `first` was done; `undo` takes away the ground on which it did not."""

    actor: str
    first: Make | None
    again: Make
    undo: Make
    undo_by: str = "ann"
    names_message: bool = True


def react(s: Scene, id_: str) -> c.Durable:
    return c.AddReaction(s.room, id_, s.message, "👍")


def unreact(s: Scene, id_: str) -> c.Durable:
    return c.RemoveReaction(s.room, id_, s.message, "👍")


def pin(s: Scene, id_: str) -> c.Durable:
    return c.AddPin(s.room, id_, s.message)


def unpin(s: Scene, id_: str) -> c.Durable:
    return c.RemovePin(s.room, id_, s.message)


def delete(s: Scene, id_: str) -> c.Durable:
    return c.DeleteMessage(s.room, id_, s.message)


def add_bob(s: Scene, id_: str) -> c.Durable:
    return c.AddMember(s.room, id_, s.bob)


def remove_bob(s: Scene, id_: str) -> c.Durable:
    return c.RemoveMember(s.room, id_, s.bob)


def demote_bob(s: Scene, id_: str) -> c.Durable:
    return c.ChangeRole(s.room, id_, s.bob, Role.MEMBER)


def promote_bob(s: Scene, id_: str) -> c.Durable:
    return c.ChangeRole(s.room, id_, s.bob, Role.ADMIN)


def title(words: str) -> Make:
    return lambda s, id_: c.ChangeConversation(s.room, id_, title=words)


def join(s: Scene, id_: str) -> c.Durable:
    return c.JoinConversation(s.room, id_)


def close(s: Scene, id_: str) -> c.Durable:
    return c.CloseConversation(s.room, id_)


CASES = {
    "reaction that is there": Case("bob", react, react, unreact, undo_by="bob"),
    "reaction that is not there": Case("bob", None, unreact, react, undo_by="bob"),
    "pin that is there": Case("bob", pin, pin, unpin),
    "pin that is not there": Case("bob", None, unpin, pin),
    "message that is deleted": Case("bob", delete, delete, close),
    "member who is in": Case("ann", None, add_bob, remove_bob, names_message=False),
    "role that one has": Case("ann", None, demote_bob, promote_bob, names_message=False),
    "title that it has": Case("ann", title("Ours"), title("Ours"), title("Theirs"), names_message=False),
    "joining where one is": Case("bob", None, join, remove_bob, names_message=False),
}


@pytest.fixture
def scene(store: Store, ann: UserId, bob: UserId) -> Scene:
    room = store.open_room(ann, bob)
    return Scene(store, ann, bob, room, store.say(bob, room))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_no_op_is_not_in_the_log(scene: Scene, case: Case) -> None:
    """It acks a seq that exists, and takes none."""
    store, actor = scene.store, getattr(scene, case.actor)
    if case.first:
        store.do(actor, case.first(scene, "first"))
    before, head = store.log(scene.room), store.head(scene.room)

    ack = store.do(actor, case.again(scene, "again"))

    assert (ack.duplicate, ack.conversation_id) == (False, scene.room)
    assert ack.message_id == (scene.message if case.names_message else None)
    assert 1 <= ack.seq <= head
    assert (store.log(scene.room), store.head(scene.room)) == (before, head)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_answer_to_a_no_op_is_kept_for_ever(scene: Scene, case: Case) -> None:
    """Its retry must not do now, when the state has changed, what it did not do then."""
    store, actor = scene.store, getattr(scene, case.actor)
    if case.first:
        store.do(actor, case.first(scene, "first"))
    kept = store.do(actor, case.again(scene, "again"))
    store.do(getattr(scene, case.undo_by), case.undo(scene, "undo"))
    before = store.everything()

    assert store.do(actor, case.again(scene, "again")) == repeated(kept)
    store.reopen()
    assert store.do(actor, case.again(scene, "again")) == repeated(kept)
    assert store.everything() == before


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_no_op_repeated_in_its_own_batch_is_answered_alike(scene: Scene, case: Case) -> None:
    store, actor = scene.store, getattr(scene, case.actor)
    if case.first:
        store.do(actor, case.first(scene, "first"))

    one, two, undone, three = (
        ack_of(outcome)
        for outcome in store.write(
            Append(actor, case.again(scene, "again")),
            Append(actor, case.again(scene, "again")),
            Append(getattr(scene, case.undo_by), case.undo(scene, "undo")),
            Append(actor, case.again(scene, "again")),
        )
    )

    assert (one.duplicate, undone.duplicate) == (False, False)
    assert two == three == repeated(one)


def test_a_reaction_acks_the_seq_that_added_it(scene: Scene) -> None:
    first = scene.store.do(scene.bob, react(scene, "first"))
    scene.store.say(scene.ann, scene.room)

    assert scene.store.do(scene.bob, react(scene, "again")).seq == first.seq


def test_a_deletion_acks_the_seq_that_deleted(scene: Scene) -> None:
    """Whoever did it."""
    first = scene.store.do(scene.ann, delete(scene, "first"))
    scene.store.say(scene.ann, scene.room)

    assert scene.store.do(scene.bob, delete(scene, "again")).seq == first.seq

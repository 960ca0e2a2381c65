"""Conformance: what edits, deletions, reactions, pins and changes of members leave in the log and beside it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import inspect
from tests.store.stores import Store, ack_of, appended, refusal_of

from parley.protocol import commands as c
from parley.protocol.errors import Code
from parley.protocol.types import ConversationId, EntryKind, MessageId, Role, UserId
from parley.store.interface import Append
from parley.store.rules import PINS, REACTIONS_PER_USER

SECRETS = ("first-secret", "second-secret", "third-secret")


def bodies(store: Store, conversation: ConversationId) -> list[dict[str, Any]]:
    return [json.loads(entry.body) for entry in store.log(conversation)]


@pytest.fixture
def message(store: Store, ann: UserId, group: ConversationId) -> MessageId:
    return store.say(ann, group, SECRETS[0])


@pytest.fixture
def deleted(store: Store, ann: UserId, bob: UserId, group: ConversationId, message: MessageId) -> MessageId:
    """Written with everything a message may say, edited twice, reacted to, pinned, and then deleted."""
    other = store.say(bob, group, "stays")
    store.do(ann, c.EditMessage(group, "e1", message, SECRETS[1]))
    store.do(ann, c.EditMessage(group, "e2", message, SECRETS[2]))
    store.do(bob, c.AddReaction(group, "r", message, "👍"))
    store.do(bob, c.AddReaction(group, "r2", other, "👍"))
    store.do(bob, c.AddPin(group, "p", message))
    store.do(ann, c.DeleteMessage(group, "d", message))
    return message


def test_an_edit_counts_and_leaves_the_first_writing(
    store: Store, ann: UserId, group: ConversationId, message: MessageId
) -> None:
    edits = [store.do(ann, c.EditMessage(group, f"e{n}", message, f"text {n}")) for n in (1, 2)]

    log = bodies(store, group)
    assert log[2]["message"]["text"] == SECRETS[0]
    assert log[3:] == [{"message_id": str(message), "text": f"text {n}", "edit": n} for n in (1, 2)]
    assert store.rows("SELECT edit, edited_seq FROM entries WHERE id = :id", id=message) == [(2, edits[1].seq)]


def test_edits_of_one_batch_count_on(store: Store, ann: UserId, group: ConversationId, message: MessageId) -> None:
    store.write(*[Append(ann, c.EditMessage(group, f"e{n}", message, "x")) for n in range(3)])

    assert [body["edit"] for body in bodies(store, group)[3:]] == [1, 2, 3]


@pytest.mark.usefixtures("deleted")
def test_no_table_holds_a_word_of_a_deleted_message(store: Store) -> None:
    """Whichever table or column one looks in."""
    tables = store.on_writer(lambda connection: inspect(connection).get_table_names())
    dump = "".join(repr(store.rows(f"SELECT * FROM {table}")) for table in tables)

    assert "stays" in dump
    assert [secret for secret in SECRETS if secret in dump] == []


def test_a_deletion_empties_the_entries_and_removes_none(
    store: Store, group: ConversationId, deleted: MessageId
) -> None:
    log = store.log(group)
    assert [entry.seq for entry in log] == list(range(1, 11))
    kinds = [entry.kind for entry in log if entry.message_id == deleted]
    assert kinds == [EntryKind(kind) for kind in (1, 2, 2, 10, 12, 3)]

    first, *edits = (
        json.loads(entry.body)
        for entry in log
        if entry.message_id == deleted and entry.kind in {EntryKind.MESSAGE_CREATED, EntryKind.MESSAGE_EDITED}
    )
    assert first["message"] == {
        "id": str(deleted), "kind": "text", "text": None, "reply_to": None, "thread_of": None, "mentions": [],
        "attachments": [], "deleted": True,
    }  # fmt: skip
    assert edits == [{"message_id": str(deleted), "text": None, "edit": n, "deleted": True} for n in (1, 2)]


def test_a_deletion_takes_away_what_hung_on_it_and_nothing_else(store: Store, deleted: MessageId) -> None:
    [(other,)] = store.rows("SELECT message_id FROM reactions")
    assert other != deleted
    assert store.rows("SELECT message_id FROM pins") == []


def test_an_edit_and_a_deletion_in_one_batch_leave_nothing(
    store: Store, ann: UserId, group: ConversationId, message: MessageId
) -> None:
    store.write(
        Append(ann, c.EditMessage(group, "e", message, SECRETS[1])), Append(ann, c.DeleteMessage(group, "d", message))
    )

    assert not [secret for secret in SECRETS if secret in repr(store.rows("SELECT body FROM entries"))]


def test_a_deleted_message_takes_no_more_changes(
    store: Store, ann: UserId, group: ConversationId, deleted: MessageId
) -> None:
    commands: list[c.Durable] = [
        c.EditMessage(group, "1", deleted, "again"),
        c.AddReaction(group, "2", deleted, "👍"),
        c.RemoveReaction(group, "3", deleted, "👍"),
        c.AddPin(group, "4", deleted),
    ]

    outcomes = store.write(*[Append(ann, command) for command in commands])

    assert [refusal_of(outcome) for outcome in outcomes] == [Code.MESSAGE_DELETED] * 4


def test_a_message_of_another_conversation_is_unknown(
    store: Store, ann: UserId, group: ConversationId, message: MessageId
) -> None:
    """Also to one who is in both."""
    elsewhere = store.group(ann)
    commands: list[c.Durable] = [
        c.SendMessage(elsewhere, "0", "re", reply_to=message),
        c.EditMessage(elsewhere, "1", message, "again"),
        c.DeleteMessage(elsewhere, "2", message),
        c.AddReaction(elsewhere, "3", message, "👍"),
        c.RemoveReaction(elsewhere, "4", message, "👍"),
        c.AddPin(elsewhere, "5", message),
        c.RemovePin(elsewhere, "6", message),
    ]

    outcomes = store.write(*[Append(ann, command) for command in commands])

    assert [refusal_of(outcome) for outcome in outcomes] == [Code.UNKNOWN_MESSAGE] * 7


def test_an_entry_that_is_no_message_cannot_be_changed(
    store: Store, ann: UserId, group: ConversationId, message: MessageId
) -> None:
    """The id of an edit, of a joining or of a kept answer is no message's id."""
    store.do(ann, c.EditMessage(group, "e", message, "better"))
    store.do(ann, c.RemovePin(group, "no pin", message))
    others = [row[0] for row in store.rows("SELECT id FROM entries WHERE kind <> 1")]
    assert len(others) == 4

    outcomes = store.write(*[Append(ann, c.DeleteMessage(group, f"d{id_}", MessageId(id_))) for id_ in others])

    assert [refusal_of(outcome) for outcome in outcomes] == [Code.UNKNOWN_MESSAGE] * 4


def test_reactions_are_bounded_for_each_member(
    store: Store, ann: UserId, bob: UserId, group: ConversationId, message: MessageId
) -> None:
    many = [c.AddReaction(group, f"r{n}", message, chr(0x1F600 + n)) for n in range(REACTIONS_PER_USER + 1)]

    outcomes = store.write(*[Append(ann, command) for command in many], Append(bob, many[-1]))

    assert refusal_of(outcomes[-2]) is Code.LIMIT_REACHED
    assert ack_of(outcomes[-1]).seq == 3 + REACTIONS_PER_USER + 1


def test_pins_are_bounded(store: Store, ann: UserId, group: ConversationId) -> None:
    sent = store.write(*[Append(ann, c.SendMessage(group, f"m{n}", "x")) for n in range(PINS + 1)])
    ids = [ack_of(outcome).message_id or MessageId(0) for outcome in sent]

    outcomes = store.write(*[Append(ann, c.AddPin(group, f"p{id_}", id_)) for id_ in ids])

    assert refusal_of(outcomes[-1]) is Code.LIMIT_REACHED
    assert [ack_of(outcome).seq for outcome in outcomes[:-1]] == list(range(3 + PINS + 1, 3 + 2 * PINS + 1))


def test_mentions_keep_members_only(store: Store, ann: UserId, bob: UserId, group: ConversationId) -> None:
    stranger = store.user("stranger")

    store.do(ann, c.SendMessage(group, "m", "you!", mentions=(bob, stranger, UserId(404))))

    assert bodies(store, group)[-1]["message"]["mentions"] == [str(bob)]


def test_mentions_in_the_lobby_keep_accounts_only(store: Store, ann: UserId, bob: UserId) -> None:
    """Everybody with an account is in it; who has none is not."""
    gone = store.user("gone", gone=True)

    store.do(ann, c.SendMessage(store.lobby, "m", "you!", mentions=(bob, gone, UserId(404))))

    assert bodies(store, store.lobby)[-1]["message"]["mentions"] == [str(bob)]


def test_handing_over_is_two_entries_and_one_ack(store: Store, ann: UserId, bob: UserId, group: ConversationId) -> None:
    [outcome] = store.write(Append(ann, c.ChangeRole(group, "hand", bob, Role.OWNER)))

    first, second = appended(outcome)
    assert (ack_of(outcome).seq, first.seq, second.seq) == (3, 3, 4)
    assert (first.user_id, second.user_id) == (bob, ann)
    assert [json.loads(entry.body)["role"] for entry in (first, second)] == ["owner", "admin"]
    assert (first.client_id, store.log(group)[2:]) == ("hand", [first, second])
    assert dict(store.rows("SELECT user_id, role FROM members")) == {ann: "admin", bob: "owner"}


def test_handing_over_with_the_longest_client_id_fits(
    store: Store, ann: UserId, bob: UserId, group: ConversationId
) -> None:
    """The second entry's client_id is made from the first's."""
    [outcome] = store.write(Append(ann, c.ChangeRole(group, "x" * 64, bob, Role.OWNER)))

    assert len(appended(outcome)[1].client_id) <= 64


def test_members_are_counted(store: Store, ann: UserId, bob: UserId, group: ConversationId) -> None:
    newcomer = store.user("newcomer")
    store.write(
        Append(ann, c.AddMember(group, "1", newcomer)),
        Append(ann, c.RemoveMember(group, "2", bob)),
        Append(ann, c.AddMember(group, "3", bob)),
        Append(newcomer, c.LeaveConversation(group, "4")),
    )

    assert store.rows("SELECT member_count FROM conversations WHERE id = :id", id=group) == [(2,)]
    assert sorted(store.rows("SELECT user_id FROM members WHERE conversation_id = :id", id=group)) == [(ann,), (bob,)]


def test_only_what_changed_is_told(store: Store, ann: UserId, group: ConversationId) -> None:
    store.do(ann, c.ChangeConversation(group, "t", title="Ours"))

    assert bodies(store, group)[-1] == {"title": "Ours"}
    assert store.rows("SELECT title FROM conversations WHERE id = :id", id=group) == [("Ours",)]


def test_a_closed_conversation_keeps_its_log_and_frees_its_name(store: Store, ann: UserId) -> None:
    room = store.open_room(ann)
    store.do(ann, c.CloseConversation(room, "close"))

    assert [(entry.kind, entry.body) for entry in store.log(room)][-1] == (EntryKind.CONVERSATION_CLOSED, b"{}")
    [(name, closed_at)] = store.rows("SELECT name, closed_at FROM conversations WHERE id = :id", id=room)
    assert (name, closed_at) == (None, store.clock.now_ms())

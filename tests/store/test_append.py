"""Conformance: a batch is appended whole, in order, with the next seqs and ordinals, or not at all."""

from __future__ import annotations

from tests.store.stores import Store, ack_of, appended, refusal_of

from parley.protocol import commands as c
from parley.protocol.errors import Code
from parley.protocol.events import Ack
from parley.protocol.types import ConversationId, EntryKind, MessageId, UserId
from parley.store.interface import Append


def sends(store: Store, actor: UserId, conversation: ConversationId, number: int) -> list[Append]:
    return [Append(actor, c.SendMessage(conversation, store.client_id(), f"text {n}")) for n in range(number)]


def test_seqs_of_a_batch_are_contiguous_in_the_order_given(
    store: Store, ann: UserId, bob: UserId, group: ConversationId
) -> None:
    outcomes = store.write(*sends(store, ann, group, 3), *sends(store, bob, group, 2))

    assert [ack_of(outcome).seq for outcome in outcomes] == [3, 4, 5, 6, 7]
    assert store.head(group) == 7


def test_the_next_batch_goes_on_where_the_last_one_ended(store: Store, ann: UserId, group: ConversationId) -> None:
    store.write(*sends(store, ann, group, 3))
    store.reopen()

    assert [ack_of(outcome).seq for outcome in store.write(*sends(store, ann, group, 2))] == [6, 7]


def test_conversations_of_one_batch_count_each_for_themselves(store: Store, ann: UserId, bob: UserId) -> None:
    one, two = store.group(ann), store.group(ann, bob)
    mixed = [each for pair in zip(sends(store, ann, one, 3), sends(store, bob, two, 3), strict=True) for each in pair]

    outcomes = store.write(*mixed)

    assert [ack_of(outcome).seq for outcome in outcomes] == [2, 3, 3, 4, 4, 5]


def test_what_is_returned_is_what_is_read_back(store: Store, ann: UserId, group: ConversationId) -> None:
    """The entries handed to fan-out and the stored ones are the same, field by field."""
    [sent] = appended(store.write(*sends(store, ann, group, 1))[0])
    assert sent.message_id is not None
    [edited] = appended(store.write(Append(ann, c.EditMessage(group, "e", sent.message_id, "better")))[0])

    assert store.log(group)[2:] == [sent, edited]


def test_only_messages_raise_the_ordinal(store: Store, ann: UserId, group: ConversationId) -> None:
    message = store.say(ann, group)
    store.do(ann, c.AddReaction(group, "r", message, "👍"))
    store.say(ann, group)

    assert [(entry.kind, entry.ordinal) for entry in store.log(group)[2:]] == [
        (EntryKind.MESSAGE_CREATED, 1),
        (EntryKind.REACTION_ADDED, 1),
        (EntryKind.MESSAGE_CREATED, 2),
    ]


def test_an_ack_names_the_conversation_the_seq_the_time_and_the_message(
    store: Store, ann: UserId, group: ConversationId
) -> None:
    [outcome] = store.write(*sends(store, ann, group, 1))

    [entry] = appended(outcome)
    assert ack_of(outcome) == Ack(group, 3, store.clock.now_ms(), False, entry.message_id)


def test_a_thousand_in_one_batch_are_all_there(store: Store, ann: UserId, group: ConversationId) -> None:
    """More than any statement takes at once."""
    store.write(*sends(store, ann, group, 1003))

    assert [entry.seq for entry in store.log(group)] == list(range(1, 1006))
    assert len(store.rows("SELECT id FROM entries")) == 1005


def test_a_refused_command_takes_no_seq(store: Store, ann: UserId, bob: UserId, group: ConversationId) -> None:
    stranger = store.user("stranger")
    first, no, second = (sends(store, actor, group, 1)[0] for actor in (ann, stranger, bob))

    outcomes = store.write(first, no, second)

    assert refusal_of(outcomes[1]) is Code.UNKNOWN_CONVERSATION
    assert (ack_of(outcomes[0]).seq, ack_of(outcomes[2]).seq) == (3, 4)


def test_later_commands_of_a_batch_see_what_earlier_ones_changed(
    store: Store, ann: UserId, bob: UserId, group: ConversationId
) -> None:
    """Who was removed a moment before in the same batch is a stranger."""
    outcomes = store.write(
        Append(bob, c.SendMessage(group, "still", "still here")),
        Append(ann, c.RemoveMember(group, "out", bob)),
        Append(bob, c.SendMessage(group, "again", "am I?")),
        Append(ann, c.AddMember(group, "in", bob)),
        Append(bob, c.SendMessage(group, "back", "back")),
    )

    assert [ack_of(outcomes[n]).seq for n in (0, 1, 3, 4)] == [3, 4, 5, 6]
    assert refusal_of(outcomes[2]) is Code.UNKNOWN_CONVERSATION


def test_a_message_of_the_same_batch_can_be_replied_to(store: Store, ann: UserId, group: ConversationId) -> None:
    """The store promises each command the state that the ones before it left, whether that is written yet or not."""
    store.say(ann, group)
    coming = MessageId(store.ids.next() + 1)
    first = c.SendMessage(group, "first", "I am coming")
    answer = c.SendMessage(group, "second", "so you are", reply_to=coming)

    sent, replied = store.write(Append(ann, first), Append(ann, answer))

    assert ack_of(sent).message_id == coming
    assert ack_of(replied).seq == ack_of(sent).seq + 1


def test_a_command_the_service_refused_is_refused_with_its_words(
    store: Store, ann: UserId, group: ConversationId
) -> None:
    before = store.everything()
    command = c.SendMessage(group, "c", "x" * 10_000)

    [outcome] = store.write(Append(ann, command, refusal=Code.TOO_LONG, detail="At most 8000."))

    assert (refusal_of(outcome), getattr(outcome, "detail", None)) == (Code.TOO_LONG, "At most 8000.")
    assert store.everything() == before


def test_an_empty_batch_is_answered_and_changes_nothing(store: Store, group: ConversationId) -> None:
    before = store.everything()

    assert store.write() == []
    assert store.everything() == before

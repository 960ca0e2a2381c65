"""Conformance: an answer that grows, its leases and its budgets, on every engine."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from tests.store.stores import Store, ack_of

from parley.protocol import commands as c
from parley.protocol.errors import Code
from parley.protocol.types import AnswerStatus, ConversationId, MessageId, UserId
from parley.store.interface import Append, Refused
from parley.store.sql import assistant as sql
from parley.store.sql import assistant_use as use
from parley.store.sql.assistant import Asked
from parley.store.sql.assistant_use import Turn


@pytest.fixture
def ai(store: Store) -> UserId:
    return store.on_writer(lambda connection: sql.account(connection, "ai", "ai", "AI", 1))


def start(question: MessageId, where: ConversationId) -> c.StartAnswer:
    return c.StartAnswer(where, f"answer.{question}", question)


def end(message: MessageId, where: ConversationId, words: str, status: AnswerStatus) -> c.CompleteAnswer:
    return c.CompleteAnswer(where, f"end.{message}", message, words, status)


def test_it_begins_once_and_ends_once(store: Store, ann: UserId, ai: UserId, group: ConversationId) -> None:
    """Whoever tries again gets the first answer, in the same batch or later, whatever it says now."""
    question = store.say(ann, group, "@ai hello")
    first = store.do(ai, start(question, group))
    assert first.message_id is not None
    again = store.do(ai, start(question, group))
    done = end(first.message_id, group, "done 😀", AnswerStatus.DONE)
    other = end(first.message_id, group, "half", AnswerStatus.INTERRUPTED)

    outcomes = [ack_of(it) for it in store.write(Append(ai, done), Append(ai, other))]
    late = store.do(ai, other)

    assert (again.message_id, again.duplicate) == (first.message_id, True)
    assert [it.duplicate for it in (*outcomes, late)] == [False, True, True]
    assert {it.seq for it in (*outcomes, late)} == {first.seq + 1}
    assert (
        store.log(group)[-1].body
        == b'{"message_id":"%d","text":"done \xf0\x9f\x98\x80","status":"done"}' % first.message_id
    )


def test_nobody_else_ends_it(store: Store, ann: UserId, ai: UserId, group: ConversationId) -> None:
    """Nor what does not grow, nor what was deleted."""
    question = store.say(ann, group, "@ai hello")
    message = store.do(ai, start(question, group)).message_id
    assert message is not None

    [by_ann] = store.write(Append(ann, end(message, group, "mine", AnswerStatus.DONE)))
    [of_ann] = store.write(Append(ai, end(question, group, "yours", AnswerStatus.DONE)))
    store.do(ann, c.DeleteMessage(group, store.client_id(), message))
    [deleted] = store.write(Append(ai, end(message, group, "late", AnswerStatus.DONE)))

    specs = [it.spec for it in (by_ann, of_ann, deleted) if isinstance(it, Refused)]
    assert specs == [Code.UNSUPPORTED, Code.UNSUPPORTED, Code.MESSAGE_DELETED]


def test_an_edit_after_the_end_keeps_its_number_when_emptied(
    store: Store, ann: UserId, ai: UserId, group: ConversationId
) -> None:
    """The completion is no edit, before as after."""
    message = store.do(ai, start(store.say(ann, group, "@ai hello"), group)).message_id
    assert message is not None
    store.do(ai, end(message, group, "words", AnswerStatus.DONE))
    store.do(ann, c.EditMessage(group, store.client_id(), message, "better"))
    store.do(ann, c.DeleteMessage(group, store.client_id(), message))

    bodies = [entry.body for entry in store.log(group)[-3:-1]]
    assert b'"text":null,"status":"done","deleted":true' in bodies[0]
    assert b'"text":null,"edit":1,"deleted":true' in bodies[1]


def test_what_was_said_is_what_was_said_then(store: Store, ann: UserId, ai: UserId, group: ConversationId) -> None:
    edited, gone = store.say(ann, group, "first words"), store.say(ann, group, "gone")
    store.do(ann, c.EditMessage(group, store.client_id(), edited, "second words"))
    answer = store.do(ai, start(store.say(ann, group, "@ai one"), group)).message_id
    assert answer is not None
    question = store.do(ann, c.SendMessage(group, store.client_id(), "@ai two"))
    store.do(ai, end(answer, group, "an answer", AnswerStatus.DONE))
    store.do(ann, c.EditMessage(group, store.client_id(), edited, "third words"))
    store.do(ann, c.DeleteMessage(group, store.client_id(), gone))

    said = store.on_writer(lambda connection: sql.said(connection, group, question.seq, 100))

    assert [it.text for it in said] == ["second words", "@ai one", "@ai two"]


def test_a_lease_is_one_nodes(store: Store, ann: UserId, ai: UserId, group: ConversationId) -> None:
    """Kept while it is renewed; taken over once by whoever finds it out; the draft comes with it."""
    asked = Asked(store.say(ann, group, "@ai hello"), group, 3, ann)
    noted = [store.on_writer(lambda it, who=who: sql.note(it, [asked], who)) for who in ("a", "b")]  # type: ignore[misc]
    message = store.do(ai, start(asked.question_id, group)).message_id
    assert message is not None
    began = store.on_writer(lambda it: sql.begin(it, asked.question_id, message, "a"))
    store.on_writer(lambda it: sql.renew(it, "a", {asked.question_id: "half 😀"}))

    def take(owner: str, *, alone: bool = False) -> list[sql.Left]:
        return store.on_writer(lambda it: sql.take_over(it, owner, alone=alone, limit=10))

    early = take("b")
    store.on_writer(lambda it: it.execute(text("UPDATE assistant_answers SET until = 0")))
    taken, again = take("b"), take("c")
    kept, cancelled = store.on_writer(lambda it: sql.renew(it, "a", {asked.question_id: "more"}))

    assert (noted, began, early, again) == ([{asked.question_id}, set()], True, [], [])
    assert [(it.asked, it.message_id, it.draft) for it in taken] == [(asked, message, "half 😀")]
    assert (kept, cancelled) == (set(), set())
    assert store.on_writer(lambda it: sql.named(it, group, message)) == asked
    store.on_writer(lambda it: sql.ask_to_cancel(it, asked.question_id))
    assert store.on_writer(lambda it: sql.renew(it, "b", {})) == ({asked.question_id}, {asked.question_id})
    assert [it.draft for it in store.on_writer(lambda it: sql.growing(it, 10))] == ["half 😀"]
    store.on_writer(lambda it: sql.forget(it, asked.question_id, "b"))
    assert take("c", alone=True) == []


def test_a_budget_is_never_overdrawn(store: Store) -> None:
    user = UserId(5)

    def reserve(tokens: int, day: int = 1) -> bool:
        return store.on_writer(lambda it: use.reserve(it, user, day, tokens, 3, 1000))

    taken = [reserve(600), reserve(600), reserve(400)]
    store.on_writer(lambda it: use.settle(it, user, 1, -500))
    more = [reserve(500), reserve(1), reserve(1, day=2), reserve(1001, day=3)]

    assert taken == [True, False, True]
    assert more == [True, False, True, False]
    assert store.on_writer(lambda it: use.used(it, user, 1)) == (3, 1000)


def test_memories_are_ones_own_and_not_for_ever(store: Store) -> None:
    mine, other = UserId(5), UserId(6)
    turns = [Turn("user", "你好 😀"), Turn("assistant", "x" * 5000)]
    for number in range(4):
        store.on_writer(lambda it, n=number: use.remember(it, f"m{n}", mine, turns, n + 1))  # type: ignore[misc]
        store.on_writer(lambda it, n=number: use.remember(it, f"m{n}", mine, turns, n + 1))  # type: ignore[misc]

    assert store.on_writer(lambda it: use.recall(it, "m0", mine, lock=True)) == turns
    assert store.on_writer(lambda it: use.recall(it, "m0", other)) is None
    store.on_writer(lambda it: use.crowd_out(it, mine, 3))
    assert store.on_writer(lambda it: use.recall(it, "m0", mine)) is None
    store.on_writer(lambda it: use.sweep(it, 4, 0))
    assert store.rows("SELECT id FROM assistant_memories") == [("m3",)]

"""Growing answers on the Python SDK: joined exactly, whatever the way did to their pieces."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from parley_sdk import Answers, Client, Entry, Message, Signal
from parley_sdk.answers import MOST, join

NOBODY = cast(Client, None)


def delta(offset: int, text: str, message: str = "70") -> Signal:
    return Signal("ai.delta", {"conversation_id": "7", "message_id": message, "offset": offset, "text": text})


def begun(message: str = "70") -> Message:
    body = {"message": {"id": message, "text": "", "status": "streaming", "reply_to": "69"}}
    return Message("7", 2, "message.created", "5", "", "c", body, NOBODY)


def entry(kind: str, **body: Any) -> Entry:
    return Entry("7", 3, kind, "5", "", "c", {"message_id": "70", **body})


def test_an_answer_begins_grows_and_ends() -> None:
    answers = Answers()
    told = [
        answers.heard(event)
        for event in (
            begun(),
            delta(0, "one 😀"),
            delta(5, " two"),
            delta(5, " two"),
            entry("message.completed", text="one 😀 two!", status="done"),
        )
    ]

    assert [it and (it.text, it.status, it.question_id) for it in told] == [
        ("", "streaming", "69"),
        ("one 😀", "streaming", "69"),
        ("one 😀 two", "streaming", "69"),
        None,
        ("one 😀 two!", "done", "69"),
    ]


def test_a_piece_may_be_faster_than_its_message() -> None:
    answers = Answers()
    answers.heard(delta(0, "one"))
    answer = answers.heard(begun())
    assert answer is not None
    assert (answer.text, answer.ended) == ("one", False)


def test_a_deleted_answer_has_ended_and_says_nothing() -> None:
    answers = Answers()
    answers.heard(delta(0, "one"))
    gone = answers.heard(entry("message.deleted"))
    assert gone is not None
    assert (gone.text, gone.status, gone.ended) == ("", "deleted", True)
    assert answers.heard(entry("message.deleted")) is None


def test_what_never_ends_is_bounded() -> None:
    answers = Answers()
    for number in range(MOST + 1):
        answers.heard(delta(0, "one", str(number)))
    assert answers.heard(delta(3, " two", "0")) is None
    assert answers.heard(delta(3, " two", "1")) is not None


@given(st.text(min_size=1), st.data())
def test_what_is_held_is_always_a_beginning(text: str, data: st.DataObject) -> None:
    """Lost, repeated, late: nothing garbled is shown, nothing shown is taken back, and all so far makes it whole."""
    cuts = st.integers(0, len(text))
    pieces = data.draw(st.lists(st.tuples(cuts, cuts).map(lambda it: (min(it), max(it))), max_size=30))
    held = ""
    for start, end in pieces:
        before, held = held, join(held, start, text[start:end])
        assert text.startswith(held)
        assert held.startswith(before)
    assert join(held, 0, text) == text

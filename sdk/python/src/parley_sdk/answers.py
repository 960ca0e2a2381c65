"""Answers of an assistant while they grow, put together from what a client hears."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from parley_sdk.events import Entry, Event, Message, Signal

MOST = 100
"""More do not grow at once where one listens; the one that has been quiet for longest is let go."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as far as it is known. `status`: streaming, then done, cancelled or interrupted; deleted if it was.

    While it streams, `text` is a beginning of the answer, never anything else; at its end, it is all of it.
    """

    conversation_id: str
    message_id: str
    question_id: str | None
    text: str
    status: str

    @property
    def ended(self) -> bool:
        return self.status != "streaming"


class Answers:
    """Feed it every event; it gives the answer that the event changed.

        answers = Answers()
        async for event in chat:
            if answer := answers.heard(event):
                show(answer.text)

    What was lost, repeated or late on the way changes nothing: a piece is joined only where it meets what is there.
    """

    def __init__(self) -> None:
        self._growing: dict[str, Answer] = {}

    def heard(self, event: Event) -> Answer | None:
        if isinstance(event, Signal):
            return self._grown(event.payload) if event.type == "ai.delta" else None
        if isinstance(event, Message):
            return self._begun(event) if event.message.get("status") == "streaming" else None
        if isinstance(event, Entry) and event.kind in {"message.completed", "message.deleted"}:
            return self._ended(event)
        return None

    def _begun(self, entry: Message) -> Answer:
        # A piece of it may have been faster than its message.
        known = self._growing.get(entry.id)
        return self._keep(
            Answer(
                entry.conversation_id, entry.id, entry.message.get("reply_to"), known.text if known else "", "streaming"
            )
        )

    def _grown(self, delta: Mapping[str, Any]) -> Answer | None:
        message, offset, text = str(delta["message_id"]), int(delta["offset"]), str(delta["text"])
        known = self._growing.get(message) or Answer(str(delta["conversation_id"]), message, None, "", "streaming")
        joined = join(known.text, offset, text)
        return None if joined == known.text else self._keep(replace(known, text=joined))

    def _ended(self, entry: Entry) -> Answer | None:
        message = str(entry.body["message_id"])
        known = self._growing.pop(message, None)
        if entry.kind == "message.deleted":
            return None if known is None else replace(known, text="", status="deleted")
        text, status = entry.body.get("text") or "", str(entry.body.get("status", "done"))
        question = None if known is None else known.question_id
        return Answer(entry.conversation_id, message, question, text, status)

    def _keep(self, answer: Answer) -> Answer:
        self._growing.pop(answer.message_id, None)
        self._growing[answer.message_id] = answer
        if len(self._growing) > MOST:
            del self._growing[next(iter(self._growing))]
        return answer


def join(held: str, offset: int, text: str) -> str:
    """What is held after one more piece. Offsets count code points, as `len` does; 0 is all so far."""
    if offset == 0:
        return held if held.startswith(text) else text
    if offset > len(held):
        return held
    return held + text[len(held) - offset :]

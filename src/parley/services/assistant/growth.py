"""An answer while it grows: its text, and what of it the room has been told."""

import asyncio
from collections.abc import Callable

from parley.protocol.events import Signal
from parley.protocol.types import AnswerStatus, MessageId
from parley.store.sql.assistant import Asked

DELTA_S = 0.05
"""Pieces of so long are told together: the eye sees no difference, and a room's sockets do."""

Tell = Callable[[Signal], None]


class Growth:
    """One answer's. On the event loop; nothing in it waits."""

    def __init__(self, asked: Asked, message_id: MessageId, tell: Tell) -> None:
        self.asked = asked
        self.message_id = message_id
        self.text = ""
        self.ending: AnswerStatus | None = None
        """How it is to end, once somebody has decided that."""
        self.deleted = False
        self.work: asyncio.Task[None] | None = None
        """What asks the provider."""
        self._tell = tell
        self._told = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, piece: str) -> None:
        self.text += piece
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(DELTA_S, self._flush)

    def _flush(self) -> None:
        self._timer = None
        told, self._told = self._told, len(self.text)
        conversation = self.asked.conversation_id
        payload = {
            "conversation_id": str(conversation),
            "message_id": str(self.message_id),
            "offset": told,
            "text": self.text[told:],
        }
        self._tell(Signal("ai.delta", payload, conversation))

    def end(self, status: AnswerStatus) -> None:
        """Stop asking. The first to decide decides."""
        if self.ending is None:
            self.ending = status
        if self.work is not None:
            self.work.cancel()

    def close(self) -> None:
        """Its completion says all of it; nothing more is told before."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

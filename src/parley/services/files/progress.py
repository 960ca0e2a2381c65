"""Who is sending what, told to the conversation it is meant for: at most twice a second for each upload."""

from typing import Protocol

import msgspec

from parley.clock import Clock
from parley.protocol.events import Signal
from parley.protocol.types import ConversationId, UserId
from parley.store.sql.files import UploadRow

EVERY_S = 0.5
QUARTERS = 4
KNOWN = 10_000
"""Uploads whose last word is remembered."""


class Teller(Protocol):
    """The fan-out, as far as it is used here."""

    def tell_conversation(
        self, conversation_id: ConversationId, signal: Signal, without: UserId | None = None
    ) -> None: ...


class _Told(msgspec.Struct):
    at: float
    quarter: int


class Progress:
    """On the event loop; never waits."""

    def __init__(self, fanout: Teller, clock: Clock) -> None:
        self._fanout = fanout
        self._clock = clock
        self._told: dict[int, _Told] = {}

    def moved(self, upload: UploadRow, by_name: str, offset: int) -> None:
        """It has got so far; said only if it was not said just now."""
        now = self._clock.monotonic()
        told = self._told.get(upload.id)
        if told is not None and now - told.at < EVERY_S:
            return
        quarter = QUARTERS * offset // max(upload.size, 1)
        # Older clients are told of quarters only: they have no bar, only lines of chat.
        passed = told is None or quarter > told.quarter
        if told is None and len(self._told) >= KNOWN:
            del self._told[next(iter(self._told))]
        self._told[upload.id] = _Told(now, quarter)
        self._tell(upload, by_name, offset, {"quarter": True} if passed else {})

    def done(self, upload: UploadRow, by_name: str) -> None:
        self._told.pop(upload.id, None)
        self._tell(upload, by_name, upload.size, {"done": True})

    def given_up(self, upload: UploadRow, by_name: str) -> None:
        self._told.pop(upload.id, None)
        self._tell(upload, by_name, 0, {"cancelled": True})

    def _tell(self, upload: UploadRow, by_name: str, offset: int, more: dict[str, bool]) -> None:
        if upload.conversation_id is None:
            return
        payload = {
            "conversation_id": str(upload.conversation_id),
            "upload_id": str(upload.id),
            "user_id": str(upload.owner_id),
            "name": upload.name,
            "size": upload.size,
            "offset": offset,
            **more,
        }
        self._fanout.tell_conversation(
            upload.conversation_id, Signal("upload.progress", payload, upload.conversation_id, by_name)
        )

"""The seam of the assistant: lines in, pieces of an answer out.

Delivery: pieces in order, each once, then one `Ending`; or `Failed`, which may come after pieces and says what kind of
failure it was and nothing of the request, the answer or the key. Nothing is tried again in here. Cancelling the
iteration ends the request. Who closes: the composition root.
"""

from collections.abc import AsyncGenerator, Sequence
from enum import StrEnum
from typing import Literal, Protocol

import msgspec


class Line(msgspec.Struct, frozen=True):
    """One part of what the model is shown. It is given no tools: whatever a line asks for, an answer is all that can
    come of it."""

    role: Literal["system", "user", "assistant"]
    text: str


class Piece(msgspec.Struct, frozen=True):
    """A part of the answer, never empty, without U+0000 or half a surrogate pair."""

    text: str


class Ending(msgspec.Struct, frozen=True):
    """`reason`: `stop`, `length`, or another word of the provider's. Tokens are None where it did not count them."""

    reason: str
    prompt_tokens: int | None = None
    answer_tokens: int | None = None


class Failure(StrEnum):
    """Kinds, for figures and for deciding whether to try again."""

    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    """It answered 5xx, or could not be reached."""
    REFUSED = "refused"
    """The key is wrong, or may not do this."""
    BAD_REQUEST = "bad_request"
    CUT = "cut"
    """The answer broke off."""
    GARBLED = "garbled"
    OPEN = "open"
    """Not asked at all: it failed too often just now."""


AGAIN = frozenset({Failure.TIMEOUT, Failure.RATE_LIMITED, Failure.UNAVAILABLE, Failure.CUT})
"""May be gone in a moment."""


class Failed(Exception):
    """No answer, or no more of it. `retry_after_s`: what the provider asked for."""

    def __init__(self, kind: Failure, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(kind, status, retry_after_s)
        self.kind = kind
        self.status = status
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return self.kind.value if self.status is None else f"{self.kind.value} ({self.status})"


class Provider(Protocol):
    def answer(self, lines: Sequence[Line]) -> AsyncGenerator[Piece | Ending]:
        """Raises Failed, and nothing else."""

    async def close(self) -> None: ...

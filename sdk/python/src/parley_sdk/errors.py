"""What can go wrong, by the names of spec/codes.toml and a few of this client's own."""

from collections.abc import Mapping
from typing import Any, Self

from parley_sdk.codes import CLOSES

CLOSE_NAMES = {code: name for name, code in CLOSES.items()}
STOP_CODES = range(4500, 5000)
"""Closed with one of these, a client does not come back by itself."""


class ParleyError(Exception):
    """`name` and `code` are public API. `retryable`: the same command may succeed later, under the same client_id.

    This client's own names: `not_connected`, `outbox_full`, `too_old` (what was asked is gone), `bad_answer`.
    """

    def __init__(
        self, name: str, message: str, *, code: int = 0, retryable: bool = False, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.name = name
        self.code = code
        self.retryable = retryable
        self.retry_after_s = retry_after_s

    @classmethod
    def of(cls, problem: Mapping[str, Any]) -> Self:
        """From the payload of an `error` frame, or a problem body over HTTP."""
        wait = problem.get("retry_after_ms")
        return cls(
            str(problem.get("name", "internal")),
            str(problem.get("message") or problem.get("detail") or problem.get("title") or problem.get("name", "")),
            code=int(problem.get("code", 0)),
            retryable=bool(problem.get("retryable", False)),
            retry_after_s=wait / 1000 if isinstance(wait, int | float) else None,
        )

    def __str__(self) -> str:
        return f"{self.name}: {super().__str__()}"


class Disconnected(ParleyError):
    """The server ended this session: `session_ended`, `replaced`, `banned`, `unauthenticated`, … It stays ended."""

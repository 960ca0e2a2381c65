"""What a client has promised its user to send: bounded, in order per conversation, if wanted on the client's disk."""

from __future__ import annotations

import secrets
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import msgspec


def uuid7() -> str:
    """A UUID, version 7: ordered by time, so that it lands in the last page of the server's unique index."""
    milliseconds = time.time_ns() // 1_000_000
    number = (milliseconds << 80) | secrets.randbits(80)
    number = number & ~(0xF << 76) | (0x7 << 76)
    number = number & ~(0x3 << 62) | (0x2 << 62)
    return str(UUID(int=number))


class OutboxFull(Exception):
    """The bound is reached: wait for acknowledgements before sending more."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A message that has not been acknowledged yet."""

    conversation: str
    client_id: str
    text: str


class Outbox:
    """Unacknowledged messages, the oldest of each conversation first.

    With a `path` every change is a line in that file before the call returns, and what was pending is pending again
    when the file is opened the next time. Without one the outbox lives and dies with its process.
    """

    def __init__(self, path: Path | None = None, *, bound: int = 10_000) -> None:
        self._bound = bound
        self._waiting: dict[str, deque[Pending]] = {}
        self._count = 0
        for pending in _read(path) if path is not None and path.exists() else []:
            self._append(pending)
        self._file = None
        if path is not None:
            # Written anew with only what is pending, so that the file does not grow over restarts.
            fresh = path.with_suffix(".new")
            fresh.write_bytes(b"".join(_put(pending) for queue in self._waiting.values() for pending in queue))
            fresh.replace(path)
            self._file = path.open("ab", buffering=0)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, client_id: object) -> bool:
        return any(pending.client_id == client_id for queue in self._waiting.values() for pending in queue)

    def put(self, pending: Pending) -> None:
        if self._count >= self._bound:
            raise OutboxFull(self._bound)
        if self._file is not None:
            self._file.write(_put(pending))
        self._append(pending)

    def _append(self, pending: Pending) -> None:
        self._waiting.setdefault(pending.conversation, deque()).append(pending)
        self._count += 1

    def first(self, conversation: str) -> Pending | None:
        queue = self._waiting.get(conversation)
        return queue[0] if queue else None

    def conversations(self) -> list[str]:
        """Those in which something waits."""
        return list(self._waiting)

    def done(self, pending: Pending) -> None:
        """It was acknowledged or finally refused. Only the first of its conversation can be done."""
        queue = self._waiting[pending.conversation]
        if queue[0] != pending:
            raise ValueError(f"{pending.client_id} is not the first of conversation {pending.conversation}")
        queue.popleft()
        if not queue:
            del self._waiting[pending.conversation]
        self._count -= 1
        if self._file is not None:
            self._file.write(msgspec.json.encode({"done": pending.client_id}) + b"\n")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _put(pending: Pending) -> bytes:
    return msgspec.json.encode({"put": pending}) + b"\n"


class _Line(msgspec.Struct):
    put: Pending | None = None
    done: str | None = None


def _read(path: Path) -> list[Pending]:
    waiting: dict[str, Pending] = {}
    for line in path.read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break  # cut off by the death of its writer, which had not promised it yet
        change = msgspec.json.decode(line, type=_Line)
        if change.put is not None:
            waiting[change.put.client_id] = change.put
        if change.done is not None:
            waiting.pop(change.done, None)
    return list(waiting.values())

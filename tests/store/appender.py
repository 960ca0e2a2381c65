"""A process that appends until it is stopped from outside, and says what was acknowledged: `appender.py FOLDER NAME`.

Each line is flushed before the next batch is submitted: `ack CLIENT_ID SEQ`, or the name of what the store answered.
"""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

import structlog
from sqlalchemy import select
from tests.store.stores import KITS, Store, ack_of

from parley.clock import SystemClock
from parley.protocol.commands import SendMessage
from parley.protocol.types import UserId
from parley.store.interface import Append, BatchResult
from parley.store.tables import users

BATCH = 5


def main(folder: Path, name: str) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    store = Store(KITS["sqlite"], folder, SystemClock()).open()  # type: ignore[arg-type]  # only `now_ms` is used
    known = store.on_writer(lambda connection: connection.scalars(select(users.c.id)).first())
    actor = UserId(known) if known else store.user("writer")
    print("ready", flush=True)  # noqa: T201 - what it has to say
    for n in count():
        sends = [SendMessage(store.lobby, f"{name}.{n}.{k}", "x" * 300) for k in range(BATCH)]
        result = store.attempt([Append(actor, send) for send in sends])
        if not isinstance(result, BatchResult):
            print(type(result).__name__, flush=True)  # noqa: T201
            if sys.stdin.readline() == "":
                return
            continue
        lines = [
            f"ack {send.client_id} {ack_of(outcome).seq}" for send, outcome in zip(sends, result.outcomes, strict=True)
        ]
        print("\n".join(lines), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

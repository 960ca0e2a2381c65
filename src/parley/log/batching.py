"""Records of the commands topic, decoded, and made into batches with the fences that hold them. Pure."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from parley.log.envelope import Answer, Origin, Undecodable, decode_record
from parley.protocol.errors import ErrorSpec
from parley.store.interface import Append, BatchResult, Fence, Outcome, Refused

INTERNAL_REASON = "the store could not take a command of it, and answered `internal`"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A record as it came. Without commands it only moves the offset on."""

    partition: int
    offset: int
    value: bytes
    origin: Origin | None = None
    commands: Sequence[tuple[int, Append]] = ()
    poison: str | None = None
    foreign: bool = False
    """Meant for another database."""


def decode(record: Any, epoch: str) -> Fetched:
    value = record.value or b""
    try:
        decoded = decode_record(value)
    except Undecodable as error:
        return Fetched(record.partition, record.offset, value, poison=str(error))
    if decoded.epoch != epoch:
        return Fetched(record.partition, record.offset, value, foreign=True)
    return Fetched(record.partition, record.offset, value, decoded.origin, decoded.commands)


@dataclass(slots=True)
class Batch:
    """What one transaction appends. `fetched` has the records it is made of, whole."""

    fetched: list[Fetched]
    appends: list[Append]
    fences: list[Fence]
    numbers: list[int] = field(default_factory=list)
    """For each of `appends`, the number that its origin gave it."""

    def answers(self, outcomes: Sequence[Outcome]) -> Iterator[tuple[Origin, list[Answer]]]:
        """All that goes to one origin together."""
        by_origin: dict[Origin, list[Answer]] = {}
        at = 0
        for fetched in self.fetched:
            if fetched.origin is None:
                continue
            after = at + len(fetched.commands)
            answers = zip(self.numbers[at:after], outcomes[at:after], strict=True)
            by_origin.setdefault(fetched.origin, []).extend(answers)
            at = after
        return iter(by_origin.items())

    def refused_as(self, spec: ErrorSpec, result: BatchResult) -> list[Fetched]:
        """The records with a command that was refused so."""
        found: list[Fetched] = []
        at = 0
        for fetched in self.fetched:
            after = at + len(fetched.commands)
            if any(type(it) is Refused and it.spec is spec for it in result.outcomes[at:after]):
                found.append(fetched)
            at = after
        return found


def gather(ready: deque[Fetched], limit: int, topic: str, stored: Mapping[int, int]) -> Batch:
    """Take whole records off `ready`, which is not empty, up to `limit` commands; the first one in any case."""
    fetched: list[Fetched] = []
    appends: list[Append] = []
    numbers: list[int] = []
    after: dict[int, int] = {}
    while ready and (not fetched or len(appends) + len(ready[0].commands) <= limit):
        one = ready.popleft()
        fetched.append(one)
        after[one.partition] = one.offset + 1
        for number, append in one.commands:
            numbers.append(number)
            appends.append(append)
    fences = [Fence(topic, partition, stored[partition], offset) for partition, offset in sorted(after.items())]
    return Batch(fetched, appends, fences, numbers)

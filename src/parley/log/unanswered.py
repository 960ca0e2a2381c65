"""Commands that went to Kafka and whose answers have not come back: each gets one, found in the store if the answer
itself was lost, and `outcome_unknown` in the end."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import takewhile

import msgspec
import structlog

from parley.log.envelope import Answer
from parley.log.figures import Count
from parley.log.interface import Reply
from parley.log.telling import tell
from parley.protocol.errors import Code, ErrorSpec
from parley.protocol.events import Ack
from parley.protocol.types import UserId
from parley.store.interface import Append, Refused, StoreUnavailable

log = structlog.get_logger()

LOOKED_UP = 200
"""Commands looked up in one question."""

Keys = Sequence[tuple[UserId, str]]
LookUp = Callable[[Keys], Awaitable[dict[tuple[UserId, str], Ack]]]
"""The first answers to these (actor, client_id), as far as the store has any. Raises StoreUnavailable."""


class Times(msgspec.Struct, frozen=True):
    """Seconds."""

    look_up: float = 2.0
    """Without an answer for so long, the store is asked, and again each time as long."""
    give_up: float = 10.0
    """Then it is `outcome_unknown`."""
    stall: float = 3.0
    """Kafka has not confirmed a batch for so long: what would have to wait behind it is refused."""
    sweep: float = 0.25
    """How often somebody looks whether any of these has passed."""
    quiet: float = 10.0
    """So long after the last one was given up nobody new is wanted here. Then somebody is, or with no client left
    nobody would ever find out that there are answers again."""


class Pending:
    """A command, from `submit` to its answer. `at`: when it came, by the loop's clock."""

    __slots__ = ("append", "at", "looked", "number", "reply")

    def __init__(self, number: int, append: Append, reply: Reply, at: float) -> None:
        self.number = number
        self.append = append
        self.reply = reply
        self.at = at
        self.looked = at


class Unanswered:
    """Belongs to one event loop. `sweep` is called now and then by its owner."""

    def __init__(self, look_up: LookUp, times: Times, unknown: Count) -> None:
        self._ask = look_up
        self._times = times
        self._unknown = unknown
        self._pending: dict[int, Pending] = {}
        """By number, and so the oldest first."""
        self._last = 0
        self._looking: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self.silent = False
        """A command was given up, and no answer has come since: nobody appends just now."""
        self._quiet_until = 0.0

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, append: Append, reply: Reply, now: float) -> Pending:
        self._last = number = self._last + 1
        self._idle.clear()
        pending = self._pending[number] = Pending(number, append, reply, now)
        return pending

    def settle(self, answers: Iterable[Answer]) -> None:
        """Answers to what was answered already, found in the store or given up, are nobody's."""
        self.silent = False
        for number, outcome in answers:
            pending = self._pending.pop(number, None)
            if pending is not None:
                tell(pending.reply, outcome)
        self._rest()

    def hopeless(self, now: float) -> bool:
        """Whether who comes now would most likely wait for nothing."""
        return self.silent and now < self._quiet_until

    def refuse(self, refused: Iterable[Pending], spec: ErrorSpec, detail: str | None = None) -> None:
        """Only what surely never left this process."""
        answer = Refused(spec, detail)
        for pending in refused:
            if self._pending.pop(pending.number, None) is not None:
                tell(pending.reply, answer)
        self._rest()

    def _rest(self) -> None:
        if not self._pending:
            self._idle.set()

    async def answered(self) -> None:
        """Wait until everything has been."""
        await self._idle.wait()

    def sweep(self, now: float) -> bool:
        """Give up what is too old, and begin to look up what has waited long. True: answers were given."""
        given_up = self._older(now, self._times.give_up)
        if given_up:
            self.silent = True
            self._quiet_until = now + self._times.quiet
            self._unknown.inc(len(given_up))
            log.warning("outcomes_unknown", commands=len(given_up))
            self.refuse(given_up, Code.OUTCOME_UNKNOWN)
        if self._looking is None or self._looking.done():
            waits = self._times.look_up
            due = [pending for pending in self._older(now, waits) if now - pending.looked >= waits][:LOOKED_UP]
            if due:
                for pending in due:
                    pending.looked = now
                self._looking = asyncio.get_running_loop().create_task(self._look_up(due))
        return bool(given_up)

    def _older(self, now: float, seconds: float) -> list[Pending]:
        return list(takewhile(lambda pending: now - pending.at >= seconds, self._pending.values()))

    async def _look_up(self, due: list[Pending]) -> None:
        try:
            found = await self._ask([(pending.append.actor, pending.append.command.client_id) for pending in due])
        except StoreUnavailable as error:
            log.warning("answers_not_looked_up", error=str(error), commands=len(due))
            return
        for pending in due:
            ack = found.get((pending.append.actor, pending.append.command.client_id))
            if ack is not None and self._pending.pop(pending.number, None) is not None:
                tell(pending.reply, ack)
        self._rest()

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

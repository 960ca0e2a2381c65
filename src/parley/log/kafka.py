"""The log through Kafka: commands leave by the commands topic, an appender somewhere puts them into the store, and the
answer comes back. Acknowledged after the store's commit, never because Kafka has it."""

import asyncio
from collections.abc import Callable, Iterable

import structlog

from parley.log.envelope import Answer, Envelope, Origin
from parley.log.figures import Count
from parley.log.interface import Log, MarkReply, Reply
from parley.log.kafka_results import Hearing
from parley.log.lanes import Lanes
from parley.log.telling import tell
from parley.log.unanswered import LookUp, Times, Unanswered
from parley.protocol.errors import Code
from parley.store.interface import Append, Mark, Refused

log = structlog.get_logger()

INBOX = 20_000
"""Commands without an answer; at the bound the next is refused as busy."""


class KafkaLog:
    """`Log` of a gateway. Belongs to one event loop.

    Order: commands of one conversation reach the store in the order of `submit`. Each is answered within
    `times.give_up` seconds, or shortly after: `outcome_unknown` then, and a repeat gets the first answer. Marks do not
    pass Kafka; they go to `marks`, straight into the store.
    """

    def __init__(
        self,
        bootstrap: str,
        commands: str,
        results: str,
        *,
        partitions: int,
        origin: Origin,
        epoch: str,
        marks: Log,
        look_up: LookUp,
        turn_done: Callable[[], None],
        unknown: Count,
        inbox: int = INBOX,
        times: Times | None = None,
    ) -> None:
        """`partitions`: of the commands topic, as `check_topics` found it, and the same on every node. `origin` names
        this process and its partition of the results topic. `turn_done` is called after answers were given."""
        self._times = times or Times()
        self._inbox = inbox
        self._marks = marks
        self._turn_done = turn_done
        self._unanswered = Unanswered(look_up, self._times, unknown)
        envelope = Envelope(origin, epoch)
        refuse = self._unanswered.refuse
        self._lanes = Lanes(bootstrap, commands, partitions, envelope, refuse, stall=self._times.stall)
        self._hearing = Hearing(bootstrap, results, origin, self.settle)
        self._loop = asyncio.get_running_loop()
        self._draining = False
        self._sweeping: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Raises KafkaError."""
        await self._hearing.start()
        try:
            await self._lanes.start()
        except BaseException:
            await self._hearing.stop()
            raise
        self._sweep()

    def submit(self, append: Append, reply: Reply) -> None:
        if self._draining:
            reply(Refused(Code.DRAINING))
        elif len(self._unanswered) >= self._inbox:
            reply(Refused(Code.BUSY))
        elif not self._leaves(append):
            reply(Refused(Code.STORAGE_UNAVAILABLE))
        else:
            self._lanes.add(self._unanswered.add(append, reply, self._loop.time()))

    def _leaves(self, append: Append) -> bool:
        """While nobody appends, one at a time: more would fill the topic with repeats of what is in it already."""
        if self._unanswered.silent and len(self._unanswered) > 0:
            return False
        return self._lanes.takes(append.command.conversation_id)

    def mark(self, mark: Mark, reply: MarkReply) -> None:
        if self._draining:
            reply(Refused(Code.DRAINING))
        else:
            self._marks.mark(mark, reply)

    def settle(self, answers: Iterable[Answer]) -> None:
        """For an appender in this very process, and for what is heard from others."""
        self._unanswered.settle(answers)
        tell(self._turn_done)

    def _sweep(self) -> None:
        now = self._loop.time()
        refused = self._lanes.sweep(now)
        if self._unanswered.sweep(now) or refused:
            tell(self._turn_done)
        self._sweeping = self._loop.call_later(self._times.sweep, self._sweep)

    @property
    def accepting(self) -> bool:
        return self.reason is None

    @property
    def reason(self) -> str | None:
        """Why it takes nothing more just now."""
        if self._draining:
            return "the log is draining"
        if len(self._unanswered) >= self._inbox:
            return "the log takes nothing more just now"
        if self._lanes.away:
            return "Kafka does not answer"
        if self._unanswered.hopeless(self._loop.time()):
            return "commands wait in Kafka and nobody puts them into the store"
        return None

    async def drain(self) -> None:
        self._draining = True
        await self._unanswered.answered()
        await self._marks.drain()

    async def stop(self) -> None:
        """After `drain`. What Kafka has not confirmed by now is let go of."""
        self._draining = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        await self._lanes.close()
        await self._hearing.stop()
        await self._unanswered.close()

"""Which log: batches of this process, or a topic that appenders bring into the store; by `[log] kind` and the roles."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from parley.app.stores import Store
from parley.clock import Clock
from parley.log.direct import DirectLog
from parley.log.interface import Log, Publish
from parley.observability import Metrics
from parley.settings import Settings
from parley.store.interface import StoreBroken

if TYPE_CHECKING:
    from parley.stream.stream import Stream

Partitions = Mapping[str, int]
"""How many each topic has that this process uses, by its name."""


class Way(Protocol):
    """How commands get into the store from here. `start` before use; then `log.drain`, and `stop` after it."""

    @property
    def log(self) -> Log: ...

    @property
    def reason(self) -> str | None:
        """Why it takes nothing more just now; None while it does."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...


async def open_topics(settings: Settings) -> Partitions:
    """Ask Kafka, if it is used, whether it can keep what is promised. Raises LogNotReady."""
    if settings.log.kind == "direct" and not settings.kafka.stream:
        return {}
    from parley.app.over_kafka import asked_topics  # noqa: PLC0415 - a server without Kafka starts faster

    return await asked_topics(settings)


def open_stream(settings: Settings, store: Store, metrics: Metrics) -> "Stream | None":
    """By `[kafka] stream`."""
    if not settings.kafka.stream:
        return None
    from parley.app.over_kafka import make_stream  # noqa: PLC0415 - the same

    return make_stream(settings, store, metrics)


def open_log(
    settings: Settings,
    topics: Partitions,
    store: Store,
    publish: Publish,
    clock: Clock,
    metrics: Metrics,
    turn_done: Callable[[], None],
    on_broken: Callable[[StoreBroken], None],
) -> Way:
    """The log of this process's roles; `publish` is told what it has committed. Needs a running event loop."""
    kafka = settings.log.kind == "kafka"
    direct = DirectLog(
        store.batches,
        publish,
        turn_done=turn_done,
        on_broken=on_broken,
        # Over Kafka it only moves marks: a batch is then what the appender writes.
        metrics=None if kafka else metrics,
    )
    if not kafka:
        return Direct(direct)
    from parley.app.over_kafka import OverKafka  # noqa: PLC0415 - the same

    return OverKafka(settings, topics, direct, store, publish, clock, metrics, turn_done, on_broken)


class Direct:
    """Straight into the store."""

    def __init__(self, log: DirectLog) -> None:
        self.log = log

    @property
    def reason(self) -> str | None:
        return None if self.log.accepting else "the log takes nothing more just now"

    async def start(self) -> None:
        """It needs nothing."""

    async def stop(self) -> None:
        """It holds nothing."""

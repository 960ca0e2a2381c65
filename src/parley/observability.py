"""What the server tells about itself: log lines as events with fields, and figures for Prometheus.

Tokens, passwords and message bodies never reach a line: no caller passes them, and what looks like a token is cut out
of the finished line all the same.
"""

import logging
import logging.handlers
import re
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from sqlalchemy.exc import StatementError

from parley.settings import Observability

KEPT_FILES = 5
QUIET = ("picows", "httpx", "httpcore", "alembic", "asyncio")
"""Libraries that log a line for every connection or step."""
SILENT = ("aiokafka",)
"""Logs an error for each attempt, ten times a second while a broker is away. Our own lines say what that means."""

# A JWT; a refresh token or a cookie's value (id[.generation].mac); the query of a request line.
SECRETS = re.compile(
    r"eyJ[\w-]{8,}\.[\w-]*\.[\w-]*|\b\d+\.(?:\d+\.)?[\w-]{43}(?![\w-])|(?<=[?&])(?:ticket|token)=[^\s&\"']+", re.ASCII
)
QUERY = re.compile(r"(/[^\s?\"']*)\?[^\s\"']*")

Fields = MutableMapping[str, Any]


def without_secrets(line: str) -> str:
    return SECRETS.sub("***", line)


def _hide_parameters(_logger: Any, _method: str, event: Fields) -> Fields:
    """The message of a failed statement would show its values: password hashes, the text of messages."""
    info = event.get("exc_info")
    if info is True:
        info = sys.exc_info()
    error: BaseException | None = (
        info[1] if isinstance(info, tuple) else info if isinstance(info, BaseException) else None
    )
    while error is not None:
        if isinstance(error, StatementError):
            error.hide_parameters = True
        error = error.__cause__ or error.__context__
    return event


def _without_query(_logger: Any, _method: str, event: Fields) -> Fields:
    """Request lines that libraries log: the query may hold a ticket. And uvicorn's second text, with colours."""
    event.pop("color_message", None)
    if isinstance(event.get("event"), str):
        event["event"] = QUERY.sub(r"\1", event["event"])
    return event


class _Formatter(structlog.stdlib.ProcessorFormatter):
    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


def set_up_logging(settings: Observability, *, worker: int | None = None, file: bool = True) -> None:
    """Send structlog and the libraries' logging through one formatter, to stderr and, if set, to a rotating file.

    A `worker` says its number with every line of the event loop, and has a file of its own (`parley.0.log` for
    `parley.log`): two processes cannot rotate one. Without `file` there is none.
    """
    if worker is not None:
        structlog.contextvars.bind_contextvars(worker=worker)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _hide_parameters,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *(it for it in shared if not isinstance(it, structlog.stdlib.ExtraAdder)),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    handlers[0].setFormatter(_formatter(settings.log_format, shared, colours=sys.stderr.isatty()))
    if settings.log_file is not None and file:
        path = settings.log_file if worker is None else _of_worker(settings.log_file, worker)
        path.parent.mkdir(parents=True, exist_ok=True)
        rotating = logging.handlers.RotatingFileHandler(
            path,
            maxBytes=settings.rotate_mb * 1_000_000,
            backupCount=KEPT_FILES,
            encoding="utf-8",
            errors="backslashreplace",
        )
        rotating.setFormatter(_formatter(settings.log_format, shared, colours=False))
        handlers.append(rotating)
    logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _of_worker(file: Path, worker: int) -> Path:
    return file.with_name(f"{file.stem}.{worker}{file.suffix}")


def _formatter(log_format: str, shared: list[structlog.typing.Processor], *, colours: bool) -> logging.Formatter:
    processors: list[structlog.typing.Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if log_format == "json":
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    else:
        # The pretty traceback would show local variables, and with them passwords.
        plain = structlog.dev.plain_traceback
        processors.append(structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=plain))
    return _Formatter(processors=processors, foreign_pre_chain=[*shared, _without_query])


class Metrics:
    """The figures of one server, each bound once. No label names a user or a room: their number has no bound."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.connections = Gauge("parley_connections", "Open WebSockets", registry=self.registry)
        self.batch_size = Histogram(
            "parley_batch_size",
            "Commands a transaction of the log",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
            registry=self.registry,
        )
        self.batch_seconds = Histogram(
            "parley_batch_seconds",
            "Seconds a transaction of the log",
            buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5),
            registry=self.registry,
        )
        self.fanout_reaches_others = Gauge(
            "parley_fanout_reaches_others",
            "1 while other nodes hear at once what happens here; else within two seconds",
            registry=self.registry,
        )
        self.healed = Counter(
            "parley_healed_entries_total", "Entries that no publish brought and the store had", registry=self.registry
        )
        self.slow_consumers = Gauge(
            "parley_slow_consumers", "Sockets closed with 4001 since the start", registry=self.registry
        )
        self.requests = Counter(
            "parley_http_requests_total", "HTTP requests answered", ["route", "status"], registry=self.registry
        )
        self.logins = Counter("parley_logins_total", "Logins answered", ["outcome"], registry=self.registry)
        self.kafka_lag = Gauge(
            "parley_kafka_lag",
            "Records of commands that this node's appender still has to append",
            registry=self.registry,
        )
        self.kafka_poison = Counter(
            "parley_kafka_poison_total", "Records set aside because no appender could take them", registry=self.registry
        )
        self.kafka_unknown = Counter(
            "parley_kafka_unknown_total", "Commands answered `outcome_unknown`", registry=self.registry
        )
        self.kafka_answers_lost = Counter(
            "parley_kafka_answers_lost_total", "Answers to other nodes that Kafka did not take", registry=self.registry
        )
        self.stream_entries = Counter(
            "parley_stream_entries_total", "Entries confirmed by the stream's topic", registry=self.registry
        )

    def page(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)

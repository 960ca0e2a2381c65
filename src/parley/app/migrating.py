"""`parley migrate`: what the operator of a cluster runs before the first node of a new version is started."""

import asyncio
from collections.abc import Iterator

from parley.app.over_kafka import wanted_topics
from parley.app.stores import is_sqlite, sqlite_file
from parley.clock import SystemClock
from parley.log.kafka_topics import create_topics
from parley.settings import Settings
from parley.store import shared
from parley.store.migrate import upgrade
from parley.store.sqlite import FolderLock, writer_engine


def migrate(settings: Settings) -> Iterator[str]:
    """A sentence for each thing that was done. Harmless to repeat, also by two at once.

    Raises DataFolderInUse, BadStoreUrl, StoreUnreachable, SchemaMismatch, LogNotReady.
    """
    yield _bring_schema(settings)
    if topics := wanted_topics(settings):
        made = asyncio.run(create_topics(settings.kafka.bootstrap, topics))
        yield f"Topics made: {', '.join(made)}." if made else "The topics were there."


def _bring_schema(settings: Settings) -> str:
    done = "The database is of this version's schema."
    if not is_sqlite(settings.store_url):
        shared.upgrade(settings.store_url, SystemClock().now_ms())
        return done
    lock = FolderLock(settings.server.data)
    try:
        engine = writer_engine(sqlite_file(settings.store_url))
        copy = upgrade(engine, now_ms=SystemClock().now_ms())
        engine.dispose()
    finally:
        lock.release()
    return done if copy is None else f"{done} A copy from before: {copy}"

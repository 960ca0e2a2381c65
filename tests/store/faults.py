"""Stores that fail where a test wants it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from copy import copy
from typing import Any, cast

from parley.store.sql.hot import Cursor, HotSql


class FaultyHot:
    """The statements of an engine, each of which a test may make fail."""

    def __init__(self, inner: HotSql) -> None:
        self._inner = inner
        self.before: Callable[[str, Any], None] = nothing
        """Called with each statement's name and what it is given; what it raises, the statement raises."""

    def __getattr__(self, statement: str) -> Callable[[Cursor, Any], Any]:
        run = getattr(self._inner, statement)

        def checked(cursor: Cursor, *given: Any) -> Any:
            self.before(statement, given[0] if given else None)
            return run(cursor, *given)

        return checked

    @property
    def hot(self) -> HotSql:
        """Itself, as the type checker has to be told."""
        return cast("HotSql", self)


def inserts(statement: str, rows: Any, client_id: str) -> bool:
    """Whether the statement is about to insert the entry of this client_id."""
    return statement.startswith("insert_") and any(client_id in row for row in rows)


def io_error(name: str, kind: type[sqlite3.Error] = sqlite3.OperationalError) -> sqlite3.Error:
    """As the driver raises it; `name` is SQLite's own of the error."""
    error = kind("disk I/O error")
    error.sqlite_errorname = name
    return error


def failing(error: Exception, when: Callable[[str, Any], bool], *, once: bool = False) -> Callable[..., None]:
    """For `FaultyHot.before`: raise it whenever, or the first time that, the condition holds."""
    spent = False

    def before(statement: str, given: Any) -> None:
        nonlocal spent
        if when(statement, given) and not (once and spent):
            spent = True
            fresh = copy(error)
            # One exception raised twice would be its own context, and printing it would not end.
            fresh.__context__ = fresh.__cause__ = None
            raise fresh

    return before


def nothing(_statement: str, _given: Any) -> None:
    """For `FaultyHot.before`: no fault any more."""

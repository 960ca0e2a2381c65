"""Telling listeners what became of a batch."""

from collections.abc import Callable
from typing import Any

import structlog

log = structlog.get_logger()


def tell(listener: Callable[..., None], *what: Any) -> None:
    """One who fails to hear it must not keep the others of the batch from their answers, nor the log from its drain."""
    try:
        listener(*what)
    except Exception:
        log.exception("listener_failed", listener=getattr(listener, "__qualname__", ""))

"""A node with one promise taken out, to see that the cluster's tests notice: `python sabotaged.py NAME serve …`."""

import sys
from collections.abc import Callable
from typing import Any

from parley.fanout.redis import RedisFanOut
from parley.gateway.endings import Endings
from parley.gateway.heads import Heads


async def nothing(*_: Any) -> None:
    return None


def no_heads() -> None:
    """Nobody asks the store for what no publish brought."""
    Heads.compare = Heads.compare_asked = nothing  # type: ignore[method-assign,assignment]


def deaf_to_endings() -> None:
    """Other nodes are not told that a session has ended, and do not ask."""
    RedisFanOut.session_ended = lambda *_: None  # type: ignore[method-assign]
    Endings.look = nothing  # type: ignore[method-assign,assignment]


SABOTAGES: dict[str, Callable[[], None]] = {sabotage.__name__: sabotage for sabotage in (no_heads, deaf_to_endings)}

if __name__ == "__main__":
    SABOTAGES[sys.argv.pop(1)]()
    from parley.cli import main

    main()

"""How patient a client is, and how it spreads its coming back."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from random import Random

DRAINING = 4003
"""The close code of a server that is about to be replaced."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential with full jitter: anything between nothing and a bound that doubles, so that a crowd spreads out."""

    first: float = 1.0
    cap: float = 30.0

    def delay(self, attempt: int, random: Random) -> float:
        return random.uniform(0, min(self.cap, self.first * 2 ** min(attempt, 16)))


@dataclass(frozen=True, slots=True)
class Timing:
    """The defaults are the protocol's; tests want less."""

    backoff: Backoff = field(default_factory=Backoff)
    open_s: float = 10.0
    """For the handshake and for `welcome`."""
    ack_s: float = 10.0
    """Without an ack for so long, the message is sent again on the same connection."""
    ping_s: float | None = 20.0
    pong_s: float | None = 20.0


QUICK = Timing(Backoff(0.05, 0.5), open_s=5.0, ack_s=2.0, ping_s=5.0, pong_s=5.0)
"""For tests in which the server comes back at once."""


def asked_delay(reason: str) -> float | None:
    """The delay in milliseconds that a draining server asks for in the reason of its close, in seconds: 30 at most."""
    found = re.search(r"\d+", reason)
    return min(int(found[0]) / 1000, 30.0) if found else None

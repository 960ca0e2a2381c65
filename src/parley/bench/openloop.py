"""Sending at a rate, whatever becomes of it: when a message is due does not depend on the answers before it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from parley.bench.crowd import Client, Crowd
from parley.bench.wire import Messages

LEAD = 0.02
"""Seconds from the call to the first message."""


class Schedule:
    """Message `first + k` is due at `start + k / rate`. Latency is counted from there, so a stall hides nothing."""

    def __init__(self, first: int, count: int, rate: float) -> None:
        self.first = first
        self.count = count
        self.rate = rate
        self.start = time.perf_counter() + LEAD

    def due(self, number: int) -> float:
        return self.start + (number - self.first) / self.rate

    def counts(self, number: int) -> bool:
        """Not of an earlier run, and not of the first fifth, while everything warms up."""
        return self.first + self.count // 5 <= number < self.first + self.count


def pour(
    crowd: Crowd,
    senders: Sequence[tuple[Client, Messages]],
    schedule: Schedule,
    done: Callable[[int], bool],
    patience: float,
) -> bool:
    """Send the schedule by the senders in turn, taking what comes meanwhile.

    `done` is told how many bytes went to counted clients, after every look. True once it says so and all is sent; False
    if that has not come `patience` seconds after the last message was due, or a client was closed.
    """
    sent, rate, start = 0, schedule.rate, schedule.start
    last_due = schedule.due(schedule.first + schedule.count - 1)
    while not crowd.closed:
        now = time.perf_counter()
        due = min(schedule.count, int((now - start) * rate) + 1) if now >= start else 0
        if due > sent:
            _send(senders, schedule.first, sent, due)
            sent = due
        finished = done(
            crowd.drain(0.05 if sent == schedule.count else max(0.0, start + sent / rate - time.perf_counter()))
        )
        if sent == schedule.count:
            if finished:
                return True
            if now > last_due + patience:
                return False
    return False


def _send(senders: Sequence[tuple[Client, Messages]], first: int, begin: int, end: int) -> None:
    """Messages `begin` to `end` of the schedule; what falls to one sender goes out in one write."""
    turns = len(senders)
    for at in range(begin, min(end, begin + turns)):
        client, messages = senders[at % turns]
        if at + turns < end:
            client.send(b"".join([messages.frame(first + k) for k in range(at, end, turns)]))
        else:
            client.send(messages.frame(first + at))

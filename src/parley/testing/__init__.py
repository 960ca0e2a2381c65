"""Test kit, shipped with the server: run it for real, talk to it as a correct client does, break things, and judge.

running_server   the real server as a process that can be killed, drained and started again
ReferenceClient  a correct client with outbox, cursors, resume and reconnect, which writes a history
RawSocket        a bare WebSocket that says and expects exactly what a test of the gateway does
ChaosProxy       a TCP proxy that cuts, resets, slices, delays and swallows acks
checker.check    holds histories against the final store and raises `Breach` at the first broken promise
"""

from parley.testing.account import Account, ApiError
from parley.testing.answers import Ack, Refusal, State, Stopped
from parley.testing.chaos import ChaosProxy, Cut, Fate, acks_of_sends
from parley.testing.client import ReferenceClient
from parley.testing.clock import FakeClock
from parley.testing.history import History, read_history
from parley.testing.logs import Entry
from parley.testing.outbox import Outbox, OutboxFull, uuid7
from parley.testing.raw import RawSocket
from parley.testing.server import UNLIMITED, ServerDied, ServerProcess, running_server, steady_port
from parley.testing.store_log import HttpLog, SqliteLog, StoreLog
from parley.testing.timing import QUICK, Backoff, Timing
from parley.testing.truth import Breach

__all__ = [
    "QUICK",
    "UNLIMITED",
    "Account",
    "Ack",
    "ApiError",
    "Backoff",
    "Breach",
    "ChaosProxy",
    "Cut",
    "Entry",
    "FakeClock",
    "Fate",
    "History",
    "HttpLog",
    "Outbox",
    "OutboxFull",
    "RawSocket",
    "ReferenceClient",
    "Refusal",
    "ServerDied",
    "ServerProcess",
    "SqliteLog",
    "State",
    "Stopped",
    "StoreLog",
    "Timing",
    "acks_of_sends",
    "read_history",
    "running_server",
    "steady_port",
    "uuid7",
]

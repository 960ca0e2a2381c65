"""A crew to supervise: `python crew.py COUNT [fails]`. Each worker says its place and pid, and waits for its end."""

import os
import select
import signal
import sys

import structlog

from parley.serve.workers import supervise


def say(line: str) -> None:
    """In one piece, whatever the others say at this moment."""
    os.write(1, f"{line}\n".encode())


# Beside what is said here: a log line and its end are two writes, and another's words may come between.
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
fate = supervise(int(sys.argv[1]), lambda note: say(f"all ready: {note}"))
if isinstance(fate, int):
    sys.exit(fate)
if "fails" in sys.argv:
    say(f"worker {fate.number} cannot start")
    sys.exit(3)
wakes, tell = os.pipe()
os.set_blocking(tell, False)
signal.signal(signal.SIGTERM, lambda *_: None)
signal.set_wakeup_fd(tell)
say(f"worker {fate.number} {os.getpid()}")
fate.ready(f"greetings of {fate.number}")
select.select([fate.leash, wakes], [], [])
say(f"worker {fate.number} ends")

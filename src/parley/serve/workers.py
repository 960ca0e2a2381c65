"""`--workers N`: one process that opens nothing but the listeners, and N that it forks to serve on them.

The listeners are inherited, so a connection goes to whichever worker takes it first, and none is lost while one worker
is replaced. The first worker is started alone: what keeps a server from starting is then said once, not N times.
"""

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import structlog

log = structlog.get_logger()

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a worker that died is started again; doubles with each death that comes before it was ready."""
STOP_SECONDS = 30.0
"""How long workers may drain before they are killed."""


@dataclass(frozen=True, slots=True)
class Worker:
    """What a forked process knows of where it came from."""

    number: int
    leash: int
    """Comes to its end when the supervisor does, however it dies: nobody would stop this process then."""
    _ready: int

    def ready(self, note: str) -> None:
        """Tell the supervisor that requests are taken; `note`: one line for whoever started the server, or nothing."""
        os.write(self._ready, note.encode() + b"\n")
        os.close(self._ready)


@dataclass(slots=True)
class _Place:
    """One of the N; `pid` is 0 while nobody is in it."""

    number: int
    pid: int = 0
    ready: int = -1
    """Read end of the pipe on which the worker says that it is; -1 when it has, or is gone."""
    served: bool = False
    deaths: int = 0
    """Since it was ready the last time."""
    start_at: float | None = None


@dataclass(slots=True)
class _State:
    places: list[_Place]
    announce: Callable[[str], None]
    announced: bool = False
    stopping: bool = False
    stop_by: float = 0.0
    code: int = 0
    leash: tuple[int, int] = field(default_factory=os.pipe)


def supervise(count: int, announce: Callable[[str], None]) -> Worker | int:
    """Fork `count` workers and keep them running. Returns a `Worker` in each of them, which goes on to serve, and the
    exit code in the supervisor, when all have ended. `announce` is called once, when all are ready, with a worker's
    note. Must be called before any thread is started."""
    state = _State([_Place(number) for number in range(count)], announce)
    with _woken_by_signals(state) as wakes:
        state.places[0].start_at = time.monotonic()
        while not state.stopping or any(place.pid for place in state.places):
            if (worker := _start_due(state)) is not None:
                return worker
            _wait(state, wakes)
            _bury(state)
            if state.stopping and time.monotonic() > state.stop_by:
                _signal(state, signal.SIGKILL)
    return state.code


@contextlib.contextmanager
def _woken_by_signals(state: _State) -> Iterator[int]:
    """A descriptor that becomes readable with every signal; SIGTERM and SIGINT begin the stop. In a worker nothing of
    it is left."""
    wakes, tell = os.pipe()
    os.set_blocking(wakes, False)
    os.set_blocking(tell, False)
    before = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    handlers = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: _stop(state, 0)),
        signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: _stop(state, 0)),
        signal.SIGCHLD: signal.signal(signal.SIGCHLD, lambda *_: None),
    }
    try:
        yield wakes
    finally:
        for name, handler in handlers.items():
            signal.signal(name, handler)
        signal.set_wakeup_fd(before)
        os.close(wakes)
        os.close(tell)


def _stop(state: _State, code: int) -> None:
    if not state.stopping:
        state.stopping, state.code, state.stop_by = True, code, time.monotonic() + STOP_SECONDS
        _signal(state, signal.SIGTERM)


def _signal(state: _State, number: signal.Signals) -> None:
    for place in state.places:
        if place.pid:
            os.kill(place.pid, number)


def _start_due(state: _State) -> Worker | None:
    """Fork whoever is due; returns in the fork."""
    for place in state.places:
        if not _due(state, place):
            continue
        place.start_at = None
        said, says = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(said)
            os.close(state.leash[1])
            for other in state.places:
                if other.ready >= 0:
                    os.close(other.ready)
            return Worker(place.number, state.leash[0], says)
        os.close(says)
        place.pid, place.ready = pid, said
        if not _goes_on(state):  # a signal came between: it has passed this one by
            os.kill(pid, signal.SIGTERM)
    return None


def _goes_on(state: _State) -> bool:
    """Asked anew each time: a signal may have come."""
    return not state.stopping


def _due(state: _State, place: _Place) -> bool:
    return _goes_on(state) and place.start_at is not None and place.start_at <= time.monotonic()


def _wait(state: _State, wakes: int) -> None:
    """Until a signal comes, a worker is ready, or one is due to be started."""
    due = [place.start_at for place in state.places if place.start_at is not None and not state.stopping]
    if state.stopping:
        due = [state.stop_by]
    timeout = max(0.0, min(due) - time.monotonic()) if due else None
    watched = {place.ready: place for place in state.places if place.ready >= 0}
    readable, _, _ = select.select([wakes, *watched], [], [], timeout)
    for fd in readable:
        if fd == wakes:
            os.read(wakes, 4096)
        else:
            _heard(state, watched[fd])


def _heard(state: _State, place: _Place) -> None:
    note = os.read(place.ready, 4096)
    os.close(place.ready)
    place.ready = -1
    if not note:
        return  # it died, which its end tells
    place.served, place.deaths = True, 0
    log.info("worker_ready", worker=place.number, pid=place.pid)
    for other in state.places:
        if not other.pid and not other.served and other.start_at is None:
            other.start_at = time.monotonic()
    if not state.announced and all(other.served for other in state.places):
        state.announced = True
        state.announce(note.decode().rstrip("\n"))


def _bury(state: _State) -> None:
    """Take note of every worker that has ended, and plan its return."""
    for place in state.places:
        if not place.pid:
            continue
        pid, status = os.waitpid(place.pid, os.WNOHANG)
        if not pid:
            continue
        place.pid = 0
        if place.ready >= 0:
            os.close(place.ready)
            place.ready = -1
        code = os.waitstatus_to_exitcode(status)
        if state.stopping:
            state.code = state.code or (1 if code else 0)
        elif not place.served:
            # It never was ready, and has said itself why: the others would say the same.
            _stop(state, code if code > 0 else 1)
        else:
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**place.deaths)
            place.deaths = min(place.deaths + 1, 16)
            place.start_at = time.monotonic() + pause
            log.warning("worker_died", worker=place.number, pid=pid, code=code, again_in_s=pause)

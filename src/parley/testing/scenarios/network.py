"""R11 and R13: a network that cuts, resets, goes silent, slices, and loses acks."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

from parley.testing.chaos import ChaosProxy, Cut, Fate, acks_of_sends
from parley.testing.checker import Demands
from parley.testing.load import Load
from parley.testing.scenarios.result import Result
from parley.testing.server import PARLEY, UNLIMITED, running_server
from parley.testing.timing import Backoff, Timing
from parley.testing.truth import breach

CUT_TIMING = Timing(Backoff(0.02, 0.2), open_s=2.0, ack_s=1.0, ping_s=1.0, pong_s=1.0)
LOSS_TIMING = Timing(Backoff(0.05, 0.5), ack_s=0.1)
ACKS_PER_CUT = 5
HEARTBEAT = {"heartbeat.ping_s": "1", "heartbeat.silence_s": "2"}


def cut_at_random(random: Random) -> Fate:
    """From inside the handshake to far into the conversation; now and then byte by byte."""
    ways = [Cut.CLOSE] * 4 + [Cut.RESET] * 5 + [Cut.HALF_OPEN]
    up = int(10 ** random.uniform(2.0, 4.7))
    down = int(10 ** random.uniform(2.0, 5.3))
    in_slices = random.random() < 0.1
    return Fate(
        up_bytes=up if random.random() < 0.7 else None,
        down_bytes=down,
        cut=random.choice(ways),
        slice_bytes=1 if in_slices else None,
    )


async def cut_rounds(
    folder: Path, cuts: int, seed: int, *, within: float = 60.0, program: tuple[str, ...] = PARLEY
) -> Result:
    """Cut connections at random bytes of either direction until it was done `cuts` times."""
    random = Random(seed)
    server = running_server(folder / "data", settings={**UNLIMITED, **HEARTBEAT}, program=program)
    calm = asyncio.Event()

    def plan(_: int) -> Fate:
        return Fate() if calm.is_set() else cut_at_random(random)

    async with server, ChaosProxy(server.host, server.port, plan) as proxy:
        async with Load(server, folder / "clients", random, timing=CUT_TIMING, ws_base=proxy.ws_url) as load:
            async with load.flowing(), asyncio.timeout(within):
                while done_cuts(proxy) < cuts or load.acked < ACKS_PER_CUT * cuts:
                    await load.until_acked(1)
                calm.set()
                # Those that still run on a cut's budget get a new connection, which is left alone.
                proxy.cut_all()
            await load.settle()
            await server.terminated()
            figures = load.check(Demands(min_acks=ACKS_PER_CUT * cuts))
    return Result(figures, {cut: proxy.counts[cut] for cut in Cut} | {"cuts": done_cuts(proxy)})


def done_cuts(proxy: ChaosProxy) -> int:
    return sum(proxy.counts[cut] for cut in Cut)


async def lost_acks(
    folder: Path, losses: int, seed: int, *, within: float = 60.0, program: tuple[str, ...] = PARLEY
) -> Result:
    """Swallow every third ack until `losses` of them never arrived. Each message is stored once, at its first seq."""
    random = Random(seed)
    server = running_server(folder / "data", settings=UNLIMITED, program=program)
    lost = 0

    def swallow(frame: dict[str, object]) -> bool:
        nonlocal lost
        if lost >= losses or not acks_of_sends(frame) or random.random() > 1 / 3:
            return False
        lost += 1
        return True

    async with server, ChaosProxy(server.host, server.port, lambda _: Fate(drops=swallow)) as proxy:
        async with Load(server, folder / "clients", random, timing=LOSS_TIMING, ws_base=proxy.ws_url) as load:
            async with load.flowing(), asyncio.timeout(within):
                while lost < losses:
                    await load.until_acked(1)
            await load.settle()
            await server.terminated()
            figures = load.check(Demands(min_acks=losses))
    # The ack of a repeat can be lost as well, so there are fewer repeated messages than lost acks.
    if figures.duplicates < losses * 0.5:
        breach("ran", f"{losses} acks were lost, and only {figures.duplicates} repeats were answered as such")
    return Result(figures, {"lost_acks": lost})

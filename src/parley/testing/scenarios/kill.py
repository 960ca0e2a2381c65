"""R1: kill -9 at random moments under load."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

from parley.testing.checker import Demands
from parley.testing.load import Load
from parley.testing.scenarios.result import Result
from parley.testing.server import PARLEY, UNLIMITED, running_server, steady_port

LOAD_S = (0.1, 0.6)
"""How long the load runs between a recovery and the next kill."""


async def kill_rounds(folder: Path, rounds: int, seed: int, *, program: tuple[str, ...] = PARLEY) -> Result:
    """Kill and start the server on the same data again and again, under load that never stops."""
    random = Random(seed)
    server = running_server(folder / "data", settings=UNLIMITED, port=steady_port(), program=program)
    async with server, Load(server, folder / "clients", random) as load:
        async with load.flowing():
            for _ in range(rounds):
                await asyncio.sleep(random.uniform(*LOAD_S))
                with load.fault("kill -9"):
                    server.kill()
                    await server.started()
                await load.until_acked(1)
        await load.settle()
        await server.terminated()
        demands = Demands(min_acks=20 * rounds, min_in_flight=rounds, min_faults_hit=0.8, recover_s=5.0)
        figures = load.check(demands)
    return Result(figures, {"rounds": rounds, "slowest_start_s": server.slowest_start_s})

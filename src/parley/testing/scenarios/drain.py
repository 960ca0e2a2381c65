"""R12: rolling restarts by SIGTERM under load."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

from parley.testing.checker import Demands
from parley.testing.load import Load
from parley.testing.scenarios.result import Result
from parley.testing.server import PARLEY, UNLIMITED, running_server, steady_port
from parley.testing.timing import DRAINING
from parley.testing.truth import breach


async def drain_rounds(folder: Path, rounds: int, seed: int, *, program: tuple[str, ...] = PARLEY) -> Result:
    """No send fails: what a draining server does not take, the next one does. Every client is told to come back."""
    random = Random(seed)
    server = running_server(folder / "data", settings=UNLIMITED, port=steady_port(), program=program)
    async with server, Load(server, folder / "clients", random) as load:
        # A send that is refused for good would be raised on leaving `flowing`.
        async with load.flowing():
            for _ in range(rounds):
                await asyncio.sleep(random.uniform(0.2, 0.6))
                for client in load.clients:
                    await client.until(lambda c: c.is_connected)
                before = [len(client.close_codes) for client in load.clients]
                with load.fault("SIGTERM"):
                    code = await server.terminated()
                    await server.started()
                if code != 0:
                    breach("I10", f"the server ended with {code} after SIGTERM\n{server.log_tail()}")
                for client, count in zip(load.clients, before, strict=True):
                    await client.until(lambda c, count=count: len(c.close_codes) > count)  # type: ignore[misc]
                    if (told := list(client.close_codes)[count]) != DRAINING:
                        breach("I8", f"{client.history.client} was closed with {told} by a draining server")
                await load.until_acked(len(load.clients))
        await load.settle()
        await server.terminated()
        figures = load.check(Demands(min_acks=20 * rounds, recover_s=5.0))
    return Result(figures, {"rounds": rounds, "slowest_start_s": server.slowest_start_s, "p99_s": load.p99()})

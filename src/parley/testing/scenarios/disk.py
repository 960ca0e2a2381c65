"""R7: the disk fills under load, and is given room again."""

from __future__ import annotations

from pathlib import Path
from random import Random

from parley.testing.checker import Demands
from parley.testing.disks import MemoryDisk
from parley.testing.history import Refused, read_history
from parley.testing.load import Load, Size
from parley.testing.scenarios.result import Result
from parley.testing.server import PARLEY, UNLIMITED, running_server
from parley.testing.truth import breach

SIZE = Size(rooms=2, senders=4, listeners=1)
DISK_MIB = 48


async def fill_rounds(folder: Path, rounds: int, seed: int, *, program: tuple[str, ...] = PARLEY) -> Result:
    """A full disk is a retryable refusal by name, never an ack; with room again the next ack comes within 5 s."""
    random = Random(seed)
    with MemoryDisk(folder / "disk", DISK_MIB) as disk:
        server = running_server(disk.path / "data", settings=UNLIMITED, log_path=folder / "server.log", program=program)
        async with server, Load(server, folder / "clients", random, size=SIZE) as load:
            async with load.flowing():
                for _ in range(rounds):
                    await load.until_acked(random.randint(20, 200))
                    refused = load.refusals()
                    with load.fault("disk full"):
                        disk.fill()
                        # What the log has room for already is still written; then everybody is told.
                        await load.until_refused(refused + 5)
                        disk.free()
                    await load.until_acked(20)
            await load.settle()
            pid_alive = server.running
            await server.terminated()
            # The refusals of each round tell that sends met the fault; at its first moment none need be under way.
            figures = load.check(Demands(min_acks=20 * rounds, recover_s=5.0))
        names = {name for path in (folder / "clients").glob("*.jsonl") for name in refusals(path)}
        if not pid_alive:
            breach("I10", "the server ended because its disk was full")
        if names != {"storage_unavailable"}:
            breach("R7", f"sends were refused as {sorted(names)}, not as storage_unavailable alone")
    return Result(figures, {"rounds": rounds})


def refusals(path: Path) -> set[str]:
    return {event.name for event in read_history(path) if isinstance(event, Refused)}

"""Measure the promises at full count, in chunks that end and can be resumed, and write docs/proof.md.

    python proof/run.py                    everything that is not measured yet, for at most --minutes
    python proof/run.py R1 R12 --count 50  these parts, this often
    python proof/run.py --render           only write the page from proof-out/

Ends with 1 at the first broken promise, and keeps what was measured and the histories that show it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from random import SystemRandom

from parley.testing.truth import Breach

# Started by its path, as `make proof` does, it finds its own folder and not the one that `proof` lies in.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from proof.parts import PARTS, Part
from proof.record import ROOT, Record, load, machine, save, version
from proof.render import render


def main() -> int:
    parser = argparse.ArgumentParser(prog="python proof/run.py", description=__doc__.splitlines()[0])
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(part.name for part in PARTS)}; all if none"
    )
    parser.add_argument("--count", type=int, help="how often each fault; the full count if not given")
    parser.add_argument("--minutes", type=float, default=600, help="begin no further chunk after so long")
    parser.add_argument("--seed", type=int, help="of a part that has none yet")
    parser.add_argument("--out", type=Path, default=ROOT / "proof-out")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "proof.md", help="where the page is written")
    parser.add_argument("--fresh", action="store_true", help="forget what these parts measured before")
    parser.add_argument("--render", action="store_true", help="measure nothing")
    options = parser.parse_args()
    known = {part.name: part for part in PARTS}
    if unknown := [name for name in options.parts if name not in known]:
        parser.error(f"there is no part {', '.join(unknown)}")

    deadline = time.monotonic() + options.minutes * 60
    kept = True
    for part in [known[name] for name in options.parts] or PARTS:
        if options.render or not kept:
            break
        seed = options.seed if options.seed is not None else SystemRandom().randrange(1_000_000)
        record = begin(options.out, part, seed, fresh=options.fresh)
        kept = measure(part, record, options.out, options.count or part.full, deadline)
    options.page.parent.mkdir(exist_ok=True)
    options.page.write_text(render(options.out), encoding="utf-8")
    print(f"written: {options.page.name}")
    return 0 if kept else 1


def begin(out: Path, part: Part, seed: int, *, fresh: bool) -> Record:
    """Go on with what this version measured. Figures of another version are not added to."""
    record = load(out, part.name)
    if fresh or record is None or record.version != version() or record.breach is not None:
        return Record(part.name, version(), seed, machine())
    return record


def measure(part: Part, record: Record, out: Path, wanted: int, deadline: float) -> bool:
    """Chunk after chunk until `wanted`, or the deadline. False if a promise was broken."""
    if (reason := part.why_not()) is not None:
        print(f"{part.name}: left out: {reason}")
        return True
    while record.count < wanted and time.monotonic() < deadline:
        count = min(part.chunk, wanted - record.count)
        seed = record.seed + len(record.chunks)
        folder = Path(tempfile.mkdtemp(prefix=f"proof-{part.name}-"))
        begun = time.monotonic()
        try:
            totals = part.run(folder, count, seed)
        except Breach as breach:
            record.breach = str(breach)
            save(out, record)
            print(f"{part.name}: BROKEN {breach}\nseed {seed}, histories and logs in {folder}", file=sys.stderr)
            return False
        record.add(seed, count, time.monotonic() - begun, totals)
        save(out, record)
        shutil.rmtree(folder)
        print(f"{part.name}: {record.count} of {wanted}, {record.totals().get('acks', 0):,.0f} acks", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())

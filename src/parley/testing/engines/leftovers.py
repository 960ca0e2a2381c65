"""What a test run that was itself killed left behind: engines that run on, and their folders.

An engine is in a session of its own, so that a test decides when it ends; nothing ends it with its maker. Each
temporary folder says who made it, and the next engine clears away those whose maker has gone.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from parley.testing.engines import processes

PREFIX = "parley-engine-"
MAKER = "maker"
GONE_S = 10.0


def make_folder(name: str) -> Path:
    """A new temporary folder that is removed by `clear_away` if this process ends without doing so."""
    # Not pytest's tmp_path: only its owner may enter that, and the engine may run as somebody else.
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{name}-"))
    (folder / MAKER).write_text(processes.birth(os.getpid()) or "")
    return folder


def clear_away() -> list[Path]:
    """End and remove what nobody owns any more; return the folders."""
    left = [folder for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*") if _is_left(folder)]
    for folder in left:
        family = [member for pid in processes.working_in(folder) for member in processes.kill_tree(pid)]
        processes.wait_until_gone(family, GONE_S)
        shutil.rmtree(folder, ignore_errors=True)  # two runs may clear away at once
    return left


def _is_left(folder: Path) -> bool:
    try:
        maker = (folder / MAKER).read_text()
    except OSError:
        return False  # made this moment, gone this moment, or another user's
    pid, _, _ = maker.partition(" ")
    return pid.isdecimal() and processes.birth(int(pid)) != maker

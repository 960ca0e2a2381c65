"""Small file systems of our own, to be filled and to lose their power. Linux, root, and for the second loop devices."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

FS_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
UNMOUNT_S = 10.0


@cache
def why_no_disks() -> str | None:
    """Why this machine cannot mount file systems for tests; None if it can."""
    if not sys.platform.startswith("linux"):
        return "mounting a test disk is done on Linux only"
    if os.geteuid() != 0:
        return "mounting a test disk needs root"
    missing = [tool for tool in ("mount", "umount", "mkfs.ext4", "losetup") if shutil.which(tool) is None]
    if missing:
        return f"mounting a test disk needs {', '.join(missing)}"
    try:
        # Root inside a container may still not be allowed to.
        sh("losetup", "--find")
        with tempfile.TemporaryDirectory() as folder, MemoryDisk(Path(folder), 1):
            return None
    except OSError as error:
        return f"this machine does not let root mount a test disk: {error}"


def sh(*command: str | Path) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        raise OSError(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()}")


class Disk:
    """Mounted at `path` from entry to exit. Use one of the kinds below."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "mount"

    def mount(self) -> None:
        raise TypeError("a Disk is of a kind: MemoryDisk or LoopDisk")

    def unmount(self) -> None:
        """Whoever had files open must be gone; the kernel may need a moment to notice."""
        deadline = time.monotonic() + UNMOUNT_S
        while True:
            try:
                sh("umount", self.path)
            except OSError:
                if time.monotonic() > deadline:
                    sh("umount", "--lazy", self.path)
                    raise
                # fuser or a child that is just ending: there is no event to wait for.
                time.sleep(0.05)
            else:
                return

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True)
        self.mount()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unmount()


class MemoryDisk(Disk):
    """A tmpfs of a few MiB, which `fill` leaves without a free byte and `free` gives room again."""

    def __init__(self, folder: Path, mebibytes: int) -> None:
        super().__init__(folder)
        self._mebibytes = mebibytes

    def mount(self) -> None:
        sh("mount", "-t", "tmpfs", "-o", f"size={self._mebibytes}M", "parley-test", self.path)

    def fill(self) -> None:
        with (self.path / "ballast").open("ab", buffering=0) as ballast:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        ballast.write(b"\0" * size)
                except OSError:
                    continue

    def free(self) -> None:
        (self.path / "ballast").unlink()


class LoopDisk(Disk):
    """An ext4 in a file, whose power can be cut: what was not synced by then is gone."""

    def __init__(self, folder: Path, mebibytes: int = 256) -> None:
        super().__init__(folder)
        self._image = folder / "disk.img"
        folder.mkdir(parents=True, exist_ok=True)
        with self._image.open("wb") as image:
            image.truncate(mebibytes * 1024 * 1024)
        sh("mkfs.ext4", "-q", "-F", self._image)

    def mount(self) -> None:
        sh("mount", "-o", "loop", self._image, self.path)

    def cut_power(self) -> None:
        """From here nothing reaches the disk. End the writers, `unmount` and `mount`, as a machine that comes back."""
        handle = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, FS_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(handle)

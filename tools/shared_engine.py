"""An engine that all tests of this checkout share: found again where it was, started if it does not answer.

.services/<name>.json remembers its folder, port and password; .services/<name>.pid its process.
"""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import secrets
import shutil
import socket
import stat
from pathlib import Path
from typing import Any

from build_page import say
from parley.testing.engines import Engine, EngineDied, KafkaServer, processes
from parley.testing.server import steady_port

STOP_S = 30.0
KILL_S = 10.0


class CannotRun(Exception):
    """The engine is installed but does not run here; the text says why."""


def bring(kind: type[Engine], state: Path) -> str:
    """The url of the shared engine, which answers when this returns. Raises `CannotRun` or `EngineMissing`."""
    engine = _engine(kind, state)
    if engine.answers():
        return engine.url
    end(kind, state)  # one that lives but does not answer would be in the new one's way
    if _leave_taken_ports(kind, state):
        engine = _engine(kind, state)
    say(f"starting {kind.name}")
    try:
        engine.start()
    except EngineDied as error:
        raise CannotRun(f"it does not start: {error}") from None
    (state / f"{kind.name}.pid").write_text(f"{engine.let_go()}\n")
    return engine.url


def end(kind: type[Engine], state: Path) -> bool:
    """Stop the shared engine if it runs, by force if it must be; its data stays. Whether there was one to stop."""
    file, record = state / f"{kind.name}.pid", state / f"{kind.name}.json"
    if not file.exists() or not record.exists():
        return False
    pid, folder = int(file.read_text()), Path(json.loads(record.read_text())["folder"])
    # The number alone may be a stranger's by now: after the machine's restart, say.
    found = processes.alive(pid) and processes.works_in(pid, folder)
    if found:
        processes.tell(pid, kind.stop_signal)
        if not processes.wait_until_gone([pid], STOP_S):
            processes.wait_until_gone(processes.kill_tree(pid), KILL_S)
    file.unlink()
    return found


def remove(kind: type[Engine], state: Path) -> None:
    """Stop the shared engine and forget it, data, port and all."""
    end(kind, state)
    record = state / f"{kind.name}.json"
    if record.exists():
        folder = Path(json.loads(record.read_text())["folder"])
        shutil.rmtree(folder, ignore_errors=True)
        if folder.parent != state and not any(folder.parent.iterdir()):
            folder.parent.rmdir()
        record.unlink()


def write_private(path: Path, content: dict[str, Any]) -> None:
    """Passwords are in it: nobody else on the machine may read it. Readers see the old content or the new."""
    fresh = path.with_name(f"{path.name}.half")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(content, indent=2) + "\n")
    fresh.rename(path)


def _engine(kind: type[Engine], state: Path) -> Engine:
    record = state / f"{kind.name}.json"
    if not record.exists():
        content: dict[str, Any] = {
            "folder": str(_folder(kind, state)),
            "port": steady_port(),
            "password": secrets.token_hex(16),
        }
        if kind is KafkaServer:
            content["controller_port"] = steady_port()
        write_private(record, content)
    known = json.loads(record.read_text())
    return kind(Path(known.pop("folder")), **known)


def _leave_taken_ports(kind: type[Engine], state: Path) -> bool:
    """While the engine was down somebody else may have come to its port: choose another. Whether that was so."""
    record = state / f"{kind.name}.json"
    known = json.loads(record.read_text())
    taken = [name for name in known if name.endswith("port") and not _is_free(known[name])]
    if taken:
        write_private(record, known | {name: steady_port() for name in taken})
    return bool(taken)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _folder(kind: type[Engine], state: Path) -> Path:
    """Beside the rest, unless the engine runs as somebody who may not enter there."""
    inside = state / kind.name
    if kind.account is None or os.geteuid() != 0 or _everybody_may_enter(state):
        return inside
    home = Path("/var/tmp") / f"parley-{hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:12]}"
    home.mkdir(mode=0o755, exist_ok=True)
    if home.owner() != pwd.getpwuid(os.geteuid()).pw_name:
        raise CannotRun(f"{home} is another user's")
    return home / kind.name


def _everybody_may_enter(folder: Path) -> bool:
    return all(place.stat().st_mode & stat.S_IXOTH for place in (folder.resolve(), *folder.resolve().parents))

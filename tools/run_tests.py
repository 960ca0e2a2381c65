"""Everything `make test` runs, one after the other, each to its end; arguments go to pytest.

pytest comes last, spread over the cores, and then once more for what has to run alone; what went wrong before is said
just above it, and once more below. Under CI=true a service that is missing is a failure, elsewhere a remark.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import build_page
import services
from build_page import ROOT, SDK, WEB, say

CI = os.environ.get("CI") == "true"
UPLOAD_CLIENTS = Path("tests/files/clients")
"""The packages of a tus client that the tests send files with."""


def unit_tests(folder: Path) -> Callable[[], int]:
    """The folder's own tests; they need its packages, but not a page that builds."""

    def run() -> int:
        build_page.install(ROOT, folder)
        return build_page.npm(ROOT, folder, "run", "test")

    return run


def page() -> int:
    build_page.build_page()
    return 0


def upload_clients() -> int:
    build_page.install(ROOT, UPLOAD_CLIENTS)
    return 0


def succeeds(step: Callable[[], int]) -> bool:
    try:
        return step() == 0
    except build_page.CannotBuild as error:
        say(str(error))
        return False


def pytest(arguments: list[str], variables: dict[str, str]) -> int:
    env = {**os.environ, **variables}
    # Enough kills to see that the harness bites, few enough for every day; make test-crash does three hundred.
    env.setdefault("PARLEY_CRASH_ROUNDS", "25")
    if arguments:
        return _run(arguments, env)
    # A file's tests share servers, so they stay together; what measures or binds the machine runs alone afterwards.
    beside = _run(["-n", str(min(os.cpu_count() or 1, 4)), "--dist", "loadfile", "-m", "not serial"], env)
    alone = _run(["-m", "serial"], env)
    return beside or alone


def _run(arguments: list[str], env: dict[str, str]) -> int:
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, env=env, check=False).returncode


def main() -> int:
    failed: list[str] = []
    say("services")
    variables, left_out = services.bring_all()
    if CI:
        failed += [f"service {name}" for name in left_out]

    steps = {
        "page build": page,
        "upload clients": upload_clients,
        "SDK unit tests": unit_tests(SDK),
        "page unit tests": unit_tests(WEB),
    }
    for name, step in steps.items():
        say(name)
        start = time.monotonic()
        if not succeeds(step):
            failed.append(name)
        say(f"{name}: {'FAILED' if name in failed else 'passed'} ({time.monotonic() - start:.0f} s)")

    for name, reason in left_out.items():
        say(f"left out: {name}: {reason}")
    if failed:
        say(f"FAILED so far: {', '.join(failed)}")
    say("server, protocol, crash and browser tests")
    code = pytest(sys.argv[1:], variables)
    if failed:
        print(f"parley: pytest aside, these failed: {', '.join(failed)}", file=sys.stderr)
    return code or (1 if failed else 0)


if __name__ == "__main__":
    sys.exit(main())

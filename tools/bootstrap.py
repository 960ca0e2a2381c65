"""Make `.venv` what requirements-dev.lock says, with parley itself installed from src/, and do nothing when it is so.

Writes only inside the checkout. Needs a Python with venv and pip, or with pip alone, or uv on PATH; as root on Debian
or Ubuntu it installs the missing package itself.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from build_page import ROOT, is_fresh, mark_fresh, one_at_a_time, say

VENV = ROOT / ".venv"
LOCK = ROOT / "requirements-dev.lock"
BORROWED = ROOT / ".tools" / "uv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".parley-stamp"
# What pip has been told about registries, and where uv looks for the same.
PIP_TO_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
}


class CannotPrepare(Exception):
    """The environment cannot be made; the text says what to install."""


def locked(name: str) -> str:
    """One package's lines of the lock: its version and hashes."""
    match = re.search(rf"^{re.escape(name)}==(?:.*\\\n)*.*$", LOCK.read_text(), re.MULTILINE)
    if match is None:
        raise CannotPrepare(f"{LOCK.name} does not name {name}; make lock writes it anew.")
    return match.group() + "\n"


def run(*command: str | Path, env: dict[str, str] | None = None) -> bool:
    return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode == 0


def answers(*command: str | Path) -> bool:
    """Whether a program is there and content, without its words."""
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def quietly(*command: str | Path) -> bool:
    """Run something that is allowed to fail: its words come out only when it does."""
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        print("".join(f"    {line}\n" for line in done.stdout.strip().splitlines()[-8:]), end="", flush=True)
    return done.returncode == 0


def install_uv(python: Path | str, *where: str) -> bool:
    """Let a Python's pip bring the uv of the lock, its hash checked."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder, "uv.txt")
        wanted.write_text(locked("uv"))
        pip = (python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-cache-dir", "--no-input")
        return quietly(*pip, "--require-hashes", "--no-deps", "--only-binary=:all:", *where, "-r", str(wanted))


def make_venv() -> None:
    say(f"environment .venv (Python {sys.version.split()[0]})")
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    # Debian parts venv from the ensurepip it needs: the one imports, and then fails on the other.
    venv_works = (sys.executable, "-c", "import venv, ensurepip; ensurepip.version()")
    if not answers(*venv_works) and os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"Debian package {package}, because this Python has no venv")
        apt = ("apt-get", "-o", "DPkg::Lock::Timeout=300", "-y", "-q", "--no-install-recommends")
        # A fresh machine has no list of packages yet.
        if not answers(*apt, "install", package) and quietly(*apt, "update"):
            quietly(*apt, "install", package)
    if answers(*venv_works) and quietly(sys.executable, "-m", "venv", "--clear", VENV):
        return
    if uv := borrowed_uv():
        say("python -m venv does not work here: uv makes it")
        if run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, VENV):
            return
    shutil.rmtree(VENV, ignore_errors=True)  # half of one would look usable next time
    raise CannotPrepare(
        f"{sys.executable} cannot make an environment: its venv and pip are missing. Install them "
        f"(Debian, Ubuntu: apt-get install {package}), or put uv on PATH, and run make again."
    )


def borrowed_uv() -> str | None:
    """A uv from outside `.venv`: one the base Python's pip can bring into .tools, else the one on PATH."""
    uv = BORROWED / "bin" / "uv"
    if answers(uv, "--version"):
        return str(uv)
    if answers(sys.executable, "-m", "pip", "--version") and install_uv(sys.executable, "--target", str(BORROWED)):
        return str(uv)
    return shutil.which("uv")


def find_uv() -> str:
    version = locked("uv").split("==")[1].split()[0]
    ours = VENV / "bin" / "uv"
    if answers(ours, "--version") and version in subprocess.check_output([ours, "--version"], text=True):
        return str(ours)
    if answers(PYTHON, "-m", "pip", "--version"):
        say(f"uv {version}")
        if install_uv(PYTHON):
            return str(ours)
    if uv := borrowed_uv():
        return uv
    raise CannotPrepare(
        "pip could not bring uv; its own words stand above. Is the network or a package registry there?"
    )


def pip_settings() -> list[str]:
    """What pip has been told on this machine, as `section.key='value'`; nothing where there is no pip."""
    for python in (PYTHON, sys.executable):
        done = subprocess.run([python, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.splitlines()
    return []


def uv_environment() -> dict[str, str]:
    """uv reads no pip settings: hand it those that say where packages come from."""
    env = {**os.environ, "VIRTUAL_ENV": str(VENV), "UV_PYTHON_DOWNLOADS": "never"}
    env.setdefault("UV_CACHE_DIR", str(ROOT / ".cache" / "uv"))
    env.setdefault("UV_HTTP_TIMEOUT", "180")
    for line in pip_settings():
        key, _, value = line.partition("=")
        name = PIP_TO_UV.get(key.rsplit(".", 1)[-1])
        if name is not None and value.startswith(("'", '"')):
            env.setdefault(name, " ".join(str(ast.literal_eval(value)).split()))
    return env


def wanted_state() -> str:
    """What the environment is made from; a change in any of it makes it anew. Its path too: scripts in it hold it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    parts = {key: project[key] for key in ("build-system", "project")}
    digest = hashlib.sha256(LOCK.read_bytes() + json.dumps(parts, sort_keys=True).encode())
    return f"{digest.hexdigest()} {VENV}"


def is_usable() -> bool:
    """Whether `.venv` can be kept: it runs, was not moved here, and is of the Python that was asked for by name."""
    wanted = sys.version_info[:2] if os.environ.get("PYTHON") else None
    if not answers(
        PYTHON, "-c", f"import sys; v = sys.version_info; sys.exit(v < (3, 11) or {wanted!r} not in (None, v[:2]))"
    ):
        return False
    return not STAMP.is_file() or STAMP.read_text().endswith(f" {VENV}")


def bootstrap() -> None:
    if is_fresh(STAMP, wanted_state()) and is_usable():
        return
    with one_at_a_time(ROOT, "bootstrap"):
        usable = is_usable()
        if usable and is_fresh(STAMP, wanted_state()):
            return
        if not usable:
            make_venv()
        uv, env = find_uv(), uv_environment()
        say(f"packages of {LOCK.name}")
        if not run(uv, "pip", "sync", "--require-hashes", "--python", PYTHON, LOCK, env=env):
            raise CannotPrepare("The locked packages could not be installed; uv's own words stand above.")
        say("parley from src/")
        here = ("--no-deps", "--no-build-isolation", "--python", PYTHON, "-e", ".")
        if not run(uv, "pip", "install", "--quiet", *here, env=env):
            raise CannotPrepare("parley itself could not be installed; uv's own words stand above.")
        shutil.rmtree(BORROWED, ignore_errors=True)
        mark_fresh(STAMP, wanted_state())


if __name__ == "__main__":
    try:
        bootstrap()
    except CannotPrepare as error:
        sys.exit(f"parley: {error}")

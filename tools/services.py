"""Bring what the tests use beside Python and Node, as far as this machine lets us; say what was left out, and why.

    python tools/services.py           bring everything; exit 1 under CI=true if something is missing
    python tools/services.py --stop    stop what was started; its data stays
    python tools/services.py --remove  stop it and remove its data

Each service is one function that brings it, waits until it answers, and returns the variables by which the tests find
it. Run it as often as you like: what is there is left alone. To add one: write the function, add it to SERVICES.

The engines (PostgreSQL, MariaDB, Redis, Kafka) run on loopback, each on a port chosen once, with their data in
.services or, where their accounts may not enter this checkout, in /var/tmp; they outlive this command. To use an engine
of your own, set its variable, and none is started.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from build_page import ROOT, fingerprint, is_fresh, mark_fresh, one_at_a_time, say
from parley.testing.engines import Engine, EngineMissing, KafkaServer, MariadbServer, PostgresqlServer, RedisServer
from shared_engine import CannotRun, bring, end, remove, write_private

STATE = ROOT / ".services"
MAVEN_LOG = STATE / "maven.log"
PASSWORD = re.compile(r":[^:@/]*@")
ADDRESSES = STATE / "environment.json"
APT = (
    "apt-get",
    "-o",
    "DPkg::Lock::Timeout=300",
    "-o",
    "Acquire::Retries=3",
    "-o",
    "Acquire::http::Timeout=60",
    "-y",
    "-q",
    "--no-install-recommends",
)


class LeftOut(Exception):
    """This machine cannot have the service; the text says what a person could do."""


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    bring: Callable[[], dict[str, str]]


# --- how -------------------------------------------------------------------------------------------------------------


def debian_packages(*names: str) -> None:
    """Install packages where that can work: as root on Debian or Ubuntu."""
    hint = f"apt-get install {' '.join(names)}"
    if shutil.which("apt-get") is None:
        raise LeftOut("this is not Debian or Ubuntu; install it by hand")
    if os.geteuid() != 0:
        raise LeftOut(f"only root can install it: {hint}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    log = STATE / "apt.log"
    say(f"Debian packages {', '.join(names)} (log: {log.relative_to(ROOT)})")
    with log.open("a") as output:

        def apt(*arguments: str) -> bool:
            streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
            return subprocess.run([*APT, *arguments], env=env, check=False, **streams).returncode == 0  # type: ignore[call-overload, no-any-return]

        # The list of packages on a fresh machine is missing or stale; on others the update would be a wait for nothing.
        with without_daemons():
            if not apt("install", *names) and not (apt("update") and apt("install", *names)):
                raise LeftOut(f"{hint} failed: see {log.relative_to(ROOT)}")


@contextmanager
def without_daemons() -> Iterator[None]:
    """A package that brings a server starts it too, on the port everybody knows. Tell Debian no, for this moment."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():  # the machine has its own answer, as images for containers do
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def first_that_runs(*commands: str) -> str | None:
    """The path of the first program that answers --version: Ubuntu's chromium is a stub that only knows snap."""
    for command in commands:
        path = shutil.which(command)
        if path is None:
            continue
        try:
            done = subprocess.run([path, "--version"], capture_output=True, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return path
    return None


# --- which -----------------------------------------------------------------------------------------------------------


def chromium() -> dict[str, str]:
    """A browser for the tests of the page; PARLEY_CHROMIUM names one that is somewhere else."""
    names = [
        name for name in (os.environ.get("PARLEY_CHROMIUM"), "chromium", "google-chrome", "chromium-browser") if name
    ]
    path = first_that_runs(*names)
    if path is None:
        debian_packages("chromium")
        path = first_that_runs(*names)
    if path is None:
        raise LeftOut("the distribution's chromium does not run here; set PARLEY_CHROMIUM to a Chrome or Chromium")
    return {"PARLEY_CHROMIUM": path}


def chinese_font() -> dict[str, str]:
    """A font that has Chinese, or the page's screenshots and widths in Chinese are those of empty boxes."""
    if not _has_chinese_font():
        debian_packages("fonts-noto-cjk")
        if not _has_chinese_font():
            raise LeftOut("the font package holds no Chinese here")
    return {}


def _has_chinese_font() -> bool:
    if shutil.which("fc-list"):
        found = subprocess.run(["fc-list", ":lang=zh-cn", "family"], capture_output=True, text=True, check=False)
        return bool(found.stdout.strip())
    names = ("NotoSansCJK*", "wqy-*", "SourceHanSans*")
    return any(file for name in names for file in Path("/usr/share/fonts").rglob(name))


def postgresql() -> dict[str, str]:
    """A superuser's url; commits reach the disk before they are answered."""
    return engine(PostgresqlServer, "PARLEY_TEST_POSTGRESQL", packages_of(PostgresqlServer, "postgresql"))


def mariadb() -> dict[str, str]:
    """The url of a user with every right; commits reach the disk before they are answered."""
    return engine(MariadbServer, "PARLEY_TEST_MARIADB", packages_of(MariadbServer, "mariadb-server"))


def redis() -> dict[str, str]:
    """A Redis that keeps nothing over its end."""
    return engine(RedisServer, "PARLEY_TEST_REDIS", packages_of(RedisServer, "redis-server"))


def kafka() -> dict[str, str]:
    """host:port of a single broker; Maven brings the jars."""

    def install() -> None:
        java()
        kafka_jars()

    return engine(KafkaServer, "PARLEY_TEST_KAFKA", install)


def kafka_jars() -> None:
    """What tools/kafka/pom.xml names and all it needs, in .services/kafka/libs."""
    pom = Path("tools", "kafka", "pom.xml")
    libs = STATE / "kafka" / "libs"
    stamp, wanted = STATE / "kafka" / "libs.stamp", fingerprint(ROOT, pom)
    if is_fresh(stamp, wanted):
        return
    if shutil.which("mvn") is None:
        debian_packages("maven")
    say(f"Kafka's jars (log: {MAVEN_LOG.relative_to(ROOT)})")
    fresh = libs.with_name("libs.half")
    shutil.rmtree(fresh, ignore_errors=True)
    command = ("mvn", "-B", "-f", str(ROOT / pom), "dependency:copy-dependencies", f"-DoutputDirectory={fresh}")
    with MAVEN_LOG.open("wb") as log:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
    if done.returncode != 0:
        raise LeftOut(f"Maven could not bring Kafka's jars: see {MAVEN_LOG.relative_to(ROOT)}")
    end(KafkaServer, STATE)  # it opens its jars when it needs them, and should run on the new ones
    shutil.rmtree(libs, ignore_errors=True)
    fresh.rename(libs)
    mark_fresh(stamp, wanted)


def java() -> None:
    """Kafka 4 wants 17 or newer; which of them there is depends on the distribution's age."""
    if shutil.which("java"):
        return
    try:
        debian_packages("openjdk-17-jre-headless")
    except LeftOut:
        debian_packages("openjdk-21-jre-headless")


def engine(kind: type[Engine], variable: str, install: Callable[[], None]) -> dict[str, str]:
    """The engine that the variable names, else one of this checkout's own."""
    if own := os.environ.get(variable):
        return {variable: own}
    try:
        install()
        return {variable: bring(kind, STATE)}
    except (LeftOut, EngineMissing, CannotRun) as reason:
        raise LeftOut(f"{reason}; or set {variable} to one of your own") from None


def packages_of(kind: type[Engine], package: str) -> Callable[[], None]:
    def install() -> None:
        try:
            kind.programs()
        except EngineMissing:
            debian_packages(package)

    return install


SERVICES = (
    Service("chromium", chromium),
    Service("chinese-font", chinese_font),
    Service("postgresql", postgresql),
    Service("mariadb", mariadb),
    Service("redis", redis),
    Service("kafka", kafka),
)
ENGINES: tuple[type[Engine], ...] = (PostgresqlServer, MariadbServer, RedisServer, KafkaServer)


# --- all -------------------------------------------------------------------------------------------------------------


def bring_all() -> tuple[dict[str, str], dict[str, str]]:
    """Bring every service; return the variables for the tests, and for each one left out the reason."""
    STATE.mkdir(exist_ok=True)
    variables: dict[str, str] = {}
    left_out: dict[str, str] = {}
    with one_at_a_time(ROOT, "services"):
        for service in SERVICES:
            try:
                variables |= service.bring()
            except LeftOut as reason:
                left_out[service.name] = str(reason)
        write_private(ADDRESSES, variables)
    return variables, left_out


def stop_all() -> None:
    """Stop the engines of this checkout."""
    with one_at_a_time(ROOT, "services"):
        for kind in ENGINES:
            if end(kind, STATE):
                say(f"stopped {kind.name}")


def remove_all() -> None:
    """And remove their data, also what is not in this checkout."""
    with one_at_a_time(ROOT, "services"):
        for kind in ENGINES:
            remove(kind, STATE)
        ADDRESSES.unlink(missing_ok=True)


def main() -> int:
    if "--stop" in sys.argv[1:]:
        stop_all()
        return 0
    if "--remove" in sys.argv[1:]:
        remove_all()
        return 0
    variables, left_out = bring_all()
    for name, value in variables.items():
        say(f"{name}={PASSWORD.sub(':…@', value)}")
    for name, reason in left_out.items():
        say(f"left out: {name}: {reason}")
    return 1 if left_out and os.environ.get("CI") == "true" else 0


if __name__ == "__main__":
    sys.exit(main())

"""Dependencies point one way: the table of the design, held against the imports.

cli → app → {gateway, http} → dispatch → services → {log, store, fanout}.interface → protocol
gateway → dialects → protocol
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1] / "src"

PLAIN = ("addresses", "clock", "ids", "client_ids")
"""A page each, of nothing but the standard library: for everybody."""

LAYERS: dict[str, tuple[str, ...]] = {
    "protocol": PLAIN,
    "dialects": (*PLAIN, "protocol"),
    "store": (*PLAIN, "protocol"),
    "log": (*PLAIN, "protocol", "store.interface", "kafka_producer"),
    "stream": (*PLAIN, "protocol", "store.interface", "kafka_producer"),
    "redis": (*PLAIN, "protocol"),
    "assistant": PLAIN,
    "fanout": (*PLAIN, "protocol", "redis"),
    "presence": (*PLAIN, "protocol", "redis"),
    "blobs": PLAIN,
    "media": PLAIN,
    "services": (
        *PLAIN, "protocol", "log.interface", "store.interface", "fanout.interface", "settings", "redis",
        "assistant.interface", "blobs.interface", "media",
    ),
    "dispatch": (*PLAIN, "protocol", "log.interface", "store.interface"),
    "gateway": (
        *PLAIN, "protocol", "dialects", "dispatch", "services",
        "log.interface", "store.interface", "fanout.interface", "presence.interface",
    ),
    "http": (
        *PLAIN, "", "protocol", "dispatch", "services", "store.interface", "settings", "observability", "media.types",
    ),
    "ids": ("clock",),
    "kafka_producer": PLAIN,
    "observability": (*PLAIN, "settings"),
    "configuration": (*PLAIN, "settings"),
    "testing": (*PLAIN, "protocol"),
}  # fmt: skip
"""Which parts of `parley` each part may import, beside itself; "" is the package's own version."""

EXCEPTIONS: dict[tuple[str, str], str] = {
    ("services", "store.sql"): "the questions of services are SQL texts, one file a noun, the same on every database",
    ("services.files.staging", "blobs.folder"): "how a folder's names are made to last is written down once",
    ("services", "store.tables"): "and so are the tables they speak of",
    ("http", "store.sql"): "rows and shapes of what services answer are defined beside the SQL that makes them",
    ("gateway", "store.sql"): "the same: a welcome shows users and conversations",
    ("gateway", "store.bounds"): "how long a transaction may last, which comparing heads has to allow for",
    ("log.places", "store.sql"): "where Kafka's partitions stand is part of the store's own transactions",
    ("stream.stream", "store.sql"): "a stream is made from the tables themselves",
    ("settings", "addresses"): "what is wrong with an address is said before a library says it",
    ("settings", "services.policy"): "what an origin is, is decided in one place; policy is pure",
    ("http", "dialects"): "the older clients' HTTP routes answer in their dialects' shapes",
}
"""Where the code may leave the table, and why."""

ROOTS = {
    "app": "the composition root",
    "serve": "listeners and signals around it",
    "move": "copies one database into another; no server runs on either",
    "cli": "commands on a data folder that no server holds",
    "__main__": "cli's other name",
    "bench": "measures the parts one by one, from outside",
}
"""They stand above the table."""

IMPLEMENTATIONS = {
    "log.direct": ("app", "log.appender"),
    "log.kafka": ("app",),
    "log.appender": ("app",),
    "log.kafka_results": ("app", "log.appender", "log.kafka"),
    "log.kafka_topics": ("app",),
    "log.places": ("app", "log.appender", "log.intake"),
    "stream.stream": ("app",),
    "assistant.openai": ("app",),
    "fanout.redis": ("app",),
    "presence.redis": ("app",),
    "fanout.memory": ("app",),
    "blobs.folder": ("app", "services.files.staging"),
    "blobs.s3": ("app",),
    "presence.memory": ("app",),
    # cli: the folder's lock, and a backup. migrate: a copy of the file before it begins.
    "store.sqlite": ("app", "cli", "move.run", "store.migrate"),
    "store.batches": ("app", "store.shared"),
    # Batches run on the writer's thread.
    "store.threads": ("app", "store.batches", "store.shared"),
    "store.shared": ("app", "move.run"),
    "gateway.picows_engine": ("app",),
    "gateway.sansio_engine": ("app",),
}
"""Who may name an implementation: the composition root, and what is written down here with its reason."""

IMPURE = {
    "asyncio", "concurrent", "socket", "ssl", "subprocess", "threading", "sqlite3", "sqlalchemy", "alembic", "fastapi",
    "starlette", "pydantic", "uvicorn", "uvloop", "picows", "websockets", "httpx", "structlog", "logging",
}  # fmt: skip


def modules() -> Iterator[tuple[str, ast.Module]]:
    """`gateway.hub` and what is in it."""
    for file in sorted((SOURCES / "parley").rglob("*.py")):
        parts = file.relative_to(SOURCES / "parley").with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        yield name, ast.parse(file.read_text(encoding="utf-8"), str(file))


def imported(tree: ast.Module) -> Iterator[str]:
    """Every module that is imported anywhere in it, in full. `from parley import x` names `parley.x` if that is one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            whole = str(node.module)
            inner = [f"{whole}.{alias.name}" for alias in node.names]
            yield from (name if is_module(name) else whole for name in inner)


def is_module(name: str) -> bool:
    path = SOURCES.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def ours(tree: ast.Module) -> Iterator[str]:
    for name in imported(tree):
        if name == "parley" or name.startswith("parley."):
            yield name.removeprefix("parley").removeprefix(".")


def within(module: str, part: str) -> bool:
    return module == part or (part != "" and module.startswith(part + "."))


def breaches() -> Iterator[tuple[str, str]]:
    for module, tree in modules():
        part = module.partition(".")[0]
        if part in ROOTS or module == "":
            continue
        allowed = (part, *LAYERS.get(part, ()))
        yield from ((module, name) for name in ours(tree) if not any(within(name, one) for one in allowed))


def excused(module: str, name: str) -> list[tuple[str, str]]:
    return [row for row in EXCEPTIONS if within(module, row[0]) and within(name, row[1])]


def test_dependencies_point_one_way() -> None:
    """Whoever adds an import that is not in the table changes the table, or the import."""
    assert [f"{module} imports {name}" for module, name in breaches() if not excused(module, name)] == []


def test_no_exception_is_left_over() -> None:
    used = {row for module, name in breaches() for row in excused(module, name)}

    assert set(EXCEPTIONS) == used


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_an_implementation_is_named_by_the_root_alone(implementation: str) -> None:
    """So that another one is a line in app/."""
    naming = {module for module, tree in modules() if implementation in ours(tree)}
    naming = {"app" if within(module, "app") else module for module in naming if not within(module, "bench")}

    assert naming <= set(IMPLEMENTATIONS[implementation])
    assert "app" in naming


@pytest.mark.parametrize("part", ["protocol", "dialects"])
def test_the_vocabulary_and_the_codecs_are_pure(part: str) -> None:
    """No loop, no framework, no SQL, no log: a test calls them with literals."""
    found = {
        f"{module} imports {name}"
        for module, tree in modules()
        if within(module, part)
        for name in imported(tree)
        if name.partition(".")[0] in IMPURE
    }

    assert found == set()


def test_codecs_stand_on_msgspec_and_nothing_else() -> None:
    foreign = {
        name.partition(".")[0]
        for module, tree in modules()
        if within(module, "protocol") or within(module, "dialects")
        for name in imported(tree)
    }

    assert foreign - set(sys.stdlib_module_names) == {"parley", "msgspec"}


def test_every_part_has_a_row() -> None:
    parts = {module.partition(".")[0] for module, _ in modules() if module}

    assert parts - set(LAYERS) - set(ROOTS) - set(PLAIN) == {"settings"}

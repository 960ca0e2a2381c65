"""The `parley` command."""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from sqlalchemy.exc import OperationalError

import parley
from parley.addresses import masked
from parley.configuration import BadSettings, as_docs, as_toml, load
from parley.settings import Settings, at_odds

app = typer.Typer(
    help="A self-hosted real-time chat server.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Config = Annotated[
    Path | None, typer.Option("--config", help="Settings file. Else ./parley.toml or the data folder's.")
]
Data = Annotated[Path | None, typer.Option("--data", help="Folder of the database, the files and the signing key.")]


def main() -> None:
    app()


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    data: Data = None,
    config: Config = None,
    workers: Annotated[int | None, typer.Option(help="Processes on this machine; wants a shared database.")] = None,
    roles: Annotated[
        str | None, typer.Option(help="gateway, appender or gateway,appender; wants the Kafka log.")
    ] = None,
) -> None:
    """Run the server until it is told to stop."""
    flags = {"host": host, "port": port, "data": data, "workers": workers, "roles": roles}
    settings = _possible(_settings(config, server=flags))
    from parley.serve.process import serve as run  # noqa: PLC0415 - the other commands start faster without the server

    code = _in_one_line(lambda: run(settings), settings)
    if code:
        raise typer.Exit(code)


@app.command("config")
def show_config(
    config: Config = None,
    data: Data = None,
    docs: Annotated[bool, typer.Option("--docs", help="Print docs/configure.md instead.")] = False,
) -> None:
    """Print the settings in force, secrets as "***"."""
    sys.stdout.write(as_docs() if docs else as_toml(_settings(config, server={"data": data})))


@app.command()
def migrate(data: Data = None, config: Config = None) -> None:
    """Bring the database to this version's schema, and make the topics on Kafka that are missing.

    An embedded server brings its own file to the schema by itself when it starts.
    """
    settings = _possible(_settings(config, server={"data": data}))
    from parley.app.migrating import migrate as bring  # noqa: PLC0415 - the other commands start faster without it

    _in_one_line(lambda: print(*bring(settings), sep="\n"), settings)


@app.command()
def move(
    source: Annotated[str, typer.Option("--from", metavar="URL", help="The database that is left.")],
    target: Annotated[str | None, typer.Option("--to", metavar="URL", help="The one to move to; empty.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Compare both row by row afterwards.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Throw away what an earlier move left in the target.")
    ] = False,
    release: Annotated[
        bool, typer.Option("--release", help="Only let a database that was moved be served again.")
    ] = False,
) -> None:
    """Move a whole database to another one, ids and numbers unchanged. Give it again after a cut: it goes on."""
    from parley.move.command import run as bring  # noqa: PLC0415 - the other commands start faster without it

    if (target is None) != release:
        _stop(["give --to with the database to move to, or --release without it"], code=2)
    code = _in_one_line(lambda: bring(source, target, verify=verify, replace=replace), Settings())
    if code:
        raise typer.Exit(code)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
def bench(context: typer.Context) -> None:
    """Measure a server: `parley bench --help`."""
    try:
        from parley.bench.cli import main as measure  # noqa: PLC0415 - not every installation measures
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("parley.bench"):
            raise
        _stop(["the benchmark is not part of this installation"])
    measure(context.args)


@app.command()
def version() -> None:
    """Print the version."""
    print(f"parley {parley.__version__}")


def _settings(config: Path | None, **sections: dict[str, Any]) -> Settings:
    given = {name: {row: it for row, it in rows.items() if it is not None} for name, rows in sections.items()}
    try:
        return load(given, config)
    except BadSettings as error:
        _stop(error.problems, code=2)


def _possible(settings: Settings) -> Settings:
    if problems := at_odds(settings):
        _stop(problems, code=2)
    return settings


def _in_one_line(work: Callable[[], int | None], settings: Settings) -> int | None:
    """What a person can put right is told in one line; a traceback is for mistakes of ours."""
    # The data folder holds messages, password hashes and the signing key: for this account's eyes only.
    os.umask(0o077)
    try:
        return work()
    except OperationalError as error:
        _stop([f"the database {masked(settings.store_url)}: {error.orig}"])
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            _stop([f"{error.strerror}; try --port"])
        name = f"{error.filename}: " if error.filename else ""
        _stop([f"{name}{error.strerror or error}"])
    except Exception as error:
        from parley.app.refusals import REFUSALS  # noqa: PLC0415 - they name engines that a start need not import

        if not isinstance(error, REFUSALS):
            raise
        _stop([masked(str(error))])


def _stop(problems: list[str], code: int = 1) -> NoReturn:
    err = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    for line in problems:
        err.print(f"parley: {line}", style="red" if err.is_terminal else None)
    raise typer.Exit(code)

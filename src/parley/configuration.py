"""From flags, environment and file to `Settings`, and from `Settings` to text.

Flags win over `PARLEY_<SECTION>__<NAME>`, that over `parley.toml`, that over the defaults. Nothing unknown is ignored.
"""

import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from parley.addresses import masked
from parley.settings import Section, Server, Settings

PREFIX = "PARLEY_"
FILE = "parley.toml"
SECRETS = frozenset({"api_key"})


class BadSettings(Exception):
    """The server cannot start with these; `problems` has one line each: key, value, what was wanted."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(self.problems)


def load(flags: Mapping[str, Mapping[str, Any]] | None = None, config: Path | None = None) -> Settings:
    """The settings of this start. `flags` are sections of what the command line gave; raises BadSettings."""
    given = {section: dict(rows) for section, rows in (flags or {}).items()}
    file = config or _file_beside(given)
    if config is not None and not config.is_file():
        raise BadSettings([f"--config {config}: there is no such file"])

    class Read(Settings):
        model_config = SettingsConfigDict(toml_file=file)

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    problems = [*_unknown_variables()]
    try:
        settings = Read(**given)  # type: ignore[arg-type]  # the sections, which the base's own options hide from mypy
    except ValidationError as error:
        known = set(problems)
        problems += [line for it in error.errors() if (line := _problem(it, given, file)) not in known]
    except SettingsError as error:
        problems.append(str(error).partition("\n")[0])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"{file}: {error}")
    except OSError as error:
        problems.append(f"{file}: {error.strerror}")
    else:
        if not problems:
            return settings
    raise BadSettings(problems)


def _file_beside(given: Mapping[str, Mapping[str, Any]]) -> Path | None:
    """`./parley.toml`, else the one in the data folder."""
    default = Server.model_fields["data"].default
    data = Path(given.get("server", {}).get("data") or os.environ.get(f"{PREFIX}SERVER__DATA") or default)
    return next((file for file in (Path(FILE), data / FILE) if file.is_file()), None)


def _unknown_variables() -> Iterator[str]:
    """Variables of our form that name no section; in a known section the schema finds them itself."""
    for name in sorted(os.environ):
        section, separator, _row = name.removeprefix(PREFIX).partition("__")
        if name.startswith(PREFIX) and separator and section.lower() not in Settings.model_fields:
            yield f"{name}: there is no section [{section.lower()}]"


def _problem(error: ErrorDetails, given: Mapping[str, Mapping[str, Any]], file: Path | None) -> str:
    path = [part for part in error["loc"] if isinstance(part, str)]  # without the place in a list
    variable = PREFIX + "__".join(path[:2] if path[0] != "compat" or len(path) < 3 else path[:3]).upper()
    where = f"[{'.'.join(path[:-1])}] {path[-1]}" if len(path) > 1 else f"[{path[0]}]"
    if len(path) > 1 and path[1] in given.get(path[0], {}):
        source = f"--{path[1]}"
    elif any(name.upper() == variable for name in os.environ):
        source = variable
    else:
        source = str(file or FILE)
    if error["type"] == "extra_forbidden":
        return f"{source}: {where} is not a setting"
    # A whole section given as something else may hold anything, so it is not shown.
    value = "***" if len(path) == 1 or SECRETS & set(path) else repr(masked(str(error["input"])))
    wanted = error["msg"].removeprefix("Value error, ")
    return f"{source}: {where} = {value}: {wanted[:1].lower()}{wanted[1:]}"


# --- settings as text -------------------------------------------------------------------------------------------------


def toml_value(value: Any) -> str:
    if isinstance(value, SecretStr):
        return '"***"' if value.get_secret_value() else '""'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return f"[{', '.join(map(toml_value, value))}]"
    # A JSON string is a TOML one, but for DEL, which TOML wants escaped.
    return json.dumps(masked(str(value)), ensure_ascii=False).replace("\x7f", "\\u007f")


def sections(of: BaseSettings | Section, above: str = "") -> Iterator[tuple[str, Section]]:
    """Every section under its TOML name, `compat.kama` after `compat`."""
    for name in type(of).model_fields:
        value = getattr(of, name)
        if isinstance(value, Section):
            yield above + name, value
            yield from sections(value, f"{above}{name}.")


def rows(section: Section) -> Iterator[tuple[str, FieldInfo, Any]]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if not isinstance(value, Section):
            yield name, field, value


def as_toml(settings: Settings) -> str:
    """The effective settings as a file that could be given again, but for the secrets. What is not set is a comment."""
    blocks = []
    for name, section in sections(settings):
        lines = [
            f"{row} = {toml_value(value)}" if value is not None else f"# {row} =" for row, _, value in rows(section)
        ]
        blocks.append("\n".join([f"[{name}]", *lines]))
    return "\n\n".join(blocks) + "\n"


def as_docs() -> str:
    """docs/configure.md."""
    parts = [DOCS_HEAD]
    for name, section in sections(Settings()):
        parts.append(f"## [{name}]\n\n{(type(section).__doc__ or '').strip()}\n")
        table = ["| setting | default | |", "|---|---|---|"]
        for row, field, value in rows(section):
            shown = f"`{toml_value(value)}`" if value is not None else "not set"
            table.append(f"| `{row}` | {shown} | {_kind(field)}{field.description} |")
        parts.append("\n".join(table) + "\n")
    return "\n".join(parts)


def _kind(field: FieldInfo) -> str:
    """The choices and bounds of a row, as words before its description."""
    if get_origin(field.annotation) is Literal:
        return " or ".join(f"`{toml_value(choice)}`" for choice in get_args(field.annotation)) + ". "
    words = {"Gt": "more than {gt}", "Ge": "at least {ge}", "Le": "at most {le}"}
    bounds = [
        words[type(it).__name__].format(**vars(it) if hasattr(it, "__dict__") else _slots(it))
        for it in field.metadata
        if type(it).__name__ in words
    ]
    return f"({', '.join(bounds)}) " if bounds else ""


def _slots(it: Any) -> dict[str, Any]:
    return {
        name: value
        for name in ("gt", "ge", "le")
        if (value := getattr(it, name, PydanticUndefined)) is not PydanticUndefined
    }


DOCS_HEAD = f"""\
# Settings

<!-- Made by `parley config --docs > docs/configure.md` from src/parley/settings.py. Change it there. -->

A setting is a row of `{FILE}` (the file of `--config`, else `./{FILE}`, else the one in the data folder), or the
variable `{PREFIX}<SECTION>__<NAME>`, such as `{PREFIX}SERVER__PORT`; a list is written there with commas. Flags of the
command win over the environment, that over the file, that over the defaults below. An unknown setting, or a value of
the wrong kind, stops the start and is named. `parley config` prints what is in force, with secrets as `"***"`.
"""

"""The protocol's text, its codes and the program say the same."""

import json
import re
import tomllib
from pathlib import Path

from parley.dialects.native import TYPES
from parley.protocol.errors import CLOSES, ERRORS, Close, Code, ErrorSpec
from parley.protocol.types import WIRE_KINDS

ROOT = Path(__file__).parents[1]
PROTOCOL = (ROOT / "spec" / "protocol.md").read_text(encoding="utf-8")
CODES = tomllib.loads((ROOT / "spec" / "codes.toml").read_text(encoding="utf-8"))


def section(title: str) -> str:
    return PROTOCOL.partition(f"\n## {title}")[2].partition("\n## ")[0]


def python_sources() -> str:
    return "\n".join(file.read_text(encoding="utf-8") for file in sorted((ROOT / "src" / "parley").rglob("*.py")))


def test_every_command_is_documented_and_every_documented_one_is_there() -> None:
    """The first column of the table of commands."""
    rows = [line.split("|")[1] for line in section("Commands").splitlines() if line.startswith("| `")]
    documented = {name for row in rows for name in re.findall(r"`([a-z.]+)`", row)}

    assert documented == set(TYPES)


def test_every_kind_of_entry_is_documented() -> None:
    documented = set(re.findall(r"`([a-z]+\.[a-z]+)`", section("The conversation log")))

    assert set(WIRE_KINDS.values()) <= documented


def test_every_code_has_a_name_in_the_program_and_no_other_has() -> None:
    named = {value.name for value in vars(Code).values() if isinstance(value, ErrorSpec)}

    assert named == set(CODES["error"]) == set(ERRORS)
    assert {name for name, value in vars(Code).items() if isinstance(value, ErrorSpec)} == {it.upper() for it in ERRORS}
    assert {member.name.lower(): member.value for member in Close} == {
        name: row["code"] for name, row in CODES["close"].items()
    }


def test_codes_are_unique_and_keep_their_ranges() -> None:
    """Clients act on ranges: errors are above 1000, a socket's own closes come back below 4500 and stop above."""
    errors = [row["code"] for row in CODES["error"].values()]
    assert len(set(errors)) == len(errors)
    assert all(1000 < code < 2000 for code in errors)
    assert all(row.again == (row.code < 4500) for row in CLOSES.values())


def test_what_may_be_tried_again_has_a_fitting_status() -> None:
    """A proxy or a client that knows only HTTP must not retry what cannot succeed."""
    for row in ERRORS.values():
        assert 400 <= row.http <= 599
        assert row.retryable == (row.http in (429, 500, 503)), row.name


def test_every_close_of_the_program_is_in_the_list() -> None:
    """Literal numbers are RFC 6455's own: an ordinary end, protocol error, not understood, server error."""
    literal = {int(code) for code in re.findall(r"\.close\((\d{4}),", python_sources())}

    assert literal <= {1000, 1002, 1003, 1011}


def test_the_closes_of_the_text_are_in_the_list() -> None:
    told = {int(code) for code in re.findall(r"\b(4[05]\d\d|100[789])\b", section("Errors and close codes"))}
    told -= {4000, 4499, 4999}  # the ends of the ranges

    assert told <= {row.code for row in CLOSES.values()}


def test_every_golden_error_is_a_code() -> None:
    refused = json.loads((ROOT / "spec" / "golden" / "native" / "refused.json").read_text(encoding="utf-8"))

    assert {row["error"] for row in refused} <= set(ERRORS)

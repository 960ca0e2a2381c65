"""What every dialect's tests ask of its golden files, spec/golden/<dialect>/."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from parley.dialects.base import Codec
from parley.protocol import commands
from parley.protocol.errors import BadFrame

GOLDEN = Path(__file__).parents[2] / "spec" / "golden"


def cases(dialect: str, file: str) -> list[Any]:
    """The rows of a golden file as pytest's parameters, each named by its number and words."""
    listed = json.loads((GOLDEN / dialect / file).read_text("utf-8"))
    return [pytest.param(case, id=f"{number} {case['says']}") for number, case in enumerate(listed, 1)]


def means_its_command(command: commands.Command, case: dict[str, Any]) -> None:
    """The client_id is the gateway's own, and so not in the file."""
    wanted = dict(case["command"])
    kind = getattr(commands, wanted.pop("type"))
    if isinstance(command, commands.Durable):
        wanted["client_id"] = command.client_id
    assert command == msgspec.convert(wanted, kind)


def is_refused(codec: Codec, case: dict[str, Any]) -> None:
    with pytest.raises(BadFrame) as refusal:
        codec.decode(case["frame"])

    assert refusal.value.spec.name == case["error"]

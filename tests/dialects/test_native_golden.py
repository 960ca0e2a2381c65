"""The native protocol, byte for byte, against spec/golden/native, which the SDKs read too."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from parley.dialects.base import Codec
from parley.dialects.native import TYPES, NativeCodec
from parley.protocol import commands
from parley.protocol.errors import ERRORS, BadFrame, ChatError
from parley.protocol.events import About, Ack, Entry, Signal
from parley.protocol.types import WIRE_KINDS, ConversationId, EntryKind

GOLDEN = Path(__file__).parents[2] / "spec" / "golden" / "native"
KINDS = {name: EntryKind(number) for number, name in WIRE_KINDS.items()}

codec: Codec = NativeCodec()


def rows(file: str) -> list[dict[str, Any]]:
    return msgspec.json.decode((GOLDEN / file).read_bytes(), type=list[dict[str, Any]])


def cases(file: str) -> list[Any]:
    return [pytest.param(case, id=case["says"]) for case in rows(file)]


@pytest.mark.parametrize("case", cases("commands.json"))
def test_a_frame_is_its_command(case: dict[str, Any]) -> None:
    """Where the golden client_id is `*` the server makes one."""
    request = codec.decode(case["frame"])

    wanted = dict(case["command"])
    kind = getattr(commands, wanted.pop("type"))
    if wanted.get("client_id") == "*":
        assert isinstance(request.command, commands.Durable)
        assert 1 <= len(request.command.client_id) <= 64
        wanted["client_id"] = request.command.client_id
    assert (request.command, request.ref) == (msgspec.convert(wanted, kind, strict=False), case["ref"])


@pytest.mark.parametrize("case", cases("refused.json"))
def test_a_wrong_frame_is_refused(case: dict[str, Any]) -> None:
    """With the golden error, to the id that the frame had, and the answer can be written down."""
    with pytest.raises(BadFrame) as refusal:
        codec.decode(case["frame"])

    assert (refusal.value.spec.name, refusal.value.ref) == (case["error"], case["ref"])
    assert codec.error(refusal.value.ref, refusal.value)


@pytest.mark.parametrize("case", cases("events.json"))
def test_an_event_is_its_frame(case: dict[str, Any]) -> None:
    said = encoded(case["event"])

    assert said == case["frame"].encode()
    json.loads(case["frame"])


def encoded(event: dict[str, Any]) -> bytes | None:
    match event:
        case {"log": log}:
            about = About(ConversationId(log["conversation_id"]))
            (frame,) = codec.entries(about, log["head"], log["more"], [entry(row) for row in log["entries"]])
            return frame
        case {"ack": ack, "ref": ref}:
            return codec.ack(ref, Ack(**ack))
        case {"done": payload, "ref": ref}:
            return codec.done(ref, payload)
        case {"error": error, "ref": ref}:
            refused = ChatError(ERRORS[error["name"]], error.get("detail"), error.get("retry_after_ms"))
            return codec.error(ref, refused)
        case {"signal": signal}:
            return codec.signal(Signal(**signal))
        case {"welcome": welcome}:
            return codec.welcome(welcome)
        case _:
            return codec.pong()


def entry(row: dict[str, Any]) -> Entry:
    return Entry(**row | {"kind": KINDS[row["kind"]], "body": row["body"].encode()})


def test_every_command_has_a_golden_frame() -> None:
    """A new one needs a pair, so that the SDKs learn of it."""
    shown = {json.loads(case["frame"])["type"] for case in rows("commands.json")}

    assert shown == TYPES

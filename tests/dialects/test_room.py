"""The room dialect, byte for byte, against spec/golden/room."""

import json
import re
import time
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.dialects import golden

from parley.dialects.base import Codec
from parley.dialects.room import RoomCodec, person
from parley.dialects.shared import COLORS, color_of
from parley.protocol import bodies, commands
from parley.protocol.errors import ERRORS, BadFrame, ChatError
from parley.protocol.events import About, Ack, Entry, Signal
from parley.protocol.types import ConversationId, EntryKind, UserId

GARDEN = ConversationId(7)
ABOUT = About(GARDEN, "room", "garden")
AT = 1704081600123

codec: Codec = RoomCodec(GARDEN, "garden")


def cases(file: str) -> list[Any]:
    return golden.cases("room", file)


@pytest.mark.parametrize("case", cases("commands.json"))
def test_a_client_frame_is_its_command(case: dict[str, Any]) -> None:
    """What clients of this dialect send means what the golden pair says."""
    request = codec.decode(case["frame"])

    golden.means_its_command(request.command, case)
    assert request.ref is None


@pytest.mark.parametrize("case", cases("refused.json"))
def test_a_wrong_frame_is_refused(case: dict[str, Any]) -> None:
    """What is not a frame of this dialect is a BadFrame with the golden error."""
    golden.is_refused(codec, case)


def test_an_unknown_type_is_named() -> None:
    """Whoever writes a client reads what was wrong with it; an endless name is cut."""
    with pytest.raises(BadFrame, match="'wave'"):
        codec.decode('{"type":"wave","payload":{}}')
    with pytest.raises(BadFrame) as refusal:
        codec.decode(json.dumps({"type": "x" * 60_000}))

    assert len(refusal.value.message) < 120


@pytest.mark.parametrize("case", cases("events.json"))
def test_an_event_is_its_frame(case: dict[str, Any]) -> None:
    """What happened reaches clients of this dialect as the golden bytes, or not at all."""
    assert said(case["event"]) == (case["frame"].encode() if case["frame"] is not None else None)


def said(event: dict[str, Any]) -> bytes | None:
    match event:
        case {"entry": entry}:
            frames = codec.entries(msgspec.convert(event["about"], About), 3, False, [told(entry)])
            assert len(frames) <= 1
            return frames[0] if frames else None
        case {"signal": signal}:
            return codec.signal(Signal(**signal))
        case {"error": error}:
            wait = error.get("retry_after_ms")
            return codec.error(None, ChatError(ERRORS[error["name"]], error["detail"], wait))
        case _:
            return codec.pong()


def told(entry: dict[str, Any]) -> Entry:
    body = msgspec.json.encode(entry["body"])
    kind, by = EntryKind[entry["kind"]], UserId(entry["by"])
    return Entry(GARDEN, 3, kind, by, "c", entry["at"], 3, body, by_name=entry["by_name"])


def stored(command: commands.Command) -> Entry:
    """What the log would hold of it, written by Ann."""
    assert isinstance(command, commands.SendMessage)
    body = bodies.created(bodies.MessageBody("900", command.kind, command.text))
    return Entry(GARDEN, 3, EntryKind.MESSAGE_CREATED, UserId(7), "c", AT, 3, body, by_name="Ann")


def relayed(frame: str) -> str:
    (shown,) = codec.entries(ABOUT, 3, False, [stored(codec.decode(frame).command)])
    return shown.decode()


def test_a_page_keeps_its_order() -> None:
    """Of several entries each message is one frame, oldest first; the others are none."""
    events = [case.values[0]["event"] for case in cases("events.json")]
    known = [told(event["entry"]) for event in events if "entry" in event]

    frames = codec.entries(ABOUT, 9, True, known)

    assert frames == [frame for entry in known for frame in codec.entries(ABOUT, 9, False, [entry])]
    assert len(frames) > 3


def test_everybody_hears_their_own_words() -> None:
    """A message comes back to the socket that sent it, and that is all the answer there is."""
    entry = stored(codec.decode('{"type":"message","payload":{"content":"hi"}}').command)

    assert codec.echoes(ABOUT, entry)
    assert (codec.welcome({}), codec.ack(None, Ack(GARDEN, 1, 0, False)), codec.done(None, {})) == (None, None, None)


def test_each_message_is_a_command_of_its_own() -> None:
    """These clients number nothing, so the same words twice are two messages."""
    frame = '{"type":"message","payload":{"content":"hi"}}'
    one, other = codec.decode(frame).command, codec.decode(frame).command

    assert isinstance(one, commands.SendMessage)
    assert isinstance(other, commands.SendMessage)
    assert one.client_id != other.client_id


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_colour_is_a_users_own(user_id: int) -> None:
    """The same wherever it is shown, one that pages can draw, and another than the next user's."""
    shown = person(UserId(user_id), "Ann")

    assert shown == {"user_id": user_id, "username": "Ann", "color": color_of(user_id)}
    assert re.fullmatch("#[0-9a-f]{6}", shown["color"])
    assert color_of(user_id) != color_of(user_id + 1)
    assert len(set(COLORS)) == len(COLORS)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")).filter(str.strip))
def test_a_text_comes_out_as_it_went_in(text: str) -> None:
    """decode∘encode is identity: what a client wrote every client reads, and may send again."""
    for ascii_only in (True, False):
        frame = json.dumps({"type": "message", "payload": {"content": text}}, ensure_ascii=ascii_only)
        shown = relayed(frame)
        assert json.loads(shown)["payload"]["content"] == text
        assert relayed(shown) == shown


odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
types = st.sampled_from(["message", "typing", "ping", "init"]) | odd
payloads = st.dictionaries(st.sampled_from(["content", "is_typing"]), odd) | odd


@given(
    st.text()
    | odd.map(json.dumps)
    | st.fixed_dictionaries({}, optional={"type": types, "payload": payloads}).map(json.dumps)
)
@example("\ud800")
@example('{"type":"ping","payload":{"x":1e999,"y":' + "9" * 5000 + "}}")
def test_whatever_comes_is_a_frame_or_a_bad_frame(frame: str) -> None:
    """Decoding raises BadFrame and nothing else; what it lets through can be stored and shown."""
    try:
        command = codec.decode(frame).command
    except BadFrame:
        return
    if isinstance(command, commands.SendMessage):
        assert command.conversation_id == GARDEN
        assert len(codec.entries(ABOUT, 3, False, [stored(command)])) == 1


@pytest.mark.parametrize("piece", ["[", "{", '{"payload":', '{"a":[', '"\\u0000', "\\u", "[1],", "\t"])
def test_a_large_frame_of_rubbish_is_quick(piece: str) -> None:
    """64 KiB of nesting or spaces costs no more than a few milliseconds and is refused."""
    frame = '{"x":' + piece * (65_531 // len(piece))
    began = time.perf_counter()

    for rubbish in (frame, frame[5:]):
        with pytest.raises(BadFrame):
            codec.decode(rubbish)

    assert time.perf_counter() - began < 0.25

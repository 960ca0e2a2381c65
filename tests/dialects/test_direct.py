"""The direct dialect, byte for byte, against spec/golden/direct."""

import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.dialects import golden

from parley.dialects.base import Codec
from parley.dialects.direct import DirectCodec
from parley.protocol import commands
from parley.protocol.errors import ERRORS, BadFrame, ChatError
from parley.protocol.events import About, Ack, Entry, Signal
from parley.protocol.types import ConversationId, EntryKind, UserId

LOBBY = ConversationId(1)
ROOMS = {"garden": ConversationId(7)}

codec: Codec = DirectCodec(LOBBY, ROOMS.get)


def cases(file: str) -> list[Any]:
    return golden.cases("direct", file)


def group_frame(**fields: Any) -> str:
    whole = {"conversationId": "42", "recvId": "", "sendId": "", "chatType": 1, "content": "hi", "contentType": 1}
    return json.dumps(whole | fields)


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


@pytest.mark.parametrize("case", cases("events.json"))
def test_an_event_is_its_frame(case: dict[str, Any]) -> None:
    """What happened reaches clients of this dialect as the golden bytes, or not at all."""
    assert said(case["event"]) == (case["frame"].encode() if case["frame"] is not None else None)


def said(event: dict[str, Any]) -> bytes | None:
    match event:
        case {"entry": _}:
            about, entry = told(event)
            frames = codec.entries(about, entry.seq, False, [entry])
            assert len(frames) <= 1
            return frames[0] if frames else None
        case {"signal": signal}:
            return codec.signal(Signal(**signal))
        case {"error": error}:
            return codec.error(None, ChatError(ERRORS[error["name"]], error["detail"]))
        case _:
            return codec.pong()


def told(event: dict[str, Any]) -> tuple[About, Entry]:
    about = msgspec.convert(event["about"], About)
    is_, body = event["entry"], msgspec.json.encode(event["entry"]["body"])
    kind, by = EntryKind[is_["kind"]], UserId(is_["by"])
    return about, Entry(about.conversation_id, 3, kind, by, "c", is_["at"], 3, body, by_name=is_["by_name"])


ENTRIES = [case for case in cases("events.json") if "entry" in case.values[0]["event"]]


@pytest.mark.parametrize("case", ENTRIES)
def test_private_messages_are_not_echoed(case: dict[str, Any]) -> None:
    """Only groups and notes to oneself come back to the socket that sent them."""
    about, entry = told(case["event"])

    assert codec.echoes(about, entry) is case["event"]["echoes"]


def test_a_page_keeps_its_order() -> None:
    """Of several entries each message is one frame, oldest first; the others are none."""
    known = [told(case.values[0]["event"]) for case in ENTRIES]
    group = [(about, entry) for about, entry in known if about.conversation_id == 42]

    frames = codec.entries(group[0][0], 9, False, [entry for _, entry in group])

    assert frames == [frame for about, entry in group for frame in codec.entries(about, 9, False, [entry])]
    assert len(frames) > 3


def test_each_message_is_a_command_of_its_own() -> None:
    """These clients number nothing, so the same words twice are two messages."""
    one, other = codec.decode(group_frame()).command, codec.decode(group_frame()).command

    assert isinstance(one, commands.SendMessage)
    assert isinstance(other, commands.SendMessage)
    assert one.client_id != other.client_id


def test_nothing_answers_a_message() -> None:
    """This dialect has no frames for welcome, acks or other answers."""
    ack = Ack(LOBBY, 1, 0, False)

    assert (codec.welcome({}), codec.ack(None, ack), codec.done(None, {})) == (None, None, None)


odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
fields = ("type", "conversationId", "recvId", "sendId", "chatType", "content", "contentType")


@given(st.text() | odd.map(json.dumps) | st.dictionaries(st.sampled_from(fields), odd).map(json.dumps))
@example("\ud800")
@example(group_frame(chatType=2, recvId="9" * 5000))
@example(group_frame(conversationId="٣"))
def test_whatever_comes_is_a_frame_or_a_bad_frame(frame: str) -> None:
    """Decoding raises BadFrame and nothing else, and what it lets through can be stored."""
    try:
        command = codec.decode(frame).command
    except BadFrame:
        return
    if isinstance(command, commands.SendMessage):
        assert command.text
        assert (command.conversation_id == 0) == (command.to_user_id is not None)
        command.text.encode()


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")).filter(str.strip))
def test_a_text_comes_out_as_it_went_in(text: str) -> None:
    """decode∘encode is identity: what a client wrote is what every client reads."""
    command = codec.decode(group_frame(content=text)).command
    assert isinstance(command, commands.SendMessage)

    entry = {
        "kind": "MESSAGE_CREATED",
        "by": 7,
        "by_name": "",
        "at": 0,
        "body": {"message": {"id": "9", "kind": "text"}},
    }
    entry["body"]["message"]["text"] = command.text  # type: ignore[index]
    frame = said({"about": {"conversation_id": 42, "kind": "group"}, "entry": entry})

    assert frame is not None
    assert json.loads(frame)["content"] == text


@pytest.mark.parametrize("opening", ["[", '{"a":'], ids=["lists", "objects"])
def test_nested_garbage_is_refused_quickly(opening: str) -> None:
    """64 KiB of open brackets cost no more than any other bad frame."""
    garbage = opening * (65_536 // len(opening))
    started = time.perf_counter()

    for frame in (garbage, group_frame()[:-1] + f', "more": {garbage}'):
        with pytest.raises(BadFrame):
            codec.decode(frame)

    assert time.perf_counter() - started < 0.5

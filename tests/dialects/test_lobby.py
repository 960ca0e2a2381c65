"""The lobby dialect, byte for byte, against spec/golden/lobby."""

import json
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.dialects import golden

from parley.dialects.base import Codec
from parley.dialects.lobby import KEPT_CHARS, LobbyCodec
from parley.dialects.shared import local_time
from parley.protocol import bodies, commands
from parley.protocol.errors import ERRORS, BadFrame, ChatError
from parley.protocol.events import About, Ack, Entry, Signal
from parley.protocol.types import ConversationId, EntryKind, UserId
from parley.services.assistant.asking import question_of

LOBBY = ConversationId(1)
ABOUT = About(LOBBY, "room", "lobby", lobby=True)
AT = 1704081600123

codec: Codec = LobbyCodec(LOBBY, reserved=("豆包AI",))


@pytest.fixture(autouse=True, scope="module")
def china() -> Iterator[None]:
    """Golden times are of a server eight hours east, written so that no table of zones is needed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "CST-8")
        time.tzset()
        yield
    time.tzset()


def cases(file: str) -> list[Any]:
    return golden.cases("lobby", file)


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
        case {"entry": entry}:
            frames = codec.entries(msgspec.convert(event["about"], About), 3, False, [told(entry)])
            assert len(frames) <= 1
            return frames[0] if frames else None
        case {"signal": signal}:
            return codec.signal(Signal(**signal))
        case {"error": error}:
            return codec.error(None, ChatError(ERRORS[error["name"]], error["detail"]))
        case _:
            return codec.pong()


def told(entry: dict[str, Any]) -> Entry:
    body = msgspec.json.encode(entry["body"])
    kind, by = EntryKind[entry["kind"]], UserId(entry["by"])
    return Entry(LOBBY, 3, kind, by, "c", entry["at"], 3, body, by_name=entry["by_name"])


def stored(command: commands.Command) -> Entry:
    """What the log would hold of it, written by Ann."""
    assert isinstance(command, commands.SendMessage)
    body = bodies.created(bodies.MessageBody("900", command.kind, command.text, legacy=command.legacy or msgspec.UNSET))
    return Entry(LOBBY, 3, EntryKind.MESSAGE_CREATED, UserId(7), "c", AT, 3, body, by_name="Ann")


def relayed(frame: str) -> str:
    (shown,) = codec.entries(ABOUT, 3, False, [stored(codec.decode(frame).command)])
    return shown.decode()


def test_a_page_keeps_its_order() -> None:
    """Of several entries each message is one frame, oldest first; the others are none."""
    known = [told(case.values[0]["event"]["entry"]) for case in cases("events.json") if "entry" in str(case.values)]

    frames = codec.entries(ABOUT, 9, True, known)

    assert frames == [frame for entry in known for frame in codec.entries(ABOUT, 9, False, [entry])]
    assert len(frames) > 3


def test_everybody_hears_their_own_words() -> None:
    """A chat frame comes back to the socket that sent it, and that is all the answer there is."""
    assert codec.echoes(ABOUT, stored(codec.decode("hi").command))
    assert (codec.welcome({}), codec.ack(None, Ack(LOBBY, 1, 0, False)), codec.done(None, {})) == (None, None, None)


def test_each_message_is_a_command_of_its_own() -> None:
    """These clients number nothing, so the same words twice are two messages."""
    one, other = codec.decode("hi").command, codec.decode("hi").command

    assert isinstance(one, commands.SendMessage)
    assert isinstance(other, commands.SendMessage)
    assert one.client_id != other.client_id


@pytest.mark.parametrize("written", ["ai", "AI", "Ａｉ", "a i", "a\u200bi", "\u202eai", "系统", "system", "豆包ai"])
@pytest.mark.parametrize("field", ["userid", "userphone", "username"])
def test_nobody_poses_as_the_assistant(field: str, written: str) -> None:
    """However a reserved name is written, in whichever field, the sender's own label stands in its place."""
    shown = json.loads(relayed(json.dumps({"message": {"message": "hi", field: written}})))["message"]

    assert (shown["userid"], shown["userphone"], shown.get("username")) == ("7", "Ann", None)


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("@ai who are you?", "who are you?"),
        ("/ai who are\nyou? ", "who are\nyou?"),
        ("  @ai　你好", "你好"),
        ("@ai", None),
        ("@ai  ", None),
        ("@aim high", None),
        ("ask @ai something", None),
        ("", None),
    ],
)
def test_a_question_is_told_from_talk(text: str, question: str | None) -> None:
    """Only what begins with the assistant's name and goes on is for the assistant."""
    assert question_of(text) == question


def test_times_are_in_the_servers_zone() -> None:
    """Seconds, as these clients print them; milliseconds are cut off, not rounded."""
    assert (local_time(AT), local_time(0)) == ("2024-01-01 12:00:00", "1970-01-01 08:00:00")
    assert local_time(999) == local_time(0)


storable = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
letters = st.text('abc 网页-:/😀"\\\n', min_size=1, max_size=20)


@given(
    st.fixed_dictionaries(
        dict.fromkeys(["userid", "userphone"], letters)
        | {
            "message": storable.filter(str.strip),
            "time": letters,
            "filelink": storable.map(lambda text: text[:KEPT_CHARS]),
        },
        optional=dict.fromkeys(["email", "username", "image"], letters),
    )
)
def test_a_chat_frame_comes_out_as_it_went_in(message: dict[str, str]) -> None:
    """decode∘encode is identity, byte for byte, for whatever these clients write under a name that is free."""
    order = ["userid", "userphone", "message", "time", "filelink", "email", "username", "image"]
    frame = msgspec.json.encode({"message": {field: message[field] for field in order if field in message}}).decode()

    assert relayed(frame) == frame


@given(storable.filter(lambda text: bool(text.strip()) and text != "ping" and not text.lstrip().startswith("{")))
@example("{ well")
@example("\ufeff")
def test_plain_text_comes_out_as_it_went_in(text: str) -> None:
    """What is no JSON object is relayed as it came."""
    assert relayed(text) == text


@given(st.dictionaries(letters.filter(lambda key: key not in {"message", "online"}), letters).map(json.dumps))
def test_an_object_of_the_clients_own_is_a_text(frame: str) -> None:
    """It can never be taken for a frame of the server's."""
    assert json.loads(relayed(frame))["message"]["message"] == frame


odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
named = st.dictionaries(
    st.sampled_from(["message", "userid", "userphone", "time", "filelink", "username"]), odd | letters
)


@given(
    st.text()
    | odd.map(json.dumps)
    | st.dictionaries(st.sampled_from(["message", "online"]), odd | named).map(json.dumps)
)
@example("\ud800")
@example('\ufeff{"message":{"userid":"ai","message":"hi"}}')
@example('{"message":{"message":"hi","x":1e999,"y":' + "9" * 5000 + "}}")
def test_whatever_comes_is_a_frame_or_a_bad_frame(frame: str) -> None:
    """Decoding raises BadFrame and nothing else; what it lets through can be stored and shown."""
    try:
        command = codec.decode(frame).command
    except BadFrame:
        return
    if isinstance(command, commands.SendMessage):
        assert command.text
        assert command.text.strip()
        assert len(codec.entries(ABOUT, 3, False, [stored(command)])) == 1


@pytest.mark.parametrize("piece", ["[", "{", '{"message":', '{"a":[', '"\\u0000', "\\u", "{" + " " * 99, "\t", "@ai "])
def test_a_large_frame_of_rubbish_is_quick(piece: str) -> None:
    """64 KiB of nesting or spaces costs no more than a few milliseconds, whatever comes of it."""
    frame = '{"x":' + piece * (65_531 // len(piece))
    began = time.perf_counter()

    for rubbish in (frame, frame[5:]):
        try:
            question_of(rubbish)
            codec.decode(rubbish)
        except BadFrame:
            pass

    assert time.perf_counter() - began < 0.25

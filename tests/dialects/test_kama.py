"""The kama dialect, byte for byte, against spec/golden/kama."""

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
from parley.dialects.kama import AVATAR_CHARS, BUSY, KEPT_CHARS, LOGGED_OUT, WELCOME, KamaCodec, claims_other
from parley.protocol import commands
from parley.protocol.errors import ERRORS, BadFrame, ChatError
from parley.protocol.events import About, Ack, Entry, Signal
from parley.protocol.types import ConversationId, EntryKind, UserId

ANN, BOB = UserId(7), UserId(123)
START = '{"messageId":"PROXY","type":"start_call"}'

codec: Codec = KamaCodec()


@pytest.fixture(autouse=True, scope="module")
def server_in_utc() -> Iterator[None]:
    """Frames carry the server's local time; the golden ones are a server's in UTC."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def cases(file: str) -> list[Any]:
    return golden.cases("kama", file)


def client_frame(**fields: Any) -> str:
    whole = {
        "session_id": "S1", "type": 1, "content": "hi", "url": "", "send_id": "U7", "send_name": "Ann",
        "send_avatar": "", "receive_id": "U123", "file_size": "", "file_name": "", "file_type": "", "av_data": "",
    }  # fmt: skip
    return json.dumps(whole | fields)


@pytest.mark.parametrize("case", cases("commands.json"))
def test_a_client_frame_is_its_command(case: dict[str, Any]) -> None:
    """What clients of this dialect send means what the golden pair says."""
    command = codec.decode(case["frame"]).command

    golden.means_its_command(command, case)


@pytest.mark.parametrize("case", cases("refused.json"))
def test_a_wrong_frame_is_refused(case: dict[str, Any]) -> None:
    """What is not a frame of this dialect is a BadFrame with the golden error."""
    golden.is_refused(codec, case)


@pytest.mark.parametrize("case", cases("events.json"))
def test_an_event_is_its_frame(case: dict[str, Any]) -> None:
    """What happened reaches clients of this dialect as the golden bytes, or not at all."""
    assert said(case["event"]) == (case["frame"].encode() if case["frame"] is not None else None)


def said(event: dict[str, Any], by: Codec = codec) -> bytes | None:
    match event:
        case {"entry": _}:
            about, entry = told(event)
            frames = by.entries(about, entry.seq, False, [entry])
            assert len(frames) <= 1
            return frames[0] if frames else None
        case {"signal": signal}:
            return by.signal(Signal(**signal))
        case {"error": error}:
            return by.error(None, ChatError(ERRORS[error["name"]], error["detail"]))
        case _:
            return by.pong()


def told(event: dict[str, Any]) -> tuple[About, Entry]:
    about = msgspec.convert(event["about"], About)
    is_, body = event["entry"], msgspec.json.encode(event["entry"]["body"])
    kind, by = EntryKind[is_["kind"]], UserId(is_["by"])
    return about, Entry(about.conversation_id, 3, kind, by, "c", is_["at"], 3, body, by_name=is_["by_name"])


@pytest.mark.parametrize("case", [case for case in cases("events.json") if "entry" in case.values[0]["event"]])
def test_only_calls_are_not_echoed(case: dict[str, Any]) -> None:
    """A message comes back to the socket that sent it; the frames of a call go to the one called."""
    about, entry = told(case["event"])

    assert codec.echoes(about, entry) is case["event"]["echoes"]


def test_the_variant_numbers_texts_0() -> None:
    """With text_type 0 a text is 0 in both directions, and 1 is nothing."""
    variant = KamaCodec(text_type=0)
    hello = next(case.values[0] for case in cases("events.json"))

    assert isinstance(variant.decode(client_frame(type=0)).command, commands.SendMessage)
    assert json.loads(said(hello["event"], variant) or b"")["type"] == 0
    for other, frame in ((variant, client_frame(type=1)), (codec, client_frame(type=0))):
        with pytest.raises(BadFrame):
            other.decode(frame)


@pytest.mark.parametrize("frame", [client_frame(), client_frame(type=3, av_data=START)], ids=["message", "call"])
def test_a_claim_is_seen(frame: str) -> None:
    """Whoever knows the socket's user learns from the request whether the frame named somebody else."""
    request = codec.decode(frame)

    assert not claims_other(request.command, ANN, request.ref)
    assert claims_other(request.command, BOB, request.ref)


@pytest.mark.parametrize("send_id", ["7", "u7", "U07", "U", "G7", "nobody", "U7 "])
def test_an_odd_claim_is_another_user(send_id: str) -> None:
    """An unknown send_id ended the original's process; here it is somebody else's name and nothing more."""
    assert claims_other(codec.decode(client_frame(send_id=send_id)).command, ANN)


def test_no_claim_is_no_forgery() -> None:
    """A frame may leave its sender out: the token says who it is."""
    request = codec.decode(client_frame(send_id=""))

    assert not claims_other(request.command, ANN, request.ref)


@pytest.mark.parametrize("avatar", ["a" * (AVATAR_CHARS + 1), 5, 1.5, True, ["x"], {"a": {}}, None, ""])
def test_an_odd_avatar_is_none(avatar: Any) -> None:
    """It ended the original's process; here the message arrives without it."""
    command = codec.decode(client_frame(send_avatar=avatar)).command

    assert isinstance(command, commands.SendMessage)
    assert command.legacy == {"dialect": "kama", "send_id": "U7"}


@pytest.mark.parametrize("field", ["url", "file_name", "file_type", "file_size"])
def test_what_is_kept_beside_the_text_is_bounded(field: str) -> None:
    """A log is not filled through the side door."""
    codec.decode(client_frame(type=2, **{field: "x" * KEPT_CHARS}))

    with pytest.raises(BadFrame):
        codec.decode(client_frame(type=2, **{field: "x" * (KEPT_CHARS + 1)}))


def test_nothing_answers_a_message() -> None:
    """This dialect has no frames for acks or other answers; its greeting is a constant text."""
    ack = Ack(ConversationId(1), 1, 0, False)

    assert (codec.welcome({}), codec.ack(None, ack), codec.done(None, {})) == (None, None, None)
    assert (WELCOME, LOGGED_OUT) == ("欢迎来到kama聊天服务器", "已退出登录")
    assert BUSY == "由于目前同一时间过多用户发送消息，消息发送失败，请稍后重试"


odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
fields = tuple(json.loads(client_frame()))
damaged = st.dictionaries(st.sampled_from(fields), odd).map(lambda damage: client_frame(**damage))
calls = st.fixed_dictionaries({}, optional={"messageId": odd | st.just("PROXY"), "type": odd | st.just("sdp")})


@given(
    st.text()
    | odd.map(json.dumps)
    | damaged
    | (odd | calls).map(lambda call: client_frame(type=3, av_data=json.dumps(call)))
)
@example("\ud800")
@example(client_frame(receive_id="U" + "9" * 5000))
@example(client_frame(receive_id="U٣"))
def test_whatever_comes_is_a_frame_or_a_bad_frame(frame: str) -> None:
    """Decoding raises BadFrame and nothing else, and what it lets through can be stored."""
    try:
        command = codec.decode(frame).command
    except BadFrame:
        return
    if isinstance(command, commands.SendMessage):
        assert command.text
        assert (command.conversation_id == 0) == (command.to_user_id is not None)
        assert "\0" not in json.dumps([command.text, command.legacy], ensure_ascii=False).encode().decode()


stored = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)


@given(st.sampled_from([1, 2]), stored.filter(str.strip), stored, stored, stored, stored, stored)
@example(2, "look", "https://example.org/a.png", "image/png", "a.png", "12KB", "/static/ann.png")
def test_a_message_comes_out_as_it_went_in(
    kind: int, content: str, url: str, file_type: str, name: str, size: str, avatar: str
) -> None:
    """decode∘encode is identity: what a client of this dialect wrote is what the others of it read."""
    file = {"url": url, "file_type": file_type, "file_name": name, "file_size": size} if kind == 2 else {}
    sent = {"type": kind, "content": content, "send_avatar": avatar, **file}
    command = codec.decode(client_frame(**sent)).command
    assert isinstance(command, commands.SendMessage)

    message = {"id": "9", "kind": command.kind, "text": command.text, "legacy": command.legacy}
    entry = {"kind": "MESSAGE_CREATED", "by": 7, "by_name": "Ann", "at": 0, "body": {"message": message}}
    frame = said({"about": {"conversation_id": 5, "kind": "direct", "pair": [7, 123]}, "entry": entry})

    assert frame is not None
    heard = json.loads(frame)
    assert {field: heard[field] for field in sent} == sent
    assert (heard["send_id"], heard["receive_id"]) == ("U7", "U123")


@pytest.mark.parametrize("opening", ["[", '{"a":'], ids=["lists", "objects"])
def test_nested_garbage_is_refused_quickly(opening: str) -> None:
    """64 KiB of open brackets, in the frame or in a call's data, cost no more than any other bad frame."""
    garbage = opening * (65_536 // len(opening))
    started = time.perf_counter()

    for frame in (garbage, client_frame()[:-1] + f', "more": {garbage}', client_frame(type=3, av_data=garbage)):
        with pytest.raises(BadFrame):
            codec.decode(frame)

    assert time.perf_counter() - started < 0.5

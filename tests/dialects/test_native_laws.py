"""Laws of the native codec: whatever comes is a command or a BadFrame, and whatever goes out is JSON."""

import json
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from parley.dialects.native import TYPES, NativeCodec
from parley.protocol.commands import Durable
from parley.protocol.errors import BadFrame, ChatError, Code
from parley.protocol.events import About, Ack, Entry
from parley.protocol.types import ConversationId, EntryKind, MessageId, UserId

codec = NativeCodec()
MANY = settings(max_examples=400, deadline=None, derandomize=True, database=None)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = (
    "conversation_id", "to_user_id", "client_id", "message_id", "kind", "text", "reply_to", "thread_of", "attachments",
    "mentions", "emoji", "seq", "delivered_seq", "is_typing", "user_ids", "epoch", "cursors",
)  # fmt: skip
LIKELY = st.sampled_from(
    ["1", "42", "0", "", "text", "k", "\x00", "9" * 19, "١", 1, -1, 1.0, True, None, ["1"], {"1": 1}]
)
PAYLOADS = st.dictionaries(st.sampled_from(FIELDS), LIKELY | JSON, max_size=6)
NEARLY = st.fixed_dictionaries(
    {"type": st.sampled_from(sorted(TYPES))}, optional={"id": st.text() | JSON, "payload": PAYLOADS | JSON}
)


def read(frame: str) -> None:
    """Decode; the answer to a refused frame must be a frame itself."""
    request, refused = None, None
    try:
        request = codec.decode(frame)
    except BadFrame as bad:
        refused = json.loads(codec.error(bad.ref, bad))
    if request is None:
        assert refused is not None
        assert len(refused["id"] or "") <= 64
        assert "\x00" not in (refused["id"] or "")
    else:
        sent = "".join(map(str, texts(msgspec.to_builtins(request))))
        assert "\x00" not in sent
        sent.encode()
        assert not isinstance(request.command, Durable) or 1 <= len(request.command.client_id) <= 64


def texts(value: Any) -> list[str]:
    """All texts within."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in texts(part)]
    return [text for part in value for text in texts(part)] if isinstance(value, list | tuple) else []


@given(st.text() | st.text(alphabet='{}[]",:\\u0d8tyepi 1.-'))
@example("[" * 100_000)
@example('{"a":' * 100_000)
@example("\ud800")
@example('{"type":"ping","id":"\ud800"}')
@MANY
def test_any_text_is_a_command_or_a_bad_frame(text: str) -> None:
    read(text)


@given(JSON)
@MANY
def test_any_json_is_a_command_or_a_bad_frame(value: Any) -> None:
    read(json.dumps(value))


@given(NEARLY, st.booleans())
@MANY
def test_frames_that_are_nearly_right(frame: dict[str, Any], escaped: bool) -> None:
    read(json.dumps(frame, ensure_ascii=escaped))


@given(st.text(max_size=64), st.integers(0), st.booleans(), st.none() | st.integers(0))
@MANY
def test_an_ack_is_json_whatever_the_id(ref: str, seq: int, duplicate: bool, message: int | None) -> None:
    """Acks are put together by hand, for speed."""
    ack = Ack(ConversationId(7), seq, 1_700_000_000_000, duplicate, None if message is None else MessageId(message))
    shown = json.loads(codec.ack(ref, ack))

    assert (shown["id"], shown["payload"]["seq"], shown["payload"]["duplicate"]) == (ref, seq, duplicate)
    assert shown["payload"].get("message_id") == (None if message is None else str(message))


@given(st.text(max_size=64), st.text())
@MANY
def test_an_error_is_json_whatever_it_says(ref: str, detail: str) -> None:
    shown = json.loads(codec.error(ref, ChatError(Code.INTERNAL, detail)))

    assert (shown["id"], shown["payload"]["name"]) == (ref, "internal")


@given(st.dictionaries(st.text(), JSON, max_size=3), st.sampled_from(EntryKind))
@MANY
def test_bodies_are_spliced_in_whole(body: dict[str, Any], kind: EntryKind) -> None:
    """Whatever JSON object was stored stands in the entry, beside the entry's own fields."""
    stored = msgspec.json.encode(body)
    entry = Entry(ConversationId(7), 1, kind, UserId(3), "k", 0, 1, stored)
    (frame,) = codec.entries(About(ConversationId(7)), 1, False, [entry, entry])
    shown = json.loads(frame)["payload"]["entries"]

    assert shown[0] == shown[1]
    assert {**shown[0], **json.loads(stored)} == shown[0]

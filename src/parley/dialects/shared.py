"""What the older dialects have in common: their times and colours, reading JSON objects, refusing what cannot be
stored. Pure, as the codecs are."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from parley.protocol.bodies import MessageBody, read_completed, read_created
from parley.protocol.errors import BadFrame
from parley.protocol.events import Entry
from parley.protocol.notices import SORRY
from parley.protocol.types import AnswerStatus

__all__ = [
    "Links", "answer_of", "clean", "clean_all", "color_of", "content_of", "decode_object", "encode", "local_time",
    "local_time_of", "name_of", "names_of", "no_links", "read_created", "text_of",
]  # fmt: skip

COLORS = (
    "#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#f032e6", "#9a6324",
    "#800000", "#808000", "#000075", "#2f4f4f", "#c71585", "#1e90ff", "#228b22", "#b8860b",
)  # fmt: skip
"""All dark enough to be read on white. Neighbouring ids, often in one room, differ."""

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def local_time(ms: int) -> str:
    """`2024-01-01 12:00:00` in the server's own zone, of milliseconds since 1970 UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(ms // 1000))


def local_time_of(rfc3339: str) -> str:
    """The same of a time as the native protocol writes it; empty for what is none."""
    try:
        return local_time(int(datetime.fromisoformat(rfc3339).timestamp() * 1000))
    except ValueError:
        return ""


def color_of(user_id: int) -> str:
    """A user's colour: the same on every node, on every connection and for ever."""
    return COLORS[user_id % len(COLORS)]


def name_of(entry: Entry) -> str:
    """The writer's display name; a name made of the id where an account has none any more."""
    return entry.by_name or f"u{entry.by}"


Links = Callable[[dict[str, Any]], str]
"""The address of a file, from the attachment in a message: made anew for each frame, because it expires."""


def no_links(_attachment: dict[str, Any]) -> str:
    """For codecs that are given none."""
    return ""


def content_of(message: MessageBody, links: Links | None = None) -> str:
    """A message as one text, for dialects whose messages are that: what is written, or else the link an older frame
    brought, or else the names of its files. With `links`, the files' links stand after what is written, a line each.
    Empty for a deleted one: nothing is left to show."""
    if links is not None and message.attachments:
        found = [link for link in map(links, message.attachments) if link]
        if found:
            return "\n".join([*([message.text] if message.text else []), *found])
    if message.text:
        return message.text
    if message.legacy is not msgspec.UNSET and message.legacy.get("url"):
        return message.legacy["url"]
    return names_of(message)


def names_of(message: MessageBody) -> str:
    return ", ".join(str(file["name"]) for file in message.attachments if file.get("name"))


def answer_of(entry: Entry) -> str:
    """An assistant's whole answer, for dialects that are shown it at its end; one that broke off says so in the words
    that these clients know. Empty: there is nothing to show."""
    ended = read_completed(entry.body)
    if not ended.text or ended.status != AnswerStatus.INTERRUPTED or ended.text == SORRY:
        return ended.text or ""
    return f"{ended.text}\n\n{SORRY}"


def clean(text: str, field: str) -> str:
    """The text itself. Raises BadFrame for what no conversation can hold: U+0000, which PostgreSQL refuses, and lone
    surrogates, which are not UTF-8."""
    if "\x00" in text:
        raise BadFrame(f"{field} must not contain U+0000.")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise BadFrame(f"{field} must not contain lone surrogates.") from None
    return text


def clean_all(found: Any) -> None:
    """`clean` of every key and text of a decoded JSON value, however deep."""
    waiting = [found]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            clean(value, "The frame")
        elif isinstance(value, dict):
            waiting += value.keys()
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def decode_object(text: str) -> dict[str, Any]:
    """The JSON object a frame is, with every text in it clean. Raises BadFrame, and nothing else, for whatever is not
    one."""
    try:
        found = _decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise BadFrame("The frame is not a JSON object.") from None
    # JSON allows neither raw, so only an escape can have brought them in.
    if "\\u" in text:
        clean_all(found)
    return found


def text_of(found: dict[str, Any], field: str, most: int | None = None) -> str | None:
    """The text under `field`; None if it is not there or null. Raises BadFrame for another type, or more than `most`
    characters."""
    value = found.get(field)
    if value is None:
        return None
    if not isinstance(value, str):
        raise BadFrame(f"{field} must be a string.")
    if most is not None and len(value) > most:
        raise BadFrame(f"{field} must be at most {most} characters.")
    return value

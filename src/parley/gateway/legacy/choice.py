"""Which dialect a client speaks, told from what it brings. A dialect that is turned off is not there, and never the
next in line."""

import re
from collections.abc import Collection, Mapping

import msgspec

from parley.protocol.errors import ChatError, Code

NAMED = {"/ws/lobby": "lobby", "/ws/direct": "direct", "/ws/kama": "kama", "/wss": "kama"}
ROOM_PATH = "/ws/room/"
DOOR = "/ws"
_ROOM_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Choice(msgspec.Struct, frozen=True):
    """`room`: the name a room client asked for."""

    dialect: str
    room: str | None = None


def is_legacy(path: str) -> bool:
    return path == DOOR or path in NAMED or path.startswith(ROOM_PATH)


def choose(path: str, query: Mapping[str, str], headers: Mapping[str, str], enabled: Collection[str]) -> Choice:
    """Raises ChatError: not_found for a dialect that is off, bad_payload for a room's name that none could have."""
    choice = _choice(path, query, headers)
    if choice.dialect not in enabled:
        raise ChatError(Code.NOT_FOUND)
    if choice.dialect == "room" and not _ROOM_NAME.fullmatch(choice.room or ""):
        raise ChatError(Code.BAD_PAYLOAD, "room: 1 to 64 of A-Z a-z 0-9 _ -")
    return choice


def _choice(path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Choice:
    if path.startswith(ROOM_PATH):
        return Choice("room", path.removeprefix(ROOM_PATH))
    if path in NAMED:
        return Choice(NAMED[path])
    if "client_id" in query:
        return Choice("kama")
    if "room" in query:
        return Choice("room", query["room"])
    if "token" in query or "websocket" in headers:
        return Choice("direct")
    return Choice("lobby")

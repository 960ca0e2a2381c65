"""One error tree.

    ChatError                      anything a client is told
     └─ one row of spec/codes.toml: code (public number), name (public), http status, retryable, text (not public API)

Raise `ChatError(Code.NOT_A_MEMBER)`; add `detail` where it helps the reader, `retry_after_ms` where waiting helps.
"""

import tomllib
from enum import IntEnum
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec


class ErrorSpec(msgspec.Struct, frozen=True):
    """A row of codes.toml."""

    name: str
    code: int
    http: int
    retryable: bool
    text: str


class CloseSpec(msgspec.Struct, frozen=True):
    """A close code of a socket; `again` tells whether the client should come back."""

    name: str
    code: int
    again: bool


def _codes_file() -> str:
    """`spec/codes.toml`: beside the sources in a checkout, inside the package in a wheel."""
    checkout = Path(__file__).parents[3] / "spec" / "codes.toml"
    if checkout.is_file():
        return checkout.read_text(encoding="utf-8")
    return resources.files("parley").joinpath("spec/codes.toml").read_text(encoding="utf-8")


@cache
def _load() -> dict[str, Any]:
    return tomllib.loads(_codes_file())


ERRORS: dict[str, ErrorSpec] = {name: ErrorSpec(name=name, **row) for name, row in _load()["error"].items()}
CLOSES: dict[str, CloseSpec] = {name: CloseSpec(name=name, **row) for name, row in _load()["close"].items()}


class Code:
    """Names of `spec/codes.toml`, so that a misspelt one fails at import and not in front of a client."""

    BAD_PAYLOAD = ERRORS["bad_payload"]
    UNKNOWN_TYPE = ERRORS["unknown_type"]
    TOO_LONG = ERRORS["too_long"]
    NOT_FOUND = ERRORS["not_found"]
    UNSUPPORTED = ERRORS["unsupported"]
    UNAUTHENTICATED = ERRORS["unauthenticated"]
    INVALID_CREDENTIALS = ERRORS["invalid_credentials"]
    SESSION_ENDED = ERRORS["session_ended"]
    FORBIDDEN = ERRORS["forbidden"]
    REGISTRATION_CLOSED = ERRORS["registration_closed"]
    INVALID_INVITE = ERRORS["invalid_invite"]
    SETUP_CODE_REQUIRED = ERRORS["setup_code_required"]
    ORIGIN_REFUSED = ERRORS["origin_refused"]
    USERNAME_TAKEN = ERRORS["username_taken"]
    REFRESH_REUSED = ERRORS["refresh_reused"]
    RATE_LIMITED = ERRORS["rate_limited"]
    TOO_MANY_CONNECTIONS = ERRORS["too_many_connections"]
    BUSY = ERRORS["busy"]
    LIMIT_REACHED = ERRORS["limit_reached"]
    UNKNOWN_CONVERSATION = ERRORS["unknown_conversation"]
    NOT_A_MEMBER = ERRORS["not_a_member"]
    UNKNOWN_MESSAGE = ERRORS["unknown_message"]
    MESSAGE_DELETED = ERRORS["message_deleted"]
    ROLE_REQUIRED = ERRORS["role_required"]
    CONVERSATION_CLOSED = ERRORS["conversation_closed"]
    UNKNOWN_USER = ERRORS["unknown_user"]
    NAME_TAKEN = ERRORS["name_taken"]
    INVITE_ONLY = ERRORS["invite_only"]
    OWNER_MUST_TRANSFER = ERRORS["owner_must_transfer"]
    UNKNOWN_FILE = ERRORS["unknown_file"]
    OFFSET_MISMATCH = ERRORS["offset_mismatch"]
    CHECKSUM_MISMATCH = ERRORS["checksum_mismatch"]
    UPLOAD_LOCKED = ERRORS["upload_locked"]
    FILE_TOO_LARGE = ERRORS["file_too_large"]
    QUOTA_EXCEEDED = ERRORS["quota_exceeded"]
    UPLOAD_ELSEWHERE = ERRORS["upload_elsewhere"]
    INVALID_LINK = ERRORS["invalid_link"]
    STORAGE_UNAVAILABLE = ERRORS["storage_unavailable"]
    DRAINING = ERRORS["draining"]
    OUTCOME_UNKNOWN = ERRORS["outcome_unknown"]
    ASSISTANT_UNAVAILABLE = ERRORS["assistant_unavailable"]
    ASSISTANT_BUSY = ERRORS["assistant_busy"]
    ASSISTANT_BUDGET = ERRORS["assistant_budget"]
    ASSISTANT_FAILED = ERRORS["assistant_failed"]
    INTERNAL = ERRORS["internal"]


class Close(IntEnum):
    """Close codes of a socket (`[close]` in codes.toml)."""

    GOING_AWAY = CLOSES["going_away"].code
    PROTOCOL_ERROR = CLOSES["protocol_error"].code
    NOT_UNDERSTOOD = CLOSES["not_understood"].code
    NOT_UTF8 = CLOSES["not_utf8"].code
    MALFORMED_FLOOD = CLOSES["malformed_flood"].code
    TOO_BIG = CLOSES["too_big"].code
    SERVER_ERROR = CLOSES["server_error"].code
    SLOW_CONSUMER = CLOSES["slow_consumer"].code
    HEARTBEAT_MISSED = CLOSES["heartbeat_missed"].code
    DRAINING = CLOSES["draining"].code
    SESSION_ENDED = CLOSES["session_ended"].code
    REPLACED = CLOSES["replaced"].code
    BANNED = CLOSES["banned"].code


class ChatError(Exception):
    """An answer to a client that says no: what, why, and whether to try again."""

    def __init__(self, spec: ErrorSpec, detail: str | None = None, retry_after_ms: int | None = None) -> None:
        super().__init__(spec, detail, retry_after_ms)
        self.spec = spec
        self.detail = detail
        self.retry_after_ms = retry_after_ms

    @property
    def message(self) -> str:
        return self.detail or self.spec.text

    def __str__(self) -> str:
        return f"{self.spec.name} ({self.spec.code}): {self.message}"

    def payload(self) -> dict[str, Any]:
        """The payload of an `error` frame."""
        body: dict[str, Any] = {
            "code": self.spec.code,
            "name": self.spec.name,
            "message": self.message,
            "retryable": self.spec.retryable,
        }
        if self.retry_after_ms is not None:
            body["retry_after_ms"] = self.retry_after_ms
        return body


class BadFrame(ChatError):
    """What a codec raises, and nothing else: the frame is not one of its dialect's. `ref` is the frame's id, if it
    had one."""

    def __init__(self, detail: str, ref: str | None = None, spec: ErrorSpec = Code.BAD_PAYLOAD) -> None:
        super().__init__(spec, detail)
        self.ref = ref

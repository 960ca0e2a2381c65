"""What proves a session: access tokens (JWT), refresh tokens and the cookie (a MAC each), and the key to make them.

Nothing made here is stored. The MACs are over the session's own secret with the server's key, so neither a stolen
database nor a stolen key alone makes a refresh token.
"""

import base64
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Collection
from pathlib import Path
from typing import Literal

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from joserfc.jws import JWSRegistry

from parley.protocol.errors import ChatError, Code
from parley.protocol.types import SessionId, UserId
from parley.services.policy import parse_id
from parley.services.steady import SteadyTime

Audience = Literal["parley", "legacy"]
ALGORITHM = "HS256"
KEY_BYTES = 32
LONGEST = 2048
"""A token is some 250 characters; a longer text is not looked at."""
HEADER = frozenset({"alg", "typ"})


class BadSigningKey(Exception):
    """The key file cannot be used; the text says why."""


def signing_key(path: Path, *, make: bool) -> bytes:
    """The key in the file; with `make`, a new one is laid there, durably, if there is none. Raises BadSigningKey."""
    try:
        if make and not path.exists():
            _lay_down(path, secrets.token_bytes(KEY_BYTES))
        key = path.read_bytes()
    except OSError as error:
        raise BadSigningKey(f"the signing key {path} cannot be read: {error.strerror}") from None
    if len(key) < KEY_BYTES:
        raise BadSigningKey(f"the signing key {path} has {len(key)} bytes; at least {KEY_BYTES} are wanted")
    return key


def _lay_down(path: Path, key: bytes) -> None:
    """Whole or not at all, and after a power cut too: a lost key would log everybody out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(file, key)
        os.fsync(file)
    finally:
        os.close(file)
    try:
        path.hardlink_to(part)  # unlike a rename it does not replace a key that was made meanwhile
    except FileExistsError:
        pass
    finally:
        part.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class Claims(msgspec.Struct, frozen=True):
    """What a good access token says."""

    user_id: UserId
    session_id: SessionId
    audience: str


class AccessTokens:
    """Short-lived proofs of a session, as JWT. Strict: exactly what we issue is accepted."""

    def __init__(self, key: bytes, time: SteadyTime) -> None:
        self._key = OctKey.import_key(_derived(key, "access token"))
        self._registry = JWSRegistry(algorithms=[ALGORITHM])
        self._time = time

    def issue(self, user_id: UserId, session_id: SessionId, audience: Audience, seconds: int) -> str:
        now = self._time.now_ms() // 1000
        claims = {
            "sub": str(user_id),
            "sid": str(session_id),
            "aud": audience,
            "iat": now,
            "exp": now + seconds,
            "jti": secrets.token_urlsafe(12),
        }
        return jwt.encode({"alg": ALGORITHM}, claims, self._key, registry=self._registry)

    def read(self, token: str, audiences: Collection[str] = ("parley",)) -> Claims:
        """Raises unauthenticated for anything but a token of ours, of one of the audiences, that has not expired."""
        refused = ChatError(Code.UNAUTHENTICATED, "The access token is not valid.")
        if len(token) > LONGEST or not token.isascii():
            raise refused
        try:
            decoded = jwt.decode(token, self._key, registry=self._registry)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise refused from None
        header, claims = decoded.header, decoded.claims
        # No `crit`, `jku`, `kid`, `b64`, `zip`: whatever wants to be understood is not ours.
        if not set(header) <= HEADER or header.get("alg") != ALGORITHM or header.get("typ", "JWT") != "JWT":
            raise refused
        now = self._time.now_ms() // 1000
        expires, audience, subject, session = (claims.get(name) for name in ("exp", "aud", "sub", "sid"))
        if type(expires) is not int or type(claims.get("iat")) is not int:
            raise refused
        if not isinstance(audience, str) or audience not in audiences or "nbf" in claims or "iss" in claims:
            raise refused
        user_id = parse_id(subject) if isinstance(subject, str) else None
        session_id = parse_id(session) if isinstance(session, str) else None
        if user_id is None or session_id is None:
            raise refused
        # `iat` in the future is let through: a restarted server's clock may have been set back, the key is still ours.
        if expires <= now:
            raise ChatError(Code.UNAUTHENTICATED, "The access token has expired.")
        return Claims(UserId(user_id), SessionId(session_id), audience)


class SessionMacs:
    """Refresh tokens `<sid>.<generation>.<mac>` and cookies `<sid>.<mac>`: made again for comparison, never stored."""

    def __init__(self, key: bytes) -> None:
        self._key = _derived(key, "session")

    def refresh_token(self, session_id: SessionId, secret: str, generation: int) -> str:
        return f"{session_id}.{generation}.{self._mac('refresh', secret, session_id, generation)}"

    def cookie(self, session_id: SessionId, secret: str) -> str:
        return f"{session_id}.{self._mac('cookie', secret, session_id, 0)}"

    def is_refresh_token(self, token: str, session_id: SessionId, secret: str, generation: int) -> bool:
        return hmac.compare_digest(token.encode(), self.refresh_token(session_id, secret, generation).encode())

    def is_cookie(self, value: str, session_id: SessionId, secret: str) -> bool:
        return hmac.compare_digest(value.encode(), self.cookie(session_id, secret).encode())

    def _mac(self, what: str, secret: str, session_id: SessionId, generation: int) -> str:
        text = f"{what}|{secret}|{session_id}|{generation}"
        digest = hmac.new(self._key, text.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


BOT = "pbt-"
"""What a bot's token begins with; no JWT does."""


def bot_secret(session_id: SessionId) -> tuple[str, str]:
    """A new token of a bot, and what is kept of it: a hash."""
    token = f"{BOT}{session_id}.{secrets.token_urlsafe(32)}"
    return token, bot_hash(token)


def bot_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def split_bot_token(token: str) -> SessionId | None:
    """Its session, None if it has not the shape."""
    found = re.fullmatch(BOT + r"([1-9][0-9]{0,18})\.[A-Za-z0-9_-]{43}", token)
    session_id = parse_id(found[1]) if found else None
    return None if session_id is None else SessionId(session_id)


def split_refresh_token(token: str) -> tuple[SessionId, int] | None:
    """The parts that are not secret, None if it has not the shape."""
    found = re.fullmatch(r"([1-9][0-9]{0,18})\.(0|[1-9][0-9]{0,8})\.[A-Za-z0-9_-]{43}", token)
    session_id = parse_id(found[1]) if found else None
    return None if found is None or session_id is None else (SessionId(session_id), int(found[2]))


def split_cookie(value: str) -> SessionId | None:
    found = re.fullmatch(r"([1-9][0-9]{0,18})\.[A-Za-z0-9_-]{43}", value)
    session_id = parse_id(found[1]) if found else None
    return None if session_id is None else SessionId(session_id)


def _derived(key: bytes, label: str) -> bytes:
    """A key for one use only, so that no text made for one thing is good for another."""
    return hmac.new(key, label.encode(), hashlib.sha256).digest()

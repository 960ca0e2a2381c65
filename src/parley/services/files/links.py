"""Signed links: whoever has one may read that one file until it expires, without a session.

For clients that cannot show who they are when they fetch a file: the older dialects, and a picture's address given to
something else. A link names the file, what of it, and its end; the signing key vouches for all three.
"""

import base64
import hashlib
import hmac
from typing import Any, Literal

from parley.clock import Clock
from parley.protocol.errors import ChatError, Code

Purpose = Literal["file", "thumbnail"]
PATHS: dict[str, str] = {"file": "/api/v1/files/{}", "thumbnail": "/api/v1/files/{}/thumbnail"}


class Links:
    """Pure but for the clock."""

    def __init__(self, key: bytes, clock: Clock, public_url: str, hours: int) -> None:
        """`key`: the server's signing key."""
        self._key = hmac.new(key, b"file link", hashlib.sha256).digest()
        self._clock = clock
        self._public_url = public_url
        self._hours = hours

    def sign(self, file_id: int, purpose: Purpose = "file") -> tuple[str, int]:
        """(link, until when it is good in seconds since 1970). The end is a full hour, so that the same link is made
        again and again and can be kept by browsers."""
        until = (self._clock.now_ms() // 3_600_000 + self._hours + 1) * 3600
        path = PATHS[purpose].format(file_id)
        return f"{self._public_url}{path}?until={until}&signature={self._mac(file_id, purpose, until)}", until

    def of(self, attachment: dict[str, Any]) -> str:
        """The link of an attachment of a message, for frames that carry links."""
        return self.sign(int(attachment["id"]))[0]

    def check(self, file_id: int, purpose: Purpose, until: int, signature: str) -> None:
        """Raises invalid_link."""
        wanted = self._mac(file_id, purpose, until)
        if not hmac.compare_digest(signature.encode(), wanted.encode()) or until * 1000 <= self._clock.now_ms():
            raise ChatError(Code.INVALID_LINK)

    def _mac(self, file_id: int, purpose: str, until: int) -> str:
        digest = hmac.new(self._key, f"{file_id}|{purpose}|{until}".encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest[:24]).decode()

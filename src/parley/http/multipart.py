"""Just enough of multipart/form-data (RFC 7578) to take one file from it as it comes: small fields first, then the
file, streamed. Nothing of it lies in memory or on a disk on the way."""

import re
from collections.abc import AsyncIterator

from parley.protocol.errors import ChatError, Code

HEAD_BYTES = 8192
FIELD_BYTES = 1024
FIELDS = 20


class Form:
    """Read `fields_before_file` first, then `file`."""

    def __init__(self, content_type: str, body: AsyncIterator[bytes]) -> None:
        """Raises bad_payload if this is no form."""
        found = re.search(r'boundary=(?:"([^"]{1,70})"|([^\s;,]{1,70}))', content_type)
        if not content_type.lower().startswith("multipart/form-data") or found is None:
            raise ChatError(Code.BAD_PAYLOAD, "multipart/form-data is wanted.")
        self._end = b"\r\n--" + (found[1] or found[2]).encode("latin-1")
        self._body = body
        # As if a line had ended before the first boundary, which then looks like all others.
        self._held = b"\r\n"

    async def fields_before_file(self) -> dict[str, str]:
        """The texts of the small fields up to the first file. Raises bad_payload where there is no file."""
        fields: dict[str, str] = {}
        await self._skip_to_boundary()
        for _ in range(FIELDS):
            head = await self._until(b"\r\n\r\n", HEAD_BYTES)
            name = re.search(rb'[; ]name="([^"\r\n]{1,100})"', head)
            if name is None:
                break
            if b"filename=" in head:
                return fields
            value = await self._until(self._end, FIELD_BYTES)
            try:
                fields[name[1].decode()] = value.decode()
            except UnicodeDecodeError:
                raise ChatError(Code.BAD_PAYLOAD, "Not UTF-8.") from None
        raise ChatError(Code.BAD_PAYLOAD, "The form has no file after its fields.")

    async def file(self) -> AsyncIterator[bytes]:
        """The file's bytes. What follows it in the form is passed over."""
        keep = len(self._end) - 1
        while True:
            at = self._held.find(self._end)
            if at >= 0:
                if at:
                    yield self._held[:at]
                async for _ in self._body:
                    pass
                return
            if len(self._held) > keep:
                piece, self._held = self._held[:-keep], self._held[-keep:]
                yield piece
            await self._more()

    async def _skip_to_boundary(self) -> None:
        await self._until(self._end, HEAD_BYTES)

    async def _until(self, mark: bytes, most: int) -> bytes:
        while (at := self._held.find(mark)) < 0:
            if len(self._held) > most + len(mark):
                raise ChatError(Code.BAD_PAYLOAD, "A part of the form is too long.")
            await self._more()
        if at > most:
            raise ChatError(Code.BAD_PAYLOAD, "A part of the form is too long.")
        before, self._held = self._held[:at], self._held[at + len(mark) :]
        return before

    async def _more(self) -> None:
        try:
            self._held += await anext(self._body)
        except StopAsyncIteration:
            raise ChatError(Code.BAD_PAYLOAD, "The form is cut short.") from None

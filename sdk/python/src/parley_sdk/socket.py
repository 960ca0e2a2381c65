"""One WebSocket at a time: opened again after every loss, until the server says stop. Requests find their answers."""

import asyncio
import contextlib
import itertools
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from parley_sdk.backoff import Backoff
from parley_sdk.errors import CLOSE_NAMES, STOP_CODES, Disconnected, ParleyError
from parley_sdk.http import Api

PATH = "/api/v1/ws"
SUBPROTOCOL = Subprotocol("parley.v1.json")
FRAME_BYTES = 4 * 1024 * 1024
"""Far above what the server sends in one frame."""
OPEN_S = 15.0
PING_S = 25.0
TOKENS_REFUSED = 2
"""A token that a provider gave may have ended on the way; one that is refused again will stay so."""

Frame = dict[str, Any]


class Socket:
    """`opened` is awaited with the welcome before anything else is heard; `heard` gets every event after it."""

    def __init__(
        self,
        api: Api,
        *,
        backoff: Backoff,
        answer_s: float,
        opened: Callable[[Frame], Awaitable[None]],
        heard: Callable[[Frame], None],
        changed: Callable[[str, str | None], None],
    ) -> None:
        self._api = api
        self._backoff = backoff
        self._answer_s = answer_s
        self._opened = opened
        self._heard = heard
        self._changed = changed
        self._ids = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[Frame]] = {}
        self._connection: ClientConnection | None = None
        self._refused = 0

    async def run(self) -> None:
        """Until cancelled. Raises Disconnected when the server has ended the session."""
        self._changed("connecting", None)
        while True:
            wait, reason = await self._once()
            self._changed("reconnecting", reason)
            await asyncio.sleep(self._backoff.next() if wait is None else wait)

    async def _once(self) -> tuple[float | None, str]:
        """One connection's life: (how long to wait, or None for as long as it takes, and why it ended)."""
        try:
            token = await self._api.token()
            async with connect(
                self._address(),
                additional_headers={"Authorization": f"Bearer {token}"} if token else {},
                subprotocols=[SUBPROTOCOL],
                max_size=FRAME_BYTES,
                open_timeout=OPEN_S,
                ping_interval=PING_S,
                ping_timeout=PING_S,
                close_timeout=2,
            ) as connection:
                await self._live(connection)
        except ConnectionClosed as closed:
            return self._closed(closed)
        except InvalidStatus as refused:
            return self._not_let_in(refused.response.status_code, refused.response.body or b"")
        except ParleyError as error:
            # The token could not be renewed.
            if not error.retryable:
                raise Disconnected(error.name, str(error), code=error.code) from error
            return error.retry_after_s, error.name
        except (OSError, TimeoutError, InvalidHandshake) as error:
            return None, type(error).__name__
        finally:
            self._connection = None
            self._fail_all()
        return None, "closed"

    def _address(self) -> str:
        return re.sub(r"^http", "ws", self._api.url) + PATH

    async def _live(self, connection: ClientConnection) -> None:
        """Frames are read while `opened` still asks for things, or its answers would never come."""
        async with asyncio.timeout(OPEN_S):
            welcome = _read(await connection.recv())
        self._connection = connection
        self._refused = 0
        begin = asyncio.ensure_future(self._opened(welcome["payload"]))
        begin.add_done_callback(lambda task: self._begun(task, connection))
        try:
            async for text in connection:
                self._pass_on(_read(text))
            # An orderly close (1000, 1001) ends the loop without an exception.
            raise ConnectionClosed(connection.protocol.close_rcvd, connection.protocol.close_sent, None)
        finally:
            begin.cancel()
            with contextlib.suppress(asyncio.CancelledError, ParleyError):
                await begin

    def _begun(self, task: "asyncio.Future[None]", connection: ClientConnection) -> None:
        if task.cancelled():
            return
        if task.exception() is None:
            self._backoff.reset()
        else:
            # Without its beginning nothing would be heard: come back and try again.
            connection.transport.abort()

    def _pass_on(self, frame: Frame) -> None:
        ref = frame.get("id")
        if ref is None:
            self._heard(frame)
            return
        waiting = self._waiting.pop(ref, None)
        if waiting is None or waiting.done():
            return
        if frame["type"] == "error":
            waiting.set_exception(ParleyError.of(frame["payload"]))
        else:
            waiting.set_result(frame["payload"])

    def _closed(self, closed: ConnectionClosed) -> tuple[float | None, str]:
        code = closed.rcvd.code if closed.rcvd else 1006
        text = closed.rcvd.reason if closed.rcvd else ""
        name = CLOSE_NAMES.get(code, f"closed_{code}")
        if code in STOP_CODES:
            raise Disconnected(name, text or name, code=code)
        # A server that drains says when to come back, so that not all come at once.
        said = re.search(r"(\d+) ms", text) if name == "draining" else None
        return (int(said[1]) / 1000 if said else None), name

    def _not_let_in(self, status: int, body: bytes | bytearray) -> tuple[float | None, str]:
        try:
            error = ParleyError.of(json.loads(body))
        except (ValueError, AttributeError):
            error = ParleyError("bad_answer", f"HTTP {status}", retryable=status >= 500)
        self._refused += 1
        if status < 500 and not error.retryable and self._refused >= TOKENS_REFUSED:
            raise Disconnected(error.name, str(error), code=error.code)
        return error.retry_after_s, error.name

    async def ask(self, kind: str, payload: Mapping[str, Any]) -> Frame:
        """The payload of the ack. Raises ParleyError; `not_connected` (retryable) if the connection ends first: then
        nobody knows whether it was done."""
        connection = self._connection
        if connection is None:
            raise ParleyError("not_connected", "there is no connection", retryable=True)
        ref = f"c{next(self._ids)}"
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._waiting[ref] = answer
        try:
            async with asyncio.timeout(self._answer_s):
                await connection.send(json.dumps({"type": kind, "id": ref, "payload": payload}, ensure_ascii=False))
                return await answer
        except TimeoutError:
            # Half open, most likely: a new connection will tell.
            connection.transport.abort()
            raise ParleyError("not_connected", "no answer in time", retryable=True) from None
        except ConnectionClosed as closed:
            raise ParleyError("not_connected", "the connection ended", retryable=True) from closed
        finally:
            self._waiting.pop(ref, None)

    def _fail_all(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            if not answer.done():
                answer.set_exception(ParleyError("not_connected", "the connection ended", retryable=True))
                # Whoever asked may still be sending, and then hears of the loss by that and never looks here.
                answer.exception()


def _read(text: str | bytes) -> Frame:
    frame: Frame = json.loads(text)
    return frame

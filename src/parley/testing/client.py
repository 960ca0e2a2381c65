"""The reference client: what a correct client of the native protocol does, written for tests to drive and to believe.

It keeps what it must send in an outbox and where it stands in cursors; it comes back after every cut with full jitter,
resumes, and sends what was not acknowledged again under the same `client_id`. Everything it sees goes into its history.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from random import Random
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from parley.testing import history as seen
from parley.testing import noted
from parley.testing.account import Account, ApiError
from parley.testing.answers import Ack, Refusal, State, Stopped
from parley.testing.history import History
from parley.testing.logs import Entry, Logs, Step
from parley.testing.outbox import Outbox, Pending, uuid7
from parley.testing.store_log import entry_from_wire
from parley.testing.timing import DRAINING, QUICK, Timing, asked_delay

SUBPROTOCOL = "parley.v1.json"
STOP_FROM, STOP_UPTO = 4500, 4999
"""Close codes after which a client does not come back."""


class ReferenceClient:
    """One device of one user. Use it as a context: it connects on entry, without waiting, and disconnects on exit.

    Not thread-safe; all calls belong to the loop that entered it.
    """

    def __init__(
        self,
        account: Account,
        history: History,
        *,
        outbox: Outbox | None = None,
        ws_base: str | None = None,
        nodes: Sequence[str] = (),
        random: Random | None = None,
        timing: Timing = QUICK,
    ) -> None:
        """`ws_base` (`ws://host:port`) leads the WebSocket elsewhere, such as through a proxy that breaks things.

        `nodes` (`http://host:port`) are those of a cluster: the first is tried first, and after every connection that
        ended or failed it is the next one's turn.
        """
        self.account = account
        self.history = history
        self.outbox = outbox if outbox is not None else Outbox()
        self.state = State.CONNECTING
        self.close_codes: deque[int | None] = deque(maxlen=1000)
        self.signals: deque[dict[str, Any]] = deque(maxlen=1000)
        """Frames that are not history: typing, read, presence and the like."""
        self.conversations: dict[str, dict[str, Any]] = {}
        self.epoch: str | None = None
        self.connections = 0
        self.refusals = 0
        """Attempts that were answered with an error, retryable or not."""
        self._timing = timing
        self._random = random if random is not None else Random()
        self._ws_base = ws_base
        self._nodes = deque(nodes or [account.base_url])
        self._logs = Logs()
        self._promises: dict[str, asyncio.Future[Ack]] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._snapshots: set[asyncio.Task[None]] = set()
        self._begin_connection()

    @property
    def is_connected(self) -> bool:
        return self.state is State.CONNECTED

    # --- what a test calls -------------------------------------------------------------------------------------------

    async def send(self, conversation: str, text: str, *, client_id: str | None = None) -> Ack:
        """Put a message in the outbox and wait until the server has acknowledged it, however often it takes.

        Raises `Refusal` if the server says no for good, `OutboxFull` at the bound, `Stopped` if the session ends.
        Cancelling gives up the waiting only: the message stays in the outbox and is still sent.
        """
        if self.state is State.DISCONNECTED:
            raise Stopped("not connected, and not coming back")
        pending = Pending(conversation, client_id or uuid7(), text)
        self.outbox.put(pending)
        promise: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()
        self._promises[pending.client_id] = promise
        self._pump(conversation)
        try:
            return await promise
        finally:
            self._promises.pop(pending.client_id, None)

    def log(self, conversation: str) -> list[Entry]:
        """What this client shows of a conversation: contiguous, each entry once."""
        return self._logs.of(conversation)

    @property
    def cursors(self) -> dict[str, int]:
        """The last seq held of each conversation."""
        return self._logs.cursors

    async def entries(self, conversation: str) -> AsyncIterator[Entry]:
        """The log from its beginning, then on and on as it grows."""
        shown = 0
        while True:
            log = self.log(conversation)
            while shown < len(log):
                yield log[shown]
                shown += 1
            await self.changed()

    async def until(self, predicate: Callable[[Self], bool], *, within: float = 10.0) -> None:
        """Wait until something is true of this client, or raise `TimeoutError`. Looked at after everything it hears."""
        async with asyncio.timeout(within):
            while not predicate(self):
                await self.changed()

    async def changed(self) -> None:
        """Wait for the next thing that it hears."""
        await self._changed.wait()

    def finish(self) -> None:
        """Claim in the history that every log is held whole. Call it when nothing is under way any more."""
        self.history.write(seen.Finished(cursors=dict(self.cursors)))

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Disconnect, and close the outbox and the account. Open `send`s are cancelled. May be called twice."""
        tasks = [task for task in (self._task, *self._snapshots) if task is not None]
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for promise in list(self._promises.values()):
            promise.cancel()
        self._set_state(State.DISCONNECTED)
        self.outbox.close()
        await self.account.close()
        for result in results:
            if isinstance(result, Exception):
                raise result

    @property
    def node(self) -> str:
        """Where it is connected, or tries to be."""
        return self._nodes[0]

    # --- connecting --------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        attempt = 0
        while True:
            delay = None
            connections = self.connections
            try:
                await self._connection()
            except InvalidStatus as refused:
                if refused.response.status_code == 401 and not await self._logged_in_again():
                    break
            except (OSError, TimeoutError, WebSocketException):
                pass  # cut, refused, or half open: the next attempt is the answer to all of them
            self._nodes.rotate(-1)
            code, reason = self._closed
            if code is not None and STOP_FROM <= code <= STOP_UPTO:
                break
            if code == DRAINING:
                delay = asked_delay(reason)
            attempt = 0 if self.connections > connections else attempt + 1
            self._set_state(State.RECONNECTING)
            if delay is None:
                delay = self._timing.backoff.delay(attempt, self._random)
            await asyncio.sleep(delay)
        self._set_state(State.DISCONNECTED)
        for promise in self._promises.values():
            if not promise.done():
                promise.set_exception(Stopped(*self._closed))

    async def _logged_in_again(self) -> bool:
        try:
            await self.account.refresh()
        except ApiError as error:
            return error.retryable or error.status >= 500
        except httpx.HTTPError:
            pass  # the server went away in between
        return True

    async def _connection(self) -> None:
        self._begin_connection()
        if self.account.base_url != self.node:
            self.account.move_to(self.node)
        base = self._ws_base if self._ws_base is not None else re.sub("^http", "ws", self.node)
        async with connect(
            f"{base}/api/v1/ws",
            additional_headers={"Authorization": f"Bearer {self.account.access_token}"},
            subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]  # a NewType of str
            compression=None,
            proxy=None,
            open_timeout=self._timing.open_s,
            close_timeout=0.5,
            ping_interval=self._timing.ping_s,
            ping_timeout=self._timing.pong_s,
            max_size=4 * 1024 * 1024,
        ) as socket:
            async with asyncio.timeout(self._timing.open_s):
                welcome = decode(await socket.recv())
            if welcome["type"] != "welcome":
                raise WebSocketException(f"{welcome['type']} instead of welcome")
            writer = asyncio.create_task(self._write(socket))
            try:
                self._greet(welcome["payload"])
                async for frame in socket:
                    self._hear(decode(frame))
                    self._notify()
            finally:
                writer.cancel()
                await asyncio.gather(writer, return_exceptions=True)
                self._end_connection(socket)

    def _begin_connection(self) -> None:
        self._to_write: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._asked: dict[str, Pending | dict[str, int]] = {}
        """Commands without an answer: by frame id, the message or the cursors of a resume."""
        self._in_flight: dict[str, Pending] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._open = False
        self._count = 0
        self._closed: tuple[int | None, str] = (None, "")

    def _end_connection(self, socket: ClientConnection) -> None:
        self._open = False
        self._closed = (socket.close_code, socket.close_reason or "")
        for timer in self._timers.values():
            timer.cancel()
        self.close_codes.append(socket.close_code)
        self.history.write(seen.Disconnected(code=socket.close_code))

    def _greet(self, welcome: dict[str, Any]) -> None:
        self.connections += 1
        self.conversations = {item["id"]: item for item in welcome["conversations"]}
        heads = {id_: item["head"] for id_, item in self.conversations.items()}
        self.history.write(seen.Connected(user=welcome["user"]["id"], epoch=welcome["epoch"], heads=heads))
        self._open = True
        self._set_state(State.CONNECTED)
        # A conversation never seen before is asked for from its beginning, so that the log held is the whole one.
        cursors = dict.fromkeys(self.conversations, 0) | self.cursors
        self._resume(cursors, self.epoch or welcome["epoch"])
        self.epoch = welcome["epoch"]
        for conversation in self.outbox.conversations():
            self._pump(conversation)

    # --- writing -----------------------------------------------------------------------------------------------------

    async def _write(self, socket: ClientConnection) -> None:
        """The one writer of a connection, so that the order in the history is the order on the wire."""
        try:
            while True:
                frame = await self._to_write.get()
                asked = self._asked.get(frame["id"])
                if isinstance(asked, Pending):
                    body = seen.fingerprint(asked.text)
                    sent = seen.Sent(conversation=asked.conversation, client_id=asked.client_id, body=body)
                    self.history.write(sent)
                elif asked is not None:
                    self.history.write(seen.Resumed(epoch=frame["payload"]["epoch"], cursors=asked))
                await socket.send(msgspec.json.encode(frame).decode())
        except ConnectionClosed:
            pass  # the reader sees it too, and ends the connection

    def _command(self, type_: str, payload: dict[str, Any], asked: Pending | dict[str, int]) -> str:
        self._count += 1
        id_ = f"c{self._count}"
        self._asked[id_] = asked
        # The queue is bounded by what may be asked: a message a conversation, and a resume when one is added.
        self._to_write.put_nowait({"type": type_, "id": id_, "payload": payload})
        return id_

    def _resume(self, cursors: dict[str, int], epoch: str | None) -> None:
        self._command("resume", {"epoch": epoch, "cursors": cursors}, cursors)

    def _pump(self, conversation: str) -> None:
        """Send the first waiting message, unless one is under way: a retry is never overtaken."""
        pending = self.outbox.first(conversation)
        if pending is None or not self._open or conversation in self._in_flight:
            return
        self._in_flight[conversation] = pending
        payload = {
            "conversation_id": conversation,
            "client_id": pending.client_id,
            "kind": "text",
            "text": pending.text,
        }
        self._command("message.send", payload, pending)
        self._try_again_in(conversation, self._timing.ack_s)

    def _try_again_in(self, conversation: str, seconds: float) -> None:
        if (timer := self._timers.pop(conversation, None)) is not None:
            timer.cancel()
        self._timers[conversation] = asyncio.get_running_loop().call_later(seconds, self._try_again, conversation)

    def _try_again(self, conversation: str) -> None:
        self._in_flight.pop(conversation, None)
        self._pump(conversation)

    # --- reading -----------------------------------------------------------------------------------------------------

    def _hear(self, frame: dict[str, Any]) -> None:
        payload = frame.get("payload", {})
        match frame["type"]:
            case "log":
                for entry in payload["entries"]:
                    self._receive(payload["conversation_id"], entry)
            case "ack" | "error" as kind:
                asked = self._asked.pop(frame["id"], None)
                if isinstance(asked, Pending):
                    (self._acked if kind == "ack" else self._refused)(asked, payload)
                elif asked is not None and kind == "ack":
                    self._resumed(payload)
                elif asked is not None:
                    raise WebSocketException(f"resume was refused: {payload['name']}")
            case "conversation.added":
                conversation = payload["conversation"]
                self.conversations[conversation["id"]] = conversation
                cursor = self.cursors.get(conversation["id"], 0)
                self._resume({conversation["id"]: cursor}, self.epoch)
            case "conversation.removed":
                self.conversations.pop(payload["conversation_id"], None)
            case _:
                self.signals.append(frame)

    def _receive(self, conversation: str, entry: dict[str, Any]) -> None:
        stored = entry_from_wire(conversation, entry)
        self.history.write(noted.received(stored))
        if self._logs.receive(conversation, entry) is Step.AHEAD and not self._is_resuming(conversation):
            # The history tells the checker about the hole; a client that is no test mends it.
            self._resume({conversation: self.cursors.get(conversation, 0)}, self.epoch)

    def _is_resuming(self, conversation: str) -> bool:
        return any(isinstance(asked, dict) and conversation in asked for asked in self._asked.values())

    def _resumed(self, answer: dict[str, Any]) -> None:
        live, reset, gone = answer["live"], answer["reset"], answer["gone"]
        if reset:
            self.history.write(seen.Reset(heads=reset))
        if live:
            self.history.write(seen.Live(heads=live))
        if gone:
            self.history.write(seen.Gone(conversations=gone))
        for conversation, head in reset.items():
            log = self._logs.reset(conversation, head)
            task = asyncio.create_task(self._take_snapshot(conversation, head, log))
            self._snapshots.add(task)
            task.add_done_callback(self._snapshots.discard)
        for conversation in gone:
            self._logs.forget(conversation)

    async def _take_snapshot(self, conversation: str, head: int, log: list[Entry]) -> None:
        """Put what lies before a reset in front of what came since. If it fails, the beginning stays missing."""
        try:
            before = await self.account.log(conversation, upto=head)
        except (httpx.HTTPError, ApiError):
            return
        self._logs.put_before(conversation, log, before)
        self._notify()

    def _acked(self, pending: Pending, payload: dict[str, Any]) -> None:
        ack = Ack(
            conversation_id=payload["conversation_id"],
            client_id=pending.client_id,
            seq=payload["seq"],
            message_id=payload.get("message_id"),
            duplicate=payload["duplicate"],
        )
        self.history.write(noted.acked(ack))
        if self._settle(pending):
            promise = self._promises.get(pending.client_id)
            if promise is not None and not promise.done():
                promise.set_result(ack)
            self._pump(pending.conversation)

    def _refused(self, pending: Pending, payload: dict[str, Any]) -> None:
        self.refusals += 1
        code, name, retryable = payload["code"], payload["name"], payload["retryable"]
        self.history.write(
            seen.Refused(
                conversation=pending.conversation,
                client_id=pending.client_id,
                code=code,
                name=name,
                retryable=retryable,
            )
        )
        if retryable:
            if self._in_flight.get(pending.conversation) == pending:
                wait = payload.get("retry_after_ms")
                seconds = self._timing.backoff.delay(0, self._random) if wait is None else wait / 1000
                self._try_again_in(pending.conversation, seconds)
        elif self._settle(pending):
            promise = self._promises.get(pending.client_id)
            if promise is not None and not promise.done():
                promise.set_exception(Refusal(name, code))
            self._pump(pending.conversation)

    def _settle(self, pending: Pending) -> bool:
        """Take it from the outbox. False for the second answer to a message that was sent twice."""
        if self.outbox.first(pending.conversation) != pending:
            return False
        self.outbox.done(pending)
        self._in_flight.pop(pending.conversation, None)
        if (timer := self._timers.pop(pending.conversation, None)) is not None:
            timer.cancel()
        return True

    def _set_state(self, state: State) -> None:
        self.state = state
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def decode(frame: str | bytes) -> dict[str, Any]:
    return msgspec.json.decode(frame, type=dict[str, Any])

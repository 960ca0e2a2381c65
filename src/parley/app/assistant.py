"""The assistant's parts, put together: the provider that is set, or nobody."""

import secrets
from collections.abc import Sequence

from prometheus_client import CollectorRegistry
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from parley.assistant.interface import Provider
from parley.clock import Clock
from parley.fanout.interface import FanOut
from parley.gateway.growing import Growing
from parley.log.interface import Log
from parley.protocol.commands import Actor
from parley.protocol.events import Entry
from parley.protocol.types import ConversationId, MessageId, UserId
from parley.services.assistant.absent import Absent
from parley.services.assistant.answering import Answering
from parley.services.assistant.budget import Budget
from parley.services.assistant.calling import Breaker, Calling
from parley.services.assistant.context import DEFAULT_PROMPT
from parley.services.assistant.figures import Figures
from parley.services.assistant.line import Bounds, Line
from parley.services.assistant.memory import Memory
from parley.services.assistant.places import Places
from parley.services.assistant.reading import Reader
from parley.services.assistant.rows import Rows
from parley.services.policy import username_key
from parley.settings import Assistant as AssistantSettings
from parley.settings import Settings
from parley.store.interface import Database
from parley.store.sql import assistant as sql

USERNAME = "ai"
"""Reserved, so nobody else can have it."""


class BadKeyFile(Exception):
    """The file of the assistant's key cannot be used; the text says why, and nothing of what is in it."""


class AssistantParts:
    """`start` before use, and before anybody is let in; `stop` before the log is drained, `close` after."""

    def __init__(
        self,
        settings: Settings,
        *,
        database: Database,
        clock: Clock,
        log: Log,
        fanout: FanOut,
        growing: Growing,
        registry: CollectorRegistry,
    ) -> None:
        """Raises BadKeyFile."""
        self._settings = settings.assistant
        self._database = database
        self._clock = clock
        self._log = log
        self._fanout = fanout
        self._growing = growing
        self._alone = settings.store_url.startswith("sqlite:")
        self._figures = Figures(registry)
        self.service: Answering | Absent = Absent(fanout, clock, self._figures)
        self.memory: Memory | None = None
        self._budget = Budget(
            database, clock, requests_a_day=self._settings.requests_per_day, tokens_a_day=self._settings.tokens_per_day
        )
        self._calling: Calling | None = None
        if self._settings.base_url:
            self._calling = Calling(_provider(self._settings), Breaker(clock), self._figures)
            self.memory = self._memory(self._calling)

    @property
    def _prompt(self) -> str:
        return self._settings.system_prompt or DEFAULT_PROMPT

    def _memory(self, calling: Calling) -> Memory:
        chosen = self._settings
        return Memory(
            database=self._database,
            clock=self._clock,
            budget=self._budget,
            calling=calling,
            places=Places(chosen.running, chosen.running_per_user),
            figures=self._figures,
            prompt=self._prompt,
            context_tokens=chosen.context_tokens,
            max_tokens=chosen.max_tokens,
            days=chosen.memory_days,
        )

    def told(self) -> dict[str, str] | None:
        """Who it is, for `welcome`."""
        if not isinstance(self.service, Answering):
            return None
        return {"id": str(self.service.assistant), "name": self._settings.name}

    def heard(self, entries: Sequence[Entry]) -> None:
        """Entries that this process has just committed."""
        self.service.heard(entries)

    async def cancel(self, actor: Actor, conversation_id: ConversationId, message_id: MessageId) -> None:
        await self.service.cancel(actor, conversation_id, message_id)

    async def start(self) -> None:
        if self._calling is None:
            now = self._clock.now_ms()
            await self._database.write(lambda connection: sql.retire(connection, now))
            return
        answering = self._answering(await self._account(), self._calling)
        self.service = answering
        if not self._alone:
            self._growing.load = answering.growing
        await answering.start()

    def _answering(self, assistant: UserId, calling: Calling) -> Answering:
        chosen = self._settings
        bounds = Bounds(
            chosen.running, chosen.running_per_room, chosen.running_per_user, chosen.waiting, chosen.waiting_per_user
        )
        return Answering(
            assistant=assistant,
            name=chosen.name,
            max_tokens=chosen.max_tokens,
            database=self._database,
            clock=self._clock,
            log=self._log,
            fanout=self._fanout,
            reader=Reader(self._database, assistant, self._prompt, chosen.context_tokens),
            budget=self._budget,
            calling=calling,
            line=Line(bounds),
            rows=Rows(self._database, secrets.token_hex(16), alone=self._alone),
            figures=self._figures,
        )

    async def _account(self) -> UserId:
        at = self._clock.now_ms()

        def change(connection: Connection) -> UserId:
            return sql.account(connection, USERNAME, username_key(USERNAME), self._settings.name, at)

        try:
            return await self._database.write(change)
        except IntegrityError:
            # Another node that starts was faster; now its row is seen.
            return await self._database.write(change)

    async def sweep(self) -> None:
        """Now and then: forget private conversations that nobody went on with."""
        if self.memory is not None:
            await self.memory.sweep()

    async def stop(self) -> None:
        await self.service.stop()

    async def close(self) -> None:
        await self.service.close()
        if self._calling is not None:
            await self._calling.close()


def _provider(chosen: AssistantSettings) -> Provider:
    # It takes a good part of a second to import, which only those wait for who use it.
    from parley.assistant.openai import OpenAIProvider  # noqa: PLC0415

    return OpenAIProvider(
        base_url=chosen.base_url,
        api_key=_key(chosen),
        model=chosen.model,
        temperature=chosen.temperature,
        max_tokens=chosen.max_tokens,
        timeout_s=chosen.timeout_s,
    )


def _key(chosen: AssistantSettings) -> str:
    if chosen.api_key_file is None:
        return chosen.api_key.get_secret_value()
    try:
        key = chosen.api_key_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise BadKeyFile(f"[assistant] api_key_file {chosen.api_key_file} cannot be read: {why}") from None
    if not key or not key.isascii() or not key.isprintable():
        raise BadKeyFile(f"[assistant] api_key_file {chosen.api_key_file} does not hold one key")
    return key

"""Incoming webhooks: an address with a secret, for programs that only post into one conversation."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from sqlalchemy import Connection

from parley.clock import Clock
from parley.protocol.commands import Actor, Durable, SendMessage
from parley.protocol.errors import ChatError, Code
from parley.protocol.events import Ack
from parley.protocol.types import ConversationId, ConversationKind
from parley.services import policy
from parley.services.throttle.interface import Throttles
from parley.settings import Bots as BotSettings
from parley.store.interface import Database
from parley.store.sql import bots as sql
from parley.store.sql.access import Standing, enter
from parley.store.sql.bots import Hook, WebhookRow

_KEY = re.compile(r"([1-9][0-9]{0,18})\.([A-Za-z0-9_-]{43})")
_LINK = re.compile(r"<((?:https?|mailto):[^<>|\s]{1,2000})(?:\|([^<>|]{1,500}))?>")
"""How those who post to such addresses write links."""


class Runner(Protocol):
    async def run(self, actor: Actor, command: Durable) -> Ack: ...


class Webhooks:
    """The service. Raises ChatError."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        dispatch: Runner,
        throttles: Throttles,
        settings: BotSettings,
        may_be_called: Callable[[str], Awaitable[bool]],
    ) -> None:
        """`may_be_called`: whether a name is nobody else's."""
        self._database = database
        self._clock = clock
        self._dispatch = dispatch
        self._posts = throttles("webhook", settings.posts_per_minute)
        self._most = settings.webhooks_per_conversation
        self._may_be_called = may_be_called

    async def create(self, actor: Actor, conversation_id: ConversationId, name: str) -> tuple[WebhookRow, str]:
        """The webhook, and the last part of its address, which nobody can show again. Raises unknown_conversation,
        not_a_member, role_required, unsupported, bad_payload, name_taken, limit_reached."""
        shown = policy.check_display_name(name)
        if not await self._may_be_called(shown):
            raise ChatError(Code.NAME_TAKEN, "This name is somebody else's.")
        secret, at = secrets.token_urlsafe(32), self._clock.now_ms()

        def change(connection: Connection) -> WebhookRow:
            self._administered(connection, actor, conversation_id)
            if sql.count_webhooks(connection, conversation_id) >= self._most:
                raise ChatError(Code.LIMIT_REACHED, f"At most {self._most} webhooks of one conversation.")
            # No user name holds a colon, so nobody can take it.
            key = f"webhook:{secrets.token_hex(12)}"
            return sql.add_webhook(connection, conversation_id, key, shown, _hashed(secret), actor.user_id, at)

        made = await self._database.write(change)
        return made, f"{made.id}.{secret}"

    async def listed(self, actor: Actor, conversation_id: ConversationId) -> Sequence[WebhookRow]:
        def question(connection: Connection) -> Sequence[WebhookRow]:
            self._administered(connection, actor, conversation_id)
            return sql.webhooks_of(connection, conversation_id)

        return await self._database.read(question)

    async def revoke(self, actor: Actor, conversation_id: ConversationId, webhook_id: int) -> None:
        """Raises not_found."""
        at = self._clock.now_ms()

        def change(connection: Connection) -> bool:
            self._administered(connection, actor, conversation_id)
            return sql.revoke_webhook(connection, conversation_id, webhook_id, at)

        if not await self._database.write(change):
            raise ChatError(Code.NOT_FOUND, "There is no such webhook.")

    def _administered(self, connection: Connection, actor: Actor, conversation_id: ConversationId) -> Standing:
        here = enter(connection, conversation_id, actor.user_id)
        if here.kind is ConversationKind.DIRECT:
            raise ChatError(Code.UNSUPPORTED, "A direct conversation has no webhooks.")
        if here.role is None or not here.role.moderates:
            raise ChatError(Code.ROLE_REQUIRED)
        return here

    async def post(self, key: str, text: str, client_id: str) -> Ack:
        """`key`: the last part of the address. Raises not_found, rate_limited, and what a message can raise."""
        hook = await self._hook(key)
        await self._posts.take(str(hook.user_id))
        # It is a guest of its conversation: it may write there, and read nothing anywhere.
        actor = Actor(hook.user_id, hook.name, guest_of=hook.conversation_id)
        return await self._dispatch.run(actor, SendMessage(hook.conversation_id, client_id, plain(text)))

    async def _hook(self, key: str) -> Hook:
        found = _KEY.fullmatch(key)
        number = policy.parse_id(found[1]) if found is not None else None
        hook = None
        if number is not None:
            hook = await self._database.read(lambda connection: sql.hook(connection, number))
        secret = found[2] if found is not None else ""
        if hook is None or not hmac.compare_digest(_hashed(secret), hook.secret_hash):
            raise ChatError(Code.NOT_FOUND, "There is no such webhook.")
        return hook


def plain(text: str) -> str:
    """What is meant by such a text: links and the three characters that have to be escaped there."""
    shown = _LINK.sub(lambda link: f"{link[2]} ({link[1]})" if link[2] else link[1], text)
    return shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()

"""Who watches whose presence. Changes of one turn go out together, one frame per watcher."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from parley.clock import rfc3339
from parley.gateway.connection import Connection
from parley.gateway.hub import Hub
from parley.presence.interface import Presence, Seen
from parley.protocol.events import Signal
from parley.protocol.types import UserId


class Watching:
    """Connects presence with the connections that asked to see it."""

    def __init__(self, hub: Hub, presence: Presence) -> None:
        self._hub = hub
        self._presence = presence
        self._watchers: dict[UserId, dict[Connection, None]] = {}
        self._changed: dict[UserId, Seen] = {}
        hub.on_presence = self._on_hub
        presence.on_change = self._on_change

    async def watch(
        self, connection: Connection, users: Collection[UserId], visible: Collection[UserId]
    ) -> dict[str, Any]:
        """Replace the connection's set with `users`; answers what is known of each. Those not `visible` show offline,
        for good."""
        seen = await self._presence.seen(visible)
        self.forget(connection)
        if connection.closing:
            return {"users": []}
        connection.watching = frozenset(visible)
        for user in visible:
            self._watchers.setdefault(user, {})[connection] = None
        return {"users": [shown(user, seen.get(user, Seen(False))) for user in users]}

    def forget(self, connection: Connection) -> None:
        for user in connection.watching:
            watchers = self._watchers.get(user)
            if watchers is not None:
                watchers.pop(connection, None)
                if not watchers:
                    del self._watchers[user]
        connection.watching = frozenset()

    def _on_hub(self, user: UserId, online: bool) -> None:
        if online:
            self._presence.came(user)
        else:
            self._presence.went(user)

    def _on_change(self, user: UserId, seen: Seen) -> None:
        if user not in self._watchers:
            return
        if not self._changed:
            asyncio.get_running_loop().call_soon(self._tell)
        self._changed[user] = seen

    def _tell(self) -> None:
        changed: Mapping[UserId, Seen]
        changed, self._changed = self._changed, {}
        for_connection: dict[Connection, list[dict[str, Any]]] = {}
        for user, seen in changed.items():
            view = shown(user, seen)
            for connection in self._watchers.get(user, ()):
                for_connection.setdefault(connection, []).append(view)
        for connection, users in for_connection.items():
            self._hub.tell(connection, Signal("presence", {"users": users}))


def shown(user: UserId, seen: Seen) -> dict[str, Any]:
    view: dict[str, Any] = {"user_id": str(user), "online": seen.online}
    if seen.last_seen is not None:
        view["last_seen"] = rfc3339(seen.last_seen)
    return view

"""Which conversation two users have with each other, kept in memory: once made it never changes."""

from collections import OrderedDict

from parley.protocol.types import ConversationId, UserId, UserPair, pair

MOST_KNOWN = 50_000
"""About 10 MB. The pair met longest ago is forgotten first, and looked up again when it is next wanted."""


class KnownDirects:
    """A bounded map, used on the event loop only."""

    def __init__(self, most: int = MOST_KNOWN) -> None:
        self._most = most
        self._known: OrderedDict[UserPair, ConversationId] = OrderedDict()

    def get(self, one: UserId, other: UserId) -> ConversationId | None:
        key = pair(one, other)
        found = self._known.get(key)
        if found is not None:
            self._known.move_to_end(key)
        return found

    def put(self, one: UserId, other: UserId, conversation_id: ConversationId) -> None:
        self._known[pair(one, other)] = conversation_id
        if len(self._known) > self._most:
            self._known.popitem(last=False)

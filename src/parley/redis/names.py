"""What our keys and channels are called. Channels know no database number: two servers on one Redis need two
prefixes."""

from parley.protocol.types import ConversationId, SessionId, UserId


class Names:
    """Under one prefix, all of them: `<prefix>:<what>[:<which>]`."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.nodes = f"{prefix}:nodes"
        """Sorted set: node -> when it was last heard of, ms by Redis's clock."""
        self.presence = f"{prefix}:presence"
        """Channel: who came and went."""
        self.online_prefix = f"{prefix}:online:"
        self.seen_prefix = f"{prefix}:seen:"
        self.tries_prefix = f"{prefix}:tries"
        self.ticket_prefix = f"{prefix}:ticket:"
        self._conversation = f"{prefix}:c:".encode()
        self._user = f"{prefix}:u:".encode()

    def online(self, node: str) -> str:
        """Set: the users who are connected to a node."""
        return self.online_prefix + node

    def seen(self, user: UserId) -> str:
        """When a user went, ms since 1970."""
        return f"{self.seen_prefix}{user}"

    def ticket(self, name: bytes) -> str:
        """The session a ticket was issued to, by the ticket's hash."""
        return self.ticket_prefix + name.hex()

    def tickets_of(self, session_id: SessionId) -> str:
        """List: hashes of a session's tickets, newest first."""
        return f"{self.prefix}:tickets:{session_id}"

    def conversation(self, conversation_id: ConversationId) -> bytes:
        """Channel of what is said in a conversation."""
        return self._conversation + str(conversation_id).encode()

    def user(self, user: UserId) -> bytes:
        """Channel of what is for one user, wherever connected."""
        return self._user + str(user).encode()

    def conversation_of(self, channel: bytes) -> ConversationId | None:
        """The conversation whose channel this is; None: it is another's."""
        if not channel.startswith(self._conversation):
            return None
        return ConversationId(int(channel[len(self._conversation) :]))

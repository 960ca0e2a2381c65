"""What is asked, in the imperative. Made by the codecs and the HTTP routes, answered through `dispatch`.

Durable commands (`Durable`) change the log: each carries the actor's `client_id`, which makes a retry harmless for
ever.
"""

import msgspec

from parley.protocol.types import AnswerStatus, ConversationId, JoinPolicy, MessageId, MessageKind, Role, UserId


class Actor(msgspec.Struct, frozen=True):
    """Who asks. `guest` may act only in the room it is connected to."""

    user_id: UserId
    name: str
    session_id: int = 0
    admin: bool = False
    guest: bool = False
    guest_of: ConversationId | None = None
    """Of a guest: the room they came to."""


class Command(msgspec.Struct, frozen=True):
    """Anything a client may ask for."""


class Durable(Command, frozen=True):
    """Changes the log of one conversation; `conversation_id` 0 stands for the one with `to_user_id`."""

    conversation_id: ConversationId
    client_id: str


class SendMessage(Durable, frozen=True):
    """Post a message. Moves the sender's own read mark."""

    text: str | None
    kind: MessageKind = MessageKind.TEXT
    to_user_id: UserId | None = None
    reply_to: MessageId | None = None
    thread_of: MessageId | None = None
    attachments: tuple[int, ...] = ()
    mentions: tuple[UserId, ...] = ()
    legacy: dict[str, str] | None = None
    """What an older dialect's frame said beside the text, kept so that its clients see it again as it was."""


class EditMessage(Durable, frozen=True):
    message_id: MessageId
    text: str


class DeleteMessage(Durable, frozen=True):
    message_id: MessageId


class AddReaction(Durable, frozen=True):
    message_id: MessageId
    emoji: str


class RemoveReaction(Durable, frozen=True):
    message_id: MessageId
    emoji: str


class AddPin(Durable, frozen=True):
    message_id: MessageId


class RemovePin(Durable, frozen=True):
    message_id: MessageId


class JoinConversation(Durable, frozen=True):
    """Enter an open room."""


class LeaveConversation(Durable, frozen=True):
    pass


class AddMember(Durable, frozen=True):
    user_id: UserId


class RemoveMember(Durable, frozen=True):
    user_id: UserId


class ChangeRole(Durable, frozen=True):
    """`role` owner hands the conversation over: the old owner becomes admin."""

    user_id: UserId
    role: Role


class ChangeConversation(Durable, frozen=True):
    """None leaves a field as it is."""

    title: str | None = None
    name: str | None = None
    join_policy: JoinPolicy | None = None


class CloseConversation(Durable, frozen=True):
    pass


class MarkRead(Command, frozen=True):
    """Never goes back, never past the head. Not an entry: it has no client_id and its retry is harmless by nature."""

    conversation_id: ConversationId
    seq: int
    delivered_seq: int | None = None


class SetTyping(Command, frozen=True):
    conversation_id: ConversationId
    is_typing: bool


class WatchPresence(Command, frozen=True):
    """Replaces the set of users this connection watches."""

    user_ids: tuple[UserId, ...]


class StartAnswer(Durable, frozen=True):
    """The assistant begins to answer a question. Of the server's own making: no codec and no route has a form for
    it."""

    question: MessageId


class CompleteAnswer(Durable, frozen=True):
    """The end of an answer: all of its text, and how it ended. Of the server's own making as well."""

    message_id: MessageId
    text: str
    status: AnswerStatus


class CancelAssistant(Command, frozen=True):
    """`message_id`: the answer that grows, or the question that still waits."""

    conversation_id: ConversationId
    message_id: MessageId


class SetLabel(Command, frozen=True):
    """A lobby client tells how it wants to be shown (`{"online": {…}}`)."""

    label: dict[str, str]


class SignalCall(Command, frozen=True):
    """A kama client's call frame for one user, passed on as it is. `kept`: it begins, answers or refuses a call."""

    to_user_id: UserId
    data: str
    kept: bool


class Resume(Command, frozen=True):
    """Where the client stands: the last seq it has of each conversation, in the history named by `epoch`."""

    epoch: str | None
    cursors: dict[ConversationId, int]


class Ping(Command, frozen=True):
    pass

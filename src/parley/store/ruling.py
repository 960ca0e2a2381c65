"""What every rule begins with: who acts, in which conversation, on which message; and how it says no or yes."""

from typing import NoReturn

from parley.protocol.errors import Code, ErrorSpec
from parley.protocol.events import Ack, Entry
from parley.protocol.types import ConversationKind, JoinPolicy, MessageId, Role
from parley.store.interface import Append, Appended, Refused
from parley.store.ledger import Conversation, Ledger, Message


class No(Exception):
    def __init__(self, spec: ErrorSpec, detail: str | None = None) -> None:
        self.refused = Refused(spec, detail)


def role_of(ledger: Ledger, append: Append, conversation: Conversation) -> Role | None:
    if append.guest_of is not None:
        return Role.MEMBER if append.guest_of == conversation.id else None
    membership = ledger.membership(conversation, append.actor)
    if membership is None:
        return None
    return Role.ADMIN if conversation.lobby and append.admin else membership[0]


def refuse_stranger(conversation: Conversation) -> NoReturn:
    """Of a private conversation a stranger does not even learn that it exists."""
    listed = conversation.kind == ConversationKind.ROOM and conversation.join_policy == JoinPolicy.OPEN
    raise No(Code.NOT_A_MEMBER if listed else Code.UNKNOWN_CONVERSATION)


def enter(ledger: Ledger, append: Append) -> tuple[Conversation, Role]:
    """The conversation, if the actor is in it and it is open."""
    conversation = ledger.conversation(append.command.conversation_id)
    if conversation is None:
        raise No(Code.UNKNOWN_CONVERSATION)
    role = role_of(ledger, append, conversation)
    if role is None:
        refuse_stranger(conversation)
    if conversation.closed:
        raise No(Code.CONVERSATION_CLOSED)
    return conversation, role


def message_in(ledger: Ledger, conversation: Conversation, message_id: MessageId) -> Message:
    message = ledger.message(message_id)
    if message is None or message.conversation_id != conversation.id:
        raise No(Code.UNKNOWN_MESSAGE)
    return message


def living(ledger: Ledger, conversation: Conversation, message_id: MessageId) -> Message:
    message = message_in(ledger, conversation, message_id)
    if message.deleted:
        raise No(Code.MESSAGE_DELETED)
    return message


def appended(*entries: Entry) -> Appended:
    first = entries[0]
    return Appended(Ack(first.conversation_id, first.seq, first.at, False, first.message_id), entries)

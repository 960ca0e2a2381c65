"""The assistant's rules: it is in no conversation, and only the server itself submits its commands."""

import msgspec

from parley.protocol import bodies
from parley.protocol.commands import CompleteAnswer, StartAnswer
from parley.protocol.errors import Code
from parley.protocol.types import STREAMING, EntryKind, MessageId, MessageKind
from parley.store.interface import Append, Outcome
from parley.store.ledger import Conversation, Ledger
from parley.store.ruling import No, appended, living


def _open_to_assistant(ledger: Ledger, append: Append) -> Conversation:
    conversation = ledger.conversation(append.command.conversation_id)
    if conversation is None:
        raise No(Code.UNKNOWN_CONVERSATION)
    if conversation.closed:
        raise No(Code.CONVERSATION_CLOSED)
    return conversation


def start_answer(ledger: Ledger, append: Append, command: StartAnswer) -> Outcome:
    conversation = _open_to_assistant(ledger, append)
    question = living(ledger, conversation, command.question)
    id_ = MessageId(ledger.next_id())
    message = bodies.MessageBody(str(id_), MessageKind.TEXT, "", reply_to=str(question.id), status=STREAMING)
    return appended(
        ledger.append_message(
            conversation, append.actor, command.client_id, id_, bodies.created(message), append.name, reads=False
        )
    )


def complete_answer(ledger: Ledger, append: Append, command: CompleteAnswer) -> Outcome:
    """Once: what has ended, by its completion or by being deleted, stays as it is."""
    conversation = _open_to_assistant(ledger, append)
    message = living(ledger, conversation, command.message_id)
    if message.by != append.actor or not message.growing:
        raise No(Code.UNSUPPORTED, "Nothing grows there.")
    entry = ledger.append(
        conversation,
        EntryKind.MESSAGE_COMPLETED,
        append.actor,
        command.client_id,
        bodies.completed(message.id, command.text, command.status),
        message=message.id,
    )
    ledger.complete(message, entry.seq)
    return appended(msgspec.structs.replace(entry, by_name=append.name))

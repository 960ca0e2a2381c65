"""Which messages ask the assistant something. Pure, and on the path of every message: the first look is a search in
bytes."""

import re

import msgspec

from parley.protocol.bodies import MessageBody, read_created
from parley.protocol.events import Entry
from parley.protocol.types import ConversationId, EntryKind, MessageId, UserId

# Of most messages this is all that is looked at. The text's beginning may be white space in JSON's own spelling.
_MAY_ASK = re.compile(rb'[@/]ai[\s\\]|"mentions":\["|"reply_to":"')
ADDRESSES = frozenset({"@ai", "/ai"})


class Candidate(msgspec.Struct, frozen=True):
    """A message that may be a question. `certain`: its text or its mentions say so; otherwise it depends on whose
    message it replies to, or on whether the conversation is a direct one with the assistant."""

    conversation_id: ConversationId
    message_id: MessageId
    seq: int
    by: UserId
    certain: bool
    replies_to: MessageId | None


def question_of(text: str) -> str | None:
    """What is asked by `@ai question` or `/ai question`; None for every other text."""
    parts = text.split(maxsplit=1)
    return parts[1].rstrip() if len(parts) == 2 and parts[0] in ADDRESSES else None


def words_of(text: str) -> str:
    """The question itself, without the address where there is one."""
    return question_of(text) or text.strip()


def candidate(entry: Entry, assistant: UserId | None, *, direct: bool) -> Candidate | None:
    """`direct`: the conversation may be a direct one with the assistant. None: nothing is asked here."""
    if entry.kind is not EntryKind.MESSAGE_CREATED or entry.by == assistant or entry.message_id is None:
        return None
    if not direct and _MAY_ASK.search(entry.body) is None:
        return None
    message = read_created(entry.body)
    certain = _addressed(message, assistant)
    replies_to = None if message.reply_to is None or assistant is None else MessageId(int(message.reply_to))
    if not (certain or replies_to is not None or direct) or not (message.text or "").strip():
        return None
    return Candidate(entry.conversation_id, entry.message_id, entry.seq, entry.by, certain, replies_to)


def _addressed(message: MessageBody, assistant: UserId | None) -> bool:
    return question_of(message.text or "") is not None or str(assistant) in message.mentions

"""Who may change what: each durable command decided against the ledger, in log order, inside the batch's transaction.

Every rule is one function (ledger, append, command) -> Outcome. It refuses by raising `No`; `decide` then still looks
whether the command was answered before, because a repeat is answered first, whatever has changed since.
"""

from collections.abc import Callable
from typing import Any

from parley.protocol import bodies
from parley.protocol.commands import (
    AddMember,
    AddPin,
    AddReaction,
    ChangeConversation,
    ChangeRole,
    CloseConversation,
    CompleteAnswer,
    DeleteMessage,
    Durable,
    EditMessage,
    JoinConversation,
    LeaveConversation,
    RemoveMember,
    RemovePin,
    RemoveReaction,
    SendMessage,
    StartAnswer,
)
from parley.protocol.errors import Code
from parley.protocol.events import Entry
from parley.protocol.types import (
    ConversationKind,
    EntryKind,
    JoinPolicy,
    LeaveReason,
    MessageId,
    MessageKind,
    Role,
    UserId,
)
from parley.store.interface import Append, Outcome
from parley.store.ledger import Conversation, Ledger
from parley.store.rules_assistant import complete_answer, start_answer
from parley.store.ruling import No, appended, enter, living, message_in

REACTIONS_PER_USER = 20
"""Different emoji one member may put on one message."""
PINS = 200
"""Pinned messages of one conversation."""
MEMBERS = 100_000


def decide(ledger: Ledger, append: Append, *, optimistic: bool) -> Outcome:
    """`optimistic`: do not look for an earlier answer to a message first; the store's UNIQUE will tell, and the batch
    is then run again."""
    command = append.command
    sends = type(command) is SendMessage
    earlier = ledger.answer(append.actor, command.client_id, stored=not (sends and optimistic))
    if earlier is not None:
        return earlier
    try:
        if append.refusal is not None:
            raise No(append.refusal, append.detail)
        return RULES[type(command)](ledger, append, command)
    except No as no:
        return ledger.answer(append.actor, command.client_id, stored=True) or no.refused


# Messages


def send(ledger: Ledger, append: Append, command: SendMessage) -> Outcome:
    conversation, _ = enter(ledger, append)
    if command.reply_to is not None:
        message_in(ledger, conversation, command.reply_to)
    id_ = MessageId(ledger.next_id())
    mentions = [str(user) for user in command.mentions if _hears(ledger, conversation, user)]
    reply_to = None if command.reply_to is None else str(command.reply_to)
    message = bodies.MessageBody(str(id_), command.kind, command.text, reply_to, None, mentions)
    if command.legacy is not None:
        message.legacy = command.legacy
    if command.attachments:
        message.attachments = _attachments(ledger, append, command)
        ledger.attach(command.attachments, id_, conversation)
    body = bodies.created(message)
    return appended(ledger.append_message(conversation, append.actor, command.client_id, id_, body, append.name))


def _attachments(ledger: Ledger, append: Append, command: SendMessage) -> list[dict[str, Any]]:
    """As the message shows them, in the order asked for: one's own files, and what one may read at this moment."""
    if append.guest_of is not None:
        raise No(Code.FORBIDDEN, "Guests attach no files.")
    found = ledger.attachable(command.attachments, append.actor)
    if len(found) < len(command.attachments):
        raise No(Code.UNKNOWN_FILE)
    shown = [found[file_id] for file_id in command.attachments]
    if not all(_is_of(file, command.kind) for file in shown):
        raise No(Code.BAD_PAYLOAD, f"A message of kind {command.kind} has files of that kind.")
    return shown


def _is_of(file: dict[str, Any], kind: MessageKind) -> bool:
    """Only what was measured is a picture: an SVG, or a bomb, is not."""
    if kind is MessageKind.IMAGE:
        return "width" in file
    return kind is not MessageKind.VOICE or file["type"].startswith(("audio/", "video/"))


def _hears(ledger: Ledger, conversation: Conversation, user: UserId) -> bool:
    """Everybody with an account is in the lobby, but not every number is an account. The assistant hears whoever
    speaks to it."""
    if conversation.lobby:
        return ledger.display_name(user) is not None
    return ledger.membership(conversation, user) is not None or ledger.is_assistant(user)


def edit(ledger: Ledger, append: Append, command: EditMessage) -> Outcome:
    conversation, role = enter(ledger, append)
    message = living(ledger, conversation, command.message_id)
    if message.by != append.actor and not role.moderates:
        raise No(Code.ROLE_REQUIRED)
    if message.growing:
        raise No(Code.UNSUPPORTED, "This answer is still being written.")
    body = bodies.edited(message.id, command.text, message.edit + 1)
    entry = ledger.append(
        conversation, EntryKind.MESSAGE_EDITED, append.actor, command.client_id, body, message=message.id
    )
    ledger.edit(message, entry.seq)
    return appended(entry)


def delete(ledger: Ledger, append: Append, command: DeleteMessage) -> Outcome:
    conversation, role = enter(ledger, append)
    message = message_in(ledger, conversation, command.message_id)
    if message.by != append.actor and not role.moderates:
        raise No(Code.ROLE_REQUIRED)
    if message.deleted:
        return ledger.keep_answer(
            conversation, append.actor, command.client_id, ledger.deleted_seq(message), message.id
        )
    entry = ledger.append(
        conversation,
        EntryKind.MESSAGE_DELETED,
        append.actor,
        command.client_id,
        bodies.about(message.id),
        message=message.id,
    )
    ledger.empty(message)
    return appended(entry)


def add_reaction(ledger: Ledger, append: Append, command: AddReaction) -> Outcome:
    conversation, _ = enter(ledger, append)
    message = living(ledger, conversation, command.message_id)
    mine = ledger.reactions_of(message, append.actor)
    if command.emoji in mine:
        return ledger.keep_answer(conversation, append.actor, command.client_id, mine[command.emoji], message.id)
    if len(mine) >= REACTIONS_PER_USER:
        raise No(Code.LIMIT_REACHED, f"At most {REACTIONS_PER_USER} reactions of one member to one message.")
    entry = ledger.append(
        conversation, EntryKind.REACTION_ADDED, append.actor, command.client_id,
        bodies.reaction(message.id, command.emoji), message=message.id,
    )  # fmt: skip
    ledger.react(message, append.actor, command.emoji, entry.seq)
    return appended(entry)


def remove_reaction(ledger: Ledger, append: Append, command: RemoveReaction) -> Outcome:
    conversation, _ = enter(ledger, append)
    message = living(ledger, conversation, command.message_id)
    if command.emoji not in ledger.reactions_of(message, append.actor):
        return ledger.keep_answer(conversation, append.actor, command.client_id, conversation.last_seq, message.id)
    entry = ledger.append(
        conversation, EntryKind.REACTION_REMOVED, append.actor, command.client_id,
        bodies.reaction(message.id, command.emoji), message=message.id,
    )  # fmt: skip
    ledger.unreact(message, append.actor, command.emoji)
    return appended(entry)


def add_pin(ledger: Ledger, append: Append, command: AddPin) -> Outcome:
    conversation, _ = enter(ledger, append)
    message = living(ledger, conversation, command.message_id)
    pins = ledger.pins_of(conversation)
    if message.id in pins:
        return ledger.keep_answer(conversation, append.actor, command.client_id, pins[message.id], message.id)
    if len(pins) >= PINS:
        raise No(Code.LIMIT_REACHED, f"At most {PINS} pinned messages.")
    entry = ledger.append(
        conversation, EntryKind.PIN_ADDED, append.actor, command.client_id, bodies.about(message.id), message=message.id
    )
    ledger.pin(message, entry.seq)
    return appended(entry)


def remove_pin(ledger: Ledger, append: Append, command: RemovePin) -> Outcome:
    conversation, _ = enter(ledger, append)
    message = message_in(ledger, conversation, command.message_id)
    if message.id not in ledger.pins_of(conversation):
        return ledger.keep_answer(conversation, append.actor, command.client_id, conversation.last_seq, message.id)
    entry = ledger.append(
        conversation,
        EntryKind.PIN_REMOVED,
        append.actor,
        command.client_id,
        bodies.about(message.id),
        message=message.id,
    )
    ledger.unpin(message)
    return appended(entry)


# Members


def join(ledger: Ledger, append: Append, command: JoinConversation) -> Outcome:
    conversation = ledger.conversation(command.conversation_id)
    if conversation is None:
        raise No(Code.UNKNOWN_CONVERSATION)
    membership = ledger.membership(conversation, append.actor)
    if membership is not None:
        seq = conversation.last_seq if conversation.lobby else membership[1]
        return ledger.keep_answer(conversation, append.actor, command.client_id, seq, None)
    if conversation.kind != ConversationKind.ROOM:
        raise No(Code.UNKNOWN_CONVERSATION)
    if conversation.join_policy != JoinPolicy.OPEN:
        raise No(Code.INVITE_ONLY)
    if conversation.closed:
        raise No(Code.CONVERSATION_CLOSED)
    return appended(_admit(ledger, conversation, append, append.actor, command.client_id))


def _admit(ledger: Ledger, conversation: Conversation, append: Append, user: UserId, client_id: str) -> Entry:
    name = ledger.display_name(user)
    if name is None:
        raise No(Code.UNKNOWN_USER)
    if conversation.member_count >= MEMBERS:
        raise No(Code.LIMIT_REACHED, f"At most {MEMBERS} members.")
    entry = ledger.append(
        conversation,
        EntryKind.MEMBER_JOINED,
        append.actor,
        client_id,
        bodies.member(user, name, Role.MEMBER),
        user=user,
    )
    ledger.join(conversation, user, Role.MEMBER)
    return entry


def _manageable(conversation: Conversation) -> None:
    if conversation.lobby or conversation.kind == ConversationKind.DIRECT:
        raise No(Code.UNSUPPORTED, "The members of this conversation do not change.")


def leave(ledger: Ledger, append: Append, command: LeaveConversation) -> Outcome:
    conversation, role = enter(ledger, append)
    _manageable(conversation)
    if role is Role.OWNER and conversation.member_count > 1:
        raise No(Code.OWNER_MUST_TRANSFER)
    return _dismiss(ledger, conversation, append, append.actor, LeaveReason.LEFT)


def _dismiss(ledger: Ledger, conversation: Conversation, append: Append, user: UserId, reason: LeaveReason) -> Outcome:
    entry = ledger.append(
        conversation,
        EntryKind.MEMBER_LEFT,
        append.actor,
        append.command.client_id,
        bodies.left(user, reason),
        user=user,
    )
    ledger.leave(conversation, user)
    return appended(entry)


def add_member(ledger: Ledger, append: Append, command: AddMember) -> Outcome:
    conversation, role = enter(ledger, append)
    _manageable(conversation)
    if not role.moderates:
        raise No(Code.ROLE_REQUIRED)
    membership = ledger.membership(conversation, command.user_id)
    if membership is not None:
        return ledger.keep_answer(conversation, append.actor, command.client_id, membership[1], None)
    return appended(_admit(ledger, conversation, append, command.user_id, command.client_id))


def remove_member(ledger: Ledger, append: Append, command: RemoveMember) -> Outcome:
    conversation, role = enter(ledger, append)
    _manageable(conversation)
    membership = ledger.membership(conversation, command.user_id)
    if command.user_id == append.actor:
        return leave(ledger, append, LeaveConversation(command.conversation_id, command.client_id))
    if not role.moderates:
        raise No(Code.ROLE_REQUIRED)
    if membership is None:
        raise No(Code.UNKNOWN_USER, "This user is not a member of the conversation.")
    if membership[0] is Role.OWNER or (membership[0] is Role.ADMIN and role is not Role.OWNER):
        raise No(Code.ROLE_REQUIRED)
    return _dismiss(ledger, conversation, append, command.user_id, LeaveReason.REMOVED)


def change_role(ledger: Ledger, append: Append, command: ChangeRole) -> Outcome:
    conversation, role = enter(ledger, append)
    _manageable(conversation)
    if role is not Role.OWNER:
        raise No(Code.ROLE_REQUIRED)
    membership = ledger.membership(conversation, command.user_id)
    if membership is None:
        raise No(Code.UNKNOWN_USER, "This user is not a member of the conversation.")
    if membership[0] is command.role:
        return ledger.keep_answer(conversation, append.actor, command.client_id, conversation.last_seq, None)
    if membership[0] is Role.OWNER:
        raise No(Code.OWNER_MUST_TRANSFER)
    first = _set_role(ledger, conversation, append, command.user_id, command.role, command.client_id)
    if command.role is not Role.OWNER:
        return appended(first)
    made = f"{command.client_id[:40]}.{ledger.next_id()}"
    return appended(first, _set_role(ledger, conversation, append, append.actor, Role.ADMIN, made))


def _set_role(
    ledger: Ledger, conversation: Conversation, append: Append, user: UserId, role: Role, client_id: str
) -> Entry:
    name = ledger.display_name(user) or ""
    entry = ledger.append(
        conversation, EntryKind.MEMBER_CHANGED, append.actor, client_id, bodies.member(user, name, role), user=user
    )
    ledger.set_role(conversation, user, role)
    return entry


# The conversation itself


def change(ledger: Ledger, append: Append, command: ChangeConversation) -> Outcome:
    conversation, role = enter(ledger, append)
    if not role.moderates:
        raise No(Code.ROLE_REQUIRED)
    if conversation.kind == ConversationKind.DIRECT:
        raise No(Code.UNSUPPORTED, "A direct conversation has no title, name or join policy.")
    wanted: dict[str, str] = {
        field: str(value)
        for field in ("title", "name", "join_policy")
        if (value := getattr(command, field)) is not None and value != getattr(conversation, field)
    }
    if not wanted:
        return ledger.keep_answer(conversation, append.actor, command.client_id, conversation.last_seq, None)
    if wanted.keys() & {"name", "join_policy"} and (conversation.lobby or conversation.kind != ConversationKind.ROOM):
        raise No(Code.UNSUPPORTED, "Only a room other than the lobby has a name and a join policy that can change.")
    if "name" in wanted and ledger.name_taken(wanted["name"]):
        raise No(Code.NAME_TAKEN)
    body = bodies.changed(dict(wanted))
    entry = ledger.append(conversation, EntryKind.CONVERSATION_CHANGED, append.actor, command.client_id, body)
    ledger.change(conversation, **wanted)
    return appended(entry)


def close(ledger: Ledger, append: Append, command: CloseConversation) -> Outcome:
    conversation, role = enter(ledger, append)
    _manageable(conversation)
    if role is not Role.OWNER:
        raise No(Code.ROLE_REQUIRED)
    entry = ledger.append(conversation, EntryKind.CONVERSATION_CLOSED, append.actor, command.client_id, bodies.NOTHING)
    ledger.close(conversation)
    return appended(entry)


RULES: dict[type[Durable], Callable[[Ledger, Append, Any], Outcome]] = {
    SendMessage: send,
    EditMessage: edit,
    DeleteMessage: delete,
    AddReaction: add_reaction,
    RemoveReaction: remove_reaction,
    AddPin: add_pin,
    RemovePin: remove_pin,
    JoinConversation: join,
    LeaveConversation: leave,
    AddMember: add_member,
    RemoveMember: remove_member,
    ChangeRole: change_role,
    ChangeConversation: change,
    CloseConversation: close,
    StartAnswer: start_answer,
    CompleteAnswer: complete_answer,
}

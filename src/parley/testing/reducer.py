"""A conversation as a client keeps it: a snapshot, and the log applied to it entry by entry.

The law a client relies on: a snapshot at head h and then the entries h+1 … n is the snapshot at head n. Everything here
is a plain function over decoded JSON in the native shapes, so that an SDK in any language can be held against it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

Json = dict[str, Any]


class LogHole(Exception):
    """An entry that does not follow the last one: what is in between has to be fetched first."""

    def __init__(self, expected: int, got: int) -> None:
        super().__init__(f"entry {got} came where {expected} should be")
        self.expected = expected
        self.got = got


@dataclass(frozen=True)
class State:
    """`conversation` and `messages` (oldest first, all of them) as the server would answer now to the user `me`."""

    conversation: Json
    messages: tuple[Json, ...]
    head: int
    me: str
    conversation_head: int
    """Up to where each half of the snapshot had seen the log: they are two requests, and it may grow in between."""
    messages_head: int


def from_snapshot(conversation: Json, messages: Sequence[Json], messages_head: int, me: str) -> State:
    """From `GET /conversations/{id}` and all pages of `…/messages`, of one epoch and the pages of one head."""
    heads = conversation["head"], messages_head
    return State(conversation, tuple(messages), min(heads), me, *heads)


def follow(state: State, entries: Iterable[Json]) -> State:
    for entry in entries:
        state = apply(state, entry)
    return state


def apply(state: State, entry: Json) -> State:
    """The state after one more entry; a repeat changes nothing. Raises LogHole."""
    seq = entry["seq"]
    if seq <= state.head:
        return state
    if seq != state.head + 1:
        raise LogHole(state.head + 1, seq)
    conversation, messages = state.conversation, state.messages
    if seq > state.conversation_head:
        conversation = {**change_conversation(conversation, entry, state.me), "head": seq}
    if seq > state.messages_head:
        messages = change_messages(messages, entry, conversation["id"])
    return replace(state, conversation=conversation, messages=messages, head=seq)


def apply_read(state: State, read: Json) -> State:
    """A `read` event. Only one's own marks are part of the state, and they never go back."""
    if read["user_id"] != state.me:
        return state
    read_seq = max(state.conversation["read_seq"], read["read_seq"])
    delivered_seq = max(state.conversation["delivered_seq"], read["delivered_seq"], read_seq)
    unread = sum(message["seq"] > read_seq for message in state.messages)
    moved = {"read_seq": read_seq, "delivered_seq": delivered_seq, "unread": unread}
    return replace(state, conversation={**state.conversation, **moved})


# Messages


def change_messages(messages: tuple[Json, ...], entry: Json, conversation_id: str) -> tuple[Json, ...]:
    if entry["kind"] == "message.created":
        return (*messages, created(entry, conversation_id))
    about = entry.get("message_id")
    if about is None:
        return messages
    return tuple(change_message(message, entry) if message["id"] == about else message for message in messages)


def created(entry: Json, conversation_id: str) -> Json:
    written = dict(entry["message"])
    deleted = written.pop("deleted", False)
    message = {
        **written,
        **{name: entry[name] for name in ("seq", "ordinal", "by", "at", "client_id")},
        "conversation_id": conversation_id,
        "edit": 0,
        "edited_at": None,
        "deleted": False,
        "pinned": False,
        "reactions": [],
    }
    return tombstone(message) if deleted else message


def tombstone(message: Json) -> Json:
    """Its place stays, and how often it was edited; all it said, and all that hung on it, is gone."""
    gone: Json = {
        "text": None, "reply_to": None, "thread_of": None, "mentions": [], "attachments": [], "edited_at": None,
        "deleted": True, "pinned": False, "reactions": [],
    }  # fmt: skip
    return {**{name: value for name, value in message.items() if name != "status"}, **gone}


def change_message(message: Json, entry: Json) -> Json:
    """One message after one entry about it."""
    kind = entry["kind"]
    if message["deleted"]:
        # The entries of its edits stay, and so their count goes on.
        return {**message, "edit": entry["edit"]} if kind == "message.edited" else message
    match kind:
        case "message.edited" if entry["text"] is None:
            # Emptied by a delete that comes later in the log.
            return {**tombstone(message), "edit": entry["edit"]}
        case "message.edited":
            return {**message, "text": entry["text"], "edit": entry["edit"], "edited_at": entry["at"]}
        case "message.completed" if entry["text"] is None:
            return tombstone(message)
        case "message.completed":
            status = {"status": entry["status"]} if "status" in entry else {}
            return {**message, "text": entry["text"], **status}
        case "message.deleted":
            return tombstone(message)
        case "reaction.added":
            return {**message, "reactions": _with_reaction(message["reactions"], entry["emoji"], entry["by"])}
        case "reaction.removed":
            return {**message, "reactions": _without_reaction(message["reactions"], entry["emoji"], entry["by"])}
        case "pin.added" | "pin.removed":
            return {**message, "pinned": kind == "pin.added"}
    return message


def _with_reaction(reactions: list[Json], emoji: str, by: str) -> list[Json]:
    if all(one["emoji"] != emoji for one in reactions):
        return [*reactions, {"emoji": emoji, "user_ids": [by]}]
    return [
        {**one, "user_ids": [*one["user_ids"], by]} if one["emoji"] == emoji and by not in one["user_ids"] else one
        for one in reactions
    ]


def _without_reaction(reactions: list[Json], emoji: str, by: str) -> list[Json]:
    left = [
        {**one, "user_ids": [user for user in one["user_ids"] if user != by]} if one["emoji"] == emoji else one
        for one in reactions
    ]
    return [one for one in left if one["user_ids"]]


# The conversation itself


def change_conversation(conversation: Json, entry: Json, me: str) -> Json:
    """What `me` sees of it after one more entry."""
    seq = entry["seq"]
    caught_up = {"read_seq": seq, "delivered_seq": seq, "unread": 0}
    match entry["kind"]:
        case "message.created":
            # Writing is reading: one's own message moves one's own mark.
            moved = caught_up if entry["by"] == me else {"unread": conversation["unread"] + 1}
            return {**conversation, "last_message": created(entry, conversation["id"]), **moved}
        case "member.joined":
            mine: Json = {"role": entry["role"], **caught_up} if entry["user_id"] == me else {}
            return {**conversation, "member_count": conversation["member_count"] + 1, **mine}
        case "member.left":
            return {**conversation, "member_count": conversation["member_count"] - 1}
        case "member.changed":
            return {**conversation, "role": entry["role"]} if entry["user_id"] == me else conversation
        case "conversation.changed":
            told: Json = {name: entry[name] for name in ("title", "name", "join_policy") if name in entry}
            return {**conversation, **told}
        case "conversation.closed":
            # Its name is free for another room from now on.
            return {**conversation, "closed": True, "name": None}
    last = conversation["last_message"]
    if last is None or entry.get("message_id") != last["id"]:
        return conversation
    return {**conversation, "last_message": change_message(last, entry)}

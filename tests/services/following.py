"""The simplest client: it follows a log and keeps the messages. The law is that it has what a fresh page shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]


def follow(messages: Iterable[Json], entries: Iterable[Json], conversation_id: str) -> list[Json]:
    """The messages after some more entries."""
    kept = {message["id"]: message for message in messages}
    for entry in entries:
        if entry["kind"] == "message.created":
            message = created(entry, conversation_id)
            kept[message["id"]] = message
        elif entry.get("message_id") in kept:
            kept[entry["message_id"]] = changed(kept[entry["message_id"]], entry)
    return list(kept.values())


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
    gone: Json = {
        "text": None,
        "reply_to": None,
        "thread_of": None,
        "mentions": [],
        "attachments": [],
        "edited_at": None,
    }
    return {**message, **gone, "deleted": True, "pinned": False, "reactions": []}


def changed(message: Json, entry: Json) -> Json:
    kind = entry["kind"]
    if message["deleted"]:
        return {**message, "edit": entry["edit"]} if kind == "message.edited" else message
    if kind == "message.edited":
        if entry["text"] is None:
            return {**tombstone(message), "edit": entry["edit"]}
        return {**message, "text": entry["text"], "edit": entry["edit"], "edited_at": entry["at"]}
    if kind == "message.deleted":
        return tombstone(message)
    if kind in {"pin.added", "pin.removed"}:
        return {**message, "pinned": kind == "pin.added"}
    if kind in {"reaction.added", "reaction.removed"}:
        return {**message, "reactions": reacted(message["reactions"], kind, entry["emoji"], entry["by"])}
    return message


def reacted(groups: list[Json], kind: str, emoji: str, by: str) -> list[Json]:
    if kind == "reaction.added" and all(group["emoji"] != emoji for group in groups):
        return [*groups, {"emoji": emoji, "user_ids": [by]}]
    after = []
    for group in groups:
        users = group["user_ids"]
        if group["emoji"] == emoji:
            users = [user for user in users if user != by] + ([by] if kind == "reaction.added" else [])
        if users:
            after.append({"emoji": group["emoji"], "user_ids": users})
    return after

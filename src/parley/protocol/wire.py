"""Native JSON around JSON that is stored: bodies are spliced in as they are, never decoded and encoded again."""

import msgspec

from parley.clock import rfc3339
from parley.protocol.events import Entry
from parley.protocol.types import WIRE_KINDS


def entry_json(seq: int, kind: int, by: int, at: int, client_id: str, ordinal: int, body: bytes) -> bytes:
    """A log entry as frames and `…/log` show it. `body` is the stored JSON object of the kind's own fields.

    Nothing is escaped: `kind` is one of `EntryKind`, and `client_id` has only characters that JSON takes as they are.
    """
    head = (
        f'{{"seq":{seq},"kind":"{WIRE_KINDS[kind]}","by":"{by}","at":"{rfc3339(at)}",'
        f'"client_id":"{client_id}","ordinal":{ordinal}'
    )
    return b"%b}" % head.encode() if len(body) <= 2 else b"%b,%b" % (head.encode(), body[1:])


def wire_entry(entry: Entry) -> bytes:
    """`entry_json` of an `Entry`."""
    return entry_json(entry.seq, entry.kind, entry.by, entry.at, entry.client_id, entry.ordinal, entry.body)


class Reaction(msgspec.Struct, frozen=True):
    """One emoji on a message and who chose it, the first of them first."""

    emoji: str
    user_ids: list[str]


class Message(msgspec.Struct, frozen=True):
    """A message as it stands now, in the native shape: `msgspec.json.encode` of it is the wire form.

    The `Raw` fields are slices of the stored body.
    """

    id: str
    conversation_id: str
    seq: int
    ordinal: int
    by: str
    at: str
    client_id: str
    kind: msgspec.Raw
    text: msgspec.Raw
    reply_to: msgspec.Raw
    thread_of: msgspec.Raw
    mentions: msgspec.Raw
    attachments: msgspec.Raw
    edit: int
    edited_at: str | None
    deleted: bool
    pinned: bool
    reactions: list[Reaction]
    status: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET

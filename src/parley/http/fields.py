"""Pieces of requests that several routes take: ids, client ids, seqs, emoji. Each says what is wrong with it."""

import unicodedata
from typing import Annotated

from fastapi import Depends, Path, Query
from pydantic import AfterValidator, Field, StringConstraints

from parley.client_ids import CLIENT_ID_PATTERN, new_client_id
from parley.http.deps import Body, id_or
from parley.protocol.errors import ChatError, Code
from parley.protocol.types import ConversationId, MessageId, UserId
from parley.services.policy import parse_id

LARGEST_SEQ = 2**53 - 1
"""What a JavaScript number still counts exactly."""
EMOJI_BYTES = 64


def _id(text: str) -> str:
    if parse_id(text) is None:
        raise ValueError("an id is a positive 64-bit number in a string")
    return text


Id = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,18}$"), AfterValidator(_id)]
ClientId = Annotated[str, StringConstraints(pattern=CLIENT_ID_PATTERN)]
Seq = Annotated[int, Field(ge=0, le=LARGEST_SEQ)]
SeqQuery = Annotated[int | None, Query(ge=0, le=LARGEST_SEQ)]


Named = Annotated[str, Path(alias="id")]
"""The id in a path, not looked at yet."""


class ClientIdBody(Body):
    """The body of a command that says nothing but which one it is."""

    client_id: ClientId | None = None


def _asked_client_id(
    client_id: Annotated[
        ClientId | None, Query(description="Makes a retry of this request harmless. Without it the server makes one.")
    ] = None,
) -> str:
    return client_id or new_client_id()


AskedClientId = Annotated[str, Depends(_asked_client_id)]
"""Of requests that have no body."""


def conversation_of(id: str) -> ConversationId:  # noqa: A002 - the path's own name, which OpenAPI shows
    return ConversationId(id_or(Code.UNKNOWN_CONVERSATION, id))


def message_of(message_id: str) -> MessageId:
    return MessageId(id_or(Code.UNKNOWN_MESSAGE, message_id))


def user_of(user_id: str) -> UserId:
    return UserId(id_or(Code.UNKNOWN_USER, user_id))


def emoji_of(emoji: str) -> str:
    """An emoji from the path, percent-encoded there."""
    refused = any(unicodedata.category(letter) in {"Cc", "Zs", "Zl", "Zp", "Cs"} for letter in emoji)
    if refused or not 1 <= len(emoji.encode(errors="replace")) <= EMOJI_BYTES:
        raise ChatError(Code.BAD_PAYLOAD, f"emoji: 1 to {EMOJI_BYTES} bytes, no spaces or control characters")
    return emoji


InConversation = Annotated[ConversationId, Depends(conversation_of)]
OfMessage = Annotated[MessageId, Depends(message_of)]
OfUser = Annotated[UserId, Depends(user_of)]
OfEmoji = Annotated[str, Depends(emoji_of)]

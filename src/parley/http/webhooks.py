"""Webhooks: made by a conversation's administrators, posted to by anybody who has the address."""

from typing import Annotated, Any
from urllib.parse import parse_qs

import msgspec
from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, Field

from parley.clock import rfc3339
from parley.http.deps import Body, CurrentActor, id_or, the_parley
from parley.http.fields import AskedClientId, InConversation
from parley.protocol.errors import ChatError, Code
from parley.services.webhooks import Webhooks
from parley.store.sql.bots import WebhookRow

router = APIRouter(tags=["webhooks"])

FORM = "application/x-www-form-urlencoded"
FIELDS = 20


class NewWebhook(Body):
    name: Annotated[str, Field(max_length=256)]


class Webhook(BaseModel):
    """`user_id`: the account that its messages are by."""

    id: str
    conversation_id: str
    name: str
    user_id: str
    created_by: str
    created_at: str


class MadeWebhook(BaseModel):
    """`path` is shown this once; whoever has it may post."""

    webhook: Webhook
    path: str


class WebhookList(BaseModel):
    items: list[Webhook]
    next: None = None


class _Posted(msgspec.Struct):
    """What else such programs send (`username`, `channel`, `icon_emoji`, `attachments`, …) is passed over: a webhook
    posts under its own name, into its own conversation."""

    text: Any = None


_posted = msgspec.json.Decoder(_Posted).decode


def _webhooks(request: Request) -> Webhooks:
    webhooks: Webhooks = the_parley(request).webhooks
    return webhooks


TheWebhooks = Annotated[Webhooks, Depends(_webhooks)]


def _shown(row: WebhookRow) -> Webhook:
    return Webhook(
        id=str(row.id),
        conversation_id=str(row.conversation_id),
        name=row.name,
        user_id=str(row.user_id),
        created_by=str(row.created_by),
        created_at=rfc3339(row.created_at),
    )


@router.post("/conversations/{id}/webhooks", status_code=201)
async def create(
    actor: CurrentActor, webhooks: TheWebhooks, conversation: InConversation, body: NewWebhook
) -> MadeWebhook:
    made, key = await webhooks.create(actor, conversation, body.name)
    return MadeWebhook(webhook=_shown(made), path=f"/api/v1/hooks/{key}")


@router.get("/conversations/{id}/webhooks")
async def listed(actor: CurrentActor, webhooks: TheWebhooks, conversation: InConversation) -> WebhookList:
    return WebhookList(items=[_shown(row) for row in await webhooks.listed(actor, conversation)])


@router.delete("/conversations/{id}/webhooks/{webhook_id}", status_code=204)
async def revoke(
    actor: CurrentActor,
    webhooks: TheWebhooks,
    conversation: InConversation,
    webhook_id: Annotated[str, Path(max_length=32)],
) -> None:
    await webhooks.revoke(actor, conversation, id_or(Code.NOT_FOUND, webhook_id))


@router.post("/hooks/{key}", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def post(
    request: Request, webhooks: TheWebhooks, key: Annotated[str, Path(max_length=128)], client_id: AskedClientId
) -> Response:
    """Post a message: `{"text": "…"}` as JSON, or the same as the form field `payload`. No other credential is
    wanted, and none is looked at."""
    text = text_of(await request.body(), request.headers.get("content-type", ""))
    await webhooks.post(key, text, client_id)
    return Response("ok", media_type="text/plain")


def text_of(body: bytes, content_type: str) -> str:
    """Raises bad_payload."""
    if content_type.partition(";")[0].strip().lower() == FORM:
        try:
            fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=FIELDS)
        except ValueError:
            raise ChatError(Code.BAD_PAYLOAD, f"A form of at most {FIELDS} fields is wanted.") from None
        body = fields.get("payload", [""])[0].encode("utf-8", "surrogatepass")
    try:
        text = _posted(body).text
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise ChatError(Code.BAD_PAYLOAD, "A JSON object with a text is wanted.") from None
    if not isinstance(text, str):
        raise ChatError(Code.BAD_PAYLOAD, "text: a string is wanted.")
    if "\0" in text or not _is_utf8(text):
        raise ChatError(Code.BAD_PAYLOAD, "text: U+0000 and lone surrogates are not allowed.")
    return text


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

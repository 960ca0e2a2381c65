"""The chunked uploads of the lobby clients: begin, send what is missing, merge. At the end the file is in a message in
the lobby."""

import secrets
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import AliasChoices, Field

from parley.http.deps import the_parley
from parley.http.legacy import Enveloped, Loose, Text, Token, enveloped, legacy_actor
from parley.http.multipart import Form
from parley.http.tus import body_of
from parley.media.types import AUDIO, PICTURES
from parley.protocol.commands import Actor, SendMessage
from parley.protocol.errors import ChatError, Code
from parley.protocol.types import MessageKind
from parley.services.files.chunked import CHUNK_BYTES, Chunked
from parley.services.files.uploads import BodyCut
from parley.services.policy import parse_id
from parley.store.sql.files import FileRow

router = APIRouter(prefix="/api/upload", tags=["lobby dialect"], route_class=Enveloped)
DEFAULT_CHUNK = 1 << 20


def either(camel: str, snake: str) -> AliasChoices:
    """These clients' two ways of writing."""
    return AliasChoices(camel, snake)


class Init(Loose):
    file_hash: Text = Field(validation_alias=either("fileHash", "file_hash"))
    file_name: Text = Field(validation_alias=either("fileName", "file_name"))
    file_size: int = Field(validation_alias=either("fileSize", "file_size"), ge=1, le=2**53)
    chunk_size: int = Field(DEFAULT_CHUNK, validation_alias=either("chunkSize", "chunk_size"), ge=1, le=CHUNK_BYTES)


class Merge(Loose):
    upload_id: Text = Field(validation_alias=either("uploadId", "upload_id"))


@router.post("/init")
async def begin(request: Request, body: Init, token: Token = None) -> Response:
    """`{uploadId, chunkSize, missing, uploaded}`. `uploaded`: the asker has sent this file before; only merge it."""

    async def work() -> dict[str, Any]:
        actor = await legacy_actor(request, token)
        parley = the_parley(request)
        begun = await _chunked(request).begin(
            actor, name=body.file_name, size=body.file_size, client_hash=body.file_hash, chunk_bytes=body.chunk_size,
            conversation=await parley.legacy.lobby(),
        )  # fmt: skip
        # A file that is there is posted anew by each merge that was begun anew, and once by each.
        upload_id = str(begun.id) if begun.file is None else f"{begun.id}.{secrets.token_hex(8)}"
        return {
            "uploadId": upload_id,
            "chunkSize": begun.chunk_bytes,
            "missing": begun.missing,
            "uploaded": begun.file is not None,
        }

    return await enveloped(work)


@router.post("/chunk")
async def chunk(
    request: Request,
    token: Token = None,
    upload_id: Annotated[str | None, Query(alias="uploadId", max_length=64)] = None,
    index: Annotated[str | None, Query(max_length=16)] = None,
) -> Response:
    """One chunk, as a form (`uploadId` and `index` before the file) or as the body alone with both in the query."""

    async def work() -> dict[str, Any]:
        actor = await legacy_actor(request, token)
        body = body_of(request)
        said = {"uploadId": upload_id or "", "index": index or ""}
        if request.headers.get("content-type", "").lower().startswith("multipart/"):
            form = Form(request.headers["content-type"], body)
            fields = await form.fields_before_file()
            said |= {
                "uploadId": fields.get("uploadId") or fields.get("upload_id") or said["uploadId"],
                "index": fields.get("index") or fields.get("chunkIndex") or fields.get("chunk_index") or said["index"],
            }
            body = form.file()
        number = said["index"]
        if not (number.isascii() and number.isdecimal() and len(number) <= 9):
            raise ChatError(Code.BAD_PAYLOAD, "index: the chunk's number, from 0, is wanted.")
        try:
            missing = await _chunked(request).put(actor, _upload_id(said["uploadId"]), int(number), body)
        except BodyCut:
            raise ChatError(Code.BAD_PAYLOAD, "The chunk is cut short.") from None
        return {"index": int(number), "missing": missing}

    return await enveloped(work)


@router.post("/merge")
async def merge(request: Request, body: Merge, token: Token = None) -> Response:
    """The file, and its message in the lobby. Repeated, it does the same and no more."""

    async def work() -> dict[str, Any]:
        actor = await legacy_actor(request, token)
        file = await _chunked(request).merge(actor, _upload_id(body.upload_id.partition(".")[0]))
        await _post(request, actor, file, body.upload_id)
        return {
            "fileId": str(file.id),
            "fileName": file.name,
            "fileSize": file.size,
            "fileType": file.type,
            "filelink": the_parley(request).files.links.sign(file.id)[0],
        }

    return await enveloped(work)


async def _post(request: Request, actor: Actor, file: FileRow, upload_id: str) -> None:
    parley = the_parley(request)
    command = SendMessage(
        await parley.legacy.lobby(), f"upload:{upload_id}", None, kind_of(file.type), attachments=(file.id,)
    )
    await parley.dispatch.run(actor, command)


def kind_of(type_: str) -> Literal[MessageKind.IMAGE, MessageKind.VOICE, MessageKind.FILE]:
    if type_ in PICTURES:
        return MessageKind.IMAGE
    return MessageKind.VOICE if type_ in AUDIO else MessageKind.FILE


def _chunked(request: Request) -> Chunked:
    chunked: Chunked = the_parley(request).chunked
    return chunked


def _upload_id(text: str) -> int:
    number = parse_id(text)
    if number is None:
        raise ChatError(Code.UNKNOWN_FILE)
    return number

"""tus 1.0 (https://tus.io): uploads that go on where they were. Core, creation, creation-with-upload, expiration,
checksum and termination. The last segment of an upload's address is the id of the file that it becomes."""

import base64
import binascii
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from email.utils import formatdate
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from parley.http.deps import CurrentActor, current_identity, id_or, the_parley
from parley.http.errors import problem
from parley.http.fields import Named
from parley.protocol.commands import Actor
from parley.protocol.errors import ChatError, Code
from parley.protocol.types import ConversationId
from parley.services.files import names
from parley.services.files.uploads import BodyCut, Checksum, NewUpload, State, Uploads
from parley.store.interface import StoreUnavailable

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,expiration,checksum,termination"
ALGORITHMS = ("sha1", "sha256")
BYTES = "application/offset+octet-stream"
PATH = "/files/uploads"
ASKED = (
    "Tus-Resumable", "Upload-Length", "Upload-Metadata", "Upload-Offset", "Upload-Checksum", "X-HTTP-Method-Override",
    "X-Request-ID",
)  # fmt: skip
TOLD = (
    "Tus-Resumable", "Tus-Version", "Tus-Extension", "Tus-Max-Size", "Tus-Checksum-Algorithm", "Upload-Offset",
    "Upload-Length", "Upload-Expires",
)  # fmt: skip
"""Headers that pages of other origins may send and read."""


class TusRoute(APIRoute):
    """Every answer names the version, also one that says no; every request has to."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                if request.method != "OPTIONS" and request.headers.get("tus-resumable") != VERSION:
                    answer = problem(ChatError(Code.BAD_PAYLOAD, f"Tus-Resumable: {VERSION} is wanted."), status=412)
                    answer.headers["Tus-Version"] = VERSION
                else:
                    answer = await handle(request)
            except ChatError as error:
                answer = problem(error)
            except StoreUnavailable:
                answer = problem(ChatError(Code.STORAGE_UNAVAILABLE, retry_after_ms=1000))
            except BodyCut:
                # If somebody is left to hear it, they were silent too long.
                answer = problem(ChatError(Code.BUSY, "The body stopped arriving.", retry_after_ms=1000))
            answer.headers["Tus-Resumable"] = VERSION
            return answer

        return handled


router = APIRouter(tags=["files"], route_class=TusRoute)


@router.options(PATH)
@router.options(f"{PATH}/{{id}}")
async def what_is_spoken(request: Request) -> Response:
    """What of tus this server speaks, and its largest file."""
    headers = {
        "Tus-Version": VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
    }
    if largest := the_parley(request).settings.limits.upload_bytes:
        headers["Tus-Max-Size"] = str(largest)
    return Response(status_code=204, headers=headers)


@router.post(PATH, status_code=201)
async def create_upload(request: Request, actor: CurrentActor) -> Response:
    """Begin. `Upload-Metadata` may carry `filename`, `conversation_id` (whose members are told of the progress) and, of
    a recording, `duration_ms` and `waveform`. With a body, it is the first stretch."""
    uploads = _uploads(request)
    headers = request.headers
    if "upload-defer-length" in headers or "upload-concat" in headers:
        raise ChatError(Code.BAD_PAYLOAD, "Upload-Defer-Length and Upload-Concat are not spoken here.")
    with_bytes = headers.get("content-type", "").partition(";")[0].strip() == BYTES
    checksum = _checksum(request) if with_bytes else None
    row = await uploads.create(actor, _wanted(_number(request, "upload-length"), headers.get("upload-metadata", "")))
    state = State(row.id, row.size, 0, row.expires_at if row.size else None)
    if with_bytes and row.size:
        state = await uploads.append(actor, row.id, 0, body_of(request), length=_length(request), checksum=checksum)
    answer = _told(state, 201)
    answer.headers["Location"] = f"/api/v1{PATH}/{row.id}"
    return answer


@router.head(f"{PATH}/{{id}}")
async def upload_state(request: Request, actor: CurrentActor, named: Named) -> Response:
    """How far it is: every byte before `Upload-Offset` is on the disk."""
    state = await _uploads(request).state(actor, id_or(Code.UNKNOWN_FILE, named))
    answer = _told(state, 200)
    answer.headers["Upload-Length"] = str(state.size)
    answer.headers["Cache-Control"] = "no-store"
    return answer


@router.patch(f"{PATH}/{{id}}", status_code=204)
async def append_to_upload(request: Request, actor: CurrentActor, named: Named) -> Response:
    """The bytes from `Upload-Offset` on, as many as come."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != BYTES:
        return problem(ChatError(Code.BAD_PAYLOAD, f"Content-Type: {BYTES} is wanted."), status=415)
    upload_id = id_or(Code.UNKNOWN_FILE, named)
    offset, checksum = _number(request, "upload-offset"), _checksum(request)
    state = await _uploads(request).append(
        actor, upload_id, offset, body_of(request), length=_length(request), checksum=checksum
    )
    return _told(state, 204)


@router.delete(f"{PATH}/{{id}}", status_code=204)
async def end_upload(request: Request, actor: CurrentActor, named: Named) -> Response:
    """Give it up; or take back a complete file that no message holds."""
    await _uploads(request).terminate(actor, id_or(Code.UNKNOWN_FILE, named))
    return Response(status_code=204)


@router.post(f"{PATH}/{{id}}", include_in_schema=False)
async def by_another_name(request: Request, named: Named) -> Response:
    """For clients behind something that lets only GET and POST through."""
    actor: Actor = (await current_identity(request)).actor
    wanted = {"PATCH": append_to_upload, "DELETE": end_upload}.get(request.headers.get("x-http-method-override", ""))
    if wanted is None:
        raise ChatError(Code.NOT_FOUND)
    return await wanted(request, actor, named)


def _uploads(request: Request) -> Uploads:
    uploads: Uploads = the_parley(request).uploads
    return uploads


def _wanted(size: int, metadata: str) -> NewUpload:
    said = names.parse_metadata(metadata)
    conversation = names.parse_conversation(said.get("conversation_id"))
    return NewUpload(
        name=said.get("filename") or said.get("name") or "",
        size=size,
        conversation_id=None if conversation is None else ConversationId(conversation),
        recording=names.parse_recording(said),
    )


def _number(request: Request, header: str) -> int:
    text = request.headers.get(header, "")
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ChatError(Code.BAD_PAYLOAD, f"{header.title()}: a number of bytes is wanted.")
    return int(text)


def _length(request: Request) -> int | None:
    text = request.headers.get("content-length", "")
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _checksum(request: Request) -> Checksum | None:
    header = request.headers.get("upload-checksum")
    if header is None:
        return None
    algorithm, _, text = header.partition(" ")
    try:
        expected = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        expected = b""
    if algorithm not in ALGORITHMS or not expected:
        raise ChatError(Code.BAD_PAYLOAD, f"Upload-Checksum: one of {', '.join(ALGORITHMS)} and base64 is wanted.")
    return Checksum(expected, hashlib.new(algorithm, usedforsecurity=False))


async def body_of(request: Request) -> AsyncIterator[bytes]:
    """Piece by piece as it comes. Raises BodyCut."""
    try:
        async for piece in request.stream():
            if piece:
                yield piece
    except ClientDisconnect:
        raise BodyCut from None


def _told(state: State, status: int) -> Response:
    headers = {"Upload-Offset": str(state.offset)}
    if state.expires_at is not None:
        headers["Upload-Expires"] = formatdate(state.expires_at / 1000, usegmt=True)
    return Response(status_code=status, headers=headers)

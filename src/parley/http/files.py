"""Files and their thumbnails: read whole or in part, by members, by their owner, or by a signed link."""

import re
from collections.abc import AsyncIterator
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel
from starlette.responses import StreamingResponse

from parley.http.answers import reply
from parley.http.deps import CurrentActor, current_identity, id_or, the_parley
from parley.http.fields import Named
from parley.media.types import INLINE
from parley.protocol.errors import ChatError, Code
from parley.services.files.links import Purpose
from parley.services.files.reading import Files
from parley.store.sql.files import FileRow

router = APIRouter(tags=["files"])
SANDBOX = "sandbox; default-src 'none'"
"""Whatever a file is, opened by itself it runs nothing and fetches nothing."""

Until = Annotated[int | None, Query(ge=0, le=2**53, description="Of a signed link")]
Signature = Annotated[str | None, Query(max_length=100, description="Of a signed link")]
Download = Annotated[bool, Query(description="Offer it to be saved, also what could be shown")]


class LinkAnswer(BaseModel):
    """Links that need no session, and until when they are good, in seconds since 1970."""

    url: str
    thumbnail_url: str | None
    until: int


@router.get("/files/{id}", response_class=Response)
@router.head("/files/{id}", include_in_schema=False)
async def read_file(
    request: Request, named: Named, until: Until = None, signature: Signature = None, download: Download = False
) -> Response:
    """The bytes; `Range` and `If-Range`, `ETag` and `If-None-Match` are understood."""
    file = await _file(request, named, "file", until, signature)
    inline = file.type in INLINE and not download
    return await _answer(request, file, file.size, file.type, _disposition(file.name, inline=inline))


@router.get("/files/{id}/thumbnail", response_class=Response)
@router.head("/files/{id}/thumbnail", include_in_schema=False)
async def read_thumbnail(request: Request, named: Named, until: Until = None, signature: Signature = None) -> Response:
    """A picture's small WebP, at most 512 pixels wide and high."""
    file = await _file(request, named, "thumbnail", until, signature)
    if not file.thumbnail:
        raise ChatError(Code.UNKNOWN_FILE, "This file has no thumbnail.")
    return await _answer(request, file, file.thumbnail, "image/webp", "inline", thumbnail=True)


@router.get("/files/{id}/link", response_model=LinkAnswer)
async def link_to_file(request: Request, actor: CurrentActor, named: Named) -> Response:
    """A signed link, for where no session can be shown. Whoever has it reads the file until it expires."""
    files = _files(request)
    file = await files.file(actor, id_or(Code.UNKNOWN_FILE, named))
    url, good_until = files.links.sign(file.id)
    thumbnail = files.links.sign(file.id, "thumbnail")[0] if file.thumbnail else None
    return reply({"url": url, "thumbnail_url": thumbnail, "until": good_until})


def _files(request: Request) -> Files:
    files: Files = the_parley(request).files
    return files


async def _file(request: Request, id_: str, purpose: Purpose, until: int | None, signature: str | None) -> FileRow:
    file_id = id_or(Code.UNKNOWN_FILE, id_)
    if signature is not None and until is not None:
        return await _files(request).linked(file_id, purpose, until, signature)
    return await _files(request).file((await current_identity(request)).actor, file_id)


async def _answer(
    request: Request, file: FileRow, size: int, type_: str, disposition: str, *, thumbnail: bool = False
) -> Response:
    etag = f'"{file.sha256[:40]}{"-t" if thumbnail else ""}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Content-Disposition": disposition,
        "Content-Security-Policy": SANDBOX,
        "X-Content-Type-Options": "nosniff",
        # Kept by the reader's own browser, and asked for again each time: who may read it can change.
        "Cache-Control": "private, no-cache",
    }
    if _matches(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    start, end, status = 0, size, 200
    if_range = request.headers.get("if-range")
    asked = request.headers.get("range") if if_range in (None, etag) else None
    if asked is not None and (stretch := _stretch(asked, size)) is not None:
        start, end = stretch
        if start >= end:
            return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        status = 206
    headers["Content-Length"] = str(end - start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=type_)
    pieces: AsyncIterator[bytes] = await _files(request).bytes_of(file, start, end - start, thumbnail=thumbnail)
    # As a header, because Starlette would add a charset to texts: their encoding is not known.
    return StreamingResponse(pieces, status, {**headers, "Content-Type": type_})


def _matches(header: str, etag: str) -> bool:
    return header.strip() == "*" or etag in [tag.strip().removeprefix("W/") for tag in header.split(",")]


def _stretch(header: str, size: int) -> tuple[int, int] | None:
    """[start, end) of a `Range`, empty if it lies behind the end; None for several ranges or what is none: the whole is
    answered then, as RFC 9110 allows."""
    found = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", header.strip())
    if found is None or found[0].endswith("=-"):
        return None
    if not found[1]:
        last = int(found[2])
        return (max(0, size - last), size) if last else (size, size)
    first = int(found[1])
    if found[2] and int(found[2]) < first:
        return None
    return first, min(size, int(found[2]) + 1 if found[2] else size)


def _disposition(name: str, *, inline: bool) -> str:
    """RFC 6266: the name in plain letters for old clients, and whole for all others."""
    plain = "".join(letter if " " <= letter <= "~" and letter not in '"\\%' else "_" for letter in name)
    return f"{'inline' if inline else 'attachment'}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"

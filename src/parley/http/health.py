"""For whoever operates the server: is it alive, may it get work, its figures."""

import asyncio

import msgspec
from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection, text

from parley.http.deps import Parley, caller_is_local, current_identity, the_parley
from parley.protocol.errors import ChatError, Code
from parley.store.interface import StoreUnavailable

router = APIRouter(include_in_schema=False)
PATIENCE_S = 2.0


def _json(body: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, {"Cache-Control": "no-store"}, "application/json")


@router.get("/healthz")
async def healthz() -> Response:
    """The process answers. Restart it if it does not."""
    return _json({"status": "ok"})


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """200 while work should come here, though it may be `degraded`; 503, with the reasons, while it should not."""
    parley = the_parley(request)
    reasons = [*parley.not_ready()]
    if parley.draining:
        reasons.append("draining")
    if not await _store_answers(parley):
        reasons.append("the store does not answer")
    if reasons:
        return _json({"status": "not ready", "reasons": reasons}, 503)
    if slower := parley.degraded():
        return _json({"status": "degraded", "reasons": slower})
    return _json({"status": "ready"})


def _ask(connection: Connection) -> None:
    connection.execute(text("SELECT 1"))


async def _store_answers(parley: Parley) -> bool:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await parley.database.read(_ask)
    except (StoreUnavailable, TimeoutError):
        return False
    return True


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Prometheus' text, for local requests and administrators."""
    if not caller_is_local(request):
        identity = await current_identity(request)
        if not identity.actor.admin:
            raise ChatError(Code.FORBIDDEN)
    return Response(the_parley(request).metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

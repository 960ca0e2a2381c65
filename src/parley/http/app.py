"""The HTTP application: the API under /api/v1, operation at the root, and the page for everything else."""

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

import parley
from parley.http import (
    accounts,
    assistant,
    bots,
    conversations,
    errors,
    files,
    health,
    legacy,
    legacy_files,
    messages,
    page,
    people,
    tus,
    webhooks,
)
from parley.http.deps import Parley
from parley.http.guards import Bounds, Headers, Outermost

API = "/api/v1"
NOUNS: tuple[APIRouter, ...] = (
    accounts.router, people.router, conversations.router, messages.router, tus.router, files.router,
    assistant.router, bots.router, webhooks.router,
)  # fmt: skip


def create_app(server: Parley) -> FastAPI:
    """Everything that is not a WebSocket, over a server that the composition root has built and starts and stops."""
    app = FastAPI(
        title="Parley",
        version=parley.__version__,
        description="A self-hosted real-time chat server. Errors are RFC 9457 problem bodies; their codes are fixed.",
        openapi_url=f"{API}/openapi.json",
        # FastAPI's own pages load from outside addresses; http/page.py serves Swagger UI from the build.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=[
            Middleware(Outermost, metrics=server.metrics),
            Middleware(Headers),
            Middleware(
                CORSMiddleware,
                allow_origins=server.settings.auth.allowed_origins,
                allow_credentials=True,
                allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
                allow_headers=["Authorization", "Content-Type", "Range", *tus.ASKED],
                expose_headers=["Retry-After", "Location", "Content-Range", "ETag", *tus.TOLD],
            ),
            Middleware(Bounds),
        ],
    )
    app.state.parley = server
    errors.install(app)
    for router in NOUNS:
        app.include_router(router, prefix=API)
    app.include_router(health.router)
    legacy.install(app, list(server.settings.compat.enabled), legacy_files.router)
    page.install(app)
    return app


def create_operations_app(server: Parley) -> FastAPI:
    """For a process that serves no clients: whether it is alive, whether it is ready, its figures."""
    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        middleware=[Middleware(Outermost, metrics=server.metrics), Middleware(Headers), Middleware(Bounds)],
    )
    app.state.parley = server
    errors.install(app)
    app.include_router(health.router)
    return app

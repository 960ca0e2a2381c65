"""The page as it was built, in the package or in `web/dist` of a checkout; and `/docs`, without outside addresses."""

from importlib import resources
from pathlib import Path

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

IMMUTABLE = "public, max-age=31536000, immutable"
CHECK_FIRST = "no-cache"

NOT_BUILT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Parley</title>
<h1>The page is not built</h1><p>The server runs; its API answers. In a checkout, <code>make run</code> builds the page.
An installed package brings it along.</p></html>"""

DOCS = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Parley API</title>
<link rel="stylesheet" href="swagger/swagger-ui.css"><div id="swagger-ui"></div>
<script src="swagger/swagger-ui-bundle.js"></script><script src="docs/start.js"></script></html>"""

DOCS_START = """SwaggerUIBundle({ url: "api/v1/openapi.json", dom_id: "#swagger-ui", deepLinking: true });"""

DOCS_PLAIN = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Parley API</title>
<h1>Parley API</h1><p>The description of the API: <a href="api/v1/openapi.json">OpenAPI</a>.</p></html>"""


def find_build() -> Path | None:
    """The folder of the built page, if there is one."""
    packaged = Path(str(resources.files("parley"))) / "web"
    checkout = Path(__file__).parents[3] / "web" / "dist"
    return next((folder for folder in (packaged, checkout) if (folder / "index.html").is_file()), None)


class Page:
    """Answers what no route does: a file of the build, or for a browser that asks for a page, the page itself.

    The page has its own addresses (`/c/12`), which a reload or a link brings here.
    """

    def __init__(self, build: Path | None) -> None:
        self._index = build / "index.html" if build else None
        self._files = StaticFiles(directory=build) if build else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise HTTPException(404)
        response = await self.answer(Request(scope))
        await response(scope, receive, send)

    async def answer(self, request: Request) -> Response:
        path = request.url.path
        if request.method not in {"GET", "HEAD"} or path == "/api" or path.startswith("/api/"):
            raise HTTPException(404)
        wants_page = "text/html" in request.headers.get("accept", "")
        if self._files is None or self._index is None:
            if path == "/" or wants_page:
                return HTMLResponse(NOT_BUILT, 503, {"Cache-Control": "no-store"})
            raise HTTPException(404)
        if path != "/":
            try:
                response = await self._files.get_response(path.lstrip("/"), request.scope)
            except HTTPException:
                if not wants_page:
                    raise
            else:
                # Names in assets/ carry a hash of what is in them, so they never change.
                response.headers["Cache-Control"] = IMMUTABLE if path.startswith("/assets/") else CHECK_FIRST
                return response
        return FileResponse(self._index, headers={"Cache-Control": CHECK_FIRST})


def install(app: FastAPI, build: Path | None = None) -> None:
    build = build or find_build()
    has_swagger = build is not None and (build / "swagger" / "swagger-ui-bundle.js").is_file()

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(DOCS if has_swagger else DOCS_PLAIN)

    @app.get("/docs/start.js", include_in_schema=False)
    async def docs_start() -> Response:
        return Response(DOCS_START, media_type="text/javascript")

    app.router.default = Page(build)

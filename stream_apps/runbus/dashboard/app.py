"""Makes the application of the dashboard: the API, the page's files, and what stands in front of both."""

from __future__ import annotations

import importlib
import pkgutil
from importlib import metadata
from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from runbus.dashboard import api, errors
from runbus.dashboard.parts import Parts
from runbus.dashboard.security.access import Access
from runbus.dashboard.security.headers import SecurityHeaders
from runbus.dashboard.static import PageFiles

__all__ = ["Parts", "create_app"]

API = "/api/v1"
PAGE = Path(__file__).parent / "page"


def create_app(parts: Parts) -> ASGIApp:
    """Return the application: checks first, then /api/v1 and the page.

    Args:
        parts: what the routes are made from.
    """
    app = FastAPI(
        title="RunBus",
        version=metadata.version("runbus"),
        openapi_url=f"{API}/openapi.json",
        docs_url=None,  # its page loads scripts of other servers
        redoc_url=None,
    )
    errors.register(app)
    for name in sorted(module.name for module in pkgutil.iter_modules(api.__path__)):
        app.include_router(importlib.import_module(f"{api.__name__}.{name}").router(parts), prefix=API)
    files = PageFiles(PAGE)

    async def page(request: Request) -> Response:
        return files.answer(request)

    app.add_route("/{path:path}", page, methods=["GET", "HEAD"], include_in_schema=False)
    return SecurityHeaders(Access(app, parts.settings))

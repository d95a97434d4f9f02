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
from runbus.dashboard.security.attempts import Attempts
from runbus.dashboard.security.headers import SecurityHeaders
from runbus.dashboard.security.login import Login
from runbus.dashboard.settings import DashboardSettings
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
    return protected(app, parts.settings, PageFiles(PAGE))


def protected(app: FastAPI, settings: DashboardSettings, files: PageFiles) -> ASGIApp:
    """Return an app with the login and the page's files behind its own routes, and all the checks before them."""
    attempts = Attempts()
    Login(settings, attempts).add_to(app)

    async def page(request: Request) -> Response:
        if request.url.path.startswith("/api/"):
            raise errors.ApiError(404, f"there is no {request.url.path}", f"{API}/openapi.json lists what there is")
        return files.answer(request)

    app.add_route("/{path:path}", page, methods=["GET", "HEAD"], include_in_schema=False)
    return SecurityHeaders(Access(app, settings, attempts))

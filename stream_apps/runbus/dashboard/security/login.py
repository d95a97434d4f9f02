"""Serves the login: a form, the cookie that a right token is worth, and its end."""

from __future__ import annotations

import html
import time
from pathlib import Path
from urllib.parse import parse_qs

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from runbus.dashboard.errors import ApiError
from runbus.dashboard.security.access import LOGIN, LOGOUT, address_of, check_token, cookie_name
from runbus.dashboard.security.attempts import Attempts
from runbus.dashboard.security.tokens import LOGIN_S, new_cookie
from runbus.dashboard.settings import DashboardSettings

_FORM = Path(__file__).parent / "login.html"
#: A form with a token and an address behind it.
_MOST_BODY = 65_536


class Login:
    """The three routes of a login.

    Args:
        settings: of the process.
        attempts: at guessing the token.
    """

    def __init__(self, settings: DashboardSettings, attempts: Attempts) -> None:
        self._settings = settings
        self._attempts = attempts
        self._form = _FORM.read_text(encoding="utf-8")

    def add_to(self, app: FastAPI) -> None:
        """Add the routes to an app."""
        app.add_route(LOGIN, self._show, methods=["GET", "HEAD"], include_in_schema=False)
        app.add_route(LOGIN, self._take, methods=["POST"], include_in_schema=False)
        app.add_route(LOGOUT, self._end, methods=["POST"], include_in_schema=False)

    async def _show(self, request: Request) -> Response:
        if not self._settings.token:
            return RedirectResponse("/", 303)
        return self._page(_own_address(request.query_params.get("next", "")), "", 200)

    async def _take(self, request: Request) -> Response:
        form = parse_qs((await _body(request)).decode("utf-8", "replace"))
        token, then = self._settings.token.reveal(), _own_address(form.get("next", [""])[0])
        try:
            check_token(form.get("token", [""])[0].strip(), token, address_of(request.scope), self._attempts)
        except ApiError as refused:
            return self._page(then, f"{refused.error}: {refused.todo}", refused.status)
        answer = RedirectResponse(then, 303)
        value = new_cookie(token, int(time.time()))
        answer.set_cookie(value=value, max_age=LOGIN_S, **_cookie(request))  # type: ignore[arg-type]
        return answer

    async def _end(self, request: Request) -> Response:
        answer = RedirectResponse(LOGIN, 303)
        answer.delete_cookie(**_cookie(request))  # type: ignore[arg-type]
        return answer

    def _page(self, then: str, wrong: str, status: int) -> Response:
        said = f'<p role="alert">{html.escape(wrong)}</p>' if wrong else ""
        text = self._form.replace("<!-- wrong -->", said).replace("<!-- next -->", html.escape(then))
        return HTMLResponse(text, status)


async def _body(request: Request) -> bytes:
    found = b""
    async for part in request.stream():
        found += part
        if len(found) > _MOST_BODY:
            raise ApiError(413, "this is no login", "send a form with `token`")
    return found


def _own_address(text: str) -> str:
    """Return an address of this server, and nothing that a browser takes for another's."""
    own = text.startswith("/") and not text.startswith("//") and text.isprintable() and "\\" not in text
    return text if own else "/"


def _cookie(request: Request) -> dict[str, object]:
    https = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", ""))
    return {"key": cookie_name(request.scope), "path": "/", "httponly": True, "samesite": "strict", "secure": https}

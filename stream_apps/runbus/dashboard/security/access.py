"""Stands in front of every route: under which name somebody asks, from which site, and whether he knows the token."""

from __future__ import annotations

import time
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from runbus.dashboard.errors import ApiError, error_answer
from runbus.dashboard.security.attempts import Attempts
from runbus.dashboard.security.hosts import is_known
from runbus.dashboard.security.sites import is_own
from runbus.dashboard.security.tokens import is_cookie, is_token
from runbus.dashboard.settings import DashboardSettings

LOGIN = "/login"
LOGOUT = "/logout"
API = "/api/"
ANNOTATIONS = f"{API}v1/annotations"
_POSTS = (LOGIN, LOGOUT)


class Access:
    """Refuses what may not come through; passes on the rest.

    Without a token everybody may look. With one it is needed for the API and the pages; the files of the page are no
    secret.

    Args:
        app: what answers.
        settings: of the process.
        attempts: at guessing the token, those of the login page too.
    """

    def __init__(self, app: ASGIApp, settings: DashboardSettings, attempts: Attempts) -> None:
        self._app = app
        self._settings = settings
        self._attempts = attempts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on a request; see ASGI."""
        try:
            answer = self._answer(scope)
        except ApiError as refused:
            answer = error_answer(refused)
        await (answer or self._app)(scope, receive, send)

    def _answer(self, scope: Scope) -> Response | None:
        """Return what is answered instead of a route; None = the route answers. Raises ApiError."""
        headers, path, method = Headers(scope=scope), str(scope["path"]), str(scope["method"])
        is_api = path.startswith(API)
        self._check_origin(method, headers, is_page=not is_api and "." not in path)
        if method not in ("GET", "HEAD") and not self._may_change(method, path):
            raise ApiError(405, f"{method} changes something, and this only shows", "ask with GET")
        token = self._settings.token.reveal()
        if not token or (not is_api and ("." in path or path in _POSTS)):
            return None
        if self._knows(scope, headers, token):
            return None
        if not is_api:
            query = scope["query_string"].decode("ascii", "replace")
            return RedirectResponse(f"{LOGIN}?next={quote(path + ('?' + query if query else ''), safe='')}", 303)
        refused = ApiError(401, "this page needs its token", "log in, or send `Authorization: Bearer TOKEN`")
        return error_answer(refused, {"WWW-Authenticate": "Bearer"})

    def _may_change(self, method: str, path: str) -> bool:
        if path == ANNOTATIONS:
            return method in ("POST", "DELETE") and self._settings.annotates
        return method == "POST" and path in _POSTS

    def _check_origin(self, method: str, headers: Headers, *, is_page: bool) -> None:
        host = headers.get("host", "")
        if not is_known(host, self._settings.host_names):
            raise ApiError(
                400,
                f"this page does not answer to the name {host[:200]!r}",
                "open it by its address in numbers, or add the name to RUNBUS_DASHBOARD_HOSTS",
            )
        if not is_own(method, headers, is_page=is_page):
            raise ApiError(403, "another site asked for this in your browser", "open the page itself")

    def _knows(self, scope: Scope, headers: Headers, token: str) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            check_token(given.strip(), token, address_of(scope), self._attempts)
            return True
        return is_cookie(cookie_of(scope, headers), token, int(time.time()))


def check_token(given: str, token: str, address: str, attempts: Attempts) -> None:
    """Return if it is the token. Raises ApiError: it is wrong (401), or this address was wrong too often (429)."""
    now = time.monotonic()
    wait_s = attempts.wait_s(address, now)
    if wait_s:
        raise ApiError(429, "this address gave a wrong token too often", f"try again in {wait_s:.0f} s")
    if not is_token(given, token):
        attempts.wrong(address, now)
        raise ApiError(401, "this is not the token", "RUNBUS_DASHBOARD_TOKEN, or the file that it names, has it")


def address_of(scope: Scope) -> str:
    """Return the address of the client."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def cookie_name(scope: Scope) -> str:
    """Return the name of the cookie: a browser does not keep those of several ports apart."""
    server = scope.get("server")
    return f"runbus_login_{server[1] if server else 0}"


def cookie_of(scope: Scope, headers: Headers) -> str:
    """Return the cookie of a login that came with a request; empty = none."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(cookie_name(scope))
    except CookieError:
        return ""
    return found.value if found else ""

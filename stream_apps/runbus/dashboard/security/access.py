"""Stands in front of every route: who asks, under which name, from which site."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from runbus.dashboard.errors import ApiError, error_answer
from runbus.dashboard.security.hosts import is_known
from runbus.dashboard.settings import DashboardSettings


class Access:
    """Refuses what may not come through; passes on the rest.

    Args:
        app: what answers.
        settings: of the process.
    """

    def __init__(self, app: ASGIApp, settings: DashboardSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on a request; see ASGI."""
        try:
            self._check(Headers(scope=scope))
        except ApiError as refused:
            await error_answer(refused)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, headers: Headers) -> None:
        host = headers.get("host", "")
        if not is_known(host, self._settings.host_names):
            raise ApiError(
                400,
                f"this page does not answer to the name {host!r}",
                "open it by its address in numbers, or add the name to RUNBUS_DASHBOARD_HOSTS",
            )

"""Answers `/stream`: what happens now, as server-sent events."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from sse_starlette import EventSourceResponse

from runbus.dashboard.live.api import Place, View, ViewName
from runbus.dashboard.parts import Parts
from runbus.kafka.model import StreamId

_NEVER_S = 3600  # the frames have beats of their own


def router(parts: Parts) -> APIRouter:
    """Return the route."""
    routes = APIRouter(tags=["live"])

    @routes.get("/stream", response_class=EventSourceResponse)
    async def stream(
        request: Request,
        view: ViewName,
        run: Annotated[str, Query(description="of view=run and view=episode")] = "",
        agent: Annotated[str, Query(description="of view=episode")] = "",
        attempt: Annotated[int, Query(description="of view=episode")] = 0,
        env: Annotated[int, Query(description="of view=episode")] = 0,
        episode: Annotated[int, Query(description="of view=episode")] = 0,
        since: Annotated[str, Query(description="id of the last frame; a header Last-Event-ID wins")] = "",
    ) -> EventSourceResponse:
        """Follow what happens now.

        Events `d` have JSON: `t` (microseconds since the epoch), `up` (channel -> key -> row, null = gone), `whole`
        (forget what is not in it), `below` (up to where history has each partition), `skip` (ticks that were missed).
        """
        place = Place(StreamId(run, agent, attempt), env, episode) if view == "episode" else None
        # A browser repeats the address as it was, and says in the header how far it came since.
        since = request.headers.get("last-event-id") or since
        return EventSourceResponse(
            parts.live.follow(View(view, run, place), since),
            ping=_NEVER_S,
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    return routes

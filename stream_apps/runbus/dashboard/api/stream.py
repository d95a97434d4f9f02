"""Answers `/stream`: what happens now, or happened then, as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from sse_starlette import EventSourceResponse

from runbus.dashboard.history.stitch import Seam
from runbus.dashboard.live.api import Place, View, ViewName
from runbus.dashboard.parts import Parts
from runbus.dashboard.replay import MAX_SPEED, Replay
from runbus.kafka.model import StreamId
from runbus.kafka.topics import EPISODES

_AT_ONCE = 1e6
_NEVER_S = 3600  # the frames have beats of their own


class Followed(BaseModel):
    """What a page follows."""

    view: ViewName
    run: str = Field("", max_length=255, description="of view=run and view=episode")
    agent: str = Field("", max_length=255, description="of view=episode")
    attempt: int = Field(0, description="of view=episode: start of the stream in us")
    env: int = Field(0, description="of view=episode")
    episode: int = Field(0, description="of view=episode")
    since: str = Field("", max_length=100, description="id of the last frame; a header Last-Event-ID wins")
    replay: float = Field(
        0, ge=0, le=_AT_ONCE, description="of view=run: play it again, so many times as fast; 1000000 = at once"
    )

    @property
    def seen(self) -> View:
        """What the page looks at now."""
        stream = StreamId(self.run, self.agent, self.attempt)
        return View(self.view, self.run, Place(stream, self.env, self.episode) if self.view == "episode" else None)


def router(parts: Parts) -> APIRouter:
    """Return the route."""
    routes = APIRouter(tags=["live"])

    @routes.get("/stream", response_class=EventSourceResponse)
    async def stream(request: Request, followed: Annotated[Followed, Query()]) -> EventSourceResponse:
        """Follow what happens now.

        Events `d` have JSON: `t` (microseconds since the epoch), `up` (channel -> key -> row, null = gone), `whole`
        (forget what is not in it), `below` (up to where history has each partition), `skip` (ticks that were missed),
        `replay` (how far a replay is, microseconds since the epoch: `at`, `from`, `to`, and whether it is `over`).
        """
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return EventSourceResponse(_frames(parts, request, followed), ping=_NEVER_S, headers=headers)

    return routes


def _frames(parts: Parts, request: Request, followed: Followed) -> AsyncIterator[bytes]:
    # A browser repeats the address as it was, and says in the header how far it came since.
    since = request.headers.get("last-event-id") or followed.since
    if not followed.replay or followed.view != "run":
        return parts.live.follow(followed.seen, since)
    speed = MAX_SPEED if followed.replay >= _AT_ONCE else followed.replay
    asker = request.client.host if request.client else ""
    seam = Seam(parts.live.below, parts.settings.kafka.topic_prefix, parts.topic_ids)
    return Replay(parts.history, asker, followed.run, speed, seam.of(EPISODES.name)).follow(since)

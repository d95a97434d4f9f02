"""Answers what the page of a run asks besides its curves: how episodes ended, what was done, what happened to it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from runbus.dashboard.api.run import origin_of
from runbus.dashboard.history.answers import RESPONSES, Asking, HistoryRoute
from runbus.dashboard.history.api import Question
from runbus.dashboard.history.asked import OfMarks, OfStreams
from runbus.dashboard.history.statements import text
from runbus.dashboard.parts import Parts
from runbus.kafka.topics import STEPS

#: Of each stream, so that a long run is answered as soon as a short one.
_NEWEST_STEPS = 50_000
_ACTIONS = 24
_MARKS = 5_000


def router(parts: Parts) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(route_class=HistoryRoute, responses=RESPONSES, tags=["history"])

    @routes.get("/run/reasons")
    async def reasons(request: Request, asked: Annotated[OfStreams, Query()]) -> Response:
        """Answer with how many finalised episodes ended for each reason."""
        asking = Asking.of(parts, request, asked)
        where = {**asked.where, "below": asking.seam.of("episodes")}
        return await asking.answer(Question("run_reasons", text("run_reasons"), where))

    @routes.get("/run/actions")
    async def actions(request: Request, asked: Annotated[OfStreams, Query()]) -> Response:
        """Answer with how often each action was taken in the newest steps of each stream; `newest`: how many."""
        asking = Asking.of(parts, request, asked)
        where = {**asked.where, "below": asking.seam.of("steps"), "newest": _NEWEST_STEPS, "most": _ACTIONS}
        return await asking.answer(Question("run_actions", text("run_actions"), where), newest=_NEWEST_STEPS)

    @routes.get("/run/marks")
    async def marks(request: Request, asked: Annotated[OfMarks, Query()]) -> Response:
        """Answer with restarts, drops, gaps, dead letters and losses, on the axis of the curves."""
        asking = Asking.of(parts, request, asked)
        origin = await origin_of(asking, asked.run) if asked.x == "relative" else 0
        where = {
            "run": asked.run,
            "x": asked.x,
            "origin": origin,
            "steps": parts.settings.kafka.topic_prefix + STEPS.name,
            "below": asking.seam.of("episodes"),
            "most": _MARKS,
        }
        return await asking.answer(Question("run_marks", text("run_marks"), where), x=asked.x, origin=origin)

    return routes

"""Answers what the page of a world asks: its agents, and their steps on its ticks."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from runbus.dashboard.errors import ApiError
from runbus.dashboard.history.answers import RESPONSES, Asking, HistoryRoute
from runbus.dashboard.history.api import Question
from runbus.dashboard.history.asked_whole import OfTicks, OfWorld
from runbus.dashboard.history.pages import first
from runbus.dashboard.history.statements import text
from runbus.dashboard.history.steps import VALUES, decoded, numbered
from runbus.dashboard.parts import Parts

_AGENTS = 500


def router(parts: Parts) -> APIRouter:
    """Return the routes of a world."""
    routes = APIRouter(route_class=HistoryRoute, responses=RESPONSES, tags=["history"])

    @routes.get("/world")
    async def world(request: Request, asked: Annotated[OfWorld, Query()]) -> Response:
        """Answer with the agents of one episode of a world."""
        asking = Asking.of(parts, request, asked)
        where = {**asked.where, "most": _AGENTS, "below": asking.seam.of("steps")}
        question = Question("world", text("world"), where)
        if not asking.shows:
            return await asking.answer(question)
        found = await asking.table(question)
        if not found.rows:
            raise ApiError(
                404,
                f"episode {asked.episode} of env {asked.env} of {asked.run} has no step with a tick",
                "A world is recorded with tick=: docs/recorder.md",
            )
        return asking.given(question, found)

    @routes.get("/world/steps")
    async def steps(request: Request, asked: Annotated[OfTicks, Query()]) -> Response:
        """Answer with the steps of all agents in a range of ticks; `left_out` 1 = there are more than `most`."""
        asking = Asking.of(parts, request, asked)
        reach = {"from": asked.start, "to": asked.end, "most": asked.most + 1, "below": asking.seam.of("steps")}
        question = Question("world_steps", text("world_steps"), {**asked.where, **reach})
        if not asking.shows:
            return await asking.answer(question)
        found = await asking.table(question)
        page, more = first(found, asked.most), max(0, found.rows - asked.most)
        if asked.form == "json":
            return asking.given(question, decoded(page), left_out=more)
        table, layouts = numbered(page)
        return asking.given(question, table, raw=VALUES, left_out=more, layouts=layouts)

    return routes

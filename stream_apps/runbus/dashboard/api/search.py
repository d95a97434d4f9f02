"""Answers which steps have a word in their text: of one episode, of an agent, of a whole run."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from runbus.dashboard.history.answers import RESPONSES, Asking, HistoryRoute
from runbus.dashboard.history.api import Question
from runbus.dashboard.history.asked_whole import OfSearch
from runbus.dashboard.history.pages import first
from runbus.dashboard.history.statements import text
from runbus.dashboard.parts import Parts


def router(parts: Parts) -> APIRouter:
    """Return the route of the search."""
    routes = APIRouter(route_class=HistoryRoute, responses=RESPONSES, tags=["history"])

    @routes.get("/search")
    async def search(request: Request, asked: Annotated[OfSearch, Query()]) -> Response:
        """Answer with the steps whose action or observation is text or JSON with a word in it; `left_out` 1 = more.

        `searched` says through how many steps and episodes it looked.
        """
        asking = Asking.of(parts, request, asked)
        where = {**asked.where, "episode": asked.episode, "below": asking.seam.of("steps")}
        question = Question("search", text("search"), {**where, "q": asked.q, "most": asked.most + 1})
        if not asking.shows:
            return await asking.answer(question)
        found = await asking.table(question)
        size = await asking.table(Question("search_size", text("search_size"), where))
        searched = {name: int(size.columns[name].plain()[0]) for name in ("steps", "episodes")}
        left_out = max(0, found.rows - asked.most)
        return asking.given(question, first(found, asked.most), left_out=left_out, searched=searched)

    return routes

"""Answers what is asked about an episode as a whole: its line of rewards, its outline, where two of them differ."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from runbus.dashboard.history.answers import RESPONSES, Asking, HistoryRoute
from runbus.dashboard.history.api import Question
from runbus.dashboard.history.asked_whole import OfBins, OfOutline, OfTwo
from runbus.dashboard.history.pages import first
from runbus.dashboard.history.statements import filled, text
from runbus.dashboard.parts import Parts

_BINS = 4096
#: Steps of an outline: some 100 bytes each.
_OUTLINE = 200_000


def router(parts: Parts) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(route_class=HistoryRoute, responses=RESPONSES, tags=["history"])

    @routes.get("/episode/bins")
    async def bins(request: Request, asked: Annotated[OfBins, Query()]) -> Response:
        """Answer with the rewards of an episode in bins of `width` steps, and how many steps each has."""
        asking = Asking.of(parts, request, asked)
        where = {**asked.where, "width": asked.width, "most": _BINS, "below": asking.seam.of("steps")}
        return await asking.answer(Question("episode_bins", text("episode_bins"), where), width=asked.width)

    @routes.get("/episode/outline")
    async def outline(request: Request, asked: Annotated[OfOutline, Query()]) -> Response:
        """Answer with who acted in each step, how it went, what caused it and what it cost; without what was said."""
        asking = Asking.of(parts, request, asked)
        where = {**asked.where, "from": asked.start, "most": _OUTLINE + 1, "below": asking.seam.of("steps")}
        question = Question("episode_outline", text("episode_outline"), where)
        if not asking.shows:
            return await asking.answer(question)
        found = await asking.table(question)
        return asking.given(question, first(found, _OUTLINE), left_out=max(0, found.rows - _OUTLINE))

    @routes.get("/episode/difference")
    async def difference(request: Request, asked: Annotated[OfTwo, Query()]) -> Response:
        """Answer with the first step in which two episodes differ, and in what; no row = in none."""
        asking = Asking.of(parts, request, asked)
        one = text("comparable_steps")
        other = one
        for name in ("run", "agent", "attempt", "env", "episode"):
            other = other.replace(f"{{{name}:", f"{{with_{name}:")
        where = {**asked.where, **asked.other, "below": asking.seam.of("steps")}
        return await asking.answer(
            Question("episode_difference", filled("episode_difference", one=one, other=other), where)
        )

    return routes

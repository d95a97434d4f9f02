"""Answers what the page Compare asks: arms of runs, their scores and curves with intervals, and which is better."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from runbus.dashboard.history.answers import RESPONSES, Asking, HistoryRoute
from runbus.dashboard.history.api import Question
from runbus.dashboard.history.arms import members_of, replicates_of
from runbus.dashboard.history.asked import OfArmCurves, OfScores
from runbus.dashboard.history.bins import width_of
from runbus.dashboard.history.pages import row
from runbus.dashboard.history.statements import filled
from runbus.dashboard.parts import Parts

_ALL = 2**40
_AXES = {"seq": "last_seq", "episode": "episode"}


def router(parts: Parts) -> APIRouter:
    """Return the routes of a comparison."""
    routes = APIRouter(route_class=HistoryRoute, responses=RESPONSES, tags=["history"])

    @routes.get("/compare")
    async def compare(request: Request, asked: Annotated[OfScores, Query()]) -> Response:
        """Answer with a row an arm: the scores of its runs, their mean, median and IQM, with intervals."""
        asking = Asking.of(parts, request, asked)
        members = await members_of(asking, asked)
        arms = filled("compare_arms", scores=filled("compare_scores"))
        replicates = replicates_of(asked.replicates, len(members.runs))
        where = {**members.where, "over": asked.over or _ALL, "replicates": replicates}
        where["below"] = asking.seam.of("episodes")
        question = Question("compare", filled("compare", arms=arms), where)
        return await asking.answer(question, replicates=replicates, **members.said)

    @routes.get("/compare/curve")
    async def curve(request: Request, asked: Annotated[OfArmCurves, Query()]) -> Response:
        """Answer with a row an arm and bin: as a whole comparison, of the mean return of each run in the bin."""
        asking = Asking.of(parts, request, asked)
        members = await members_of(asking, asked)
        x, below = _AXES[asked.x], asking.seam.of("episodes")
        reach = Question("compare_extent", filled("compare_extent", x=x), {"runs": members.runs, "below": below})
        extent = row(await asking.table(reach))
        width = width_of(extent["first"], extent["last"], asked.bins)
        arms = filled("compare_arms", scores=filled("compare_bins", x=x))
        replicates = replicates_of(asked.replicates, asked.bins * len(members.runs))
        where = {**members.where, "width": width, "replicates": replicates, "below": below}
        question = Question("compare", filled("compare", arms=arms), where)
        return await asking.answer(question, width=width, x=asked.x, replicates=replicates, **members.said)

    @routes.get("/compare/better")
    async def better(request: Request, asked: Annotated[OfScores, Query()]) -> Response:
        """Answer with a row a pair of arms: how probable it is that a run of the first scores more."""
        asking = Asking.of(parts, request, asked)
        members = await members_of(asking, asked)
        arms = filled("compare_arms", scores=filled("compare_scores"))
        replicates = replicates_of(asked.replicates, members.pairs)
        where = {**members.where, "over": asked.over or _ALL, "replicates": replicates}
        where["below"] = asking.seam.of("episodes")
        question = Question("compare_better", filled("compare_better", arms=arms), where)
        return await asking.answer(question, replicates=replicates, **members.said)

    return routes

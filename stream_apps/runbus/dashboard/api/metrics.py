"""Answers with what belongs to no step: metrics of learners and evaluations, and scores."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from runbus.dashboard.history.answers import RESPONSES, Asking, HistoryRoute
from runbus.dashboard.history.api import Question
from runbus.dashboard.history.asked import OfEpisode, OfMetric, OfRun
from runbus.dashboard.history.curves import metric_of
from runbus.dashboard.history.pages import row
from runbus.dashboard.history.statements import text
from runbus.dashboard.parts import Parts

_NAMES = 2_000
_SCORES = 1_000


def router(parts: Parts) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(route_class=HistoryRoute, responses=RESPONSES, tags=["history"])

    @routes.get("/run/metrics")
    async def metrics(request: Request, asked: Annotated[OfRun, Query()]) -> Response:
        """Answer with the names of a run's metrics, each with its axis: of a learner, an evaluation, the system."""
        asking = Asking.of(parts, request, asked)
        where = {"run": asked.run, "most": _NAMES, "below": asking.seam.of("metrics")}
        return await asking.answer(Question("run_metrics", text("run_metrics"), where))

    @routes.get("/run/metric")
    async def metric(request: Request, asked: Annotated[OfMetric, Query()]) -> Response:
        """Answer with the curve of a metric, a line a source: its points if they are few (`width` 0), else bins."""
        asking = Asking.of(parts, request, asked)
        wanted = metric_of(asked, asking.seam.of("metrics"))
        question, width = wanted.drawn(await asking.table(wanted.extent()))
        return await asking.answer(question, width=width, name=asked.name, axis=asked.axis, x=asked.x)

    @routes.get("/run/scores")
    async def scores(request: Request, asked: Annotated[OfRun, Query()]) -> Response:
        """Answer with how a run was judged: a row a name and judge, with the newest judgement as a sample."""
        asking = Asking.of(parts, request, asked)
        return await asking.answer(Question("run_scores", text("run_scores"), {"run": asked.run, "most": _SCORES}))

    @routes.get("/episode/scores")
    async def episode_scores(request: Request, asked: Annotated[OfEpisode, Query()]) -> Response:
        """Answer with the judgements of an episode and of its steps, in the order in which they came."""
        asking = Asking.of(parts, request, asked)
        where = {**asked.where, "below": asking.seam.of("steps")}
        reach = row(await asking.table(Question("episode_reach", text("episode_reach"), where)))
        seqs = {name: int(reach[name]) for name in ("first_seq", "last_seq")}
        question = Question("episode_scores", text("episode_scores"), {**asked.where, **seqs, "most": _SCORES})
        return await asking.answer(question)

    return routes

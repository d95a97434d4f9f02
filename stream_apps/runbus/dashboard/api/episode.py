"""Answers what the page of an episode asks: what it is, and its steps."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from runbus.dashboard.errors import ApiError
from runbus.dashboard.history.answers import RESPONSES, Asking, HistoryRoute
from runbus.dashboard.history.api import Question
from runbus.dashboard.history.asked import OfEpisode, OfSteps
from runbus.dashboard.history.pages import first, row
from runbus.dashboard.history.statements import filled, text
from runbus.dashboard.history.steps import VALUES, decoded, numbered
from runbus.dashboard.parts import Parts


def router(parts: Parts) -> APIRouter:
    """Return the routes of an episode."""
    routes = APIRouter(route_class=HistoryRoute, responses=RESPONSES, tags=["history"])

    @routes.get("/episode")
    async def episode(request: Request, asked: Annotated[OfEpisode, Query()]) -> Response:
        """Answer with one row about an episode, and beside it its layouts, logged names, and the episodes beside it."""
        asking = Asking.of(parts, request, asked)
        where = {**asked.where, "below": asking.seam.of("steps")}
        question = Question("episode", text("episode"), {**where, "below_episodes": asking.seam.of("episodes")})
        if not asking.shows:
            return await asking.answer(question)
        found = await asking.table(question)
        beside = row(await asking.table(Question("episode_beside", text("episode_beside"), asked.where)))
        if not row(found)["rows"]:
            raise _no_episode(asked, beside)
        layouts = row(await asking.table(Question("episode_layouts", text("episode_layouts"), where)))
        return asking.given(question, found, **beside, **_described(layouts))

    @routes.get("/episode/steps")
    async def steps(request: Request, asked: Annotated[OfSteps, Query()]) -> Response:
        """Answer with a range of its steps; `next` is the step that the next range begins with, -1 = none."""
        asking = Asking.of(parts, request, asked)
        sent = {name: f"{name}_raw" if asked.values in (name, "both") else "''" for name in VALUES}
        reach = {"from": asked.start, "to": asked.end, "most": asked.most + 1}
        where = {**asked.where, **reach, "below": asking.seam.of("steps")}
        question = Question("episode_steps", filled("episode_steps", **sent), where)
        if not asking.shows:
            return await asking.answer(question)
        found = await asking.table(question)
        following = int(found.columns["step"].plain()[asked.most]) if found.rows > asked.most else -1
        page = first(found, asked.most)
        if asked.form == "json":
            return asking.given(question, decoded(page), next=following)
        table, layouts = numbered(page)
        return asking.given(question, table, raw=VALUES, next=following, layouts=layouts)

    return routes


def _described(layouts: dict[str, Any]) -> dict[str, Any]:
    """Return what the actions and observations of an episode are; what is empty is none."""
    kinds = {
        name: [{"dtype": dtype, "shape": shape} for dtype, shape in layouts[name] if dtype]
        for name in ("actions", "observations")
    }
    return {"layouts": kinds, "logged": layouts["logged"], "kinds": [kind for kind in layouts["kinds"] if kind]}


def _no_episode(asked: OfEpisode, beside: dict[str, Any]) -> ApiError:
    near = [str(number) for number in (beside["previous"], beside["next"]) if number >= 0]
    return ApiError(
        404,
        f"episode {asked.episode} of env {asked.env} of {asked.run}/{asked.agent}/{asked.attempt} has no stored step",
        "If it runs, its first steps are stored within seconds; /api/v1/run/episodes lists those that are over",
        near,
    )

"""Answers what the page of a run asks: its streams, its curves, its episodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from runbus.dashboard.errors import ApiError
from runbus.dashboard.history.answers import RESPONSES, Asking, HistoryRoute
from runbus.dashboard.history.api import Question
from runbus.dashboard.history.asked import OfCurve, OfEpisodes, OfRun, OfTeams
from runbus.dashboard.history.curves import curve_of, topic_of
from runbus.dashboard.history.pages import Order, first, row, without
from runbus.dashboard.history.statements import filled, text
from runbus.dashboard.parts import Parts

_STREAMS = 2_000
_NAMES = 1_000
_TEAMS = Order({"last_ts": "Int64", "env": "Int32", "episode": "Int64"})
_SORTS: Mapping[str, str] = {
    "time": "toFloat64(toUnixTimestamp64Micro(e.last_ts))",
    "return": "if(isNaN(`return`), -inf, `return`)",
    "length": "toFloat64(length)",
    "episode": "toFloat64(episode)",
    "missing": "toFloat64(arraySum(m -> m.2 - m.1 + 1, missing))",
}
_EPISODES = Order(
    {"key": "Float64", "agent": "String", "attempt": "Int64", "env": "Int32", "episode": "Int64"},
)


def router(parts: Parts) -> APIRouter:
    """Return the routes of a run."""
    routes = APIRouter(route_class=HistoryRoute, responses=RESPONSES, tags=["history"])

    @routes.get("/run")
    async def run(request: Request, asked: Annotated[OfRun, Query()]) -> Response:
        """Answer with the streams of a run; `run` says what they are together."""
        asking = Asking.of(parts, request, asked)
        where = {"run": asked.run, "most": _STREAMS, "below": asking.seam.of("runs")}
        question = Question("run", text("run"), where)
        if not asking.shows:
            return await asking.answer(question)
        streams = await asking.table(question)
        if not streams.rows:
            raise await _unknown(asking, asked.run)
        whole = _said(row(await asking.table(_whole(asking, asked.run))), asked.run)
        return asking.given(question, streams, run=whole, left_out=max(0, whole.get("attempts", 0) - streams.rows))

    @routes.get("/run/curve")
    async def curve(request: Request, asked: Annotated[OfCurve, Query()]) -> Response:
        """Answer with a curve: its points if they are few (`width` 0), else bins as wide as a power of two."""
        asking = Asking.of(parts, request, asked)
        origin = await origin_of(asking, asked.run) if asked.x == "relative" else 0
        wanted = curve_of(asked, asking.seam.of(topic_of(asked.y)), origin)
        question, width = wanted.drawn(await asking.table(wanted.extent()))
        return await asking.answer(question, width=width, origin=origin, x=asked.x, y=asked.y, by=asked.by)

    @routes.get("/run/episodes")
    async def episodes(request: Request, asked: Annotated[OfEpisodes, Query()]) -> Response:
        """Answer with a page of the finalised episodes; `next` is the cursor of the page behind it, "" = none."""
        asking = Asking.of(parts, request, asked)
        after, seen = _EPISODES.after(asked.after, descending=asked.descending)
        direction = "DESC" if asked.descending else "ASC"
        sql = filled("run_episodes", key=_SORTS[asked.sort], filter="true", after=after, direction=direction)
        where = {**asked.where, **seen, "most": asked.most + 1, "below": asking.seam.of("episodes")}
        question = Question("run_episodes", sql, where)
        if not asking.shows:
            return await asking.answer(question)
        found = await asking.table(question)
        page = first(found, asked.most)
        following = _EPISODES.cursor(page) if found.rows > asked.most else ""
        return asking.given(question, without(page, "key"), next=following)

    @routes.get("/run/teams")
    async def teams(request: Request, asked: Annotated[OfTeams, Query()]) -> Response:
        """Answer with a page of the episodes of a world over its agents; `next` is the cursor of the page behind it."""
        asking = Asking.of(parts, request, asked)
        after, seen = _TEAMS.after(asked.after, descending=asked.descending)
        sql = filled("run_teams", after=after, direction="DESC" if asked.descending else "ASC")
        where = {**seen, "run": asked.run, "most": asked.most + 1, "below": asking.seam.of("episodes")}
        question = Question("run_teams", sql, where)
        if not asking.shows:
            return await asking.answer(question)
        found = await asking.table(question)
        page = first(found, asked.most)
        return asking.given(question, page, next=_TEAMS.cursor(page) if found.rows > asked.most else "")

    @routes.get("/run/logged")
    async def logged(request: Request, asked: Annotated[OfRun, Query()]) -> Response:
        """Answer with the names of the numbers that were logged: each is a `y` of the curves."""
        asking = Asking.of(parts, request, asked)
        where = {"run": asked.run, "most": _NAMES, "below": asking.seam.of("episodes")}
        return await asking.answer(Question("run_logged", text("run_logged"), where))

    return routes


def _whole(asking: Asking, run: str) -> Question:
    """Ask what the streams of a run are together."""
    sql = filled("of_runs", which="run_id = {run:String}")
    return Question("of_runs", sql, {"run": run, "below": asking.seam.of("runs")})


def _said(whole: dict[str, Any], run: str) -> dict[str, Any]:
    """Return what is said of a run, also of one whose events are not stored: `finished_at` None = it runs."""
    said = {name: value for name, value in whole.items() if name not in ("state", "config")}
    finished = said.get("finished_at") or None
    return {**said, "run": run, "outcome": whole.get("state", ""), "finished_at": finished}


async def origin_of(asking: Asking, run: str) -> int:
    """Return what `relative` counts from in a run, microseconds since the epoch."""
    found = await asking.table(Question("run_origin", text("run_origin"), {"run": run}))
    return int(row(found)["origin"])


async def _unknown(asking: Asking, run: str) -> ApiError:
    near = await asking.table(Question("near_runs", text("near_runs"), {"run": run}))
    names = near.columns["run"].plain() if near.rows else []
    return ApiError(404, f"there is no run {run!r}", "`runbus run ls` lists the runs", names)

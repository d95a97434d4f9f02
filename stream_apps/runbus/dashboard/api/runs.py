"""Answers with the list of runs: those too that the log has no longer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Request, Response

from runbus.dashboard.history.answers import RESPONSES, Asking, HistoryRoute
from runbus.dashboard.history.api import Question
from runbus.dashboard.history.asked import OfRuns
from runbus.dashboard.history.filter import NUMBERS, TEXTS, Filter, number, read, texts
from runbus.dashboard.history.native import Table
from runbus.dashboard.history.pages import Order, first, without
from runbus.dashboard.history.statements import filled
from runbus.dashboard.history.values import Numbers
from runbus.dashboard.parts import Parts
from runbus.kafka.topics import CANARY_RUN

_RUNS = Order({"key_number": "Float64", "key_text": "String", "run": "String"})


def router(parts: Parts) -> APIRouter:
    """Return the route of the list."""
    routes = APIRouter(route_class=HistoryRoute, responses=RESPONSES, tags=["history"])

    @routes.get("/runs")
    async def runs(request: Request, asked: Annotated[OfRuns, Query()]) -> Response:
        """Answer with a page of the runs that a filter keeps; `next` is the cursor of the page behind it, "" = none."""
        asking = Asking.of(parts, request, asked)
        kept = read(asked.q)
        # the returns of all runs take time: they are looked up only if the list depends on them
        whole = not asking.shows or asked.sort == "mean_return" or kept.names("mean_return")
        after, seen = _RUNS.after(asked.after, descending=asked.descending)
        pieces = {"filter": kept.sql, "after": after, "direction": "DESC" if asked.descending else "ASC"}
        sql = filled(
            "runs",
            runs=filled("of_runs", which="run_id != {canary:String}"),
            **_returned(whole),
            **_key(kept, asked.sort),
            **pieces,
        )
        below = {"below": asking.seam.of("runs"), "below_episodes": asking.seam.of("episodes")}
        where = {**kept.parameters, **seen, **below, "canary": CANARY_RUN, "most": asked.most + 1}
        question = Question("runs", sql, where)
        if not asking.shows:
            return await asking.answer(question)
        found = await asking.table(question)
        page = first(found, asked.most)
        following = _RUNS.cursor(page) if found.rows > asked.most else ""
        if not whole and page.rows:
            page = _with_returns(page, await asking.table(_returns(page, below)))
        return asking.given(question, without(page, "key_number", "key_text"), next=following)

    return routes


def _key(kept: Filter, name: str) -> Mapping[str, str]:
    """Return what a list is sorted by: a number, and a text beside it; what has none comes last, the largest first."""
    if name in NUMBERS:
        return {"number": f"if(isFinite({name}), toFloat64({name}), -inf)", "text": "''"}
    if name in TEXTS:
        return {"number": "toFloat64(0)", "text": name}
    value = f"{texts(kept, name)}[1]"
    return {"number": f"ifNull({number(value)}, -inf)", "text": value}


def _returned(whole: bool) -> Mapping[str, str]:
    """Return the pieces that put the mean return of each run into the list."""
    if not whole:
        return {"mean": "", "returns": ""}
    means = filled("runs_returns", which="run_id != {canary:String}")
    return {
        "mean": ", if(m.known = 1, m.mean_return, nan) AS mean_return",
        "returns": f"LEFT JOIN\n(\n{means}\n) AS m USING (run)",
    }


def _returns(page: Table, below: Mapping[str, object]) -> Question:
    sql = filled("runs_returns", which="run_id IN {runs:Array(String)}")
    return Question("runs_returns", sql, {**below, "runs": page.columns["run"].plain()})


def _with_returns(page: Table, returns: Table) -> Table:
    means = dict(zip(returns.columns["run"].plain(), returns.columns["mean_return"].plain(), strict=True))
    column = [means.get(run, np.nan) for run in page.columns["run"].plain()]
    return Table({**page.columns, "mean_return": Numbers(np.array(column, "<f8"))}, page.rows)

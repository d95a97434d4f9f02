"""Answers what the page Groups asks: the rollouts of each task, prompt or group of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from runbus.dashboard.history.answers import RESPONSES, Asking, HistoryRoute
from runbus.dashboard.history.api import Question
from runbus.dashboard.history.asked import OfGroups
from runbus.dashboard.history.pages import Order, first, row, without
from runbus.dashboard.history.statements import filled, text
from runbus.dashboard.parts import Parts

_SORTS: Mapping[str, str] = {
    "std": "std",
    "mean": "mean",
    "n": "toFloat64(n)",
    "passed": "passed / n",
    "spread": "max - min",
}
_GROUPS = Order({"key": "Float64", "group": "String"})


def router(parts: Parts) -> APIRouter:
    """Return the route of the groups."""
    routes = APIRouter(route_class=HistoryRoute, responses=RESPONSES, tags=["history"])

    @routes.get("/groups")
    async def groups(request: Request, asked: Annotated[OfGroups, Query()]) -> Response:
        """Answer with a page of groups; `groups`, `comparable`, `zero_variance`, `rollouts` are of all of them."""
        asking = Asking.of(parts, request, asked)
        after, seen = _GROUPS.after(asked.after, descending=asked.descending)
        direction = "DESC" if asked.descending else "ASC"
        rollouts = text("rollouts" if asked.score == "return" else "rollouts_scored")
        after = after.replace("group,", "`group`,")
        sql = filled("groups", rollouts=rollouts, key=_SORTS[asked.sort], after=after, direction=direction)
        below = asking.seam.of("episodes")
        of = {"by": asked.by, "policy": asked.policy, "score": asked.score}
        whose = {"run": asked.run, "agent": asked.agent, **of, "below": below}
        where = {**whose, **seen, "success": asked.success, "ks": asked.k, "most": asked.most + 1}
        question = Question("groups", sql, where)
        if not asking.shows:
            return await asking.answer(question)
        found = await asking.table(question)
        page = first(found, asked.most)
        following = _GROUPS.cursor(page) if found.rows > asked.most else ""
        together = row(await asking.table(Question("groups_all", filled("groups_all", rollouts=rollouts), whose)))
        return asking.given(question, without(page, "key"), next=following, ks=asked.k, **together)

    return routes

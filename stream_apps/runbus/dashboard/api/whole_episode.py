"""Answers what is asked about an episode as a whole: its line of rewards, where to jump to, its outline, the
first difference of two."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from runbus.dashboard.history.answers import RESPONSES, Asking, HistoryRoute
from runbus.dashboard.history.api import Question
from runbus.dashboard.history.asked_whole import OfBins, OfJump, OfOutline, OfTwo
from runbus.dashboard.history.pages import first
from runbus.dashboard.history.statements import filled, text
from runbus.dashboard.parts import Parts

_BINS = 4096
#: What makes a step one to go to, by what is looked for.
_WANTED = {
    "reward": "step > 0 AND reward != 0",
    "error": "status IN ('error', 'timeout')",
    "action": "step > 1 AND action != action_before",
}
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

    @routes.get("/episode/jump")
    async def jump(request: Request, asked: Annotated[OfJump, Query()]) -> Response:
        """Answer with the step to go to: the next or previous one of its kind, or the largest reward; no row = none."""
        asking = Asking.of(parts, request, asked)
        question = Question(
            "episode_jump",
            filled("episode_jump", **_jump(asked.kind)),
            {**asked.where, "from": asked.start, "below": asking.seam.of("steps")},
        )
        return await asking.answer(question)

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


def _jump(kind: str) -> dict[str, str]:
    """Return the pieces of SQL of a jump; the steps on the wrong side are not read, but for the one it goes from."""
    if kind == "largest_reward":
        wanted = "step > 0 AND isFinite(reward) AND reward != 0"
        return {"near": "step >= 0", "wanted": wanted, "order": "abs(reward) DESC, step"}
    where, what = kind.split("_")
    if where == "next":
        return {
            "near": "step >= {from:Int32}",
            "wanted": f"step > {{from:Int32}} AND {_WANTED[what]}",
            "order": "step",
        }
    return {
        "near": "step <= {from:Int32}",
        "wanted": f"step < {{from:Int32}} AND {_WANTED[what]}",
        "order": "step DESC",
    }

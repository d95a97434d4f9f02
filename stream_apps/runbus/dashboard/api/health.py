"""Answers what the page of health asks of ClickHouse; what changes by the second comes with the stream."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from runbus.dashboard.history.answers import RESPONSES, Asking, HistoryRoute
from runbus.dashboard.history.api import Question
from runbus.dashboard.history.asked import Asked
from runbus.dashboard.history.statements import text
from runbus.dashboard.parts import Parts


class OfLately(Asked):
    """A question about the time until now."""

    seconds: Annotated[int, Field(ge=60, le=7 * 86_400)] = Field(3600, description="how long ago it begins")


class OfSome(Asked):
    """A question for the newest of something."""

    most: Annotated[int, Field(ge=1, le=1000)] = Field(50, description="rows at most")


def router(parts: Parts) -> APIRouter:
    """Return the routes of health."""
    routes = APIRouter(route_class=HistoryRoute, responses=RESPONSES, tags=["health"])

    @routes.get("/health/dead_letters")
    async def dead_letters(request: Request, asked: Annotated[OfSome, Query()]) -> Response:
        """Answer with the dead letters by topic, consumer and kind of error, the newest of each as a sample."""
        question = Question("health_dead_letters", text("health_dead_letters"), {"most": asked.most})
        return await Asking.of(parts, request, asked).answer(question)

    @routes.get("/health/lost")
    async def lost(request: Request, asked: Annotated[OfSome, Query()]) -> Response:
        """Answer with the offsets that retention deleted before they were stored."""
        question = Question("health_lost", text("health_lost"), {"most": asked.most})
        return await Asking.of(parts, request, asked).answer(question)

    @routes.get("/health/inserts")
    async def inserts(request: Request, asked: Annotated[OfLately, Query()]) -> Response:
        """Answer with the inserts of the sink by minute: how many, and how long one took, in seconds."""
        question = Question("health_inserts", text("health_inserts"), {"seconds": asked.seconds})
        return await Asking.of(parts, request, asked).answer(question)

    @routes.get("/health/parts")
    async def table_parts(request: Request, asked: Annotated[Asked, Query()]) -> Response:
        """Answer with the parts of each table, its rows and bytes."""
        return await Asking.of(parts, request, asked).answer(Question("health_parts", text("health_parts")))

    return routes

"""Answers with what people put on runs, and with references to what runs wrote."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from runbus.dashboard.history.answers import RESPONSES, Asking, HistoryRoute
from runbus.dashboard.history.api import Question
from runbus.dashboard.history.asked import OfNotes
from runbus.dashboard.history.statements import text
from runbus.dashboard.parts import Parts

_MOST = 1_000


def router(parts: Parts) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(route_class=HistoryRoute, responses=RESPONSES, tags=["history"])

    @routes.get("/run/notes")
    async def notes(request: Request, asked: Annotated[OfNotes, Query()]) -> Response:
        """Answer with the notes, tags and pins on a run and what is in it, the newest first."""
        asking = Asking.of(parts, request, asked)
        return await asking.answer(Question("run_notes", text("run_notes"), {**asked.where, "most": _MOST}))

    @routes.get("/run/artifacts")
    async def artifacts(request: Request, asked: Annotated[OfNotes, Query()]) -> Response:
        """Answer with references to what a run wrote: checkpoints, videos, data sets; the newest first."""
        asking = Asking.of(parts, request, asked)
        return await asking.answer(Question("run_artifacts", text("run_artifacts"), {**asked.where, "most": _MOST}))

    return routes

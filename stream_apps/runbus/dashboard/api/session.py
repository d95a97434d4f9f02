"""Tells the page whether it may look: the only way to know for a page that a link on another site opened."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from runbus.dashboard.parts import Parts


class Session(BaseModel):
    """What this browser is to the server."""

    token: bool = Field(description="Whether the page needs a token; then this browser is logged in.")
    annotates: bool = Field(description="Whether notes, tags and pins can be put and removed here.")


def router(parts: Parts) -> APIRouter:
    """Return the route."""
    made = APIRouter()

    @made.get("/session")
    async def session() -> Session:
        """Return what this browser is; 401 = it has to log in."""
        return Session(token=bool(parts.settings.token), annotates=parts.settings.annotates)

    return made

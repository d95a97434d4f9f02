"""Takes notes, tags and pins of whoever looks, and removes them: all that the page can change."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from runbus.annotations.making import NOTE, new_annotation, new_note, removal
from runbus.annotations.place import Place
from runbus.config.errors import ConfigError, RunBusError
from runbus.dashboard.errors import ApiError
from runbus.dashboard.history.answers import ErrorAnswer
from runbus.dashboard.parts import Parts
from runbus.schemas.events import Annotation

_ERRORS: dict[int | str, dict[str, Any]] = {status: {"model": ErrorAnswer} for status in (400, 405, 503)}
_INT32, _INT64 = 2**31 - 1, 2**63 - 1


class Named(BaseModel):
    """An annotation by what it is on, its kind and its name; together they say which one it is."""

    model_config = ConfigDict(extra="forbid")

    run: Annotated[str, Field(max_length=1000)]
    agent: Annotated[str, Field(max_length=1000)] = Field("", description="empty = the whole run")
    attempt: Annotated[int, Field(ge=0, le=_INT64)] = Field(0, description="0 = whichever")
    env: Annotated[int, Field(ge=-1, le=_INT32)] = Field(-1, description="-1 = the first, where an episode is said")
    episode: Annotated[int, Field(ge=-1, le=_INT64)] = Field(-1, description="-1 = none")
    step: Annotated[int, Field(ge=-1, le=_INT32)] = Field(-1, description="-1 = none")
    kind: Literal["note", "tag", "pin"]
    name: Annotated[str, Field(max_length=1000)] = Field("", description="of a tag; a note has one of its own if empty")
    author: Annotated[str, Field(max_length=100)] = Field("", description="who says it; empty = the page")

    def made(self, text: str = "") -> Annotation:
        """Return the annotation, said now. Raises ConfigError."""
        env, episode, step = (None if number < 0 else number for number in (self.env, self.episode, self.step))
        place = Place(self.run, self.agent, self.attempt, env, episode, step)
        author = self.author or "page"
        if self.kind == NOTE and text:
            return new_note(place, text, author, self.name)
        return new_annotation(place, self.kind, self.name, author, text)


class Said(Named):
    """What somebody says."""

    text: Annotated[str, Field(max_length=70_000)] = Field("", description="of a note, at most 64 KiB")


class Written(BaseModel):
    """What the log has now."""

    kind: str
    name: str
    sent_at: int = Field(description="microseconds since the epoch")


def router(parts: Parts) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["annotations"], responses=_ERRORS)

    async def write(annotation: Annotation) -> Written:
        try:
            await parts.annotator.write(annotation)
        except RunBusError as error:
            raise ApiError(503, str(error), "nothing was changed; try again") from error
        return Written(kind=annotation.kind, name=annotation.name, sent_at=annotation.sent_at)

    @routes.post("/annotations", status_code=201)
    async def say(said: Said) -> Written:
        """Put a note, a tag or a pin there; 201 = the log has it, and history a second later."""
        return await write(_checked(said, said.text))

    @routes.delete("/annotations")
    async def remove(named: Annotated[Named, Query()]) -> Written:
        """Remove it; one that is not there is removed already."""
        return await write(removal(_checked(named)))

    return routes


def _checked(named: Named, text: str = "") -> Annotation:
    try:
        return named.made(text)
    except ConfigError as error:
        raise ApiError(400, str(error), "docs/annotations.md says what can be put where") from error

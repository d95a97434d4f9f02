"""Leaves out a part of a step that cannot be kept, visibly: the step says so in an extra of that part's name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from runbus.schemas.batch import Extra, StepBatch

#: `left_out.observation`, ...: how many values of that part this step had to leave out
PREFIX = "left_out."

#: is told of a part that was left out: its name, and why
Remark = Callable[[str, str], None]


def say_nothing(_part: str, _why: str) -> None:
    """Be told of a part that was left out, where nobody listens."""


def mark_name(part: str) -> str:
    """Return the name of the extra that says that a step is without this part."""
    return PREFIX + part


def largest_part(batch: StepBatch) -> str | None:
    """Return the part of a batch that takes most bytes and can be left out; None if no part is left."""
    return next(iter(parts_of(batch)), None)


def parts_of(batch: StepBatch) -> list[str]:
    """Return the parts of a batch that can be left out, those of most bytes first."""
    sizes = {
        "observation": len(batch.observation),
        "action": len(batch.action),
        "info": sum(len(text) for text in batch.info),
        "log": sum(len(extra.name) + 12 for extra in batch.extras if not extra.name.startswith(PREFIX)),
    }
    return sorted((part for part in sizes if sizes[part]), key=lambda part: -sizes[part])


def without(batch: StepBatch, part: str) -> StepBatch:
    """Return a batch of one step without one of its parts, and with the mark that says so."""
    header, extras = batch.header, batch.extras
    match part:
        case "observation":
            batch = replace(batch, header=replace(header, observation=header.observation.omitted()), observation=b"")
        case "action":
            batch = replace(batch, header=replace(header, action=header.action.omitted()), action=b"")
        case "info":
            batch = replace(batch, info=())
        case "log":
            extras = tuple(extra for extra in extras if extra.name.startswith(PREFIX))
    lost = len(batch.extras) - len(extras) if part == "log" else 1
    return replace(batch, extras=(*(e for e in extras if e.name != mark_name(part)), _mark(part, lost)))


def _mark(part: str, count: int) -> Extra:
    return Extra(mark_name(part), np.zeros(1, np.uint32), np.full(1, float(count)))

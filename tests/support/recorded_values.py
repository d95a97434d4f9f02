"""Reads the tables of docs/recorded-values.md, and records the values in them."""

import array
import collections
import decimal
import http
import pathlib
import re
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from runbus.gymnasium import space_json
from runbus.recorder import Recorder, RunBus
from runbus.recorder.events import StepsRecorded
from runbus.schemas.batch import StepBatch
from runbus.schemas.layout import Layout

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "recorded-values.md"
_NAMES: dict[str, Any] = {
    **{module.__name__: module for module in (array, collections, decimal, http, pathlib)},
    **{name: getattr(spaces, name) for name in spaces.__all__},
    "np": np,
}


class Documented(NamedTuple):
    """One row of a table, as code."""

    space: str
    value: str
    layout: str
    sql: str


def documented() -> list[Documented]:
    """Return the rows of both tables."""
    found = [Documented("", *cells) for cells in _table("values")]
    return found + [Documented(*cells) for cells in _table("spaces")]


def _table(name: str) -> list[list[str]]:
    block = PAGE.read_text(encoding="utf-8").split(f"<!-- {name} -->\n")[1].split("<!-- end -->")[0]
    lines = block.splitlines()[2:]
    rows = [re.split(r"(?<!\\)\|", line.strip().strip("|")) for line in lines]
    return [[cell.strip().strip("`").replace("\\|", "|") for cell in row] for row in rows]


def evaluated(code: str) -> Any:
    """Return the value of an expression of the page."""
    return eval(code, dict(_NAMES))


def recorded(row: Documented, run: str) -> StepBatch:
    """Return the batch of a step that shows the value of a row."""
    bus = RunBus()
    subscription = bus.subscribe("test")
    space = space_json(evaluated(row.space)) if row.space else None
    recorder = Recorder(run, bus=bus, kafka=False, observation_space=space)
    recorder.step(1, 1.0, False, False, evaluated(row.value))
    recorder.close()
    (batch,) = [event.batch() for event in subscription.get_many(10) if isinstance(event, StepsRecorded)]
    return batch


def written(layout: Layout) -> str:
    """Return a layout as the page writes it."""
    shape = ",".join(map(str, layout.shape))
    return f"{layout.dtype or 'none'}{f'[{shape}]' if shape else ''}"

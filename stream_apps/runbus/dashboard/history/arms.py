"""Says which runs are compared, and in which arm and stratum each is; and in what their configurations differ."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runbus.dashboard.errors import ApiError
from runbus.dashboard.history.answers import Asking
from runbus.dashboard.history.api import Question
from runbus.dashboard.history.asked import OfCompare
from runbus.dashboard.history.filter import NUMBERS, TEXTS, Filter, read, texts
from runbus.dashboard.history.statements import filled
from runbus.kafka.topics import CANARY_RUN

_MOST = 500
#: Draws of one bootstrap: some second of a core.
_DRAWS = 4_000_000
_LEAST_REPLICATES = 100


@dataclass(frozen=True, slots=True)
class Members:
    """The runs that are compared; the lists belong together.

    Attributes:
        runs, arms, strata: of each run: its name, its arm, its stratum.
        configs: as JSON.
        left_out: how many more runs the filter keeps.
    """

    runs: list[str]
    arms: list[str]
    strata: list[str]
    configs: list[str]
    left_out: int

    @property
    def where(self) -> dict[str, object]:
        """Them, as the queries name them."""
        return {"runs": self.runs, "arms": self.arms, "strata": self.strata}

    @property
    def pairs(self) -> int:
        """How many pairs of runs of different arms there are in the same stratum, both ways round."""
        both = Counter(zip(self.strata, self.arms, strict=True))
        each = Counter(self.strata)
        return sum(n * (each[stratum] - n) for (stratum, _), n in both.items())

    @property
    def said(self) -> dict[str, Any]:
        """What is said of them beside their scores."""
        rows = zip(self.runs, self.arms, self.strata, strict=True)
        members = [{"run": run, "arm": arm, "stratum": stratum} for run, arm, stratum in rows]
        configs = dict(zip(self.runs, self.configs, strict=True))
        return {"members": members, "differs": differing(configs), "left_out": self.left_out}


def replicates_of(wanted: int, draws: int) -> int:
    """Return how many replicates there may be, if each takes so many draws: fewer than wanted of very many runs."""
    return min(wanted, max(_LEAST_REPLICATES, _DRAWS // max(1, draws)))


async def members_of(asking: Asking, asked: OfCompare) -> Members:
    """Return the runs that are compared. Raises ApiError if there is none, or the filter is wrong."""
    kept = read(asked.q)
    arm, stratum = _value(kept, asked.group) if asked.group else "run", _value(kept, asked.strata)
    wanted = f"({kept.sql})"
    where: dict[str, object] = {"canary": CANARY_RUN, "below": asking.seam.of("runs"), "most": _MOST}
    if asked.run:
        wanted += " AND run IN {runs:Array(String)}"
        where["runs"] = list(asked.run)
    sql = filled(
        "compare_members",
        runs=filled("of_runs", which="run_id != {canary:String}"),
        arm=arm,
        stratum=stratum,
        filter=wanted,
    )
    found = await asking.table(Question("compare_members", sql, {**where, **kept.parameters}))
    if not found.rows:
        raise ApiError(404, "no run is to be compared", "Name runs with run=, or take a filter that keeps some")
    columns = {name: column.plain() for name, column in found.columns.items()}
    left_out = columns["found"][0] - found.rows
    return Members(columns["run"], columns["arm"], columns["stratum"], columns["config"], left_out)


def _value(kept: Filter, name: str) -> str:
    """Return the SQL of the text of a field, '' where a run has none."""
    if not name:
        return "''"
    if name in NUMBERS or name not in (*TEXTS, "tag"):
        return f"arrayElement({texts(kept, name)}, 1)"
    return f"arrayStringConcat({texts(kept, name)}, ', ')"


def differing(configs: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the settings that are not the same in all configurations.

    Args:
        configs: run -> JSON.

    Returns:
        Path of a setting, its names joined by dots -> run -> value; a run without it is left out.
    """
    flat = {run: dict(_leaves(_parsed(config), "")) for run, config in configs.items()}
    names = dict.fromkeys(name for settings in flat.values() for name in settings)
    found = {}
    for name in names:
        values = {run: settings[name] for run, settings in flat.items() if name in settings}
        if len(values) < len(flat) or len({json.dumps(value, sort_keys=True) for value in values.values()}) > 1:
            found[name] = values
    return found


def _parsed(config: str) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(config)
    except (ValueError, RecursionError):
        return {}


def _leaves(value: object, path: str) -> list[tuple[str, Any]]:
    if not isinstance(value, dict) or (path and not value):
        return [(path, value)] if path else []
    return [leaf for name, inner in value.items() for leaf in _leaves(inner, f"{path}.{name}" if path else str(name))]

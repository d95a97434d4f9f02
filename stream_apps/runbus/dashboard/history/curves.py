"""Makes the questions about a curve: which points, on which axis, as points or in bins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runbus.dashboard.history.api import Question
from runbus.dashboard.history.asked import Axis, By, OfCurve, OfMetric
from runbus.dashboard.history.bins import RAW_PER_BIN, whole, width_of
from runbus.dashboard.history.native import Table
from runbus.dashboard.history.statements import filled
from runbus.dashboard.history.stitch import Below

#: Measures that are no logged number, and the file that has their points.
MEASURES: Mapping[str, str] = {
    "return": "points_episodes",
    "length": "points_episodes",
    "reward": "points_reward",
    "steps_per_second": "points_speed",
    "team_return": "points_teams",
}
_AXES: Mapping[str, Mapping[Axis, str]] = {
    "points_teams": {"seq": "max(last_seq)", "episode": "episode", "time": "toUnixTimestamp64Micro(max(last_ts))"},
    "points_episodes": {"seq": "last_seq", "episode": "episode", "time": "toUnixTimestamp64Micro(last_ts)"},
    "points_speed": {
        "seq": "max(seq)",
        "episode": "max(episode)",
        "time": "toUnixTimestamp64Micro(toStartOfSecond(ts))",
    },
    "points_reward": {"seq": "seq", "episode": "episode", "time": "toUnixTimestamp64Micro(ts)"},
    "points_logged": {"seq": "seq", "episode": "episode", "time": "toUnixTimestamp64Micro(ts)"},
}
#: How a line is named, by what has one, and what its rows have in common.
_SERIES: Mapping[By, str] = {
    "run": "'' AS agent, toInt64(-1) AS attempt",
    "agent": "agent_id::String AS agent, toInt64(-1) AS attempt",
    "stream": "agent_id::String AS agent, started AS attempt",
}
_LINES: Mapping[By, str] = {"run": "1", "agent": "agent_id", "stream": "(agent_id, started)"}
#: Of a bin: which of its points is the first is a whole number.
_PLACES = 1 << 62
#: Of all lines together; with very many lines the bins are wider.
MOST_POINTS = 200_000


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve that was asked for.

    Attributes:
        points: the SQL of its points: x, y, tie, agent_id, started.
        by: what has a line.
        start, end: the range of x.
        bins: about how many.
        parameters: of the SQL.
    """

    points: str
    by: By
    start: int
    end: int
    bins: int
    parameters: Mapping[str, object]

    def extent(self) -> Question:
        """Ask how far it reaches."""
        return self._question("curve_extent", filled("curve_extent", points=self.points, lines=_LINES[self.by]))

    def drawn(self, extent: Table) -> tuple[Question, int]:
        """Ask for its points, or its bins if there are many points.

        Returns:
            The question, and the width of its bins: 0 = points as they are.
        """
        points, start, end, lines = (
            int(extent.columns[name].plain()[0]) for name in ("points", "first", "last", "lines")
        )
        if points <= RAW_PER_BIN * self.bins:
            sql = filled("curve_points", points=self.points)
            return self._question("curve_points", sql, most=MOST_POINTS), 0
        width = width_of(start, end, max(1, min(self.bins, MOST_POINTS // max(1, lines) - 1)))
        start, end = whole(start, end, width)
        sql = filled("curve_bins", points=self.points, series=_SERIES[self.by], lines=_LINES[self.by])
        reach = {"from": start, "to": end, "width": width, "ties": max(1, _PLACES // width)}
        return self._question("curve_bins", sql, most=MOST_POINTS, **reach), width

    def _question(self, name: str, sql: str, **more: object) -> Question:
        return Question(name, sql, {"from": self.start, "to": self.end, **self.parameters, **more})


def topic_of(measure: str) -> str:
    """Return the topic whose rows are the points of a measure."""
    return "episodes" if MEASURES.get(measure) in ("points_episodes", "points_teams") else "steps"


def curve_of(asked: OfCurve, below: Below, origin: int = 0) -> Curve:
    """Return a curve over the steps or episodes of a run.

    Args:
        asked: which.
        below: where the past ends, of the topic that has its points.
        origin: what `relative` counts from, microseconds since the epoch.
    """
    file = MEASURES.get(asked.y, "points_logged")
    axes = _AXES[file]
    x = f"{axes['time']} - {{origin:Int64}}" if asked.x == "relative" else axes[asked.x]
    parameters = {**asked.where, "measure": asked.y, "below": below, "origin": origin}
    return Curve(filled(file, x=f"toInt64({x})"), asked.by, asked.start, asked.end, asked.bins, parameters)


def metric_of(asked: OfMetric, below: Below) -> Curve:
    """Return the curve of a metric, a line a source: over the positions of its axis, or over time."""
    x = "at" if asked.x == "position" else "toUnixTimestamp64Micro(ts)"
    about = {"run": asked.run, "measure": asked.name, "axis": asked.axis, "position": int(asked.x == "position")}
    points = filled("points_metrics", x=f"toInt64({x})")
    return Curve(points, "agent", asked.start, asked.end, asked.bins, {**about, "below": below})

"""Makes the rows that pages get: of runs, streams, episodes and components. Pure. Numbers that are none are null."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from datasketches import kll_doubles_sketch

from runbus.dashboard.live.runs import Returns, StreamFacts
from runbus.dashboard.live.states import State
from runbus.kafka.model import StreamId
from runbus.schemas.events import Heartbeat

Row = dict[str, Any]
#: What the page groups and filters by goes with the row; a large configuration stays in the tables.
_MOST_CONFIG = 32
_MOST_TEXT = 120
_QUANTILES = [0.1, 0.5, 0.9]


def stream_row(stream: StreamId, facts: StreamFacts, state: State, metrics: Mapping[str, Any] | None) -> Row:
    """Return the row of one stream.

    Args:
        stream: whose it is.
        facts: what its events say.
        state: what it does now.
        metrics: the fields of its newest live metrics, if there are any.
    """
    live = metrics or {}
    return {
        "agent": stream.agent_id,
        "attempt": stream.attempt,
        "role": facts.role,
        "state": state,
        "started_at": facts.started_at,
        "finished_at": facts.finished_at or None,
        "error": facts.error[:_MOST_TEXT],
        **counts(facts, state, metrics),
        "episodes": live.get("episodes"),
        "last_return": live.get("last_return"),
        "running_return": live.get("running_return"),
        "last_length": live.get("last_length"),
        "running_length": live.get("running_length"),
        "reasons": live.get("reasons", {}),
        "sent_at": live.get("sent_at"),
        "windows": [_window(window) for window in live.get("windows", ())],
    }


def counts(facts: StreamFacts, state: State, metrics: Mapping[str, Any] | None) -> Row:
    """Return the figures of a stream that its run sums up."""
    live = metrics or {}
    return {
        "steps": max(live.get("steps", 0), facts.produced - facts.dropped if facts.finished_at else 0),
        "sps": live.get("steps_per_second", 0.0) if state == "running" else 0.0,
        "dropped": max(live.get("dropped", 0), facts.dropped),
        "newest_ts": live.get("newest_ts"),
    }


def _window(window: Mapping[str, Any]) -> Row:
    count = window["count"]
    row = {name: window[name] for name in ("name", "seconds", "start", "count", "min", "max")}
    row["mean"] = window["sum"] / count if count else None
    row["p10"], row["p50"], row["p90"] = _quantiles(window["quantiles"])
    return row


def _quantiles(serialised: bytes) -> list[float | None]:
    """Return those of a sketch; an event that is too large without has none of them."""
    if not serialised:
        return [None] * len(_QUANTILES)
    sketch = kll_doubles_sketch.deserialize(serialised)
    return [None] * len(_QUANTILES) if sketch.is_empty() else list(sketch.get_quantiles(_QUANTILES))


def run_row(
    run: str,
    state: State,
    streams: Iterable[tuple[StreamId, StreamFacts, Row]],
    returns: Returns,
    marks: tuple[Sequence[str], bool],
    now: float,
) -> Row:
    """Return the row of one run.

    Args:
        run: its name.
        state: of the run.
        streams: all its streams with their counts.
        returns: its newest episodes.
        marks: tags that people put on it, and whether it is pinned.
        now: in seconds.
    """
    known = list(streams)
    # a source of metrics alone is no agent, and says what the run is only where there is none
    newest = max(known, key=lambda one: (not one[1].role, one[0].attempt))[1]
    agents = [stream.agent_id for stream, facts, _ in known if not facts.role]
    stamps = [row["newest_ts"] for _, _, row in known if row["newest_ts"]]
    ends = [facts.finished_at for _, facts, _ in known if facts.finished_at]
    return {
        "run": run,
        "state": state,
        "agents": len(set(agents)),
        "attempts": len(agents),
        "steps": sum(row["steps"] for _, _, row in known),
        "sps": sum(row["sps"] for _, _, row in known),
        "epm": returns.per_minute(now),
        "mean_return": returns.mean,
        "spark": returns.course(),
        "dropped": sum(row["dropped"] for _, _, row in known),
        "gaps": returns.missing,
        "newest_ts": max(stamps, default=None),
        "started_at": min(facts.started_at for _, facts, _ in known),
        "finished_at": max(ends, default=None) if state not in ("running", "stalled", "lost") else None,
        "error": next((facts.error[:_MOST_TEXT] for _, facts, _ in known if facts.error), ""),
        "labels": dict(newest.labels),
        "tags": list(dict.fromkeys((*newest.tags, *marks[0]))),
        "pinned": marks[1],
        "config": small_config(newest.config),
    }


def totals_row(rows: Iterable[Row]) -> Row:
    """Return what all runs do together."""
    known = list(rows)
    return {
        "runs": len(known),
        **{state: sum(row["state"] == state for row in known) for state in ("running", "stalled", "lost")},
        "steps_per_second": sum(row["sps"] for row in known),
        "episodes_per_minute": sum(row["epm"] for row in known),
        "newest_ts": max((row["newest_ts"] for row in known if row["newest_ts"]), default=None),
        "dropped": sum(row["dropped"] for row in known),
    }


def episode_row(episode: Mapping[str, Any], partition: int, offset: int) -> Row:
    """Return the row of a finalised episode, from the fields of its record."""
    names = ("attempt", "env", "episode", "revision", "return", "length", "reason", "complete", "first_seq")
    more = ("last_seq", "first_ts", "last_ts", "labels", "stop")
    row = {name: episode[name] for name in (*names, *more)}
    pairs = zip(episode["missing_from"], episode["missing_to"], strict=False)
    missing = sum(last - first + 1 for first, last in pairs)
    return {"agent": episode["agent_id"], **row, "missing": missing, "p": partition, "o": offset}


def component_row(beat: Heartbeat, silent_s: float) -> Row:
    """Return the row of one component, from its newest heartbeat."""
    return {
        "component": beat.component_id,
        "kind": beat.kind,
        "sent_at": beat.sent_at,
        "started_at": beat.started_at,
        "version": beat.version,
        "events": beat.total_events,
        "dropped": beat.dropped_events,
        "lag_ms": beat.lag_ms,
        "lag_events": beat.lag_events,
        "next": dict(beat.last_seq_id),
        "committed": dict(beat.committed),
        "detail": as_object(beat.detail),
        "silent_s": None if math.isinf(silent_s) else round(silent_s, 1),
    }


def small_config(text: str) -> Row:
    """Return the plain values of a configuration, nested ones under `a.b`; at most 32."""
    found: Row = {}
    left = [("", as_object(text))]
    while left and len(found) < _MOST_CONFIG:
        start, values = left.pop(0)
        for name, value in values.items():
            if isinstance(value, dict):
                left.append((f"{start}{name}.", value))
            elif isinstance(value, bool | int | float | str) and len(found) < _MOST_CONFIG:
                found[f"{start}{name}"] = value[:_MOST_TEXT] if isinstance(value, str) else value
    return found


def as_object(text: str) -> Row:
    """Return a JSON object; an empty one if the text is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}

"""Turns events of the log into those of MOSAIC's bus."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from runbus.mosaic.events import EpisodeId, TelemetryEvent, Topic
from runbus.reader import EpisodeFinalized, LogEvent, RunFinished, RunStarted, Steps
from runbus.schemas.events import RunEvent

_RENDER = ("render_hint", "render_payload")


def telemetry_of(event: LogEvent) -> Iterator[TelemetryEvent]:
    """Yield what an event of the log is to MOSAIC; nothing for one that it has no word for."""
    match event:
        case Steps():
            yield from _steps(event)
        case EpisodeFinalized():
            yield _episode(event)
        case RunStarted():
            yield _run(event, Topic.RUN_STARTED, 0, {"config_json": event.config or "{}"})
        case RunFinished():
            said = {"outcome": event.outcome, "error": event.error, "steps": event.produced, "dropped": event.dropped}
            yield _run(event, Topic.RUN_COMPLETED, event.produced, said)


def plain(value: Any) -> Any:  # noqa: ANN401 - any recorded value
    """Return a recorded value as JSON has it: arrays are lists, a tuple is a list."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def info_of(text: str) -> dict[str, Any]:
    """Return the info of a step; empty if it has none."""
    found = json.loads(text) if text else {}
    return found if isinstance(found, dict) else {"info": found}


def iso(ts_us: int) -> str:
    """Return microseconds since the epoch as ISO 8601, UTC."""
    return at(ts_us).isoformat()


def at(ts_us: int) -> datetime:
    """Return microseconds since the epoch as a time in UTC."""
    return datetime.fromtimestamp(ts_us // 1_000_000, UTC).replace(microsecond=ts_us % 1_000_000)


def _steps(steps: Steps) -> Iterator[TelemetryEvent]:
    acted, seen = steps.has_action, steps.has_observation
    for row in np.flatnonzero(steps.step != 0).tolist():
        info = info_of(steps.info[row]) if steps.info else {}
        payload: dict[str, Any] = {
            "run_id": steps.run_id,
            "agent_id": steps.agent_id,
            "episode_index": int(steps.episode[row]),
            "step_index": int(steps.step[row]) - 1,
            "reward": float(steps.reward[row]),
            "terminated": bool(steps.terminated[row]),
            "truncated": bool(steps.truncated[row]),
            "timestamp": iso(int(steps.ts[row])),
            "action_json": _json(_row(steps.action, row)) if acted[row] else "null",
            "observation_json": _json(_row(steps.observation, row)) if seen[row] else "null",
            "env": int(steps.env[row]),
        }
        payload |= {f"{name}_json": _json(info[name]) if name in info else "" for name in _RENDER}
        payload |= {"worker_id": str(info.get("worker_id", ""))}
        yield TelemetryEvent(
            Topic.STEP_APPENDED, steps.run_id, steps.agent_id, steps.first_seq + row, payload["timestamp"], payload
        )


def _episode(one: EpisodeFinalized) -> TelemetryEvent:
    id_ = EpisodeId(one.run_id, one.agent_id, one.attempt, one.env, one.episode)
    metadata = {**one.labels, "episode_index": one.episode, "reason": one.reason, "complete": one.complete}
    payload = {
        "run_id": one.run_id,
        "agent_id": one.agent_id,
        "episode_id": str(id_),
        "episode_index": one.episode,
        "total_reward": one.return_,
        "steps": one.length,
        "terminated": one.reason == "terminated",
        "truncated": one.reason == "truncated",
        "timestamp": iso(one.last_ts),
        "metadata_json": _json(metadata),
        "worker_id": "",
        "revision": one.revision,
    }
    return TelemetryEvent(Topic.EPISODE_FINALIZED, one.run_id, one.agent_id, one.last_seq, iso(one.last_ts), payload)


def _run(event: RunEvent, topic: Topic, seq: int, said: dict[str, Any]) -> TelemetryEvent:
    payload = {"run_id": event.run_id, "agent_id": event.agent_id, "attempt": event.attempt, **said}
    return TelemetryEvent(topic, event.run_id, event.agent_id, seq, iso(event.sent_at), payload)


def _row(column: Any, row: int) -> Any:  # noqa: ANN401 - see reader.values.Column
    if isinstance(column, Mapping):
        return {name: _row(part, row) for name, part in column.items()}
    if isinstance(column, tuple):
        return [_row(part, row) for part in column]
    return None if column is None else column[row]


def _json(value: Any) -> str:  # noqa: ANN401 - any recorded value
    return json.dumps(plain(value), ensure_ascii=False)

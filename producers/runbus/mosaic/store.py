"""Answers the questions of MOSAIC's replay store from ClickHouse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

from runbus.clickhouse.asking import asking
from runbus.clickhouse.client import connect
from runbus.clickhouse.queries import QueryName, query
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.sources import read_sources
from runbus.mosaic.events import EpisodeId, EpisodeRollup, StepRecord
from runbus.mosaic.payloads import at, info_of, plain
from runbus.schemas.layout import decode_value, layout_named

_ALL = 2**63 - 1


class ReplayStore:
    """Finalised episodes and their steps, as MOSAIC's store has them. Each question has a connection of its own.

    Args:
        settings: of ClickHouse; default: environment and configuration file.
    """

    def __init__(self, settings: ClickHouseSettings | None = None) -> None:
        self._settings = settings or ClickHouseSettings.load(read_sources())

    def episodes_for_run(
        self, run_id: str, *, agent_id: str | None = None, limit: int | None = None, order_desc: bool = False
    ) -> tuple[EpisodeRollup, ...]:
        """Return the finalised episodes of a run in the order of their ends. Raises StoreError."""
        return self._episodes(run_id, agent_id or "", _ALL if limit is None else limit, newest=order_desc)

    def recent_episodes(self, limit: int = 20) -> tuple[EpisodeRollup, ...]:
        """Return the newest finalised episodes of all runs, the newest first. Raises StoreError."""
        return self._episodes("", "", limit, newest=True)

    def episode_steps(self, episode_id: str) -> tuple[StepRecord, ...]:
        """Return the steps of an episode in their order; none if there is no such episode. Raises StoreError."""
        one = EpisodeId.parse(episode_id)
        if one is None:
            return ()
        return tuple(map(_step, self._rows("mosaic_episode_steps", one._asdict())))

    def recent_steps(self, limit: int = 100) -> tuple[StepRecord, ...]:
        """Return the newest steps of all runs, the newest first. Raises StoreError."""
        return tuple(map(_step, self._rows("mosaic_recent_steps", {"limit": limit})))

    def get_run_summary(self, run_id: str) -> dict[str, Any]:
        """Return run_id, episodes, steps, total_reward, last_update, status and agent_id of a run. Raises StoreError.

        `episodes`, `total_reward` are of those that are finalised; `status` is the outcome of the newest
        stream, `running` while it has none, `unknown` if there is no such run.
        """
        ((episodes, steps, total, last_us, outcome, agent),) = self._rows("mosaic_run_summary", {"run_id": run_id})
        return {
            "run_id": run_id,
            "episodes": episodes,
            "steps": steps,
            "total_reward": total,
            "last_update": at(last_us).isoformat() if last_us else "",
            "status": "unknown" if outcome is None else _text(outcome) or "running",
            "agent_id": _text(agent),
        }

    def _episodes(self, run: str, agent: str, limit: int, *, newest: bool) -> tuple[EpisodeRollup, ...]:
        asked = {"run_id": run, "agent_id": agent, "limit": limit, "newest": int(newest)}
        return tuple(map(_rollup, self._rows("mosaic_episodes", asked)))

    def _rows(self, name: QueryName, parameters: Mapping[str, object]) -> Iterable[Any]:
        with closing(connect(self._settings)) as client, asking():
            return client.query(
                query(name), parameters=dict(parameters), settings={"readonly": 1}, query_formats=_BYTES
            ).result_rows


#: actions and observations are bytes, not text
_BYTES = {"String": "bytes"}


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _rollup(row: tuple[Any, ...]) -> EpisodeRollup:
    run, agent, attempt, env, episode, total, steps, reason, complete, labels, last_us = row
    run, agent, reason = map(_text, (run, agent, reason))
    named = {_text(name): _text(text) for name, text in labels.items()}
    return EpisodeRollup(
        episode_id=str(EpisodeId(run, agent, attempt, env, episode)),
        total_reward=total,
        steps=steps,
        terminated=reason == "terminated",
        truncated=reason == "truncated",
        timestamp=at(last_us),
        metadata={**named, "episode_index": episode, "reason": reason, "complete": bool(complete)},
        agent_id=agent,
        run_id=run,
        game_id=named.get("env") or named.get("env_name"),
    )


def _step(row: tuple[Any, ...]) -> StepRecord:
    run, agent, attempt, env, episode, step, ts_us, reward, over, cut, info, *values = row
    run, agent = _text(run), _text(agent)
    said = info_of(_text(info))
    return StepRecord(
        episode_id=str(EpisodeId(run, agent, attempt, env, episode)),
        step_index=step - 1,
        action=_value(*values[:4]),
        observation=_value(*values[4:]),
        reward=reward,
        terminated=bool(over),
        truncated=bool(cut),
        info=said,
        timestamp=at(ts_us),
        render_payload=said.get("render_payload"),
        agent_id=agent,
        render_hint=said.get("render_hint"),
        frame_ref=said.get("frame_ref"),
        run_id=run,
        worker_id=said.get("worker_id"),
    )


def _value(dtype: bytes, shape: list[int], raw: bytes, there: int) -> Any:  # noqa: ANN401 - any recorded value
    if not there:
        return None
    return plain(decode_value(layout_named(_text(dtype), tuple(shape)), raw))

"""Defines what MOSAIC's GUI is handed: events of the bus, and records of the store, with the fields that it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Any, NamedTuple


class Topic(Enum):
    """What an event of the bus is about."""

    RUN_STARTED = auto()
    RUN_COMPLETED = auto()
    STEP_APPENDED = auto()
    EPISODE_FINALIZED = auto()
    OVERFLOW = auto()
    CONTROL = auto()


@dataclass(slots=True)
class TelemetryEvent:
    """One event.

    Attributes:
        seq_id: of a step its `seq`, which ascends in its stream; resets have one too, so it is not without gaps. Of an
            episode that of its last step, of the end of a run how many steps its stream has.
        ts_iso: the agent's wall time, ISO 8601, UTC.
    """

    topic: Topic
    run_id: str
    agent_id: str | None
    seq_id: int
    ts_iso: str
    payload: dict[str, Any]


class EpisodeId(NamedTuple):
    """An episode; as text `run/agent/attempt/env/episode`: no name of a run or an agent has a `/` in it."""

    run_id: str
    agent_id: str
    attempt: int
    env: int
    episode: int

    def __str__(self) -> str:
        return "/".join(map(str, self))

    @classmethod
    def parse(cls, text: str) -> EpisodeId | None:
        """Return the episode that a text names; None if it names none."""
        parts = text.split("/")
        if len(parts) != len(cls._fields):
            return None
        try:
            return cls(parts[0], parts[1], *map(int, parts[2:]))
        except ValueError:
            return None


@dataclass(slots=True)
class StepRecord:
    """One step of the store. The first is number 0: resets are no steps to MOSAIC.

    Attributes:
        action: of any type.
        observation: what the step led to; None where there is none.
    """

    episode_id: str
    step_index: int
    action: Any
    observation: Any
    reward: float
    terminated: bool
    truncated: bool
    info: Mapping[str, Any]
    timestamp: datetime
    render_payload: Any = None
    agent_id: str | None = None
    render_hint: Mapping[str, Any] | None = None
    frame_ref: str | None = None
    obs_ref: str | None = None
    payload_version: int = 0
    run_id: str | None = None
    worker_id: str | None = None
    time_step: int | None = None
    space_signature: Mapping[str, Any] | None = None
    vector_metadata: Mapping[str, Any] | None = None


@dataclass(slots=True)
class EpisodeRollup:
    """One finalised episode of the store. `metadata` has its labels, why it ended, and whether all of it is there."""

    episode_id: str
    total_reward: float
    steps: int
    terminated: bool
    truncated: bool
    timestamp: datetime
    metadata: Mapping[str, Any] = field(default_factory=dict)
    agent_id: str | None = None
    run_id: str | None = None
    game_id: str | None = None
    worker_id: str | None = None

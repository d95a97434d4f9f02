"""Wires the app `episodes` as a process."""

from __future__ import annotations

from runbus.config import catalogue as c
from runbus.config.sources import Sources
from runbus.episodes.finaliser import EpisodesCore
from runbus.episodes.policy import FinaliserPolicy
from runbus.schemas.registry import codec
from runbus.service.component import ProcessSpec
from runbus.streams.api import StreamApp
from runbus.streams.component import stream_process
from runbus.streams.settings import StreamSettings

#: An episode is visible this long after its last step was read; each commit costs the broker some milliseconds.
COMMIT_S = 0.2


def episodes_process(sources: Sources) -> ProcessSpec:
    """Return the app for the host. Raises ConfigError naming the variable and the bad value."""
    settings, policy, values = StreamSettings.load(sources), load_policy(sources), codec(sources)
    app = StreamApp("episodes", lambda _source: EpisodesCore(policy), "transaction", COMMIT_S)
    return stream_process(app, settings, values)


def load_policy(sources: Sources) -> FinaliserPolicy:
    """Read and check the RUNBUS_EPISODES_* settings. Raises ConfigError naming the variable and the bad value."""
    return FinaliserPolicy(
        idle_ms=int(sources.get(c.EPISODES_IDLE_SECONDS) * 1000),
        grace_ms=int(sources.get(c.EPISODES_GRACE_SECONDS) * 1000),
        remember_ms=int(sources.get(c.EPISODES_REMEMBER_HOURS) * 3_600_000),
    )

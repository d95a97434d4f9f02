"""Wires the app `episodes` as a process."""

from __future__ import annotations

from runbus.config.loading import load
from runbus.config.sources import Sources
from runbus.episodes.finaliser import EpisodesCore
from runbus.episodes.policy import FinaliserPolicy
from runbus.kafka.stream_apps import EPISODES_APP
from runbus.schemas.registry import codec
from runbus.service.component import ProcessSpec
from runbus.streams.api import StreamApp
from runbus.streams.component import stream_process
from runbus.streams.settings import StreamSettings

#: An episode is visible this long after its last step was read; each commit costs the broker some milliseconds.
COMMIT_S = 0.2


def episodes_process(sources: Sources) -> ProcessSpec:
    """Return the app for the host. Raises ConfigError naming the variable and the bad value."""
    settings, values = StreamSettings.load(sources), codec(sources)
    policy = load(FinaliserPolicy, sources)
    app = StreamApp(
        EPISODES_APP,
        lambda _source: EpisodesCore(policy),
        "transaction",
        COMMIT_S,
    )
    return stream_process(app, settings, values)

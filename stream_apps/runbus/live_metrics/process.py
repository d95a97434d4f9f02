"""Wires the app `live-metrics` as a process."""

from __future__ import annotations

from runbus.config import catalogue as c
from runbus.config.sources import Sources
from runbus.kafka.stream_apps import LIVE_METRICS_APP
from runbus.live_metrics.core import LiveMetricsCore
from runbus.schemas.registry import codec
from runbus.service.component import ProcessSpec
from runbus.streams.api import StreamApp
from runbus.streams.component import stream_process
from runbus.streams.settings import StreamSettings

#: So much is read again after a crash; the metrics themselves do not wait for a commit.
COMMIT_S = 1.0


def live_metrics_process(sources: Sources) -> ProcessSpec:
    """Return the app for the host. Raises ConfigError naming the variable and the bad value."""
    settings, values = StreamSettings.load(sources), codec(sources)
    interval_ms = sources.get(c.LIVE_METRICS_INTERVAL_MS)
    most = sources.get(c.LIVE_METRICS_STREAMS)
    app = StreamApp(
        LIVE_METRICS_APP,
        lambda source: LiveMetricsCore(source, interval_ms=interval_ms, max_streams=most),
        "at once",
        COMMIT_S,
    )
    return stream_process(app, settings, values)

"""The app `live-metrics` as a process: all wiring is here."""

from __future__ import annotations

from runbus.config import catalogue as c
from runbus.config.sources import Sources
from runbus.live_metrics.core import LiveMetricsCore
from runbus.schemas.registry import codec
from runbus.streams.api import StreamApp
from runbus.streams.engine import StreamEngine
from runbus.streams.settings import StreamSettings
from runbus.streams.shell import run as run_engine

#: What is read again after a crash; the metrics themselves do not wait for it.
COMMIT_S = 1.0


def run(sources: Sources) -> None:
    """Compute live metrics until SIGTERM or SIGINT.

    Raises:
        RunBusError: one sentence for the person who has to act (settings, topics).
    """
    settings, values = StreamSettings.load(sources), codec(sources)
    interval_ms = int(sources.number(c.LIVE_METRICS_INTERVAL_MS, 10, 60_000))
    most = int(sources.number(c.LIVE_METRICS_STREAMS, 1, 1_000_000))
    app = StreamApp(
        "live-metrics",
        lambda source: LiveMetricsCore(source, interval_ms=interval_ms, max_streams=most),
        "at once",
        COMMIT_S,
    )
    run_engine(lambda: StreamEngine(app, settings, values))

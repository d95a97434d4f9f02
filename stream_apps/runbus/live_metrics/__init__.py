"""Live metrics: what each stream does now, as exact totals and mergeable sketches, a few times a second.

`LiveMetricsCore` is the app without Kafka (see `runbus.streams.api`); docs/live-metrics.md says how to read its events.
"""

from runbus.live_metrics.core import LiveMetricsCore

__all__ = ["LiveMetricsCore"]

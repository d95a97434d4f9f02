"""Tells a few times a second what each stream does now, as exact totals and mergeable sketches.

`LiveMetricsCore` is the app without Kafka (see `runbus.streams.api`); its events are described in docs/live-metrics.md.
"""

from runbus.live_metrics.core import LiveMetricsCore

__all__ = ["LiveMetricsCore"]

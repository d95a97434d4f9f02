"""Writes samples as the text that Prometheus reads."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from runbus.probes.catalogue import Metric, Sample
from runbus.probes.durations import Durations

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class _Samples(Collector):
    """Collects these samples only: no global registry, no state between two requests."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = list(samples)

    def collect(self) -> Iterable[Family]:
        """Return a family per metric, in the order of their first samples."""
        families: dict[Metric, Family] = {}
        for metric, value, labels in self._samples:
            family = families.setdefault(metric, _family(metric))
            if isinstance(family, HistogramMetricFamily) and isinstance(value, Durations):
                family.add_metric(labels, value.buckets(), value.total)
            elif isinstance(family, CounterMetricFamily | GaugeMetricFamily) and not isinstance(value, Durations):
                family.add_metric(labels, value)
        return families.values()


def _family(metric: Metric) -> Family:
    match metric.kind:
        case "counter":
            return CounterMetricFamily(metric.name, metric.doc, labels=metric.labels)
        case "gauge":
            return GaugeMetricFamily(metric.name, metric.doc, labels=metric.labels)
        case "histogram":
            return HistogramMetricFamily(metric.name, metric.doc, labels=metric.labels)


def exposition(samples: Iterable[Sample]) -> bytes:
    """Return the samples in Prometheus' text format, version 0.0.4."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Samples(samples))
    return generate_latest(registry)

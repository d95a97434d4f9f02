"""deploy/ knows what the code has: every setting of a process, every metric. The rest of it: tests/deploy."""

import json
from typing import Any

import pytest

from runbus.config.catalogue import SETTINGS
from runbus.probes.catalogue import METRICS
from tests.deploy.conftest import CHART
from tests.deploy.monitoring.dashboards import metrics_of, queries

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
#: What of the catalogue belongs to which process, and what the chart sets itself.
SECTIONS = {
    "sink": {"sink", "probes"},
    "episodes": {"streams", "probes", "episodes"},
    "liveMetrics": {"streams", "probes", "live_metrics"},
    "streamAppDefaults": {"streams", "probes"},
}
OWN = {
    *("sink.grace_seconds", "sink.instance_id", "streams.grace_seconds", "streams.instance_id", "probes.address"),
    "streams.apps",  # by the names of streamApps
}


@pytest.mark.parametrize("process", SECTIONS)
def test_the_chart_knows_every_setting(process: str) -> None:
    """`settings` of a process takes each of its variables and no other, but for those that the chart gives."""
    allowed = SCHEMA["properties"][process]["properties"]["settings"]["propertyNames"]["enum"]
    assert set(allowed) == {s.env for s in SETTINGS if s.section in SECTIONS[process] and s.path not in OWN}


def test_every_metric_is_shown_and_exists() -> None:
    """The operations dashboard asks for every metric of the catalogue, and for no other."""
    asked = {name for query in queries("runbus-prometheus") for name in metrics_of(query.promql)}
    assert asked == {m.name for m in METRICS}

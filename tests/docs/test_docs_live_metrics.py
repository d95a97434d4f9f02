"""The page of live metrics: its snippet runs on events of the core, and it names every field."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from runbus.kafka.model import StreamId
from runbus.live_metrics import LiveMetricsCore
from runbus.live_metrics.core import KEEP_FINISHED_MS, MAX_STREAMS, SILENT_MS
from runbus.live_metrics.measure import SKETCH_K
from runbus.live_metrics.running_episodes import MAX_ENVS, REASONS
from runbus.schemas.avsc import schema
from runbus.schemas.events import LiveMetrics
from tests.unit.live_metrics.rows import SOURCE, Caller, Row, batch

PAGE = (Path(__file__).parents[2] / "docs" / "live-metrics.md").read_text(encoding="utf-8")


def test_the_snippet_merges_the_windows_of_several_agents() -> None:
    """Two agents' events, as a reader of the topic decodes them, lead to one distribution of returns."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"__name__": "snippet"}
    exec(compile(code, "live-metrics.md", "exec"), names)
    caller = Caller(LiveMetricsCore(SOURCE))
    events = []
    for agent in (0, 1):
        rows = [Row(1, float(2 * i + agent), i, i, terminated=1) for i in range(25)]
        events += caller.send(batch(rows, stream=StreamId("run", f"agent-{agent}", 1)))
    found = names["returns_of_the_last_minute"]([LiveMetrics.decode(event.encode()) for event in events])
    assert (found["episodes"], found["mean"]) == (50, 24.5)
    assert abs(found["p10"] - 5) <= 2
    assert abs(found["p50"] - 24.5) <= 2
    assert abs(found["p90"] - 45) <= 2
    assert names["returns_of_the_last_minute"]([]) == {}


def test_the_page_names_every_field_reason_and_bound() -> None:
    """Each field of LiveMetrics and Window that is no identity stands in the page, and so do the numbers."""
    fields = {field["name"] for field in schema("LiveMetrics").fields} - {"run_id", "agent_id", "attempt"}
    window = {"name", "seconds", "start", "count", "sum", "sum_squares", "min", "max", "quantiles"}
    assert not [name for name in fields | window if f"`{name}`" not in PAGE]
    assert all(f"**{reason}**" in PAGE for reason in REASONS)
    for text in (f"k = {SKETCH_K}", f"{MAX_STREAMS:,} streams", f"{MAX_ENVS} envs"):
        assert text in PAGE
    assert f"is {SILENT_MS // 1000} s past" in PAGE
    assert f"after {KEEP_FINISHED_MS // 60_000} minutes" in PAGE

"""Ten quiet minutes: agents record, nothing is hurt, and the watchdog has nothing to say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.test_watchdog_faults import agent, is_well
from tests.integration.watchdog.installation import installation
from tests.integration.watchdog.reports import alarms, findings, reports

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(1200)]
MINUTES = 10


def test_nothing_is_said_while_nothing_is_wrong(tmp_path: Path, say: Callable[[str], None]) -> None:
    """No alarm, and every report but the first ones has seen the canary on all its ways."""
    with installation(tmp_path / "home") as running, reports(running.kafka) as said:
        with agent(running, "quiet"):
            said.until("all is well", is_well)
            seen = said.during(60.0 * MINUTES)
        found = sorted({key for document in seen for key in findings(document)})
        latency = {
            way: sorted(
                trip["latency_ms"]
                for document in seen
                for trip in document["canary"]["ways"]
                if trip["way"] == way and trip["latency_ms"] is not None
            )
            for way in ("live-metrics", "episodes", "sink")
        }
    say(f"\n{MINUTES} quiet minutes: {len(seen)} reports, no alarm; shown for a moment: {found or 'nothing'}")
    for way, values in latency.items():
        say(f"  canary by {way}: p50 {values[len(values) // 2]} ms, p99 {values[len(values) * 99 // 100]} ms")
    assert len(seen) >= 60 * MINUTES * 0.9
    assert not alarms(seen)

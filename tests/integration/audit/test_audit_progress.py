"""Both audits say how far they are, up to the end."""

from __future__ import annotations

import pytest

from runbus.audit.range_audit import RangeAudit
from runbus.audit.stream_audit import audit
from runbus.clickhouse.tables import STEPS
from runbus.config.progress import Unit
from tests.integration.audit.audit_setup import AuditSetup

pytestmark = pytest.mark.integration


class _Reports:
    """What was reported, by work."""

    def __init__(self) -> None:
        self.found: dict[str, list[tuple[int, int | None]]] = {}

    def __call__(self, what: str, done: int, total: int | None = None, unit: Unit = "") -> None:
        """Take a report."""
        assert unit == ("" if what.startswith("counting") else "records")
        self.found.setdefault(what, []).append((done, total))


def test_every_record_is_in_the_reports(scene: AuditSetup) -> None:
    """Reading and comparing grow to the number of records that there are, and end there."""
    scene.records(1500)
    scene.records(3, partition=1)
    prefix = scene.feed.settings.topic_prefix
    reports = _Reports()
    audit(scene.installation, on_progress=reports)
    assert reports.found[f"reading {prefix}steps"] == [(1000, 1503), (1503, 1503)]
    assert reports.found["counting rows in ClickHouse"] == [(0, None), (1, 1)]
    reports = _Reports()
    list(RangeAudit(scene.installation, [STEPS], piece=500, on_progress=reports).findings())
    compared = reports.found[f"comparing {prefix}steps"]
    assert compared == sorted(compared)
    assert (compared[0], compared[-1]) == ((0, 1503), (1503, 1503))

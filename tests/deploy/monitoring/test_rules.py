"""The alerts of deploy/prometheus: valid, tested one by one, and about metrics that exist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from runbus.probes.catalogue import METRICS
from tests.deploy.conftest import ROOT
from tests.deploy.monitoring.dashboards import metrics_of
from tests.deploy.running import ok, run

RULES = ROOT / "deploy" / "prometheus" / "rules" / "runbus.yaml"
TESTS = Path(__file__).parent / "rules_test.yaml"
RULE_LIST: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULE_LIST if "alert" in rule}


def test_prometheus_accepts_the_rules_and_the_configuration(promtool: str) -> None:
    """promtool checks both files, and every rule that they name."""
    ok(run(promtool, "check", "rules", RULES))
    ok(run(promtool, "check", "config", ROOT / "deploy" / "prometheus" / "prometheus.yaml"))


def test_a_rule_that_is_none_is_found(promtool: str, tmp_path: Path) -> None:
    """The check refuses an expression that is no PromQL."""
    broken = tmp_path / "rules.yaml"
    broken.write_text(
        RULES.read_text(encoding="utf-8").replace("runbus_ready == 0", "runbus_ready = 0"), encoding="utf-8"
    )
    assert run(promtool, "check", "rules", broken).code != 0


def test_every_alert_fires_where_it_should(promtool: str) -> None:
    """promtool runs each alert over series that are well, and over series that are not."""
    ok(run(promtool, "test", "rules", TESTS))


@pytest.mark.parametrize(
    ("before", "after", "alert"),
    [
        ("(runbus_partitions_paused) > 0", "(runbus_partitions_paused) > 5", "RunBusPartitionPaused"),
        ("for: 2m", "for: 20m", "RunBusDown"),
        ("rate(runbus_retries_total[5m])) > 0.2", "rate(runbus_retries_total[5m])) > 0", "RunBusRetries"),
        ("runbus_skipped_offsets_total[10m]", "runbus_skipped_total[10m]", "RunBusRecordsLost"),
    ],
    ids=["silent", "late", "false alarm", "another metric"],
)
def test_an_alert_that_is_wrong_is_found(promtool: str, tmp_path: Path, before: str, after: str, alert: str) -> None:
    """A changed threshold, time or metric fails that alert's test."""
    text = RULES.read_text(encoding="utf-8")
    assert before in text
    (tmp_path / "runbus.yaml").write_text(text.replace(before, after), encoding="utf-8")
    tests = yaml.safe_load(TESTS.read_text(encoding="utf-8")) | {"rule_files": ["runbus.yaml"]}
    (tmp_path / "rules_test.yaml").write_text(yaml.safe_dump(tests), encoding="utf-8")
    ran = run(promtool, "test", "rules", tmp_path / "rules_test.yaml")
    assert ran.code != 0
    assert alert in ran.said


def test_every_alert_is_tested_both_ways() -> None:
    """No alert is without a case in which it fires and one in which it does not."""
    fires: set[str] = set()
    silent: set[str] = set()
    for case in yaml.safe_load(TESTS.read_text(encoding="utf-8"))["tests"]:
        for test in case["alert_rule_test"]:
            (fires if test.get("exp_alerts") else silent).add(test["alertname"])
    assert fires == silent == set(ALERTS)


def test_every_metric_is_in_the_catalogue() -> None:
    """The rules ask for metrics that a process shows, each by its full name."""
    known = {m.name for m in METRICS}
    for rule in RULE_LIST:
        assert metrics_of(rule["expr"]) <= known, rule["expr"]


def test_every_alert_says_what_to_do() -> None:
    """Each has a severity, a summary and an action, and stands in the docs."""
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    for name, rule in ALERTS.items():
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert {"summary", "action"} <= set(rule["annotations"])
        assert f"`{name}`" in page

"""The dashboards of deploy/grafana: whole, provisioned, and about metrics and tables that exist.

tests/deploy/containers/test_compose.py asks every one of their queries of a Prometheus and a ClickHouse that run.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.deploy.conftest import ROOT
from tests.deploy.monitoring.dashboards import DASHBOARDS, queries
from tests.deploy.running import Ran, ok, run

PROVISIONED = yaml.safe_load(
    (ROOT / "deploy/grafana/provisioning/datasources/runbus.yaml").read_text(encoding="utf-8")
)["datasources"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_is_whole(name: str) -> None:
    """Ids are unique, no panel covers another, and each panel that shows data asks for some."""
    dashboard = DASHBOARDS[name]
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    covered: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not covered & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        covered |= cells
        assert panel["type"] == "row" or all(t.get("expr") or t.get("rawSql") for t in panel["targets"]), panel["title"]


def test_its_data_sources_are_provisioned() -> None:
    """Each uid that a query names is one that compose gives Grafana, of the same type."""
    types = {source["uid"]: source["type"] for source in PROVISIONED}
    for dashboard in DASHBOARDS.values():
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                assert types[target["datasource"]["uid"]] == target["datasource"]["type"]


def _checked(promtool: str, folder: Path, *expressions: str) -> Ran:
    rules = [{"record": f"panel:{n}", "expr": text} for n, text in enumerate(expressions)]
    (folder / "rules.yaml").write_text(
        yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8"
    )
    return run(promtool, "check", "rules", folder / "rules.yaml")


def test_every_expression_is_promql(promtool: str, tmp_path: Path) -> None:
    """promtool parses what each panel sends."""
    ok(_checked(promtool, tmp_path, *(q.promql for q in queries("runbus-prometheus"))))


def test_an_expression_that_is_none_is_found(promtool: str, tmp_path: Path) -> None:
    """The same check refuses a query with a bracket too few."""
    assert _checked(promtool, tmp_path, "sum(rate(runbus_steps_total[1m])").code != 0


def test_what_is_shown_says_how_old_it_is() -> None:
    """The page of the agents starts with the age of the newest stored step."""
    first = next(panel for panel in DASHBOARDS["agents"]["panels"] if panel["type"] != "row")
    assert first["title"] == "Newest stored step"

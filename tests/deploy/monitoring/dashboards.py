"""The dashboards of deploy/grafana as what they ask: PromQL and SQL, with Grafana's variables filled in as it does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.deploy.conftest import ROOT

FOLDER = ROOT / "deploy" / "grafana" / "dashboards"
DASHBOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))
}


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel."""

    dashboard: str
    panel: str
    source: str
    text: str

    @property
    def promql(self) -> str:
        """Return the expression that Grafana sends, with all processes and a scrape each 10 s."""
        return self.text.replace("$component", ".*").replace("$__rate_interval", "1m")

    def sql(self, run: str) -> str:
        """Return the statement that the ClickHouse data source sends, for one run and all of time."""
        text = self.text.replace("${run:singlequote}", f"'{run}'").replace("$__interval_s", "10")
        for macro, column in _macros(text):
            expansion = {
                "$__timeFilter": f"{column} >= toDateTime(0) AND {column} <= now() + 3600",
                "$__timeInterval": f"toStartOfInterval(toDateTime({column}), INTERVAL 10 second)",
            }[macro]
            text = text.replace(f"{macro}({column})", expansion)
        return text


def _macros(text: str) -> Iterator[tuple[str, str]]:
    for part in text.split("$__")[1:]:
        name, _, rest = part.partition("(")
        yield f"$__{name}", rest.partition(")")[0]


def queries(source: str) -> list[Query]:
    """Return the queries of all panels that ask this kind of data source."""
    return [
        Query(name, panel["title"], target["datasource"]["uid"], target.get("expr") or target.get("rawSql", ""))
        for name, dashboard in DASHBOARDS.items()
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
        if target["datasource"]["uid"] == source
    ]


def metrics_of(expression: str) -> set[str]:
    """Return the names of our metrics in a query, without what Prometheus adds to a histogram's."""
    found = re.findall(r"\brunbus_[a-z_]+\b(?!\s*(?:!?=|=~|,|\)\s*\())", re.sub(r"\bby \([^)]*\)", "", expression))
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in found} - {"runbus_component"}

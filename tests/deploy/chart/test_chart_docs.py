"""values.yaml, values.schema.json, README.md and the catalogue of settings say the same."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.conftest import CHART, ROOT
from tests.deploy.running import Ran, ok, run

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))


def test_the_schema_has_every_value() -> None:
    """Each key of values.yaml is in the schema and the other way round, so a misspelt one is refused."""

    def keys(values: Any, path: str = "") -> set[str]:
        if not isinstance(values, dict) or not values:
            return {path}
        return {key for name, value in values.items() for key in keys(value, f"{path}.{name}")}

    def allowed(schema: dict[str, Any], path: str = "") -> set[str]:
        if "properties" not in schema:
            return {path}
        assert schema["additionalProperties"] is False, path
        return {key for name, value in schema["properties"].items() for key in allowed(value, f"{path}.{name}")}

    schema = allowed(SCHEMA)
    values = keys(yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8")))
    # Where the schema ends, a default may go on: resources, labels, peers.
    shortened = {max((s for s in schema if v == s or v.startswith(f"{s}.")), key=len, default=v) for v in values}
    assert shortened | {".global"} == schema


def _generated(tools: Path, chart: Path) -> Ran:
    return run(tools / "helm-docs", "--chart-search-root", chart, "--dry-run", "--log-level", "error")


def test_the_readme_is_made_from_the_values(tools: Path) -> None:
    """README.md is what helm-docs makes now; `helm-docs --chart-search-root deploy/helm/runbus` renews it."""
    assert ok(_generated(tools, CHART)).strip() == (CHART / "README.md").read_text(encoding="utf-8").strip()


def test_a_readme_that_is_old_is_found(tools: Path, tmp_path: Path) -> None:
    """A changed comment of values.yaml changes what is made."""
    chart = tmp_path / "runbus"
    shutil.copytree(CHART, chart)
    values = (chart / "values.yaml").read_text(encoding="utf-8")
    (chart / "values.yaml").write_text(
        values.replace("# -- Copies of each partition.", "# -- Other."), encoding="utf-8"
    )
    assert ok(_generated(tools, chart)).strip() != (CHART / "README.md").read_text(encoding="utf-8").strip()


def test_the_versions_are_the_package_s() -> None:
    """The chart's appVersion is the version of the distribution, so its default image is of the same commit."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["appVersion"] == project["version"]

"""The chart's own suites (deploy/helm/runbus/tests), which a person who changes it runs with `helm unittest`."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.deploy.conftest import ROOT
from tests.deploy.running import ok, run


def test_its_own_suites_pass(tools: Path) -> None:
    """helm-unittest runs every suite, strictly."""
    ok(run(tools / "helm-unittest", "--strict", "deploy/helm/runbus", cwd=ROOT))


def test_a_chart_that_breaks_its_word_is_found(tools: Path, tmp_path: Path) -> None:
    """The same suites fail on a chart whose containers may write everywhere."""
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy", symlinks=True, ignore=shutil.ignore_patterns("secrets"))
    shutil.copytree(ROOT / "tests" / "deploy" / "chart" / "values", tmp_path / "tests" / "deploy" / "chart" / "values")
    template = tmp_path / "deploy/helm/runbus/templates/_pod.tpl"
    text = template.read_text(encoding="utf-8")
    template.write_text(text.replace("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"), encoding="utf-8")
    ran = run(tools / "helm-unittest", "--strict", "deploy/helm/runbus", cwd=tmp_path)
    assert ran.code != 0
    assert "writes nowhere but to /tmp" in ran.said

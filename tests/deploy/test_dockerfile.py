"""The Dockerfile is clean, and what it needs is what goes to the builder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.conftest import ROOT
from tests.deploy.running import ok, run

DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
TEXT = DOCKERFILE.read_text(encoding="utf-8")


def test_hadolint_has_nothing_to_say(tools: Path) -> None:
    """No rule is broken; the one that is switched off has its reason beside it."""
    ok(run(tools / "hadolint", "--failure-threshold", "style", DOCKERFILE))
    assert TEXT.count("hadolint ignore") == 1


@pytest.mark.parametrize(
    ("before", "after", "rule"),
    [
        ('ENTRYPOINT ["tini", "--", "runbus"]', "ENTRYPOINT runbus", "DL3025"),
        ("# hadolint ignore=DL3008\n", "", "DL3008"),
        ("WORKDIR /tmp", "WORKDIR tmp", "DL3000"),
        ("ARG BASE_IMAGE=python:3.13-slim\n", "ARG BASE_IMAGE=python:3.13-slim\nFROM debian AS extra\n", "DL3006"),
    ],
)
def test_a_broken_rule_is_found(tools: Path, tmp_path: Path, before: str, after: str, rule: str) -> None:
    """One changed line is refused by its rule."""
    assert before in TEXT
    (tmp_path / "Dockerfile").write_text(TEXT.replace(before, after), encoding="utf-8")
    ran = run(tools / "hadolint", "--failure-threshold", "style", tmp_path / "Dockerfile")
    assert ran.code != 0
    assert rule in ran.said


def test_it_runs_as_nobody_and_by_number() -> None:
    """The last USER is numeric, as runAsNonRoot needs it, and the same as the chart's."""
    users = [line.split()[1] for line in TEXT.splitlines() if line.startswith("USER")]
    assert users[-1] == "10001:10001"
    chart = (ROOT / "deploy/helm/runbus/templates/_pod.tpl").read_text(encoding="utf-8")
    assert "runAsUser: 10001" in chart
    assert "runAsGroup: 10001" in chart


def test_only_what_is_copied_goes_to_the_builder() -> None:
    """The ignore file lets through each source of a COPY, and nothing else: no .git, no secrets, no tests."""
    ignored = (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    let_through = {line[1:] for line in ignored if line.startswith("!")}
    copied = {
        source
        for line in TEXT.splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }
    assert "*" in ignored
    assert let_through == copied

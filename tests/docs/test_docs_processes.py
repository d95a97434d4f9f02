"""Each process of the catalogue is everywhere that a process has to be, and there is no other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from runbus.cli.document import command_paths
from runbus.config.sources import read_sources
from runbus.local.apps import APPS
from runbus.service.catalogue import PROCESSES, ProcessEntry, entry_of
from runbus.service.component import ProcessSpec
from tests.integration.service.toy import blocks

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KINDS = {entry.kind for entry in PROCESSES}
SETTINGS = {"RUNBUS_HOME": "/nowhere", "KAFKA_BOOTSTRAP_SERVERS": "nowhere:1", "CLICKHOUSE_URL": "http://nowhere:1"}


def text(path: str) -> str:
    """Return a file of the repository."""
    return (ROOT / path).read_text(encoding="utf-8")


def test_kinds_are_unique_and_what_they_do_is_a_sentence() -> None:
    """The sentence is the help of the command."""
    assert len(KINDS) == len(PROCESSES)
    assert all(re.fullmatch(r"[A-Z].*\.", entry.does) for entry in PROCESSES)


@pytest.mark.parametrize("entry", PROCESSES, ids=lambda entry: entry.kind)
def test_the_factory_makes_a_process_of_that_kind(entry: ProcessEntry) -> None:
    """It connects to nothing yet, and all that is watched has to be there."""
    spec = entry.load()(read_sources(environ=SETTINGS))
    assert isinstance(spec, ProcessSpec)
    assert spec.kind == entry.kind
    assert spec.topics
    assert set(spec.watched) <= set(spec.topics)


@pytest.mark.parametrize("entry", PROCESSES, ids=lambda entry: entry.kind)
def test_it_is_a_command_and_a_module(entry: ProcessEntry) -> None:
    """`runbus KIND` and `python -m runbus.KIND` start the same."""
    assert f"runbus {entry.kind}" in command_paths()
    module = f"stream_apps/runbus/{entry.kind.replace('-', '_')}/__main__.py"
    assert f'main("{entry.kind}")' in text(module)


def test_the_local_stack_runs_them_all() -> None:
    """`runbus up` starts each."""
    assert {app.name for app in APPS} == KINDS


def test_compose_runs_them_all_and_prometheus_asks_them() -> None:
    """A service of the name, with the command of the name; one more is for a stream app of a user."""
    services: dict[str, Any] = yaml.safe_load(text("deploy/compose/compose.yaml"))["services"]
    runs = {n: s["command"] for n, s in services.items() if s.get("restart") == "unless-stopped" and "command" in s}
    assert {name for name, command in runs.items() if command[0] == name} == KINDS | {"stream-app"}
    targets = re.search(r"names: \[(.*)\]", text("deploy/prometheus/prometheus.yaml"))
    assert targets is not None
    assert set(targets[1].split(", ")) == KINDS | {"stream-app"}


def test_the_chart_runs_them_all() -> None:
    """A template each, whose values are in values.yaml and in its schema."""
    found: dict[str, str] = {}
    for template in (DEPLOY / "helm/runbus/templates").glob("*.yaml"):
        for component, values in re.findall(
            r'include "runbus\.process" \(dict "root" \$ "component" "([\w-]+)" "values" \.Values\.(\w+)',
            template.read_text(encoding="utf-8"),
        ):
            assert template.stem == component
            found[component] = values
    assert set(found) == KINDS
    values = yaml.safe_load(text("deploy/helm/runbus/values.yaml"))
    schema = json.loads(text("deploy/helm/runbus/values.schema.json"))["properties"]
    assert set(found.values()) <= set(values)
    assert set(found.values()) <= set(schema)


@pytest.mark.parametrize("page", ["README.md", "docs/commands.md"])
def test_the_docs_name_them_all(page: str) -> None:
    """Each as its command."""
    assert not [kind for kind in KINDS if f"`runbus {kind}`" not in text(page)]


def test_the_page_adds_one_that_is_none_of_these() -> None:
    """docs/processes.md: tests/integration/service runs what it says."""
    made: ProcessEntry = eval(blocks()[1], {"ProcessEntry": ProcessEntry})
    assert made.kind not in KINDS
    with pytest.raises(LookupError, match=r"catalogue\.py"):
        entry_of(made.kind)

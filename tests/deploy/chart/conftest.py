"""The chart, rendered once for each set of values."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.deploy.conftest import CHART
from tests.deploy.running import Ran, ok, run

VALUES = sorted((Path(__file__).parent / "values").glob("*.yaml"))


class Rendered(NamedTuple):
    """The manifests of one set of values: as text, and parsed."""

    text: str
    objects: list[dict[str, Any]]

    def of(self, kind: str, name: str = "") -> list[dict[str, Any]]:
        """Return the objects of a kind, of the names that end so."""
        return [o for o in self.objects if o["kind"] == kind and o["metadata"]["name"].endswith(name)]

    def one(self, kind: str, name: str = "") -> dict[str, Any]:
        """Return the only one."""
        (found,) = self.of(kind, name)
        return found


def pods(rendered: Rendered) -> list[tuple[str, dict[str, Any]]]:
    """Return the pod specs that the objects make, by kind and name."""
    found = []
    for o in rendered.objects:
        spec = o["spec"] if o["kind"] == "Pod" else o.get("spec", {}).get("template", {}).get("spec")
        if spec is not None:
            found.append((f"{o['kind']}/{o['metadata']['name']}", spec))
    return found


@pytest.fixture(scope="session")
def helm(tools: Path) -> Callable[..., Ran]:
    """Return a function that runs helm with these arguments."""

    def helm_(*arguments: str | Path) -> Ran:
        return run(tools / "helm", *arguments)

    return helm_


@pytest.fixture(scope="session")
def render(helm: Callable[..., Ran]) -> Callable[..., Rendered]:
    """Return a function that renders the chart with a file of values and `--set` arguments."""

    @functools.cache
    def render_(values: str, *sets: str) -> Rendered:
        file = Path(__file__).parent / "values" / f"{values}.yaml"
        more = (part for text in sets for part in ("--set", text))
        text = ok(helm("template", "rb", CHART, "--namespace", "runbus", "--values", file, *more))
        return Rendered(text, [o for o in yaml.safe_load_all(text) if o])

    return render_


@pytest.fixture(scope="session", params=[v.stem for v in VALUES])
def rendered(request: pytest.FixtureRequest, render: Callable[..., Rendered]) -> Rendered:
    """Return the chart as each set of values renders it."""
    return render(request.param)

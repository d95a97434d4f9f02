"""The suites of recorder, sink and streams on engines in containers, by testcontainers."""

from __future__ import annotations

import sys

import pytest

from tests.deploy.conftest import ROOT
from tests.deploy.containers.engine import Engine
from tests.deploy.containers.engine_images import build, variables
from tests.deploy.running import ok, run


@pytest.fixture(scope="module")
def engines(container_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the variables that let tests use engines in containers."""
    images = build(container_engine, tmp_path_factory.mktemp("images"))
    return {**container_engine.environ, **images, **variables()}


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("suite", ["recorder", "sink", "streams"])
def test_a_suite_holds_on_engines_in_containers(suite: str, engines: dict[str, str]) -> None:
    """What holds on the engines of the packages holds on those of containers: the same tests, the same strictness."""
    command = (sys.executable, "-m", "pytest", "-n", "2", "-m", "not long", f"tests/integration/{suite}")
    said = ok(run(*command, cwd=ROOT, environ=engines, seconds=1400))
    assert " passed" in said.strip().splitlines()[-1]

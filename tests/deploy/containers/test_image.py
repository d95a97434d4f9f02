"""The image: small, as nobody, on a read-only root, with a health check that means something."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.deploy.containers.engine import Engine
from tests.deploy.containers.stack import until
from tests.deploy.running import ok

pytestmark = pytest.mark.timeout(1500)

#: As the chart and compose run it.
LOCKED = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=none")


@pytest.fixture
def container(container_engine: Engine, image: str) -> Iterator[str]:
    """Yield the name of a sink that finds no broker: it waits half a minute for one, and says so on /ready."""
    name = f"rb-{uuid.uuid4().hex[:8]}"
    checks = ("--health-interval=1s", "--health-start-period=1s")
    ok(container_engine.docker("run", "--detach", "--name", name, *LOCKED, *checks, image, "sink"))
    yield name
    container_engine.docker("rm", "--force", name)


def test_it_runs_every_command(container_engine: Engine, image: str) -> None:
    """Each process, job and agent is in it and starts, as far as its help, locked down as in production."""
    for command in (
        "sink",
        "episodes",
        "live-metrics",
        "watchdog",
        "dashboard",
        "topics apply",
        "schema push",
        "migrate",
        "audit",
    ):
        ok(container_engine.docker("run", "--rm", *LOCKED, image, *command.split(), "--help"))
    agents = ("--entrypoint=python", image, "-m", "runbus.local.agents", "--help")
    ok(container_engine.docker("run", "--rm", *LOCKED, *agents))


def test_it_is_nobody_and_has_no_more_than_it_needs(container_engine: Engine, image: str) -> None:
    """Its user is a number above the system's, its layers add less than 300 MB to the base, and pip stayed behind."""
    found: list[dict[str, Any]] = json.loads(ok(container_engine.docker("image", "inspect", image)))
    config = found[0]["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["tini", "--", "runbus"]
    base = json.loads(ok(container_engine.docker("image", "inspect", "runbus-test/base:bookworm")))[0]["Size"]
    assert found[0]["Size"] - base < 300e6
    probe = "from importlib.util import find_spec; assert not (find_spec('pip') or find_spec('hatchling'))"
    ok(container_engine.docker("run", "--rm", *LOCKED, "--entrypoint=python", image, "-c", probe))


def test_its_root_cannot_be_written(container_engine: Engine, image: str) -> None:
    """Not even the files of its own code belong to it."""
    touch = ("--entrypoint=touch", image, "/opt/runbus/bin/x")
    ran = container_engine.docker("run", "--rm", "--tmpfs=/tmp", *touch)
    assert ran.code != 0
    assert "Permission denied" in ran.err


def test_its_health_is_what_ready_says(container_engine: Engine, container: str) -> None:
    """A sink without a broker is alive and unhealthy, and the check shows the page's reason."""

    def health() -> dict[str, Any]:
        text = ok(container_engine.docker("inspect", "--format", "{{json .State.Health}}", container))
        return dict(json.loads(text))

    found = until(lambda: health() if health()["Status"] == "unhealthy" else None, "unhealthy", 120)
    assert found is not None
    assert "/ready says 503" in found["Log"][-1]["Output"]
    live = ("python", "-m", "runbus.probes.check", "http://127.0.0.1:9464/live")
    ok(container_engine.docker("exec", container, *live))


def test_sigterm_ends_it(container_engine: Engine, container: str) -> None:
    """`docker stop` needs no SIGKILL: tini hands the signal on and the process drains."""
    until(lambda: "probes.listening" in container_engine.docker("logs", container).said, "listening", 60)
    ok(container_engine.docker("stop", "--time", "60", container))
    state = json.loads(ok(container_engine.docker("inspect", "--format", "{{json .State}}", container)))
    assert state["ExitCode"] == 0
    assert not state["OOMKilled"]

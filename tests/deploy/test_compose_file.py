"""deploy/compose/compose.yaml as compose reads it; no engine is needed for that."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.conftest import ROOT
from tests.deploy.running import ok, run

FILE = ROOT / "deploy" / "compose" / "compose.yaml"
JOBS = {"topics", "schemas", "migrate"}
PROCESSES = {"sink", "episodes", "live-metrics", "watchdog", "dashboard"}
ENGINES = {"broker", "clickhouse", "registry"}
AGENTS = {"agent-cartpole", "agent-pendulum"}
OBSERVERS = {"prometheus", "grafana"}

Services = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def services(tools: Path) -> Callable[..., Services]:
    """Return a function that tells the services of these profiles."""

    def services_(*profiles: str, **environ: str) -> Services:
        flags = [flag for profile in profiles for flag in ("--profile", profile)]
        command: tuple[str | Path, ...] = ("--file", FILE, *flags, "config", "--format", "json")
        return dict(json.loads(ok(run(tools / "docker-compose", *command, environ=environ)))["services"])

    return services_


def test_each_profile_has_its_services(services: Callable[..., Services]) -> None:
    """core is what stores, demo adds agents, obs looks at it, stream-app is a user's; without one nothing runs."""
    assert set(services("core")) == ENGINES | JOBS | PROCESSES
    assert set(services("demo")) == ENGINES | JOBS | PROCESSES | AGENTS
    assert set(services("obs")) == OBSERVERS
    assert set(services("core", "stream-app")) == ENGINES | JOBS | PROCESSES | {"stream-app"}


def test_a_users_stream_app_is_a_process_like_ours(services: Callable[..., Services]) -> None:
    """In its own image, with its module as its command; the job makes the topics of its name."""
    given = {
        "RUNBUS_STREAM_APP_IMAGE": "lab/apps:1",
        "RUNBUS_STREAM_APP": "lab.rates:app",
        "RUNBUS_STREAM_APPS": "rates",
    }
    found = services("core", "stream-app", **given)
    own, ours = found["stream-app"], found["episodes"]
    assert own["command"] == ["stream-app", "lab.rates:app"]
    assert own["image"] == "lab/apps:1"
    assert own["environment"]["RUNBUS_STREAMS_INSTANCE_ID"] == "stream-app-1"
    for process in ("topics", "watchdog", "dashboard"):
        assert found[process]["environment"]["RUNBUS_STREAM_APPS"] == "rates"
    same = own.keys() - {"command", "image", "environment", "profiles"}
    assert {name: own[name] for name in same} == {name: ours[name] for name in same}


def test_ports_are_on_loopback_only(services: Callable[..., Services]) -> None:
    """Nothing can be reached from another machine."""
    ports = [port for s in services("demo", "obs").values() for port in s.get("ports", [])]
    assert len(ports) == len(ENGINES | OBSERVERS | {"dashboard"})
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}


def test_every_service_is_bounded(services: Callable[..., Services]) -> None:
    """Each has limits of processor, memory and processes, bounded logs, and may gain no rights."""
    for name, service in services("demo", "obs").items():
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}, name
        assert service["logging"]["options"]["max-size"], name
        if name not in ENGINES:
            assert service["cap_drop"] == ["ALL"], name
            assert service["security_opt"] == ["no-new-privileges:true"], name
        if name not in ENGINES | {"grafana"}:
            assert service["read_only"] is True, name


def test_what_runs_has_a_health_check(services: Callable[..., Services]) -> None:
    """Engines and observers have one here, processes the image's; jobs and agents end, and have none."""
    for name, service in services("demo", "obs").items():
        if name in ENGINES | OBSERVERS:
            assert service["healthcheck"]["test"][0] == "CMD", name
        elif name in PROCESSES:
            assert "healthcheck" not in service, name
        else:
            assert service["healthcheck"] == {"disable": True}, name


def test_nothing_starts_before_what_it_needs(services: Callable[..., Services]) -> None:
    """Jobs wait until their engine is healthy; processes until the jobs have succeeded; agents need no tables."""
    found = {name: s.get("depends_on", {}) for name, s in services("demo").items()}
    for job, engine in (("topics", "broker"), ("schemas", "registry"), ("migrate", "clickhouse")):
        assert {n: d["condition"] for n, d in found[job].items()} == {engine: "service_healthy"}
    for name in PROCESSES:
        assert {d["condition"] for d in found[name].values()} == {"service_completed_successfully"}
        assert set(found[name]) == JOBS
    for name in AGENTS:
        assert set(found[name]) == JOBS - {"migrate"}


def test_no_password_is_in_the_file(services: Callable[..., Services]) -> None:
    """Each service that needs one reads a file; none is an argument or a variable."""
    for name, service in services("demo", "obs").items():
        for variable, value in (service.get("environment") or {}).items():
            if "PASSWORD" in variable:
                assert variable.endswith("_FILE"), name
                assert value.startswith("/run/secrets/"), name


def test_every_image_can_be_pinned_by_digest(services: Callable[..., Services]) -> None:
    """Each image has a variable of its own, and no default is `latest`."""
    digest = "sha256:" + "0" * 64
    defaults = {s["image"] for s in services("demo", "obs").values()}
    assert all(":" in image and not image.endswith(":latest") for image in defaults)
    variables = ("IMAGE", "BROKER_IMAGE", "CLICKHOUSE_IMAGE", "REGISTRY_IMAGE", "PROMETHEUS_IMAGE", "GRAFANA_IMAGE")
    pinned = services("demo", "obs", **{f"RUNBUS_{v}": f"mirror.example/{v.lower()}@{digest}" for v in variables})
    assert all(s["image"].endswith(f"@{digest}") for s in pinned.values())


def test_every_variable_is_in_the_docs() -> None:
    """docs/deployment.md has each variable that the file reads, with its default."""
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    for name, default in set(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", FILE.read_text(encoding="utf-8"))):
        assert re.search(rf"\| `{name}` \| `{re.escape(default)}` \|", page), name


def test_prometheus_asks_every_process() -> None:
    """Each process of compose, a user's too, and no other name, is a target."""
    text = (ROOT / "deploy" / "prometheus" / "prometheus.yaml").read_text(encoding="utf-8")
    found = re.search(r"names: \[(.*)\]", text)
    assert found is not None
    assert set(found[1].split(", ")) == PROCESSES | {"stream-app"}

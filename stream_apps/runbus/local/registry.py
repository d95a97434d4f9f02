"""Describes the process of the optional schema registry: Apicurio, which speaks the Confluent API."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from runbus.config.errors import RunBusError
from runbus.config.progress import OnProgress, unseen
from runbus.local.jars import Artifact, unpacked
from runbus.local.java import find_java
from runbus.local.ports import LOOPBACK, http_answers
from runbus.local.process import ProgramSpec

_APICURIO = Artifact("io.apicurio", "apicurio-registry-app", "3.0.9", "all", "tar.gz")
CONFLUENT_PATH = "/apis/ccompat/v7"


@dataclass(frozen=True, slots=True)
class RegistryOptions:
    """Location of one registry: its directory (an H2 file, survives restarts), its port, the jar cache, its heap."""

    home: Path
    port: int
    cache: Path
    heap_mb: int = 256

    @property
    def url(self) -> str:
        """Base address of the Confluent API, for `SCHEMA_REGISTRY_URL`."""
        return f"http://{LOOPBACK}:{self.port}{CONFLUENT_PATH}"


def registry_service(options: RegistryOptions, report: OnProgress = unseen) -> ProgramSpec:
    """Download the registry once and return how to run it. Raises RunBusError if that fails."""
    jars = ":".join(str(jar) for jar in registry_jars(options.cache, report))
    options.home.mkdir(parents=True, exist_ok=True)
    settings = {
        "quarkus.http.host": LOOPBACK,
        "quarkus.http.port": str(options.port),
        "apicurio.storage.kind": "sql",
        "apicurio.datasource.url": f"jdbc:h2:file:{options.home / 'registry'}",
        "quarkus.log.level": "WARN",
        'quarkus.log.category."io.apicurio".level': "WARN",
        "quarkus.http.access-log.enabled": "false",
    }
    properties = (f"-D{name}={value}" for name, value in settings.items())
    # the quick compiler only, as for the broker: this JVM mostly starts
    command = (str(find_java()), f"-Xmx{options.heap_mb}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *properties)
    return ProgramSpec(
        name="registry",
        argv=(*command, "-cp", jars, "io.quarkus.runner.GeneratedMain"),
        probe=partial(registry_answers, options.port),
        cwd=options.home,
        address=options.url,
        start_seconds=90,
    )


def registry_jars(cache: Path, report: OnProgress = unseen) -> tuple[Path, ...]:
    """Return the class path of the registry, downloaded once. Raises RunBusError if that fails."""
    content = unpacked(_APICURIO, cache, report)
    runner = next(content.rglob("*-runner.jar"), None)
    if runner is None:
        raise RunBusError(f"{content} holds no registry. Remove the directory and try again.")
    return (runner, *sorted((runner.parent / "lib").glob("*.jar")))


def registry_answers(port: int) -> bool:
    """Return whether a registry on `port` answers a request that reads its storage."""
    return http_answers(port, f"{CONFLUENT_PATH}/subjects")

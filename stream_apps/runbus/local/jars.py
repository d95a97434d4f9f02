"""Jars from Maven Central: resolved once by jgo, then read from a manifest in the cache (offline, milliseconds)."""

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runbus.config.errors import RunBusError
from runbus.local.paths import writable_directory

if TYPE_CHECKING:  # jgo takes half a second to import and is needed once
    from jgo.maven import MavenContext


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file of Maven Central."""

    group: str
    name: str
    version: str
    classifier: str = ""
    packaging: str = "jar"

    def __str__(self) -> str:
        """Return the coordinate."""
        return f"{self.group}:{self.name}:{self.version}"


def class_path(root: Artifact, cache: Path, *, alone: tuple[Artifact, ...] = ()) -> tuple[Path, ...]:
    """Return the jars of ``root`` and of everything it depends on, then those of ``alone``.

    ``alone`` are taken without dependencies: jgo merges the managed versions of all roots it resolves together, and
    the BOM of one then downgrades what another needs (log4j-slf4j-impl put kafka-clients 3.9 under Kafka 4.4).

    The first call downloads (tens of MB, tens of seconds); later ones only check that the files are there.
    Processes that ask at once wait for the one that downloads. Raises RunBusError when the registry or the cache fails.
    """
    wanted = " ".join(str(artifact) for artifact in (root, *alone))
    manifest = cache / "class-paths" / (hashlib.sha256(wanted.encode()).hexdigest()[:16] + ".json")
    if found := _read_manifest(manifest):
        return found
    with _locked(cache, str(root)):
        if found := _read_manifest(manifest):
            return found
        jars = _resolve(root, cache) + tuple(_download(artifact, cache) for artifact in alone)
        _write_manifest(manifest, wanted, jars)
    return jars


def unpacked(archive: Artifact, cache: Path) -> Path:
    """Download a ``tar.gz`` artifact once and return the directory that holds its content."""
    target = cache / "archives" / f"{archive.name}-{archive.version}-{archive.classifier}"
    if target.is_dir():
        return target
    with _locked(cache, str(archive)):
        if target.is_dir():
            return target
        part = target.with_name(target.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.unpack_archive(_download(archive, cache), part, filter="data")
        part.rename(target)  # only a complete directory ever has the final name
    return target


def _read_manifest(manifest: Path) -> tuple[Path, ...] | None:
    try:
        listed = json.loads(manifest.read_text(encoding="utf-8"))["jars"]
    except (OSError, ValueError, KeyError):
        return None
    jars = tuple(Path(jar) for jar in listed)
    return jars if jars and all(jar.is_file() for jar in jars) else None


def _write_manifest(manifest: Path, wanted: str, jars: tuple[Path, ...]) -> None:
    manifest.parent.mkdir(parents=True, exist_ok=True)
    part = manifest.with_suffix(".part")
    part.write_text(json.dumps({"wanted": wanted, "jars": [str(jar) for jar in jars]}, indent=1), encoding="utf-8")
    part.replace(manifest)


@contextmanager
def _locked(cache: Path, what: str) -> Iterator[None]:
    writable_directory(cache, "RUNBUS_CACHE")
    with (cache / "download.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        except ModuleNotFoundError:
            raise  # jgo itself is missing: not the network's fault
        except Exception as error:
            # jgo lets the errors of requests and the XML parser through, and RuntimeErrors of its own.
            raise RunBusError(
                f"cannot get {what} from Maven Central: {type(error).__name__}: {str(error)[:200]}. "
                f"Check the network and the free space of {cache} (RUNBUS_CACHE), then try again."
            ) from error


def _maven(cache: Path) -> "MavenContext":
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    return MavenContext(repo_cache=cache / "maven", remote_repos={"central": MAVEN_CENTRAL_URL}, timeout=60)


def _resolve(root: Artifact, cache: Path) -> tuple[Path, ...]:
    from jgo.env import EnvironmentBuilder, LinkStrategy

    builder = EnvironmentBuilder(
        context=_maven(cache), cache_dir=cache / "environments", link_strategy=LinkStrategy.AUTO
    )
    # The main class is never run by jgo; naming one spares it the search for it.
    environment = builder.from_endpoint(str(root), main_class="runbus.Main")
    # Most jars land on the module path; Kafka runs from a plain class path, which takes them all.
    return tuple(sorted(Path(jar).absolute() for jar in environment.all_jars))


def _download(artifact: Artifact, cache: Path) -> Path:
    component = _maven(cache).project(artifact.group, artifact.name).at_version(artifact.version)
    return Path(component.artifact(artifact.classifier, artifact.packaging).resolve()).absolute()

"""Provides jars of Maven Central: fetched once, then read from a manifest in the cache (offline, milliseconds)."""

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runbus.config.errors import RunBusError
from runbus.config.progress import OnProgress, unseen
from runbus.local.paths import writable_directory


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


def class_path(
    root: Artifact, cache: Path, *, alone: tuple[Artifact, ...] = (), report: OnProgress = unseen
) -> tuple[Path, ...]:
    """Return the jars of `root` and of everything it depends on, then those of `alone`.

    `alone` are taken without dependencies: jgo merges the managed versions of all roots it resolves together, and
    the BOM of one then downgrades what another needs (log4j-slf4j-impl put kafka-clients 3.9 under Kafka 4.4).

    The first call downloads (tens of MB, tens of seconds); later ones only check that the files are there.
    Processes that ask at once wait for the one that downloads. Raises RunBusError if the registry or the cache fails.
    """
    wanted = " ".join(str(artifact) for artifact in (root, *alone))
    manifest = cache / "class-paths" / (hashlib.sha256(wanted.encode()).hexdigest()[:16] + ".json")
    if found := _read_manifest(manifest):
        return found
    with _locked(cache, str(root)):
        if found := _read_manifest(manifest):
            return found
        jars = _fetch((root, *alone), cache, report)
        _write_manifest(manifest, wanted, jars)
    return jars


def unpacked(archive: Artifact, cache: Path, report: OnProgress = unseen) -> Path:
    """Download a `tar.gz` artifact once and return the directory that holds its content."""
    target = cache / "archives" / f"{archive.name}-{archive.version}-{archive.classifier}"
    if target.is_dir():
        return target
    with _locked(cache, str(archive)):
        if target.is_dir():
            return target
        part = target.with_name(target.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.unpack_archive(_fetch_archive(archive, cache, report), part, filter="data")
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
            raise  # jgo itself is missing: the network is not the cause
        except Exception as error:
            # jgo lets the errors of requests and the XML parser through, and RuntimeErrors of its own.
            raise RunBusError(
                f"cannot get {what} from Maven Central: {type(error).__name__}: {str(error)[:200]}. "
                f"Check the network and the free space of {cache} (RUNBUS_CACHE), then try again."
            ) from error


def _fetch(wanted: tuple[Artifact, ...], cache: Path, report: OnProgress) -> tuple[Path, ...]:
    """Fetch the first of `wanted` with what it depends on, then the others without."""
    from runbus.local.maven import MavenCentral, path_of  # jgo takes half a second to import and is needed once

    maven = MavenCentral(cache, report)
    root, *alone = (maven.file(file.group, file.name, file.version) for file in wanted)
    resolved = sorted(maven.with_dependencies(root), key=path_of)
    maven.fetch((*resolved, *alone), f"jars of {wanted[0].name}")
    return tuple(path_of(file) for file in (*resolved, *alone))


def _fetch_archive(archive: Artifact, cache: Path, report: OnProgress) -> Path:
    from runbus.local.maven import MavenCentral, path_of

    maven = MavenCentral(cache, report)
    file = maven.file(archive.group, archive.name, archive.version, (archive.classifier, archive.packaging))
    maven.fetch((file,), archive.name)
    return path_of(file)

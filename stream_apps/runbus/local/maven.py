"""Fetches files of Maven Central through jgo, one after the other, and reports the bytes.

jgo writes a download straight to its final name and takes what has that name for complete. So the file being written is
noted beside the cache: what an interrupted or killed download left is removed before it could be taken for a jar.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import Artifact as MavenFile
from jgo.maven import Dependency, MavenContext
from jgo.maven import PythonResolver as JgoResolver
from jgo.util import http

from runbus.config.progress import OnProgress

_TIMEOUT_SECONDS = 60
_ASKED_AT_ONCE = 8  # sizes: a small request each
_TAKEN_SCOPES = frozenset({"compile", "runtime"})


class MavenCentral:
    """Resolves and fetches files into `cache / "maven"`. The caller holds the lock of the cache."""

    def __init__(self, cache: Path, report: OnProgress) -> None:
        """Remove what a download that was killed left behind."""
        self._resolver = _Resolver(cache / "incomplete", report)
        self._resolver.remove_incomplete()
        remotes = {"central": MAVEN_CENTRAL_URL}
        self._context = MavenContext(
            resolver=self._resolver, repo_cache=cache / "maven", remote_repos=remotes, timeout=_TIMEOUT_SECONDS
        )

    def file(self, group: str, name: str, version: str, kind: tuple[str, str] = ("", "jar")) -> MavenFile:
        """Name one file; `kind` is its classifier and packaging."""
        return self._context.project(group, name).at_version(version).artifact(*kind)

    def with_dependencies(self, root: MavenFile) -> list[MavenFile]:
        """Name a file and all it needs at run time: fetches descriptions, no jars."""
        with self._resolver.counting("descriptions of jars", None):
            roots, needed = self._resolver.resolve([Dependency(root)])
        taken = (*roots, *(dependency for dependency in needed if dependency.scope in _TAKEN_SCOPES))
        return list({dependency.artifact.key: dependency.artifact for dependency in taken}.values())

    def fetch(self, files: Iterable[MavenFile], what: str) -> None:
        """Download those that are missing and report the bytes of all of them as `what`."""
        missing = [file for file in files if not path_of(file).is_file()]
        if not missing:
            return
        with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
            total = sum(pool.map(_size, missing))
        with self._resolver.counting(what, total):
            for file in missing:
                file.resolve()


def path_of(file: MavenFile) -> Path:
    """Return where a file is in the cache, or will be."""
    path = file.cached_path
    assert path is not None  # the context has a cache
    return path.absolute()


def _size(file: MavenFile) -> int:
    url = f"{MAVEN_CENTRAL_URL}/{file.component.path_prefix.as_posix()}/{file.filename}"
    answer = http.head(url, timeout=_TIMEOUT_SECONDS, allow_redirects=True)
    return int(answer.headers.get("content-length", 0)) if answer.ok else 0


class _Resolver(JgoResolver):
    """Downloads as jgo does, with a note of the file being written."""

    def __init__(self, note: Path, report: OnProgress) -> None:
        super().__init__(progress_callback=self._file)
        self._note, self._report = note, report
        self._count: Callable[[int], None] = _ignore

    def download(self, artifact: MavenFile) -> Path | None:
        """Download one file; a failed or interrupted download leaves nothing."""
        self._note.write_text(str(path_of(artifact)), encoding="utf-8")
        try:
            found = super().download(artifact)
        except BaseException:
            self.remove_incomplete()
            raise
        self._note.unlink()
        return found

    def remove_incomplete(self) -> None:
        """Remove the file that the note names, and the note."""
        with suppress(FileNotFoundError):
            Path(self._note.read_text(encoding="utf-8")).unlink(missing_ok=True)
            self._note.unlink()

    @contextmanager
    def counting(self, what: str, total: int | None) -> Iterator[None]:
        """Report the bytes of the downloads inside as `what`; `total` may be unknown."""
        done = 0

        def count(size: int) -> None:
            nonlocal done
            done += size
            self._report(what, done, None if total is None else max(total, done + 1), "bytes")

        self._count = count
        count(0)
        yield
        self._count = _ignore
        self._report(what, done, done, "bytes")

    @contextmanager
    def _file(self, _name: str, _size: int) -> Iterator[Callable[[int], None]]:
        yield self._count


def _ignore(_size: int) -> None:
    """Count nothing."""

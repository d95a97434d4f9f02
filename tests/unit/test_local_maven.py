"""Fetching from a small Maven repository on this machine: progress, and what a broken download leaves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from runbus.config.errors import RunBusError
from runbus.local import maven
from runbus.local.jars import Artifact, class_path
from runbus.local.maven import MavenCentral, path_of

ROOT, ALONE = Artifact("org.x", "root", "1"), Artifact("org.x", "alone", "2")
JARS = {"root": b"r" * 30_000, "needed": b"n" * 20_000, "alone": b"a" * 10_000, "test-only": b"t"}
_POM = (
    "<project><modelVersion>4.0.0</modelVersion><groupId>org.x</groupId><artifactId>{name}</artifactId>"
    "<version>{version}</version><dependencies>{needs}</dependencies></project>"
)
_NEEDS = (
    "<dependency><groupId>org.x</groupId><artifactId>{name}</artifactId><version>3</version><scope>{scope}</scope>"
    "</dependency>"
)


class Repository(BaseHTTPRequestHandler):
    """Serves JARS; `cut` names a jar whose connection breaks off in the middle."""

    cut = ""

    def do_HEAD(self) -> None:
        """Answer with the size."""
        self._answer(b"")

    def do_GET(self) -> None:
        """Answer with the file."""
        body = self._body()
        self._answer(body[: len(body) // 2] if self.cut and f"/{self.cut}-" in self.path else body)

    def _answer(self, sent: bytes) -> None:
        body = self._body()
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(sent)

    def _body(self) -> bytes:
        name, version, file = self.path.split("/")[-3:]
        if file.endswith(".jar"):
            return JARS[name]
        if not file.endswith(".pom"):
            return b""
        scopes = {"needed": "runtime", "test-only": "test"} if name == "root" else {}
        needs = "".join(_NEEDS.format(name=needed, scope=scope) for needed, scope in scopes.items())
        return _POM.format(name=name, version=version, needs=needs).encode()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Repository]]:
    """Yield the repository that stands for Maven Central."""
    monkeypatch.setattr(Repository, "cut", "")
    with ThreadingHTTPServer(("127.0.0.1", 0), Repository) as server:
        monkeypatch.setattr(maven, "MAVEN_CENTRAL_URL", f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield Repository
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("repository")
def test_bytes_are_reported_of_how_many(tmp_path: Path) -> None:
    """Descriptions first, then the jars: from nothing to the sum of their sizes, never back, and over at the end."""
    reports: list[tuple[str, int, int | None, str]] = []
    jars = class_path(ROOT, tmp_path, alone=(ALONE,), report=lambda *report: reports.append(report))
    assert [jar.read_bytes() for jar in jars] == [JARS["needed"], JARS["root"], JARS["alone"]]
    fetched = [report for report in reports if report[0] == "jars of root"]
    assert fetched[0] == ("jars of root", 0, 60_000, "bytes")
    assert fetched[-1] == ("jars of root", 60_000, 60_000, "bytes")
    done = [report[1] for report in fetched]
    assert done == sorted(done)
    assert len(set(done)) > 3
    assert {report[0] for report in reports} == {"descriptions of jars", "jars of root"}


def test_a_download_that_breaks_off_leaves_nothing(tmp_path: Path, repository: type[Repository]) -> None:
    """Half a jar is one sentence and no file; the next try gets the whole."""
    repository.cut = "needed"
    with pytest.raises(RunBusError, match=r"cannot get org\.x:root:1 from Maven Central"):
        class_path(ROOT, tmp_path)
    assert not list(tmp_path.rglob("needed-3.jar"))
    repository.cut = ""
    assert [jar.stat().st_size for jar in class_path(ROOT, tmp_path)] == [20_000, 30_000]


@pytest.mark.usefixtures("repository")
def test_what_a_killed_download_left_is_fetched_again(tmp_path: Path) -> None:
    """The note of a process that was killed while it wrote a file names the file: it is not taken for a jar."""
    names = {
        artifact: MavenCentral(tmp_path, _nowhere).file("org.x", artifact, "3") for artifact in ("needed", "whole")
    }
    for file in names.values():
        path_of(file).parent.mkdir(parents=True)
        path_of(file).write_bytes(b"n" * 100)
    (tmp_path / "incomplete").write_text(str(path_of(names["needed"])))
    jars = {jar.name: jar.stat().st_size for jar in class_path(ROOT, tmp_path)}
    assert jars == {"root-1.jar": 30_000, "needed-3.jar": 20_000}
    assert path_of(names["whole"]).stat().st_size == 100
    assert not (tmp_path / "incomplete").exists()


def _nowhere(what: str, done: int, total: int | None = None, unit: str = "") -> None:
    """Show nothing."""

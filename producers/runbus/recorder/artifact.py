"""Says what an artifact is: what it is called, where it belongs, what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike, fspath
from typing import TypedDict

from runbus.recorder.file_reference import FileReference
from runbus.recorder.score import About
from runbus.schemas.metric_batch import artifact_text

#: the end of a stream waits so long for files that are being hashed
PATIENCE_S = 10.0
#: the words that say what an artifact shows
ABOUT = ("agent", "attempt", "env", "episode")


class ArtifactWords(TypedDict, total=False):
    """What a caller may say about an artifact, by name: see Recorder.artifact."""

    name: str
    agent: str | None
    attempt: int | None
    env: int | None
    episode: int | None
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Artifact:
    """One artifact, before it is known what its bytes are.

    Attributes:
        type: checkpoint, video, ...
        name: what it is called.
        at, axis: where it belongs.
        ts: nanoseconds since the epoch.
        about: what it shows.
        size, sha256: as the caller says; -1 and empty = it does not.
    """

    type: str
    name: str
    at: int
    axis: str
    ts: int
    about: About
    size: int = -1
    sha256: str = ""

    def reference(self, found: FileReference) -> FileReference:
        """Return what is known of its bytes: what was found, else what the caller says."""
        if found.bytes >= 0:
            return found
        return FileReference(found.uri, max(-1, int(self.size)), str(self.sha256))

    def text(self, found: FileReference) -> str:
        """Return what is said of it beside its number."""
        return artifact_text(self.name, found.uri, found.bytes, found.sha256)


def name_of_path(path: str | PathLike[str]) -> str:
    """Return what an artifact is called if its caller does not say: the last part of its path."""
    return fspath(path).rstrip("/").rpartition("/")[2]

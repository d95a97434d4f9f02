"""Says what an artifact is: what it is called, where it belongs, what it shows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TypedDict

from runbus.recorder.file_reference import FileReference
from runbus.recorder.score import About

#: the hash of one file; the end of a recorder waits so long for those that are not done
PATIENCE_S = 10.0


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
    """One artifact, before it is known how large it is.

    Attributes:
        type: checkpoint, video, ...
        name: what it is called.
        at, axis: where it belongs.
        ts: nanoseconds since the epoch.
        about: what it shows.
    """

    type: str
    name: str
    at: int
    axis: str
    ts: int
    about: About

    def text(self, found: FileReference) -> str:
        """Return what is said of it beside its number."""
        said = {"name": self.name, "uri": found.uri, "bytes": found.bytes, "sha256": found.sha256}
        return json.dumps(said, ensure_ascii=False)

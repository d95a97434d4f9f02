"""Defines what a dialect says: which calls of a recorder a line stands for.

A dialect is a pure object: documents in, acts out. `recordings.py` makes the calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from runbus.recorder.absent import ABSENT
from runbus.recorder.row_words import StepWords
from runbus.schemas.events import Outcome

Frames = Literal["drop", "ref", "keep"]


class Who(NamedTuple):
    """Whose: a run and an agent of it."""

    run: str
    agent: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a document stands.

    Attributes:
        source: path of the file; "" = standard input, or what a worker printed.
        line: its number, from 1.
    """

    source: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a dialect uses where a document says nothing.

    Attributes:
        run, agent: whose it is.
        frames: what becomes of pictures inside of lines: dropped and counted; kept as size and hash; kept.
    """

    run: str
    agent: str = "agent-0"
    frames: Frames = "drop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What a run, or with `agent` one agent of it, says of itself: of streams that begin from here on."""

    run: str
    agent: str = ""
    config: object = None
    observation_space: str = ""
    action_space: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarted:
    """What comes next of this agent is another attempt."""

    who: Who


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """The reset that begins an episode.

    Attributes:
        episode: its number; None = the next one.
        at_us: wall time in microseconds since the epoch; None = now.
        logged: named numbers of this row, in order; a name may come several times.
        name: by which a later row of this episode can call it its parent.
    """

    who: Who
    env: int = 0
    episode: int | None = None
    observation: Any = ABSENT
    seed: int | None = None
    info: Mapping[str, Any] | None = None
    labels: Mapping[str, object] = field(default_factory=dict)
    logged: Iterable[tuple[str, float]] = ()
    tick: int | None = None
    at_us: int | None = None
    name: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step; see Begin, and Recorder.step. `parent` is the name of a row of this episode."""

    who: Who
    env: int = 0
    action: Any = ABSENT
    reward: Any = 0.0
    terminated: bool = False
    truncated: bool = False
    observation: Any = ABSENT
    info: Mapping[str, Any] | None = None
    words: StepWords = field(default_factory=StepWords)
    logged: Iterable[tuple[str, float]] = ()
    tick: int | None = None
    at_us: int | None = None
    name: object = None
    parent: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """Metrics: values that belong to no step; see Recorder.metrics."""

    who: Who
    values: Mapping[str, object]
    step: int | None = None
    axis: str = "global_step"
    at_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A score of the episode that runs or ended last; see Recorder.score."""

    who: Who
    value: float | None
    name: str
    judge: str = ""
    label: str = ""
    text: str = ""
    at_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrote:
    """A reference to what a worker wrote; see Recorder.artifact."""

    who: Who
    path: str
    type: str
    step: int | None = None
    at_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The end of a run, or with `agent` of one agent of it."""

    run: str
    agent: str = ""
    outcome: Outcome = "completed"
    error: str = ""


@dataclass(frozen=True, slots=True)
class Passed:
    """A document of a kind that is known and holds nothing to record: it is counted by its name."""

    kind: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A document of a kind that the dialect does not know: it is counted by its name."""

    kind: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A part of a document that is not recorded, as somebody chose: counted, with its bytes."""

    what: str
    size: int


Act = Started | Restarted | Begin | Step | Numbers | Judged | Wrote | Ended | Passed | Unknown | LeftOut


class Dialect(Protocol):
    """Reads the documents of one format."""

    #: how streams end of which no document says so
    unended: Outcome

    def take(self, document: Mapping[str, Any], place: Place, /) -> Iterable[Act]:
        """Return what a document stands for. Raises Malformed, TypeError or ValueError if it cannot be read."""

    def end(self) -> Iterable[Act]:
        """Return what was held when a source ended; another one may follow."""

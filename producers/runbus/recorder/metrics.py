"""Records metrics and scores of a process that has no steps: a learner, an evaluation, a judge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from os import PathLike
from types import TracebackType
from typing import ClassVar, Self, SupportsFloat, SupportsIndex, Unpack

from runbus.kafka.settings import KafkaSettings
from runbus.recorder.artifact import ArtifactWords
from runbus.recorder.bus import RunBus
from runbus.recorder.recorder import Recorder
from runbus.recorder.score import ScoreWords
from runbus.schemas.events import METRICS_ROLE, Outcome


class _Source(Recorder):
    """A recorder without steps: its run events say so."""

    _ROLE: ClassVar[str] = METRICS_ROLE

    def _placed(self, words: ScoreWords) -> ScoreWords:
        """Return the words as they are: a source has no episodes of its own."""
        return words


class Metrics:
    """Records what one source of a run says that belongs to no step.

    Never raises into the loop and never waits (except with policy `block`); forks, copies, SIGTERM, the end of the
    process and an object that nothing refers to any more are as with a `Recorder`. Two processes may have the same
    source: each has an attempt of its own, and what both say is kept.

    Args:
        run_id: name of the run; one that agents record, or one that has no agents.
        source: who says it.
        settings: the Kafka to deliver to; default: environment and configuration file.
        bus: where to publish; default: the one that this process shares.
        config: hyper-parameters and the like, see Recorder.
        kafka: False = only the bus's own subscribers see it.
        labels: of the run, by name; values become text.
        tags: of the run.

    Raises:
        ConfigError: a name is empty or has a "/" in it, or a setting is unusable.
    """

    def __init__(
        self,
        run_id: str,
        source: str = "learner-0",
        *,
        settings: KafkaSettings | None = None,
        bus: RunBus | None = None,
        config: object = None,
        kafka: bool = True,
        labels: Mapping[str, object] | None = None,
        tags: Iterable[str] | str | None = None,
    ) -> None:
        self._source = _Source(
            run_id, source, config=config, bus=bus, settings=settings, kafka=kafka, labels=labels, tags=tags
        )

    @property
    def run_id(self) -> str:
        """Name of the run."""
        return self._source.run

    @property
    def source(self) -> str:
        """Who says it."""
        return self._source.agent

    @property
    def attempt(self) -> int:
        """Start of the stream in microseconds since the epoch: with run and source it names the stream."""
        return self._source.attempt

    def log(
        self,
        values: Mapping[str, object],
        *,
        step: SupportsIndex | None = None,
        axis: str = "global_step",
        time: float | None = None,
    ) -> None:
        """Record named values; see Recorder.metrics."""
        self._source.metrics(values, step=step, axis=axis, time=time)

    def score(
        self,
        value: SupportsFloat | None,
        *,
        name: str = "reward",
        time: float | None = None,
        **words: Unpack[ScoreWords],
    ) -> None:
        """Record a judgement of an agent's episode or step, or of the run; see Recorder.score for the words.

        Only what is given is named. An episode without an env is one of env 0; without an attempt, of the newest
        attempt of the agent that has it.
        """
        self._source.score(value, name=name, time=time, **words)

    def artifact(
        self,
        path: str | PathLike[str],
        *,
        type: str,  # noqa: A002 - as everybody calls it
        step: SupportsIndex | None = None,
        axis: str = "global_step",
        time: float | None = None,
        **words: Unpack[ArtifactWords],
    ) -> None:
        """Record a reference to what was written; see Recorder.artifact."""
        self._source.artifact(path, type=type, step=step, axis=axis, time=time, **words)

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until all that was recorded is delivered or dropped; return whether it was within `timeout` seconds."""
        return self._source.flush(timeout)

    def close(self, outcome: Outcome = "completed", error: str = "") -> None:
        """End the stream; see Recorder.close."""
        self._source.close(outcome, error)

    def stats(self) -> dict[str, int]:
        """Return produced = delivered + dropped + in_flight, and left_out: values that were not recorded as given."""
        found = self._source.stats()["metrics"]
        assert isinstance(found, dict), "the counts of metrics are a dict"
        return found

    def __copy__(self) -> Self:
        """Return a source of the same name and bus, whose stream has not begun."""
        other = type(self).__new__(type(self))
        other._source = copy(self._source)
        return other

    def __enter__(self) -> Self:
        self._source.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._source.__exit__(kind, error, traceback)

"""The run of a wandb-shaped script: takes what it logs, and records it as metrics."""

from __future__ import annotations

import glob
import json
import threading
from collections.abc import Mapping
from os import PathLike, fspath
from types import TracebackType
from typing import Any, Self

from runbus.recorder import Metrics
from runbus.shims.target import Target
from runbus.shims.values import NotKept, summary
from runbus.shims.wandb_axes import Axes


class Media:
    """What W&B draws, and RunBus counts and does not keep."""

    def __init__(self, *_: object, **__: object) -> None:
        """Take anything."""


class Histogram(Media):
    """Many numbers, of which a summary is kept."""

    def __init__(self, sequence: Any = None, *_: object, **__: object) -> None:  # noqa: ANN401 - any array
        """Take an array of numbers."""
        self.summary = {} if sequence is None else summary(sequence)


class Table(Media):
    """A table, kept as JSON text: `{"columns": [...], "data": [[...]]}`, at most 64 KiB of it."""

    def __init__(self, columns: list[str] | None = None, data: Any = None, **_: object) -> None:  # noqa: ANN401
        """Take names of columns, and rows."""
        self.columns = list(columns or [])
        self.data = [list(row) for row in data] if data is not None else []

    def add_data(self, *row: object) -> None:
        """Add a row."""
        self.data.append(list(row))

    def text(self) -> str:
        """Return the table as text; what is no JSON in it is its own text."""
        return json.dumps({"columns": self.columns, "data": self.data}, default=str)


class Artifact:
    """Files under one name, of which references are kept: where they are, their size and hash."""

    def __init__(self, name: str, type: str, *_: object, **__: object) -> None:  # noqa: A002 - W&B's word
        """Take a name and a type."""
        self.name, self.type = name, type
        self.files: list[tuple[str, str]] = []

    def add_file(self, local_path: str | PathLike[str], name: str | None = None, **_: object) -> None:
        """Add a file."""
        self.files.append((f"{self.name}/{name}" if name else self.name, fspath(local_path)))

    def add_dir(self, local_path: str | PathLike[str], name: str | None = None, **_: object) -> None:
        """Add a folder."""
        self.add_file(local_path, name)

    def add_reference(self, uri: str, name: str | None = None, **_: object) -> None:
        """Add what is elsewhere."""
        self.add_file(uri, name)


class Config(dict[str, Any]):
    """The run's configuration: `config.lr` is `config["lr"]`."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any value
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the config has no {name}") from None

    def __setattr__(self, name: str, value: Any) -> None:  # noqa: ANN401 - any value
        self[name] = value

    def update(self, *given: Any, **more: Any) -> None:  # noqa: ANN401 - as a dict takes it
        """Set values; a namespace is taken for its attributes."""
        more.pop("allow_val_change", None)
        super().update(*(one if isinstance(one, Mapping) else vars(one) for one in given), **more)


class Summary(dict[str, Any]):
    """The last value of each metric. What is set by hand is recorded under `summary/`."""

    def __init__(self, record: Any) -> None:  # noqa: ANN401 - takes a mapping
        super().__init__()
        self._record = record

    def __setitem__(self, name: str, value: Any) -> None:  # noqa: ANN401 - any value
        super().__setitem__(name, value)
        self._record({f"summary/{name}": value})

    def update(self, *given: Any, **more: Any) -> None:  # noqa: ANN401 - as a dict takes it
        """Set values."""
        for name, value in dict(*given, **more).items():
            self[name] = value

    def saw(self, values: Mapping[str, Any]) -> None:
        """Remember what was logged."""
        super().update(values)


class Run:
    """One run; what `init` returns.

    Never raises into the loop and never waits. The config is the run's once the first value is logged; what is set
    later is recorded under `config/`.

    Args:
        run: name of the run.
        source: who says it, beside other processes of the run.
        config: hyper-parameters.
        options: further arguments of Metrics.
    """

    def __init__(self, run: str, source: str, config: Config, **options: Any) -> None:  # noqa: ANN401
        self.id = self.name = run
        self.source = source
        self.config = config
        self.summary = Summary(self._set_by_hand)
        self.step_axes = Axes()
        self._options = options
        self._target: Target | None = None
        self._said: dict[str, Any] = {}
        self._lock = threading.RLock()
        self._not_kept = NotKept("wandb")

    @property
    def step(self) -> int:
        """The counter of calls without a step."""
        return self.step_axes.counter

    def log(
        self,
        data: Mapping[str, Any],
        step: int | None = None,
        commit: bool | None = None,
        sync: bool | None = None,  # noqa: ARG002 - W&B's
    ) -> None:
        """Record values: at their step, on the axis that `define_metric` gave them, else at the run's own counter."""
        kept = {str(name): found for name, value in data.items() if (found := self._kept(value)) is not None}
        with self._lock:
            self.summary.saw(kept)
            metrics = self._metrics()
            for axis, at, part in self.step_axes.place(kept, step, commit):
                metrics.log(part, step=at, axis=axis)

    def _kept(self, value: Any) -> Any:  # noqa: ANN401 - whatever is logged
        if isinstance(value, Histogram):
            return value.summary
        if isinstance(value, Table):
            return value.text()
        if isinstance(value, Media):
            self._not_kept.count(type(value).__name__)
            return None
        return {name: self._kept(part) for name, part in value.items()} if isinstance(value, Mapping) else value

    def define_metric(self, name: str, step_metric: str | None = None, **_: object) -> None:
        """Let a metric, or all that fit a pattern (`train/*`), lie on the axis that another metric is."""
        with self._lock:
            self.step_axes.define(name, step_metric)

    def log_artifact(
        self,
        artifact_or_path: Artifact | str | PathLike[str],
        name: str | None = None,
        type: str | None = None,  # noqa: A002 - W&B's word
        **_: object,
    ) -> Artifact:
        """Record references to files: where they are, their size and hash, never their bytes."""
        if not isinstance(artifact_or_path, Artifact):
            path = fspath(artifact_or_path)
            artifact_or_path = Artifact(name or path.rstrip("/").rpartition("/")[2], type or "file")
            artifact_or_path.add_file(path)
        with self._lock:
            for called, path in artifact_or_path.files:
                self._metrics().artifact(path, type=artifact_or_path.type, name=called, step=self.step)
        return artifact_or_path

    def save(self, glob_str: str | PathLike[str], *_: object, **__: object) -> list[str]:
        """Record references to the files that fit a pattern."""
        found = sorted(glob.glob(fspath(glob_str)))  # noqa: PTH207 - it may begin at the root
        for path in found:
            self.log_artifact(path, type="file")
        return found

    def alert(self, title: str, text: str = "", *_: object, **__: object) -> None:
        """Record a text under `alert`."""
        self.log({"alert": f"{title}: {text}" if text else title}, commit=False)

    def watch(self, *_: object, **__: object) -> None:
        """Count it: gradients are not kept."""
        self._not_kept.count("watch")

    unwatch = log_code = use_artifact = watch

    def not_kept(self) -> dict[str, int]:
        """Return how often each thing came that is not kept: `{"Image": 3}`."""
        return self._not_kept.counts()

    def finish(self, exit_code: int | None = None, quiet: bool | None = None) -> None:  # noqa: ARG002
        """End the stream; does not wait. The end of the process does."""
        with self._lock:
            self._metrics()
            self._said_again()
            assert self._target is not None
            self._target.close("failed" if exit_code else "completed")

    def _set_by_hand(self, values: Mapping[str, Any]) -> None:
        with self._lock:
            self._metrics().log(values)

    def _metrics(self) -> Metrics:
        if self._target is None:
            self._said = dict(self.config)
            self._target = Target(self.id, self.source, config=self._said, **self._options)
        elif self._said != self.config:
            self._said_again()
        return self._target.metrics

    def _said_again(self) -> None:
        """Record what of the config was set since it was said."""
        assert self._target is not None
        new = {name: value for name, value in self.config.items() if self._said.get(name, self) != value}
        self._said = dict(self.config)
        if new:
            self._target.metrics.log({f"config/{name}": value for name, value in new.items()})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.finish(0 if kind is None else 1)

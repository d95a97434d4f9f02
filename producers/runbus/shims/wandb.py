"""Stands in for `wandb`: what a script logs is recorded as metrics of a run.

import runbus.shims.wandb as wandb  # instead of: import wandb
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

from runbus.config.errors import ConfigError
from runbus.shims.target import run_named, run_of_now
from runbus.shims.wandb_run import Artifact, Config, Histogram, Media, Run, Summary, Table

__all__ = [
    "Artifact", "Audio", "Histogram", "Html", "Image", "Object3D", "Plotly", "Run", "Settings", "Table", "Video",
    "alert", "config", "define_metric", "finish", "init", "log", "log_artifact", "login", "run", "save", "summary",
    "watch",
]  # fmt: skip


class Image(Media):
    """Counted, and not kept."""


class Video(Media):
    """Counted, and not kept."""


class Audio(Media):
    """Counted, and not kept."""


class Html(Media):
    """Counted, and not kept."""


class Object3D(Media):
    """Counted, and not kept."""


class Plotly(Media):
    """Counted, and not kept."""


run: Run | None = None
config = Config()
summary: Summary | dict[str, Any] = {}


def init(  # noqa: PLR0913 - those of W&B
    project: str | None = None,
    *ignored: object,  # noqa: ARG001 - W&B takes them
    name: str | None = None,
    id: str | None = None,  # noqa: A002 - W&B's word
    config: Any = None,  # noqa: ANN401 - a mapping or a namespace
    group: str | None = None,
    job_type: str | None = None,
    tags: Iterable[str] | None = None,
    notes: str | None = None,
    mode: str | None = None,
    source: str = "learner-0",
    **also_ignored: object,  # noqa: ARG001
) -> Run:
    """Begin a run; `log` and the others are of it from then on.

    Args:
        project, group, job_type, notes: become labels of the run.
        name, id: name of the run; the id comes first. Default: the project, the time and the host.
        config: hyper-parameters: a mapping, or an object with attributes.
        tags: of the run.
        mode: `disabled` = nothing is recorded.
        source: who says it, beside other processes of the run.
        ignored, also_ignored: what else W&B takes: `entity`, `dir`, `sync_tensorboard`, ...

    Raises:
        ConfigError: a name that no run can have, or a setting is unusable.
    """
    said = Config()
    if config is not None:
        said.update(config)
    labels = {"project": project, "group": group, "job_type": job_type, "notes": notes}
    named = run_named(id or name or f"{project or 'run'}-{run_of_now()}")
    options = {"labels": {key: value for key, value in labels.items() if value}, "tags": list(tags or [])}
    return _begun(Run(named, source, said, kafka=mode != "disabled", **options))


def _begun(begun: Run) -> Run:
    global run, config, summary
    if run is not None:
        run.finish()
    run, config, summary = begun, begun.config, begun.summary
    return begun


def _current() -> Run:
    if run is None:
        raise ConfigError("there is no run: call wandb.init() first")
    return run


def log(data: Mapping[str, Any], step: int | None = None, commit: bool | None = None, **_: object) -> None:
    """Record values; see Run.log."""
    _current().log(data, step, commit)


def define_metric(name: str, step_metric: str | None = None, **_: object) -> None:
    """Give metrics an axis; see Run.define_metric."""
    _current().define_metric(name, step_metric)


def log_artifact(artifact_or_path: Artifact | str | PathLike[str], *given: Any, **more: Any) -> Artifact:  # noqa: ANN401
    """Record references to files; see Run.log_artifact."""
    return _current().log_artifact(artifact_or_path, *given, **more)


def save(glob_str: str | PathLike[str], *_: object, **__: object) -> list[str]:
    """Record references to files; see Run.save."""
    return _current().save(glob_str)


def alert(title: str, text: str = "", *_: object, **__: object) -> None:
    """Record a text; see Run.alert."""
    _current().alert(title, text)


def watch(*_: object, **__: object) -> None:
    """Count it: gradients are not kept."""
    _current().watch()


def finish(exit_code: int | None = None, quiet: bool | None = None) -> None:
    """End the run."""
    global run  # noqa: PLW0603
    if run is not None:
        run.finish(exit_code, quiet)
        run = None


def login(*_: object, **__: object) -> bool:
    """Return True: the settings of RunBus say where to (docs/configuration.md)."""
    return True


def Settings(*_: object, **__: object) -> dict[str, object]:  # noqa: N802 - W&B's name
    """Return nothing: there are none."""
    return {}

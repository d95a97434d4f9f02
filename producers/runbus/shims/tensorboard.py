"""Stands in for `torch.utils.tensorboard` and `tensorboardX`: scalars, texts and hyper-parameters become metrics.

from runbus.shims.tensorboard import SummaryWriter  # instead of: from torch.utils.tensorboard import SummaryWriter
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike, fspath
from types import TracebackType
from typing import Any, Self, SupportsFloat

from runbus.recorder import Metrics
from runbus.shims.target import Target, run_named, run_of_folder, run_of_now
from runbus.shims.values import NotKept, summary

_AXIS = "global_step"


class SummaryWriter:
    """Records what is written to it as metrics of one run, each on the axis `global_step`.

    Never raises into the loop and never waits. Histograms are kept as summaries (`tag/mean`, `tag/p95`, ...); images,
    figures, audio, video, graphs, embeddings and meshes are counted and not kept.

    Args:
        log_dir: names the run: what follows `runs/`, else its last part. Nothing is written there.
        comment: added to the name if `log_dir` is not given.
        run: name of the run, or a Metrics that the writer shall use.
        source: who says it, beside other processes of the run.
        ignored: what else the writers of others take (`purge_step`, `max_queue`, ...).

    Raises:
        ConfigError: a name that no run can have, or a setting is unusable.
    """

    def __init__(
        self,
        log_dir: str | PathLike[str] | None = None,
        comment: str = "",
        *ignored: object,  # noqa: ARG002 - a writer of others takes them
        run: str | Metrics | None = None,
        source: str = "learner-0",
        **also_ignored: object,  # noqa: ARG002
    ) -> None:
        self.log_dir = fspath(log_dir) if log_dir is not None else ""
        named = run_of_folder(self.log_dir) if self.log_dir else run_named(run_of_now() + comment)
        self._target = Target(named if run is None else run, source)
        self._metrics = self._target.metrics
        self._not_kept = NotKept("SummaryWriter")

    @property
    def run(self) -> str:
        """Name of the run."""
        return self._metrics.run_id

    def get_logdir(self) -> str:
        """Return the folder that was given."""
        return self.log_dir

    def add_scalar(
        self,
        tag: str,
        scalar_value: SupportsFloat,
        global_step: int | None = None,
        walltime: float | None = None,
        *ignored: object,  # noqa: ARG002
        **also_ignored: object,  # noqa: ARG002
    ) -> None:
        """Record a number."""
        self._metrics.log({tag: scalar_value}, step=global_step, axis=_AXIS, time=walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, SupportsFloat],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Record numbers under `main_tag/name`."""
        self._metrics.log({main_tag: tag_scalar_dict}, step=global_step, axis=_AXIS, time=walltime)

    def add_text(
        self, tag: str, text_string: str, global_step: int | None = None, walltime: float | None = None
    ) -> None:
        """Record a text, at most 64 KiB of it."""
        self._metrics.log({tag: str(text_string)}, step=global_step, axis=_AXIS, time=walltime)

    def add_histogram(
        self,
        tag: str,
        values: Any,  # noqa: ANN401 - any array
        global_step: int | None = None,
        bins: object = None,  # noqa: ARG002 - there are none
        walltime: float | None = None,
        max_bins: object = None,  # noqa: ARG002
    ) -> None:
        """Record a summary of many numbers under `tag/count`, `tag/mean`, `tag/p95` and so on."""
        try:
            found = summary(values)
        except Exception:  # noqa: BLE001 - whatever the caller calls an array
            self._not_kept.count("a histogram that is no array of numbers")
        else:
            self._metrics.log({tag: found}, step=global_step, axis=_AXIS, time=walltime)

    def add_hparams(
        self,
        hparam_dict: Mapping[str, Any],
        metric_dict: Mapping[str, Any],
        hparam_domain_discrete: object = None,  # noqa: ARG002
        run_name: str | None = None,  # noqa: ARG002 - it is the writer's
        global_step: int | None = None,
    ) -> None:
        """Record hyper-parameters, as one JSON text under `hparams`, and what they led to."""
        self._metrics.log(
            {"hparams": json.dumps(dict(hparam_dict), default=str), **metric_dict}, step=global_step, axis=_AXIS
        )

    def flush(self, timeout: float = 0.0) -> None:
        """Hand over what was recorded; with a timeout (s), wait until it is delivered."""
        self._metrics.flush(timeout)

    def close(self) -> None:
        """End the stream; does not wait. The end of the process does."""
        self._target.close()

    def not_kept(self) -> dict[str, int]:
        """Return how often each thing came that is not kept: `{"add_image": 3}`."""
        return self._not_kept.counts()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._target.close("completed" if kind is None else "failed", "" if error is None else repr(error))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a method that counts
        if not name.startswith("add_"):
            raise AttributeError(f"SummaryWriter has no {name}")
        return lambda *_, **__: self._not_kept.count(name)

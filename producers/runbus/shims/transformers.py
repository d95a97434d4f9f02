"""Records what a Trainer of `transformers` (and TRL's, which are built on it) logs.

Trainer(..., callbacks=[MetricsCallback("sft-1")])
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from runbus.recorder import Metrics
from runbus.shims.target import Target, run_named


class MetricsCallback(TrainerCallback):  # type: ignore[misc] # the package is not there where types are checked
    """Records the logs of a Trainer as metrics on the axis `global_step`, and its checkpoints as artifacts.

    Only the first process of a distributed training records. The arguments of the training are the run's config.

    Args:
        run: name of the run, or a Metrics that the callback shall use; default: `run_name` of the training's
            arguments, else the name of its output folder.
        source: who says it, beside other processes of the run.
    """

    def __init__(self, run: str | Metrics | None = None, source: str = "learner-0") -> None:
        self._run = run
        self._source = source
        self._target: Target | None = None

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:  # noqa: ANN401, ARG002
        """Record what is logged: losses, rates, evaluations."""
        if state.is_world_process_zero and logs:
            self._opened(args).metrics.log(logs, step=state.global_step)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401, ARG002
        """Record where the checkpoint is."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if state.is_world_process_zero and folder.exists():
            self._opened(args).metrics.artifact(folder, type="checkpoint", step=state.global_step)

    def close(self) -> None:
        """End the stream; does not wait. The end of the process does it too."""
        if self._target is not None:
            self._target.close()

    def _opened(self, args: Any) -> Target:  # noqa: ANN401 - TrainingArguments
        if self._target is None:
            run = self._run or run_named(str(getattr(args, "run_name", None) or Path(args.output_dir).name))
            self._target = Target(run, self._source, config=args.to_dict())
        return self._target

"""Trains with the real Stable-Baselines3 and the real transformers, and compares what was recorded with their own logs.

`python -m tests.integration.shims.frameworks sb3|transformers FOLDER`, with a Python that has the framework.
"""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.support.recorded_metrics import Recorded


def sb3(folder: Path) -> None:
    """PPO on CartPole: every dump is recorded as Stable-Baselines3's own CSV file has it."""
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.logger import CSVOutputFormat, Figure, HParam, Logger

    from runbus.sb3 import MetricsWriter

    recorded, file = Recorded(), folder / "progress.csv"
    metrics = recorded.metrics()
    writer = MetricsWriter(metrics)
    logger = Logger(None, [writer, CSVOutputFormat(str(file))])
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=64, batch_size=64, n_epochs=2, device="cpu", seed=7)
    model.set_logger(logger)
    model.learn(320)
    logger.record("weights", torch.arange(4.0, requires_grad=True))
    logger.record("picture", Figure(object(), close=False), exclude="csv")
    logger.record("hparams", HParam({"lr": 0.1}, {"time/fps": 0.0}), exclude="csv")
    logger.record("hidden", 1.0, exclude=("runbus", "csv"))
    logger.dump(999)
    logger.close()
    metrics.close()

    found = recorded.values()
    with file.open() as opened:
        rows = [row for row in csv.DictReader(opened) if row["time/total_timesteps"]]
    said = {(name, int(row["time/total_timesteps"])): text for row in rows for name, text in row.items() if text}
    numbers = {(name, at): value for name, _, at, value in found if at != 999}
    assert len(rows) == 5
    assert numbers.keys() == said.keys()
    assert all(_same(numbers[key], text) for key, text in said.items())
    assert {axis for _, axis, _, _ in found} == {"env_steps"}
    last = {name: value for name, _, at, value in found if at == 999}
    assert (last["weights/mean"], last["weights/count"], last["hparams"]) == (1.5, 4.0, '{"lr": 0.1}')
    assert not {"picture", "hidden"} & last.keys()
    assert writer.not_kept() == {"Figure": 1}


def transformers(folder: Path) -> None:
    """A Trainer on a tiny model: what is recorded is the history that the Trainer keeps itself."""
    import torch
    from transformers import Trainer, TrainingArguments

    from runbus.shims.transformers import MetricsCallback

    class Line(torch.nn.Module):  # type: ignore[misc] # the package is not there where types are checked
        """One weight and one bias."""

        def __init__(self) -> None:
            super().__init__()
            self.line = torch.nn.Linear(1, 1)

        def forward(self, x: Any, labels: Any) -> Mapping[str, Any]:
            """Return loss and prediction."""
            predicted = self.line(x)
            return {"loss": torch.nn.functional.mse_loss(predicted, labels), "logits": predicted}

    data = [{"x": torch.tensor([n / 8]), "labels": torch.tensor([n / 4])} for n in range(8)]
    arguments = TrainingArguments(
        str(folder / "out"), max_steps=6, logging_steps=2, save_steps=3, eval_strategy="steps", eval_steps=3,
        per_device_train_batch_size=4, report_to=[], use_cpu=True, disable_tqdm=True, seed=7,
    )  # fmt: skip
    recorded = Recorded()
    metrics = recorded.metrics()
    trainer = Trainer(Line(), arguments, train_dataset=data, eval_dataset=data, callbacks=[MetricsCallback(metrics)])
    trainer.train()
    metrics.close()

    history = [(name, entry["step"], value) for entry in trainer.state.log_history for name, value in entry.items()]
    expected = sorted((name, "global_step", at, float(value)) for name, at, value in history if name != "step")
    found = recorded.values()
    artifacts = [value for value in found if value[0] == "checkpoint"]
    assert sorted(value for value in found if value not in artifacts) == expected
    assert len(expected) > 15
    folders = [folder / "out" / f"checkpoint-{step}" for step in (3, 6)]
    assert [(at, value) for _, _, at, value in artifacts] == [
        (step, float(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())))
        for step, folder in zip((3, 6), folders, strict=True)
    ]


def _same(value: float | str, text: str) -> bool:
    return math.isclose(float(value), float(text), rel_tol=1e-6)  # a float32 is shorter in a CSV file


SCENES: Mapping[str, Callable[[Path], None]] = {"sb3": sb3, "transformers": transformers}

if __name__ == "__main__":
    SCENES[sys.argv[1]](Path(sys.argv[2]))
    print("the same", flush=True)

"""`runbus.trl` around TRL's real GRPOTrainer: what is recorded is what functions and environments saw and said.

PyTorch is large: `make test-frameworks` has an environment of its own, elsewhere these tests are skipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

import torch
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast, set_seed
from trl import GRPOConfig, GRPOTrainer

from runbus.recorder import RunBus
from runbus.recorder.metric_rows import MetricsRecorded
from runbus.schemas import metric_batch
from runbus.trl import RecordRollouts
from tests.support.recorded_metrics import values_of
from tests.support.recorded_rows import batches_of, labels_of, rows_of

WORDS = ["<pad>", "<eos>", "<unk>", *"abcdefgh"]
torch.set_num_threads(1)


class Ledger:
    """What the reward functions were asked, and what they said."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.said: list[float | None] = []

    def many_a(self, prompts: list[str], completions: list[str], **_: Any) -> list[float | None]:
        """Count a letter; of a completion without it there is nothing to say."""
        rewards = [float(one.count("a")) or None for one in completions]
        self.asked += zip(prompts, completions, strict=True)
        self.said += rewards
        return rewards

    async def short(self, completions: list[str], **_: Any) -> list[float]:
        """The shorter, the better."""
        return [-float(len(one)) for one in completions]


def trained(folder: Path, ledger: Ledger, record: RecordRollouts | None) -> dict[str, torch.Tensor]:
    """Train a tiny model; return its weights."""
    set_seed(7)
    words = Tokenizer(WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
    size = {"n_layer": 1, "n_head": 2, "n_embd": 16, "n_positions": 64}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=len(WORDS), bos_token_id=1, eos_token_id=1, pad_token_id=0, **size))
    functions = [ledger.many_a, ledger.short]
    trainer = GRPOTrainer(
        model=model,
        processing_class=tokenizer,
        args=GRPOConfig(
            output_dir=str(folder), max_steps=3, per_device_train_batch_size=4, num_generations=2, logging_steps=1,
            max_completion_length=6, report_to=[], save_strategy="no", use_cpu=True, learning_rate=1e-2, seed=7,
        ),
        train_dataset=Dataset.from_dict({"prompt": ["a b", "c d", "e f", "g h"]}),
        reward_funcs=functions if record is None else record.rewards(functions),
        callbacks=[] if record is None else [record.callback()],
    )  # fmt: skip
    trainer.train()
    assert trainer.reward_func_names == ["many_a", "short"]
    return {name: value.clone() for name, value in trainer.model.state_dict().items()}


def test_completions_and_rewards_are_the_ledger_and_the_weights_as_without(tmp_path: Path) -> None:
    """Three steps of two prompts with two generations each, judged by a function and by a coroutine."""
    bus, ledger = RunBus(), Ledger()
    subscription = bus.subscribe("test", max_events=1_000_000)
    record = RecordRollouts("grpo-1", bus=bus, kafka=False)
    with_it, without = trained(tmp_path / "a", ledger, record), trained(tmp_path / "b", Ledger(), None)
    assert all(torch.equal(value, without[name]) for name, value in with_it.items())
    record.close()
    events = subscription.get_many(1_000_000)
    batches = batches_of(events)
    rows = [row for batch in batches for row in rows_of(batch)]
    prompts = [row.observation for row in rows if row.at[1] == 0]
    completions = [row.action for row in rows if row.at[1] == 1]
    assert list(zip(prompts, completions, strict=True)) == ledger.asked
    assert len(ledger.asked) == 12
    said = [labels for batch in batches for labels in labels_of(batch) if labels]
    assert [labels["policy"] for labels in said] == [str(step) for step in range(3) for _ in range(4)]
    assert len({labels["group"] for labels in said}) == 6
    metrics = [metric_batch.decode(metric_batch.encode(e.batch())) for e in events if isinstance(e, MetricsRecorded)]
    of = [value for batch in metrics for value in values_of(batch) if value[0] == "many_a"]
    assert [None if isinstance(value, str) else value for *_, value in of] == ledger.said
    assert sum(value[0] == "short" for batch in metrics for value in values_of(batch)) == 12

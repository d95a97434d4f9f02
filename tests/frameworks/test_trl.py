"""`runbus.trl` around TRL's real GRPOTrainer: what is recorded is what functions and environments saw and said.

PyTorch is large: `make test-frameworks` has an environment of its own, elsewhere these tests are skipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

pytest.importorskip("trl")

import torch
import trl
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


def tiny() -> tuple[GPT2LMHeadModel, PreTrainedTokenizerFast]:
    """Return a model of some thousand weights, and a tokenizer that knows ten words."""
    set_seed(7)
    words = Tokenizer(WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
    size = {"n_layer": 1, "n_head": 2, "n_embd": 16, "n_positions": 1024}
    config = GPT2Config(vocab_size=len(WORDS), bos_token_id=1, eos_token_id=1, pad_token_id=0, **size)
    return GPT2LMHeadModel(config), tokenizer


def options(folder: Path) -> GRPOConfig:
    """Return what a short training needs."""
    return GRPOConfig(
        output_dir=str(folder), max_steps=3, per_device_train_batch_size=4, num_generations=2, logging_steps=1,
        max_completion_length=6, report_to=[], save_strategy="no", use_cpu=True, learning_rate=1e-2, seed=7,
    )  # fmt: skip


def trained(folder: Path, ledger: Ledger, record: RecordRollouts | None) -> dict[str, torch.Tensor]:
    """Train a tiny model; return its weights."""
    model, tokenizer = tiny()
    functions = [ledger.many_a, ledger.short]
    trainer = GRPOTrainer(
        model=model,
        processing_class=tokenizer,
        args=options(folder),
        train_dataset=Dataset.from_dict({"prompt": ["a b", "c d", "e f", "g h"]}),
        reward_funcs=functions if record is None else record.rewards(functions),
        callbacks=[] if record is None else [record.callback()],
    )
    trainer.train()
    assert trainer.reward_func_names == ["many_a", "short"]
    return {name: value.clone() for name, value in trainer.model.state_dict().items()}


class Shop:
    """An environment with a tool and a reward of its own; it remembers what happened to it."""

    ledger: ClassVar[list[tuple[str, float | None]]] = []

    def reset(self, prompt: list[dict[str, str]], **_: Any) -> str:
        """Open it."""
        self._asked = prompt[-1]["content"]
        return " open"

    def buy(self, item: str) -> str:
        """Buy something.

        Args:
            item: what.
        """
        return item

    def get_reward(self) -> float | None:
        """Pay for one of the prompts only."""
        reward = 2.0 if self._asked == "a b" else None
        self.ledger.append((self._asked, reward))
        return reward


def test_environments_of_the_trainer_are_episodes_with_their_own_rewards(tmp_path: Path) -> None:
    """Each reset begins one, each get_reward ends it; without a reward it ends all the same."""
    bus = RunBus()
    subscription = bus.subscribe("test", max_events=1_000_000)
    record = RecordRollouts("grpo-2", bus=bus, kafka=False)
    model, tokenizer = tiny()
    tokenizer.chat_template = (Path(trl.__file__).parent / "chat_templates" / "qwen3.jinja").read_text()
    prompts = [[{"role": "user", "content": text}] for text in ("a b", "c d", "e f", "g h")]
    trainer = GRPOTrainer(
        model=model,
        processing_class=tokenizer,
        args=options(tmp_path),
        train_dataset=Dataset.from_dict({"prompt": prompts}),
        reward_funcs=record.rewards([Ledger().short]),
        environment_factory=record.environments(Shop),
    )
    trainer.train()
    assert trainer.reward_func_names == ["short", "Shop"]
    record.close()
    rows = [row for batch in batches_of(subscription.get_many(1_000_000)) for row in rows_of(batch)]
    begun = {(row.env, row.at[0]): row.observation["prompt"][-1]["content"] for row in rows if row.at[1] == 0}
    ended = {(row.env, row.at[0]): row.reward for row in rows if row.over == (True, False)}
    assert len(begun) == len(Shop.ledger) == 12
    assert sorted((begun[at], reward or None) for at, reward in ended.items()) == sorted(Shop.ledger)


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

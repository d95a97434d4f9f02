"""`runbus.rollout` with the real PyTorch, TorchRL, JAX and gymnax, on the CPU: see `make test-frameworks`.

No accelerator is needed: the ring is tried with tensors of the CPU, its events with those that PyTorch has there.
"""

from __future__ import annotations

import logging
import re
import runpy
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torchrl")
pytest.importorskip("gymnax")

import gymnax
import jax
import jax.numpy as jnp
import torch
from tensordict import TensorDict
from torchrl.collectors import Collector
from torchrl.envs import GymWrapper, InitTracker, SerialEnv, StepCounter, TransformedEnv

from runbus.recorder import Recorder, RunBus, Subscription
from runbus.rollout import Rollouts
from runbus.rollout.copies import Copy, JaxCopies, TorchRing, place_of
from tests.support.autoreset_matrix import LedgerEnv, recorded, same
from tests.support.recorded_rows import RecordedRow, batches_of, rows_of

ROOT = Path(__file__).parents[2]
torch.set_num_threads(1)


def following() -> tuple[RunBus, Subscription]:
    """Return a bus and what is published on it."""
    bus = RunBus()
    return bus, bus.subscribe("test", max_events=1_000_000, max_bytes=1_000_000_000)


def rows(subscription: Subscription) -> list[RecordedRow]:
    """Return the rows that came."""
    return [row for batch in batches_of(subscription.get_many(100_000)) for row in rows_of(batch)]


# --- TorchRL --------------------------------------------------------------------------------------------------------


def one_bit(ledger: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a ledger as TorchRL hands it on: rewards of 32 bits; without seeds, and episodes in which nobody acted."""
    return [
        {**life, "seed": None, "steps": [(a, float(np.float32(r)), *rest) for a, r, *rest in life["steps"]]}
        for life in ledger
        if life["steps"]
    ]


@pytest.mark.parametrize("tracked", [False, True])
@pytest.mark.parametrize("envs", [1, 3])
def test_a_collector_of_torchrl_is_recorded_as_its_environments_lived_it(envs: int, tracked: bool) -> None:
    """`post_collect_hook`: ends in the middle and at the edge of batches; with and without transforms."""
    bus, subscription = following()
    inner = [LedgerEnv("box", number) for number in range(envs)]
    made = [partial(GymWrapper, env, categorical_action_encoding=True) for env in inner]
    env: Any = made[0]() if envs == 1 else SerialEnv(envs, made)
    if tracked:
        env = TransformedEnv(env, InitTracker())
    with Rollouts(envs=envs, run="torchrl", bus=bus, kafka=False) as rollouts:
        collector = Collector(
            env, None, frames_per_batch=7 * envs, total_frames=70 * envs, post_collect_hook=rollouts.record_tensordict
        )
        for _ in collector:
            pass
        collector.shutdown()
        assert rollouts.not_recorded() == rollouts.recorder.stats()["complaints"] == {}
    found = recorded(subscription, envs)
    for mine, theirs in zip((one_bit(env.ledger) for env in inner), found, strict=True):
        assert len(mine) > 10
        assert len(mine) == len(theirs)
        for one, other in zip(mine, theirs, strict=True):
            assert same(one, other), (one, other)


def test_an_episode_that_a_collector_cuts_off_is_left_open() -> None:
    """`reset_at_each_iter`: every batch begins episodes; the last row of a batch is no end."""
    bus, subscription = following()
    inner = LedgerEnv("box", 0)
    env = GymWrapper(inner, categorical_action_encoding=True)
    with Rollouts(envs=1, run="torchrl", bus=bus, kafka=False) as rollouts:
        collector = Collector(env, None, frames_per_batch=4, total_frames=40, reset_at_each_iter=True,
                              post_collect_hook=rollouts.record_tensordict)  # fmt: skip
        for _ in collector:
            pass
        collector.shutdown()
    found = rows(subscription)
    expected = [life for life in inner.ledger if life["steps"]]
    assert [len(life["steps"]) for life in expected] == [
        sum(row.episode == number and row.step > 0 for row in found) for number in range(len(expected))
    ]
    assert sum(any(row.over) for row in found) == sum(any(life["steps"][-1][2:4]) for life in expected)


def test_a_truncation_of_torchrls_own_is_one() -> None:
    """StepCounter(max_steps) ends episodes, and its count is an observation beside the environment's."""
    bus, subscription = following()
    env = TransformedEnv(GymWrapper(LedgerEnv("box", 0), categorical_action_encoding=True), StepCounter(max_steps=2))
    with Rollouts(envs=1, run="torchrl", bus=bus, kafka=False) as rollouts:
        for _ in Collector(env, None, frames_per_batch=10, total_frames=20,
                           post_collect_hook=rollouts.record_tensordict):  # fmt: skip
            pass
    found = rows(subscription)
    assert max(row.step for row in found) == 2
    assert set(found[0].observation) == {"observation", "step_count"}
    assert all(row.over[1] for row in found if row.step == 2 and not row.over[0])


def test_what_is_no_batch_is_counted() -> None:
    """A TensorDict of something else."""
    with Rollouts(envs=1, run="torchrl", kafka=False) as rollouts:
        rollouts.record_tensordict(TensorDict({"x": torch.zeros(2)}, [2]))
        assert rollouts.not_recorded() == {"refused KeyError": 1}


# --- the ring -------------------------------------------------------------------------------------------------------


def test_a_tensor_may_change_once_its_copy_has_begun() -> None:
    """What is copied is in memory of the ring's own, which is used again for the same shape."""
    ring, tensor = TorchRing(1), torch.arange(6.0).reshape(2, 3).requires_grad_()
    first = ring.start({"a": (tensor, None), "b": [1]})
    with torch.no_grad():
        tensor.zero_()
    found = first.wait()
    assert found["a"][0].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert (found["a"][1], found["b"]) == (None, [1])
    first.release()
    again = ring.start({"a": (tensor, None), "b": [1]}).wait()
    assert again["a"][0].data_ptr() == found["a"][0].data_ptr()


def test_memory_is_not_used_again_before_it_is_released() -> None:
    """A third rollout waits for one of the two before."""
    ring = TorchRing(2)
    copies = [ring.start(torch.full((2,), float(number))) for number in range(2)]
    started: list[Copy] = []
    third = threading.Thread(target=lambda: started.append(ring.start(torch.full((2,), 2.0))), daemon=True)
    third.start()
    third.join(0.2)
    assert [copy.wait().tolist() for copy in copies] == [[0, 0], [1, 1]]
    assert not started
    copies[0].release()
    third.join(10)
    assert started[0].wait().tolist() == [2, 2]
    assert copies[1].wait().tolist() == [1, 1]


def test_a_copy_that_fails_gives_its_memory_back() -> None:
    """A tensor that cannot be copied: the next rollout has room."""
    ring = TorchRing(1)
    with pytest.raises(NotImplementedError):
        ring.start(torch.zeros(2, device="meta"))
    assert ring.start(torch.ones(2)).wait().tolist() == [1, 1]


def test_where_values_are_decides_who_reads_them() -> None:
    """CPU tensors at once; those of a device, and JAX's, behind the loop."""
    assert place_of({"a": torch.zeros(2)}) == "host"
    assert place_of({"a": torch.zeros(2), "b": torch.zeros(2, device="meta")}) == "torch"
    assert place_of((np.zeros(2), jnp.zeros(2))) == "jax"
    assert place_of(TensorDict({"a": torch.zeros(2)}, [2])) == "host"


def test_tensors_of_any_dtype_are_recorded() -> None:
    """bfloat16, flags as bytes, gradients, rewards (T, N, 1); and storage that is overwritten right after."""
    bus, subscription = following()
    with Rollouts(envs=2, run="r", bus=bus, kafka=False) as rollouts:
        seen = torch.arange(12.0).reshape(2, 2, 3).to(torch.bfloat16)
        rewards = torch.ones(2, 2, 1, requires_grad=True)
        over = torch.tensor([[0, 1], [0, 0]], dtype=torch.uint8)
        rollouts.record(seen, torch.zeros(2, 2, 1), rewards, over, torch.zeros(2, 2, dtype=torch.bool), last=seen[0])
        seen.zero_()
        assert rollouts.not_recorded() == rollouts.recorder.stats()["complaints"] == {}
    found = [row for row in rows(subscription) if row.env == 0]
    assert [row.observation.tolist() for row in found] == [[0, 1, 2], [6, 7, 8], [0, 1, 2]]


# --- JAX ------------------------------------------------------------------------------------------------------------


def scanned(key: Any, steps: int, count: int) -> tuple[Any, Any]:
    """Return gymnax's CartPole as `lax.scan` rolls it out: (T, N, ...) of what there is, and what is shown behind."""
    env, params = gymnax.make("CartPole-v1")
    params = params.replace(max_steps_in_episode=20)

    def step(carry: Any, key: Any) -> tuple[Any, Any]:
        seen, state = carry
        choose, go = jax.random.split(key)
        action = jax.random.randint(choose, (count,), 0, 2)
        after, state, reward, over, cut, info = jax.vmap(env.step, (0, 0, 0, None))(
            jax.random.split(go, count), state, action, params
        )
        return (after, state), (seen, action, reward, over, cut, info["final_observation"])

    begin, play = jax.random.split(key)
    first = jax.vmap(env.reset, (0, None))(jax.random.split(begin, count), params)
    (last, _), rolled = jax.lax.scan(step, first, jax.random.split(play, steps))
    return rolled, last


def test_a_scan_of_gymnax_is_recorded_bit_for_bit() -> None:
    """What the scan returned is what is there: in one piece and in two, read behind the loop."""
    rolled, _ = jax.jit(scanned, static_argnums=(1, 2))(jax.random.key(1), 100, 5)
    seen, did, rewards, over, cut, after = map(np.asarray, rolled)
    assert over.any()
    assert cut.any()
    bus, subscription = following()
    with Rollouts(envs=5, run="gymnax", bus=bus, kafka=False) as rollouts:
        for part in (slice(0, 37), slice(37, 100)):
            *facts, final = (array[part] for array in rolled)
            rollouts.record(*facts, next_observations=final)
    found = rows(subscription)
    for env in range(5):
        mine = [row for row in found if row.env == env]
        steps = [row for row in mine if row.step]
        assert [row.reward for row in steps] == rewards[:, env].tolist()
        assert [row.over for row in steps] == list(zip(over[:, env].tolist(), cut[:, env].tolist(), strict=True))
        assert [row.action.item() for row in steps] == did[:, env].tolist()
        assert all(np.array_equal(row.observation, after[t, env]) for t, row in enumerate(steps))
        begins = [0, *(np.flatnonzero(over[:-1, env] | cut[:-1, env]) + 1)]
        resets = [row.observation for row in mine if row.step == 0]
        assert np.array_equal(resets, seen[begins, env])


def test_rollouts_that_the_device_has_not_made_yet_do_not_hold_the_loop() -> None:
    """`record` returns before the values are there: those of a computation that waits for us."""
    go = threading.Event()

    def late() -> Any:
        go.wait(60)
        return np.ones((2, 3), np.float32)

    rewards = jax.jit(lambda: jax.pure_callback(late, jax.ShapeDtypeStruct((2, 3), jnp.float32)))()
    bus, subscription = following()
    zeros = np.zeros((2, 3))
    with Rollouts(envs=3, run="r", bus=bus, kafka=False) as rollouts:
        rollouts.record(zeros, zeros, rewards, zeros, zeros, last=zeros[0])
        assert not [row for row in rows(subscription) if row.step]
        go.set()
        rollouts.record(zeros, zeros, zeros, zeros, zeros, last=zeros[0])  # on the host, and in order
    assert [row.reward for row in rows(subscription) if row.step and row.env == 0] == [1, 1, 0, 0]


def test_a_recorder_inside_jit_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    """There are no values while a function is traced; the training goes on."""
    with Rollouts(envs=3, run="r", kafka=False) as rollouts, caplog.at_level(logging.ERROR, "runbus"):

        def train(size: int, x: Any) -> Any:
            rolled = jnp.ones((2, size)) * x
            rollouts.record(rolled, rolled, rolled, rolled, rolled, last=rolled[0])
            return x + 1

        jitted = jax.jit(train, static_argnums=0)
        assert [float(jitted(size, 1.0)) for size in (3, 4)] == [2, 2]
        assert rollouts.not_recorded() == {"traced": 2}
    assert caplog.text.count("inside a function that JAX traces") == 1


def test_a_plain_recorder_inside_jit_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    """Likewise for a step: the row is there without what has no value."""
    with Recorder("r", kafka=False) as recorder, caplog.at_level(logging.ERROR, "runbus"):

        def train(x: Any) -> Any:
            recorder.step_vector(x, x, x > 0, x > 0, x)
            return x + 1

        jitted = jax.jit(train)
        jitted(jnp.ones(3))
        jitted(jnp.ones(4))
    assert 1 <= caplog.text.count("Tracer") <= 2
    assert recorder.stats()["complaints"]


def test_jax_arrays_are_their_own_memory() -> None:
    """bfloat16 too; a donated one is said, and the next rollout is recorded."""
    copy = JaxCopies().start({"a": jnp.ones(3, jnp.bfloat16), "b": None})
    assert copy.wait()["a"].tolist() == [1, 1, 1]
    bus, subscription = following()
    zeros = jnp.zeros((2, 3))
    gone = jnp.ones((2, 3))
    gone.delete()
    with Rollouts(envs=3, run="r", bus=bus, kafka=False) as rollouts:
        rollouts.record(zeros, zeros, gone, zeros, zeros, last=zeros[0])
        rollouts.record(zeros, zeros, zeros, zeros, zeros, last=zeros[0])
        rollouts.flush()
        assert sum(rollouts.not_recorded().values()) == 1
    assert len([row for row in rows(subscription) if row.step]) == 6


# --- the examples and the page --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gymnax_cartpole", "torchrl_cartpole"])
def test_the_examples_are_recorded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """examples/frameworks/*.py as they stand, without a broker: every step is a row, nothing complains."""
    monkeypatch.setenv("RUNBUS_RECORDER_FLUSH_SECONDS", "0")
    said = runpy.run_path(str(ROOT / "examples" / "frameworks" / f"{name}.py"))
    rollouts = said["rollouts"]
    stats = rollouts.recorder.stats()
    assert rollouts.not_recorded() == stats["complaints"] == {}
    assert stats["produced"] - stats["episodes"] == said["STEPS"]


def test_the_snippets_of_the_page_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/rollout.md, those for PyTorch and JAX."""
    monkeypatch.setenv("RUNBUS_RECORDER_FLUSH_SECONDS", "0")
    page = (ROOT / "docs" / "rollout.md").read_text(encoding="utf-8")
    said: dict[str, Any] = {}
    for code in re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        exec(code, said)
    assert said["rollouts"].not_recorded() == {}

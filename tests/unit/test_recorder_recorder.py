"""`Recorder` without Kafka: what it publishes on its bus, and that nothing it meets reaches the loop."""

import contextlib
import copy
import json
import logging
import math
import pickle
import sys
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import numpy as np
import pytest

from runbus.config.errors import ConfigError
from runbus.recorder import Recorder, RunBus, Subscription
from runbus.recorder.events import StepsRecorded, StreamFinished, StreamStarted
from runbus.schemas.batch import StepBatch
from runbus.schemas.layout import decode_value, unpack
from tests.support.recorded_rows import batches_of


def recorder_on(**options: Any) -> tuple[Recorder, Subscription]:
    """Return a recorder and a subscription of its bus."""
    bus = RunBus()
    subscription = bus.subscribe("test")
    return Recorder("run-1", bus=bus, kafka=False, **options), subscription


def batches(subscription: Subscription) -> list[StepBatch]:
    """Return the closed batches that wait, each once around through the wire format."""
    return batches_of(subscription.get_many(10_000))


def values(batch: StepBatch) -> list[Any]:
    """Return the observations of a batch."""
    layout = batch.header.observation
    return [decode_value(layout, raw) for raw in unpack(layout, batch.observation, batch.header.count)]


def test_a_stream_is_started_steps_finished() -> None:
    """The bus carries the start, the batches and the end, in that order, for one attempt."""
    recorder, subscription = recorder_on(config={"lr": 0.1})
    with recorder:
        recorder.reset(0.5, seed=1)
        recorder.step(1, 1.0, True, False, 0.25)
    started, steps, finished = subscription.get_many(10)
    assert isinstance(started, StreamStarted)
    assert isinstance(steps, StepsRecorded)
    assert isinstance(finished, StreamFinished)
    assert json.loads(started.event.config) == {"lr": 0.1}
    assert {e.counts.id for e in (started, steps, finished)} == {steps.counts.id}
    assert steps.counts.id.attempt == recorder.attempt
    event = finished.final(7)
    assert (event.kind, event.sent_at, event.produced, event.episodes) == ("FINISHED", 7, 2, 1)


def test_nothing_is_published_before_the_first_use() -> None:
    """A recorder that is only built (to be sent to a worker, say) leaves no stream behind."""
    recorder, subscription = recorder_on()
    recorder.close()
    assert subscription.get_many(10) == []


def test_a_batch_closes_at_256_steps() -> None:
    """Sizes are 256 and the rest; seq runs on without a gap."""
    recorder, subscription = recorder_on()
    for i in range(600):
        recorder.step(i, 1.0, False, False, 0.5)
    recorder.close()
    found = batches(subscription)
    assert [(b.header.first_seq, b.header.count) for b in found] == [(0, 256), (256, 256), (512, 88)]
    assert [n for b in found for n in np.frombuffer(b.action, "<i8").tolist()] == list(range(600))


def test_a_batch_closes_at_256_kib() -> None:
    """Large observations make small batches."""
    recorder, subscription = recorder_on(observations="all")
    for _ in range(8):
        recorder.step(1, 1.0, False, False, np.zeros(100_000, np.uint8))
    recorder.close()
    assert [b.header.count for b in batches(subscription)] == [3, 3, 2]


def test_a_batch_closes_after_50_ms() -> None:
    """A slow agent's step does not wait for 255 others."""
    recorder, subscription = recorder_on()
    began = time.monotonic()
    recorder.step(1, 1.0, False, False, 0.5)
    assert isinstance(subscription.get(5), StreamStarted)
    steps = subscription.get(5)
    assert isinstance(steps, StepsRecorded)
    assert time.monotonic() - began < 2  # generous: the machine may be busy; without the ticker it never comes
    recorder.close()


def test_what_is_kept_is_a_copy() -> None:
    """Observation and action buffers that the environment re-uses do not change what was recorded."""
    recorder, subscription = recorder_on()
    observation, action = np.zeros(3), np.zeros(2, np.float32)
    for i in range(3):
        observation[:] = i
        action[:] = i
        recorder.step(action, 0.0, False, False, observation)
    observation[:] = action[:] = 99
    recorder.close()
    (batch,) = batches(subscription)
    assert [v.tolist() for v in values(batch)] == [[0.0] * 3, [1.0] * 3, [2.0] * 3]
    assert np.frombuffer(batch.action, "<f4").tolist() == [0, 0, 1, 1, 2, 2]


def test_a_new_layout_begins_a_new_batch() -> None:
    """Steps of another shape, dtype or kind are recorded exactly, in a batch of their own."""
    recorder, subscription = recorder_on()
    shown = [np.zeros(2), np.ones(3), np.full((3, 1), 1), "text", None, {"a": np.ones(1), "b": "x"}]
    for value in shown:
        recorder.step(0, 0.0, False, False, value)
    recorder.close()
    found = batches(subscription)
    assert [b.header.first_seq for b in found] == list(range(6))
    got = [values(b)[0] for b in found]
    assert [np.asarray(g).tolist() for g in got[:3]] == [[0, 0], [1, 1, 1], [[1], [1], [1]]]
    assert got[3:5] == ["text", None]
    assert got[5]["b"] == "x"


def test_a_reset_shares_a_batch_with_any_action() -> None:
    """The row of a reset has no action; it does not split the batch."""
    recorder, subscription = recorder_on()
    for _ in range(3):
        recorder.reset(0.0)
        recorder.step("go", 1.0, True, False, 1.0)
    recorder.close()
    (batch,) = batches(subscription)
    assert batch.columns.episode.tolist() == [0, 0, 1, 1, 2, 2]
    assert unpack(batch.header.action, batch.action, 6) == [b"", b"go"] * 3


def test_named_numbers_ride_on_the_next_step_and_end_in_the_summary() -> None:
    """log() waits for the next row, a reset too, and the summary keeps the last of each name, NaN included."""
    recorder, subscription = recorder_on()
    recorder.log({"loss": 1.0})
    recorder.reset(0.0)
    recorder.log({"loss": 2.0, "lr": np.float32(0.5)})
    recorder.step(0, 0.0, False, False, 0.0)
    recorder.step(0, 0.0, False, False, 0.0)
    recorder.log({"loss": float("nan")})
    recorder.close()
    _, steps, finished = subscription.get_many(10)
    extras = {e.name: (e.rows.tolist(), e.values.tolist()) for e in steps.batch().extras}
    assert extras == {"loss": ([0, 1], [1.0, 2.0]), "lr": ([1], [0.5])}
    assert json.loads(finished.summary) == {"loss": "NaN", "lr": 0.5}


def test_several_environments_count_for_themselves() -> None:
    """Episode and step are per env, also where it steps before any reset."""
    recorder, subscription = recorder_on()
    recorder.reset(0.0, env=1)
    recorder.step(0, 0.0, False, False, 0.0, env=1)
    recorder.step(0, 0.0, False, False, 0.0, env=4)
    recorder.reset(0.0, env=1)
    recorder.close()
    columns = batches(subscription)[0].columns
    assert columns.env.tolist() == [1, 1, 4, 1]
    assert columns.episode.tolist() == [0, 0, 0, 1]
    assert columns.step.tolist() == [0, 1, 1, 0]


class Hostile:
    """A value that fails at every touch."""

    def __bool__(self) -> bool:
        raise RuntimeError("no truth here")

    def __float__(self) -> float:
        raise RuntimeError("not a number")

    def __len__(self) -> int:
        raise RuntimeError("no length")


GOOD: dict[str, Any] = {
    "action": 1, "reward": 1.0, "terminated": False, "truncated": False, "observation": 0.5, "env": 0
}  # fmt: skip


@pytest.mark.parametrize("env", [-1, 2**31, "left", Hostile()], ids=["negative", "too large", "text", "hostile"])
def test_a_step_of_no_environment_is_counted_and_said_once(env: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The loop sees nothing of it; the step takes a seq and counts as dropped; the steps around it are exact."""
    recorder, subscription = recorder_on()
    for step in (GOOD, {**GOOD, "env": env}, {**GOOD, "env": env}, GOOD):
        recorder.step(**step)
    recorder.close()
    assert [(b.header.first_seq, b.header.count) for b in batches(subscription)] == [(0, 1), (3, 1)]
    stats = recorder.stats()
    assert (stats["produced"], stats["dropped"], stats["in_flight"]) == (4, 2, 2)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "run-1/agent-0 cannot be recorded" in record.getMessage()
    assert "counts as dropped" in record.getMessage()


class Unspeakable:
    """An object whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


BAD_PARTS: list[tuple[str, Any]] = [
    ("observation", object()),
    ("observation", np.array([1 + 2j])),
    ("observation", np.longdouble(1)),
    ("observation", Hostile()),
    ("action", object()),
    ("action", np.datetime64("2026-01-01")),
    ("reward", None),
    ("reward", "much"),
    ("reward", np.zeros(2)),
    ("reward", Hostile()),
    ("reward", 10**400),
    ("terminated", Hostile()),
    ("terminated", np.zeros(2)),
    ("truncated", Hostile()),
    ("tick", 2**63),
    ("tick", "noon"),
]


@pytest.mark.parametrize(("part", "bad"), BAD_PARTS, ids=lambda v: v if isinstance(v, str) else type(v).__name__)
def test_a_part_that_cannot_be_kept_is_left_out(part: str, bad: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The step stays, with everything else; that it is without the part is in the row, counted, and said once."""
    recorder, subscription = recorder_on()
    for step in (GOOD, {**GOOD, part: bad}, {**GOOD, part: bad}, GOOD):
        recorder.step(**step)
    recorder.close()
    found = batches(subscription)
    assert sum(b.header.count for b in found) == 4
    assert recorder.stats()["dropped"] == 0
    assert marks(found, part) == {1: 1.0, 2: 1.0}
    rewards = [r for b in found for r in b.columns.reward.tolist()]
    assert [r for i, r in enumerate(rewards) if part != "reward" or i in (0, 3)] == [1.0] * (
        2 if part == "reward" else 4
    )
    assert all(math.isnan(r) for r in rewards[1:3]) == (part == "reward")
    if part in ("observation", "action"):
        assert [getattr(b.header, part).dtype for b in found][1] == "omitted:json"
        assert [b.header.count for b in found] == [1, 2, 1]
    assert recorder.stats()["complaints"] == {f"left out {part}": 2}
    (record,) = caplog.records
    assert f"run-1/agent-0: a step is recorded without its {part}" in record.getMessage()
    assert f"left_out.{part}" in record.getMessage()


def marks(found: list[StepBatch], part: str) -> dict[int, float]:
    """Return the marks of a part that was left out, by seq."""
    return {
        b.header.first_seq + int(row): value
        for b in found
        for extra in b.extras
        if extra.name == f"left_out.{part}"
        for row, value in zip(extra.rows, extra.values.tolist(), strict=True)
    }


def test_a_part_of_a_dict_that_cannot_be_kept_is_left_out_alone() -> None:
    """The text and the numbers beside it are recorded, and the layout says which part is not."""
    recorder, subscription = recorder_on()
    value = {"said": "x", "bad": np.array([1j]), "n": np.ones(2)}
    for _ in range(2):
        recorder.step(1, 1.0, False, False, value)
    recorder.close()
    (batch,) = batches(subscription)
    assert '["bad",["omitted:json",[]]]' in batch.header.observation.dtype
    assert [(v["said"], v["bad"], v["n"].tolist()) for v in values(batch)] == [("x", None, [1.0, 1.0])] * 2
    assert marks([batch], "observation") == {0: 1.0, 1: 1.0}


def test_infos_of_any_kind_take_nothing_with_them() -> None:
    """What JSON cannot say is replaced in its place; reward and flags of the step are there."""
    recorder, subscription = recorder_on()
    cyclic: dict[str, Any] = {"n": 1}
    cyclic["me"] = cyclic
    infos = [
        cyclic,
        {"x": Unspeakable()},
        {"s": "\ud800", "f": float("nan"), "big": 2**80},
        {"t": np.zeros(2, complex)},
    ]
    for info in infos:
        recorder.step(1, 1.0, True, False, 0.5, info=info)
    recorder.close()
    (batch,) = batches(subscription)
    assert batch.columns.reward.tolist() == [1.0] * 4
    said = [json.loads(text) for text in batch.info]
    assert said[0] == {"n": 1, "me": "(contains itself)"}
    assert said[1] == {"x": "<Unspeakable>"}
    assert said[2] == {"s": r"\ud800", "f": "NaN", "big": str(2**80)}
    assert said[3] == {"t": ["0j", "0j"]}


@pytest.mark.parametrize(
    "bad",
    ["\ud800", "a\udfff", Unspeakable(), 7, None],
    ids=["half a pair", "half a pair behind", "no text", "int", "none"],
)
def test_a_bad_name_costs_no_step(bad: Any) -> None:
    """A name that UTF-8 cannot say, once in 100 steps: every step is there, and so is the number."""
    recorder, subscription = recorder_on()
    for i in range(100):
        recorder.log({"loss": i} if i != 50 else {bad: 1.0, "loss": i})
        recorder.step(**GOOD)
    recorder.close()
    (batch,) = batches(subscription)
    extras = {e.name: e for e in batch.extras}
    assert extras["loss"].values.tolist() == list(range(100))
    assert len(extras) == 2
    (other,) = extras.keys() - {"loss"}
    assert extras[other].rows.tolist() == [50]


def test_a_value_that_is_no_number_leaves_the_others() -> None:
    """log() keeps what is a number; how many were left out is in the row, counted, and in complaints."""
    recorder, subscription = recorder_on()
    recorder.log(
        {
            "loss": 0.25,
            "note": "x",  # type: ignore[dict-item]
            "array": np.zeros(2),
            "lr": np.float32(0.5),
        }
    )
    recorder.log("nothing")  # type: ignore[arg-type]
    recorder.step(**GOOD)
    recorder.close()
    (batch,) = batches(subscription)
    found = {e.name: e.values.tolist() for e in batch.extras}
    assert found == {"loss": [0.25], "lr": [0.5], "left_out.log": [3.0]}
    assert recorder.stats()["complaints"] == {"left out log": 3}


def test_bad_seeds_logs_and_vectors_do_not_reach_the_loop() -> None:
    """The other calls keep the same promise: rows whose number is known stay, the rest are counted."""
    recorder, subscription = recorder_on()
    recorder.reset(0.0, seed="x")  # type: ignore[arg-type]
    recorder.log({"loss": "high"})  # type: ignore[dict-item]
    recorder.step_vector(np.zeros(3), [1.0, 2.0], [False] * 2, [False] * 2, np.zeros((2, 1)))
    recorder.step_vector(np.zeros(2), [1.0, 2.0], [True], [False] * 2, np.zeros((2, 1)))
    recorder.step_vector(np.zeros(2), Hostile(), [False] * 2, [False] * 2, np.zeros((2, 1)))  # type: ignore[arg-type]
    recorder.reset_vector(object())
    recorder.step(1, 1.0, False, False, 0.0)
    recorder.close()
    found = batches(subscription)
    assert recorder.stats()["dropped"] == 1 + 1
    assert recorder.stats()["produced"] == 1 + 2 + 2 + 1 + 1 + 1
    assert (marks(found, "seed"), marks(found, "action")) == ({0: 1.0}, {1: 1.0, 2: 1.0})
    assert marks(found, "terminated") == {3: 1.0, 4: 1.0}
    assert found[-1].header.first_seq == 7


def logged_step(recorder: Recorder) -> None:
    """Log a number and record a step."""
    recorder.log({"x": 1.0})
    recorder.step(1, 1.0, False, True, [1, 2])


CALLS: dict[str, Callable[[Recorder], object]] = {
    "step": lambda r: r.step(1, 1.0, False, False, {"a": np.zeros(1), "b": 1.0}, info={"k": 1}),
    "reset": lambda r: r.reset([0.5, 1.0], seed=3, info={}),
    "log": logged_step,
    "vector": lambda r: r.step_vector(np.zeros(2), np.ones(2), [False] * 2, [True] * 2, np.zeros((2, 3))),
    "one by one": lambda r: r.step_vector(np.zeros(2), np.ones(2), [False] * 2, [True] * 2, ["a", "b"]),
    "vector reset": lambda r: r.reset_vector({"a": np.zeros((2, 3))}, seeds=[1, 2]),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_interrupt_inside_a_call_leaves_no_hole(name: str) -> None:
    """Ctrl-C at any function below a call of the recorder: each row is whole or counted, and what follows is exact.

    CPython raises an interrupt where a function begins, or has called one of C's.
    """
    for moment in range(1000):
        if not interrupted_and_recorded(CALLS[name], moment):
            return
    pytest.fail("a call of more than 1000 functions")


def interrupted_and_recorded(call: Callable[[Recorder], object], moment: int) -> bool:
    """Interrupt a call where one of its functions begins, and check what is recorded; return whether it was."""
    recorder, subscription = recorder_on()
    recorder.reset(0.0)
    with interrupted_at(moment) as fired:
        call(recorder)
    recorder.step(**GOOD)
    recorder.close()
    found = batches(subscription)
    stats = recorder.stats()
    stored = sum(b.header.count for b in found)
    assert stats["dropped"] == produced_by(stats) - stored
    seqs = {seq for b in found for seq in range(b.header.first_seq, b.header.next_seq)}
    assert len(seqs) == stored
    assert (stored > 1, found[-1].columns.reward.tolist()[-1]) == (True, 1.0)
    return bool(fired)


def produced_by(stats: dict[str, Any]) -> int:
    """Return how many steps were produced."""
    return int(stats["produced"])


INTERRUPTED = tuple(
    f"/recorder/{name}.py"
    for name in ("stream", "vector", "values", "batched", "packing", "reading", "env_positions", "text")
)


@contextlib.contextmanager
def interrupted_at(moment: int) -> Iterator[list[bool]]:
    """Raise KeyboardInterrupt at the `moment`-th function that begins in the recorder's modules; swallow it."""
    fired: list[bool] = []
    seen = 0

    def trace(frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal seen
        if not frame.f_code.co_filename.endswith(INTERRUPTED):
            return trace
        if event == "call" and not fired:
            seen += 1
            if seen > moment:
                fired.append(True)
                raise KeyboardInterrupt
        return trace

    with contextlib.suppress(KeyboardInterrupt):
        sys.settrace(trace)
        try:
            yield fired
        finally:
            sys.settrace(None)


def test_after_close_rows_are_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """A closed stream stays as it ended; each row of a vector call counts."""
    recorder, subscription = recorder_on()
    recorder.step(1, 1.0, False, False, 0.0)
    recorder.close()
    recorder.close("failed", "twice")
    before = recorder.stats()
    recorder.step(1, 1.0, False, False, 0.0)
    recorder.reset(0.0)
    recorder.log({"a": 1})
    recorder.step_vector(np.zeros(3), np.zeros(3), [False] * 3, [False] * 3)
    recorder.reset_vector(np.zeros((4, 1)))
    assert recorder.stats()["produced"] == before["produced"] == 1
    assert recorder.stats()["after_close"] == 1 + 1 + 3 + 4
    assert sum(isinstance(e, StreamFinished) for e in subscription.get_many(10)) == 1
    (said,) = [r.getMessage() for r in caplog.records]
    assert said.startswith("recorder run-1/agent-0 is closed: what comes after close() is counted, not recorded")


@pytest.mark.parametrize(
    ("error", "outcome", "text"),
    [
        (ValueError("bad"), "failed", "ValueError: bad"),
        (KeyboardInterrupt(), "interrupted", "KeyboardInterrupt: "),
        (SystemExit(0), "completed", ""),
        (SystemExit(3), "failed", "SystemExit: 3"),
        (RuntimeError("caf\udce9"), "failed", "RuntimeError: caf?"),
    ],
)
def test_leaving_by_an_exception_is_the_outcome(error: BaseException, outcome: str, text: str) -> None:
    """The exception itself passes; the end of the stream says what it was."""
    recorder, subscription = recorder_on()
    with pytest.raises(type(error)) as caught, recorder:
        raise error
    assert caught.value is error
    finished = subscription.get_many(10)[-1].final(0)
    assert (finished.outcome, finished.error) == (outcome, text)
    finished.encode()


def test_attempts_are_unique_and_start_times() -> None:
    """Recorders made in the same microsecond are different streams; each attempt is about now."""
    before = time.time_ns() // 1000
    attempts = [Recorder("run-1", kafka=False).attempt for _ in range(200)]
    assert len(set(attempts)) == 200
    assert before <= attempts[0]
    assert attempts == sorted(attempts)
    assert attempts[-1] <= time.time_ns() // 1000 + 200


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))])
def test_a_copy_is_a_new_attempt_of_the_same_agent(copied: Any) -> None:
    """Copies and unpickled recorders share the names and nothing else of the stream."""
    recorder, subscription = recorder_on(config={"lr": 0.1})
    recorder.step(1, 1.0, False, False, 0.5)
    other = copied(recorder)
    assert (other.run, other.agent) == (recorder.run, recorder.agent)
    assert other.attempt > recorder.attempt
    assert other.stats()["produced"] == 0
    seen = other.bus.subscribe("copy")
    other.step(1, 1.0, False, False, 0.5)
    other.close()
    assert json.loads(seen.get(0).event.config) == {"lr": 0.1}
    recorder.close()
    assert {b.header.attempt for b in batches(subscription)} >= {recorder.attempt}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"run": ""}, "run is empty"),
        ({"run": None}, "run is empty or not text"),
        ({"run": "ALE/Pong"}, "'/'"),
        ({"run": "r", "agent": 3}, "agent is empty or not text"),
        ({"run": "r", "observations": "some"}, "auto, all, none"),
    ],
)
def test_unusable_arguments_are_refused_at_construction(arguments: dict[str, Any], words: str) -> None:
    """A misspelt option is an error where it is written, not in the loop."""
    with pytest.raises(ConfigError, match=words):
        Recorder(**arguments, kafka=False)


@pytest.mark.parametrize(
    ("mode", "value", "dtype"),
    [
        ("auto", np.zeros(256, np.float32), "<f4"),
        ("auto", np.zeros(257, np.float32), "omitted:<f4"),
        ("auto", np.zeros((4, 4, 3), np.uint8), "omitted:|u1"),
        ("auto", np.zeros((4, 4), np.uint8), "|u1"),
        ("auto", "x" * 5000, "text"),
        ("all", np.zeros((84, 84, 3), np.uint8), "|u1"),
        ("none", np.zeros(2), "omitted:<f8"),
        ("none", "text", "omitted:text"),
        ("none", None, ""),
    ],
)
def test_large_observations_are_left_out_visibly(mode: Any, value: Any, dtype: str) -> None:
    """What is not recorded by default still shows its dtype and shape in the log."""
    recorder, subscription = recorder_on(observations=mode)
    recorder.reset(value)
    recorder.step(1, 1.0, False, False, value)
    recorder.close()
    (batch,) = batches(subscription)
    assert batch.header.observation.dtype == dtype
    if dtype.startswith("omitted"):
        assert batch.observation == b""
        assert batch.header.observation.shape == np.shape(value)


def test_two_streams_of_one_name_in_a_process_say_that_both_go_on() -> None:
    """The older one sends its start again when the newer one begins; one that is closed or of another name does not."""
    bus = RunBus()
    subscription = bus.subscribe("test")
    train, other, closed = (Recorder("run-1", agent, bus=bus, kafka=False) for agent in ("a", "b", "a"))
    for recorder in (train, other, closed):
        recorder.reset(0.5)
    closed.close()
    evaluation = Recorder("run-1", "a", bus=bus, kafka=False)
    subscription.get_many(100)
    evaluation.reset(0.5)
    begun = [e.event for e in subscription.get_many(100) if isinstance(e, StreamStarted)]
    assert [event.attempt for event in begun] == [evaluation.attempt, train.attempt]
    assert begun[1].sent_at > evaluation.attempt
    train.close()
    evaluation.close()

"""A user's stream app: how it is found, what it may not do, and the example, crashed and moved."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from examples.success_rate import FORGET_MS, SuccessRate, app
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.config.errors import ConfigError, RunBusError
from runbus.config.sources import read_sources
from runbus.schemas.batch import BatchHeader, StepBatch
from runbus.schemas.codec import Codec
from runbus.streams.api import At, Change, Effects, Emission, stream_app
from runbus.streams.best_effort import BestEffortProducer
from runbus.streams.driver import Driver
from runbus.streams.output import AppOutput
from runbus.streams.user_app import load_app, user_process
from tests.support.batches import step_columns

EPISODE = 3  # steps
MODULE = """
from examples.success_rate import app
number = 7
"""


def batch(first: int, count: int = 10, agent: str = "a") -> StepBatch:
    """Return steps of which every third one ends an episode, with the seq modulo 4 minus 1 as its reward."""
    seq = np.arange(first, first + count)
    columns = step_columns(seq, seq, terminated=(seq % EPISODE == 2).astype("u1"), reward=(seq % 4 - 1).astype("<f8"))
    return StepBatch(BatchHeader("run", agent, 1, first, count, 0, 0), columns)


def said(driver: Driver) -> list[dict[str, Any]]:
    """Return what was emitted."""
    return [json.loads(emission.event) for emission in driver.emitted if isinstance(emission.event, bytes)]


# --- finding it -------------------------------------------------------------------------------------------------------


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Return what writes a module into the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text)

    return write


def test_a_module_of_the_current_folder_is_found_and_its_app_is_a_process(module: Callable[[str, str], None]) -> None:
    """Its kind, its group and its topics follow from its name, and its rights are checked."""
    module("found_here", MODULE)
    assert load_app("found_here:app") is app
    spec = user_process("found_here:app")(read_sources(environ={"RUNBUS_TOPIC_PREFIX": "lab.", "RUNBUS_HOME": "/no"}))
    assert spec.kind == "success-rate"
    assert {"lab.steps", "lab.success-rate", "lab.success-rate-state-changelog"} <= set(spec.topics)


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("rates", "'rates' is not MODULE:APP"),
        ("rates.py:app", "there is no module rates"),
        ("a b:app", "is not MODULE:APP"),
        ("not_there:app", "there is no module not_there: install it beside RunBus, or start in the folder"),
        ("half_there:nothing", "module half_there has no stream app called nothing: it has app"),
        ("half_there:number", "module half_there has no stream app called number: it has app"),
        ("empty:app", "module empty has no stream app called app: make one with runbus.streams.api.stream_app"),
    ],
)
def test_a_place_without_an_app_is_said(place: str, reason: str, module: Callable[[str, str], None]) -> None:
    """What is missing, and what to do."""
    module("half_there", MODULE)
    module("empty", "")
    with pytest.raises(ConfigError, match=reason):
        load_app(place)


def test_a_module_that_needs_another_one_says_so(module: Callable[[str, str], None]) -> None:
    """It is not the module that is missing."""
    module("needs_more", "import no_such_library")
    with pytest.raises(RunBusError, match="module needs_more needs the module no_such_library: install it"):
        load_app("needs_more:app")


# --- what a core may not do, and may ----------------------------------------------------------------------------------


class Careless(SuccessRate):
    """A core that fails at the agent `broken`, and keeps state under any key."""

    key = b""

    def apply(self, batch: StepBatch, at: At) -> Effects:  # noqa: ARG002 - of the contract
        """Fail, or say something."""
        self.key = batch.header.agent_id.encode()
        if self.key == b"broken":
            raise ZeroDivisionError
        return Effects((Emission(careless.output, self.key, b"as it is"),))

    def changes(self) -> list[Change]:
        """Return one."""
        return [Change(self.key.replace(b"zero", b"\x00"), b"1")]


careless = stream_app("careless", Careless)


def test_a_core_that_fails_says_at_which_record() -> None:
    """Its own error, with the place of the record beside it."""
    driver = Driver(careless)
    driver.send(batch(0))
    with pytest.raises(ZeroDivisionError) as raised:
        driver.send(batch(0, agent="broken"))
    assert raised.value.__notes__ == ["driver was taking steps:0 offset 1"]


def test_a_key_of_the_shard_is_refused() -> None:
    """It would replace the position."""
    driver = Driver(careless)
    driver.send(batch(0, agent="zero"))
    with pytest.raises(RunBusError, match="may not begin with a zero byte"):
        driver.commit()


def test_a_value_of_an_encoding_of_its_own_is_written_as_it_is() -> None:
    """No framing is put before it."""
    output = AppOutput("lab.", Codec(), BestEffortProducer(lambda: None))
    message = output.message(Emission(careless.output, b"key", b"as it is"))
    assert (message.topic, message.key, message.value) == ("lab.careless", b"key", b"as it is")


# --- the example ------------------------------------------------------------------------------------------------------


def test_the_example_counts_successes_of_the_last_hundred_episodes() -> None:
    """Each end of an episode is said once, whatever comes again, across crashes."""
    driver = Driver(app)
    for first in range(0, 400, 10):
        driver.send(batch(first))
        driver.send(batch(max(0, first - 10), 15))  # again, and overlapping
        driver.commit()
        driver.crash()
    ends = [seq % 4 > 1 for seq in range(2, 405, EPISODE)]
    assert [one["episodes"] for one in said(driver)] == list(range(1, len(said(driver)) + 1))
    assert [one["successes"] for one in said(driver)] == [
        sum(ends[max(0, number - 100) : number]) for number in range(1, len(said(driver)) + 1)
    ]
    assert said(driver)[0] == {"run": "run", "agent": "a", "attempt": 1, "episodes": 1, "successes": 1}


def test_the_example_forgets_who_is_silent_for_a_week() -> None:
    """Its state stays bounded."""
    driver = Driver(app)
    driver.send(batch(0))
    driver.advance(FORGET_MS - 1000)
    driver.send(batch(0, agent="b"))
    assert driver.core.size() == {"streams": 2}
    driver.advance(120_000)
    driver.commit()
    assert driver.core.size() == {"streams": 1}
    assert [key for key in driver.state if not key.startswith(b"\x00")] == [b"run/b/1"]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.data())
def test_after_a_reset_back_it_says_what_a_new_app_says_from_there(seed: int, data: st.DataObject) -> None:
    """Any log, any position: nothing of the old state is left."""
    dice, driver = random.Random(seed), Driver(app)
    for _ in range(20):
        driver.send(batch(dice.randrange(0, 90, 10), dice.randrange(1, 20), f"agent-{dice.randrange(3)}"))
        if dice.random() < 0.5:
            driver.commit()
    driver.commit()
    offset = data.draw(st.integers(0, 19))
    driver.emitted.clear()
    driver.reset(offset)
    driver.commit()
    fresh = Driver(app)
    for record in driver.log[offset:]:
        fresh.send(record.value)
    fresh.commit()
    assert said(driver) == said(fresh)
    assert {k: json.loads(v)[:3] for k, v in driver.state.items() if k[:1] != b"\x00"} == {
        k: json.loads(v)[:3] for k, v in fresh.state.items() if k[:1] != b"\x00"
    }

"""Records an episode of each kind that the page shows: `python -m tests.support.recorded_episodes` beside a stack.

Each function takes a run's name and what makes its recorders, and returns when Kafka has everything. What it records is
the same each time.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from typing import Any, SupportsInt

import gymnasium
import numpy as np

from runbus.gymnasium import RecordSteps
from runbus.recorder import ABSENT, Recorder, RunBus
from runbus.recorder.events import StepsRecorded

#: What makes a recorder: `Recorder`, or a partial of it with other settings or another bus.
Make = Callable[..., Recorder]
_FLUSH_S = 120.0


def cartpole(run: str, make: Make = Recorder, *, episodes: int = 3, seed: int = 7) -> None:
    """Record CartPole with random actions: a vector to see, two actions with names."""
    env = gymnasium.make("CartPole-v1")
    recorder = make(run, "agent-0", config={"lr": 3e-4, "action_names": ["left", "right"]})
    recorded = RecordSteps(env, recorder)
    actions = np.random.default_rng(seed)
    for episode in range(episodes):
        recorded.reset(seed=seed + episode)
        over = False
        while not over:
            _, _, terminated, truncated, _ = recorded.step(int(actions.integers(2)))
            over = terminated or truncated
    _ended(recorder)


def pictures(run: str, make: Make = Recorder, *, steps: int = 120, size: int = 48) -> None:
    """Record a dot that walks over an image: colours, and a reward where it meets the corner's light."""
    recorder = make(
        run,
        "painter",
        observations="all",
        config={"action_names": ["stay", "right", "down", "left", "up"]},
    )
    recorder.reset(_picture(0, 0, size), seed=1)
    x = y = 0
    for step in range(1, steps + 1):
        action = (1, 2, 3, 4)[step // 20 % 4]
        x, y = (x + (1, 0, -1, 0)[action - 1] * 2) % size, (y + (0, 1, 0, -1)[action - 1] * 2) % size
        recorder.log({"distance": math.hypot(x - size / 2, y - size / 2)})
        recorder.step(action, float(step % 25 == 0), step == steps, False, _picture(x, y, size))
    recorder.reset(None)  # a stream whose images are left out: as the recorder does without `observations="all"`
    _ended(recorder)
    plain = make(run, "default")
    plain.reset(_picture(0, 0, size))
    for step in range(1, 20):
        plain.step(step % 5, 0.0, step == 19, False, _picture(step, step, size))
    _ended(plain)


def _picture(x: int, y: int, size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    rows, columns = np.mgrid[0:size, 0:size]
    image = np.stack([columns * 200 // size, rows * 200 // size, np.full((size, size), 60)], axis=-1).astype(np.uint8)
    image[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3] = (255, 255, 0)
    return image


def long_episode(run: str, make: Make = Recorder, *, steps: int = 100_000) -> None:
    """Record one long episode: rare rewards, the largest in its middle, an action that holds for a while."""
    recorder = make(run, "walker", config={"action_names": ["left", "stay", "right"]})
    recorder.reset(np.zeros(8, np.float32), seed=3)
    for step in range(1, steps + 1):
        phase = step / 500
        observation = np.array([math.sin(phase * (i + 1)) for i in range(8)], np.float32)
        reward = 25.0 if step == steps // 2 else -1.0 if step % 9_973 == 0 else 1.0 if step % 1_000 == 0 else 0.0
        if step % 100 == 0:
            recorder.log({"value": math.cos(phase)})
        recorder.step(step // 137 % 3, reward, False, step == steps, observation)
        if step % 20_000 == 0:
            recorder.flush(_FLUSH_S)
    _ended(recorder)


def grid(run: str, make: Make = Recorder, *, steps: int = 60) -> None:
    """Record a small board of numbers, with a NaN reward and an infinite extra among its steps."""
    recorder = make(run, "gridder")
    board = np.zeros((6, 7), np.int8)
    recorder.reset(board)
    for step in range(1, steps + 1):
        board = board.copy()
        board[step // 7 % 6, step % 7] = 1 + step % 2
        recorder.log({"depth": math.inf if step == 20 else step / 10})
        recorder.step(step % 7, math.nan if step == 10 else 0.1 * (step % 3), step == steps, False, board)
    _ended(recorder)


def lossy(run: str, make: Make = Recorder, *, steps: int = 90) -> None:
    """Record an episode of which steps 31 to 50 never reach Kafka, as when a queue was full."""
    bus = _Forgetful()
    recorder = make(run, "lossy", bus=bus)
    recorder.reset(np.zeros(3, np.float32))
    for step in range(1, steps + 1):
        if step in (31, 51):
            recorder.flush(_FLUSH_S)
            bus.forgets = step == 31
        recorder.step(step % 2, 1.0, step == steps, False, np.array([step, -step, step % 5], np.float32))
    _ended(recorder)


class _Forgetful(RunBus):
    """A bus that gives steps up while it `forgets`, and counts them as dropped."""

    forgets = False

    def publish(self, event: Any, *, events: int = 1, nbytes: int = 0) -> None:
        """Hand the event on, unless it is steps that are to be lost."""
        if self.forgets and isinstance(event, StepsRecorded):
            event.counts.drop(event.count)
            event.settled = True
            return
        super().publish(event, events=events, nbytes=nbytes)


def world(run: str, make: Make = Recorder, *, agents: int = 3, ticks: int = 80) -> None:
    """Record a world of several agents on one tick; the last one leaves early and another joins late."""
    recorders = [
        make(run, f"agent-{i}", config={"action_names": ["north", "east", "south", "west"]}) for i in range(agents)
    ]
    for i, recorder in enumerate(recorders):
        recorder.reset(np.full(4, i, np.float32), tick=0, labels={"world": "harbour"})
    for tick in range(1, ticks + 1):
        for i, recorder in enumerate(recorders):
            last = tick == ticks - (30 if i == agents - 1 else 0)
            if tick > ticks - 30 and i == agents - 1:
                continue
            seen = np.array([math.sin(tick / 9 + i), math.cos(tick / 7), i, tick / ticks], np.float32)
            recorder.step((tick // 6 + i) % 4, float((tick + i) % 13 == 0), last, False, seen, tick=tick)
    for recorder in recorders:
        _ended(recorder)


def pair(run: str, make: Make = Recorder, *, steps: int = 200, differ: int = 77) -> None:
    """Record two episodes, a stream each, that are the same up to the step `differ`."""
    for agent, other in (("left", 0), ("right", 1)):
        recorder = make(run, agent)
        recorder.reset(np.zeros(2, np.float32), seed=5)
        for step in range(1, steps + 1):
            action = step % 3 if step < differ else (step + other) % 3
            seen = np.array([math.sin(step / 20), action * (step >= differ)], np.float32)
            recorder.step(action, 1.0 if action == 0 else 0.0, step == steps, False, seen)
        _ended(recorder)


def assistant(run: str, make: Make = Recorder, *, turns: int = 12, hostile: bool = True) -> None:
    """Record an LLM agent: chat messages, tools with results, an error, a sub-agent, tokens, cost, latency."""
    planner = make(run, "planner", config={"model": "small-1"}, labels={"team": "travel"})
    asked = planner.reset(
        [
            {"role": "system", "content": "You plan trips. Use the tools; be brief."},
            {"role": "user", "content": "Find the cheapest flight to Oslo on Friday, and a hotel near the harbour."},
        ],
        labels={"task": "oslo", "group": "g-1", "sample": "0"},
    )
    cause = asked
    for turn in range(turns):
        name = ("search_flights", "read_page", "book_hotel")[turn % 3]
        said = {
            "role": "assistant",
            "content": f"Turn {turn}: I look at **{name}** next.",
            "reasoning": "The user wants it cheap, so sort by price first.",
            "tool_calls": [
                {"id": f"call-{turn}", "function": {"name": name, "arguments": f'{{"query": "Oslo", "page": {turn}}}'}}
            ],
        }
        planner.log(_cost(900 + 130 * turn, 60 + turn, 0.0004 * (turn + 1), 620 + 40.0 * turn))
        call = planner.step(
            said, 0.0, False, False, ABSENT, kind="model", status="ok", parent=cause, info={"model": "small-1"}
        )
        failed = turn % 5 == 3
        result = "TimeoutError: the site did not answer in 10 s" if failed else _result(turn, hostile=hostile)
        planner.log({"duration_ms": 10_000.0 if failed else 180.0 + turn})
        cause = planner.step(
            ABSENT, 0.0, False, False, result, kind="tool", status="error" if failed else "ok", parent=call
        )
    _sub_agent(run, planner, cause, make)
    planner.log(_cost(4_000, 210, 0.009, 1_900))
    answer = planner.step(
        {"role": "assistant", "content": "The 9:40 for 89 EUR, and the Harbour Inn for 120 EUR a night."},
        0.0, False, False, ABSENT, kind="model", status="ok", parent=cause,
    )  # fmt: skip
    planner.step(
        ABSENT,
        0.75,
        True,
        False,
        {"score": 0.75, "why": "cheap, but late"},
        kind="judge",
        status="ok",
        parent=answer,
        stop="answered",
    )
    _ended(planner)


def _result(turn: int, *, hostile: bool) -> str:
    rows = "\n".join(f"{n}. SK{turn}{n} 0{6 + n}:40 {89 + 13 * n} EUR" for n in range(1, 4))
    return rows + (
        "\n<img src=x onerror=alert(1)> <script>alert('x')</script> \u202eright-to-left"
        if hostile and turn == 1
        else ""
    )


def _sub_agent(run: str, planner: Recorder, cause: SupportsInt | None, make: Make) -> None:
    reader = make(run, "reader", parent=planner, parent_seq=None if cause is None else int(cause))
    reader.reset("Read the page of the Harbour Inn.")
    reader.log(_cost(500, 40, 0.0002, 400))
    reader.step("It has rooms for 120 EUR.", 0.0, True, False, None, kind="model", status="ok")
    _ended(reader)


def _cost(input_: int, output: int, cost: float, milliseconds: float) -> dict[str, float]:
    return {
        "llm.input_tokens": input_, "llm.output_tokens": output, "llm.cached_tokens": input_ // 2, "llm.cost_usd": cost,
        "llm.ttft_ms": milliseconds / 4, "duration_ms": milliseconds,
    }  # fmt: skip


def long_talk(run: str, make: Make = Recorder, *, turns: int = 70_000) -> None:
    """Record a transcript of many short turns; a word comes in three of them."""
    recorder = make(run, "talker")
    cause = recorder.reset("Count, and say what you see.")
    for turn in range(1, turns + 1):
        seen = "a needle in the hay" if turn in (turns // 10, turns // 2, turns - 1) else f"number {turn}"
        cause = recorder.step(
            f"I am at {turn}.",
            0.0,
            turn == turns,
            False,
            seen,
            kind="model",
            status="error" if turn == turns // 3 else "ok",
            parent=cause,
        )
        if turn % 20_000 == 0:
            recorder.flush(_FLUSH_S)
    _ended(recorder)


def unfinished(run: str, make: Make = Recorder, *, seconds: float = 3600.0, rate: float = 20.0) -> None:
    """Record one episode that goes on, `rate` steps a second, until the time is over; then it ends."""
    recorder = make(run, "live")
    recorder.reset(np.zeros(4, np.float32))
    ends, step = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        step += 1
        seen = np.array([math.sin(step / 15 + i) for i in range(4)], np.float32)
        recorder.step(step // 9 % 2, float(step % 25 == 0), False, False, seen)
        time.sleep(1 / rate)
    recorder.step(0, 0.0, True, False, np.zeros(4, np.float32))
    _ended(recorder)


def _ended(recorder: Recorder) -> None:
    recorder.close()
    if not recorder.flush(_FLUSH_S):
        raise TimeoutError(f"Kafka has not taken everything of {recorder.run} within {_FLUSH_S:.0f} s")


KINDS: dict[str, Callable[[str], None]] = {
    "cartpole": cartpole,
    "pictures": pictures,
    "grid": grid,
    "lossy": lossy,
    "world": world,
    "pair": pair,
    "assistant": assistant,
    "long": long_episode,
    "talk": long_talk,
    "live": unfinished,
}


def name_of(kind: str) -> str:
    """Return the run that `main` records a kind as."""
    return f"{kind}-episode"


def main() -> None:
    """Record the kinds that are named, all but `live` if none is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], help="what to record")
    for kind in parser.parse_args().kinds or [kind for kind in KINDS if kind != "live"]:
        KINDS[kind](name_of(kind))
        print(f"recorded {name_of(kind)}")


if __name__ == "__main__":
    main()

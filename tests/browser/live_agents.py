"""Agents that go on at a steady pace until they are told to end: `python -m tests.browser.live_agents RUN --agents 4`.

Each step says in `info.sent_us` when it was taken, on the clock that the browser has too.
"""

from __future__ import annotations

import argparse
import random
import signal
import time
from types import FrameType

import numpy as np

from runbus.recorder import Recorder


def main() -> None:
    """Record until SIGTERM or the number of steps is reached."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("--agents", type=int, default=2)
    parser.add_argument("--rate", type=float, default=20.0, help="steps/s of each agent")
    parser.add_argument("--steps", type=int, default=0, help="of each agent; 0 = until SIGTERM")
    parser.add_argument("--length", type=int, default=10, help="steps of an episode")
    parser.add_argument("--clock", type=int, default=0, help="seconds by which the clock of this process is ahead")
    options = parser.parse_args()
    _set_clock(options.clock)
    asked: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        asked.append(number)

    signal.signal(signal.SIGTERM, end)
    agents = [Agent(options.run, index, options.length) for index in range(options.agents)]
    due, done = time.monotonic(), 0
    while not asked and (not options.steps or done < options.steps):
        for agent in agents:
            agent.step()
        done += 1
        due = max(due + 1 / options.rate, time.monotonic() - 1)  # what was missed for long is not made up
        time.sleep(max(0.0, due - time.monotonic()))
    for agent in agents:
        agent.recorder.close()


def _set_clock(ahead_s: int) -> None:
    right = time.time_ns
    setattr(time, "time_ns", lambda: right() + ahead_s * 10**9)  # noqa: B010 - to mypy it is no variable


class Agent:
    """Walks at random, episode after episode."""

    def __init__(self, run: str, index: int, length: int) -> None:
        self.recorder = Recorder(run=run, agent=f"agent-{index}", config={"seed": index, "algo": "random"})
        self._chance = random.Random(index)
        self._length, self._at = length, 0
        self.recorder.reset(self._seen())

    def step(self) -> None:
        """Take a step, and reset where that ends the episode."""
        self._at += 1
        over = self._at == self._length
        info = {"sent_us": time.time_ns() // 1000}
        self.recorder.log({"loss": self._chance.random()})
        self.recorder.step(self._chance.randrange(4), self._chance.random(), over, False, self._seen(), info=info)
        if over:
            self._at = 0
            self.recorder.reset(self._seen())

    def _seen(self) -> object:
        return np.array([self._at, self._chance.random(), 0, 1], np.float32)


if __name__ == "__main__":
    main()

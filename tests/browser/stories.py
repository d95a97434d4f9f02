"""Records the runs that the tests look at, one for each thing that a page must be able to show.

`python -m tests.browser.stories` records them on the stack of this environment, then ends.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from contextlib import closing
from typing import Any

import numpy as np

from runbus.annotations import Place, note, tag
from runbus.clickhouse.client import connect
from runbus.config.catalogue import CONFIG_FILE_ENV
from runbus.config.clickhouse import ClickHouseSettings
from runbus.local.apps import sources
from runbus.local.stack import Endpoints
from runbus.recorder import Metrics, Recorder
from tests.support.waiting import until

#: Names that become markup, SQL, a path, another direction or nothing to see, if a page is careless.
HOSTILE = {
    "html": '<img src=x onerror="alert(1)"><svg onload=alert(2)>',
    "sql": "'; DROP TABLE steps; --",
    "path": "..%2F..%2Fetc%2Fpasswd..\\..",  # no name of a run or an agent may have a slash in it
    "rtl": "\u202eright to left\u202c \u05e9\u05dc\u05d5\u05dd",
    "zero": "zero\u200bwidth\u200djoined\ufeff",
    "query": "a=b&c=d#e?f%00+ %25",
    "long": "long " + "x" * 250,  # the longest that a name may be
}
TEN_KB = "y" * 10_000
SEEDS = 4


def record(endpoints: Endpoints) -> None:
    """Record all stories in a process of their own; return once they are stored and their episodes are final."""
    environment = {**os.environ, CONFIG_FILE_ENV: str(endpoints.config_file)}
    subprocess.run([sys.executable, "-m", "tests.browser.stories"], env=environment, check=True, timeout=120)
    with closing(connect(ClickHouseSettings.load(sources(endpoints)))) as client:

        def finished() -> bool:
            ended = client.query("SELECT count() FROM run_summary WHERE outcome != 'running'").result_rows[0][0]
            final = client.query(
                "SELECT countIf(terminated OR truncated) - (SELECT count() FROM episodes_latest "
                "WHERE reason IN ('terminated', 'truncated')) FROM episode_returns"
            ).result_rows[0][0]
            return bool(ended >= RUNS and final == 0)

        until("the stories are stored", finished)


def main() -> None:
    """Record them all."""
    for seed in range(SEEDS):
        for algorithm in ("ppo", "dqn"):
            _learning(algorithm, seed)
    _failed()
    _interrupted()
    _hostile()
    _numbers()
    _only_resets()
    _without_an_end()
    _left_out()
    _images()
    _grid()
    _team()
    _talk()
    _learner()


#: How many runs `main` records.
RUNS = 2 * SEEDS + 2 + len(HOSTILE) + 9


def _learning(algorithm: str, seed: int) -> None:
    """60 episodes whose return grows; the same numbers each time."""
    chance = random.Random(f"{algorithm} {seed}")
    config = {"algo": algorithm, "seed": seed, "lr": 3e-4 if algorithm == "ppo" else 1e-3, "net": {"width": 64}}
    with Recorder(run=f"{algorithm}-{seed}", config=config, labels={"env": "walk"}, tags=["baseline"]) as recorder:
        for episode in range(60):
            length = 5 + episode // 4 + chance.randrange(5)
            recorder.reset(np.zeros(4, np.float32), labels={"task": f"task-{episode % 3}"})
            for step in range(length):
                observation = np.array([step / length, chance.random(), episode / 60, -1], np.float32)
                recorder.log({"loss": 1 / (1 + episode) + chance.random() / 10})
                recorder.step(chance.randrange(3), chance.random(), step == length - 1, False, observation)


def _failed() -> None:
    recorder = Recorder(run="it-failed", config={"lr": 1})
    _walk(recorder, episodes=2)
    recorder.close("failed", "ValueError: the loss is <b>nan</b>")


def _interrupted() -> None:
    recorder = Recorder(run="it-was-interrupted")
    _walk(recorder, episodes=2, last_ends=False)
    recorder.close("interrupted")


def _hostile() -> None:
    for name in HOSTILE.values():
        with Recorder(
            run=name,
            agent=name,
            config={name: name, "lr": TEN_KB},
            labels={name: name, "long": TEN_KB[:4096]},
            tags=[name],
        ) as recorder:
            recorder.reset(name, info={name: TEN_KB}, labels={"task": name})
            recorder.log({name: 1.0})
            recorder.step(name, 1.0, True, False, {"text": name}, stop=name)


def _numbers() -> None:
    """NaN, infinities, and numbers at the ends of float64."""
    with Recorder(run="odd-numbers") as recorder:
        for value in (1.0, float("nan"), float("inf"), -float("inf"), 1e308, -1e-308, 0.0):
            recorder.reset(np.array([value], np.float64))
            recorder.log({"loss": value})
            recorder.step(0, value, True, False, np.array([value], np.float64))


def _only_resets() -> None:
    with Recorder(run="only-resets") as recorder:
        for _ in range(3):
            recorder.reset(np.zeros(2, np.float32))


def _without_an_end() -> None:
    with Recorder(run="no-end") as recorder:
        _walk(recorder, episodes=1, last_ends=False)


def _left_out() -> None:
    """Observations that the recorder leaves out, as they are large."""
    with Recorder(run="left-out") as recorder:
        recorder.reset(np.zeros((64, 64, 3), np.uint8))
        for step in range(5):
            recorder.step(step % 2, 1.0, step == 4, False, np.zeros((64, 64, 3), np.uint8))


def _images() -> None:
    with Recorder(run="images", observations="all") as recorder:
        recorder.reset(_image(0))
        for step in range(1, 21):
            recorder.step(step % 4, float(step % 5 == 0), step == 20, False, _image(step))


def _image(step: int) -> Any:
    image = np.full((24, 32, 3), 30, np.uint8)
    image[8:16, step : step + 8] = (230, 159, 0)
    return image


def _grid() -> None:
    with Recorder(run="grid", observations="all") as recorder:
        recorder.reset(np.zeros((6, 6), np.int8))
        for step in range(1, 13):
            board = np.zeros((6, 6), np.int8)
            board[step % 6, (step * 2) % 6] = 1 + step % 3
            recorder.step(step % 4, 0.0 if step % 3 else -1.0, step == 12, False, board)


def _team() -> None:
    """Three agents in one world, on its tick."""
    agents = [Recorder(run="team", agent=f"player-{index}", config={"index": index}) for index in range(3)]
    for episode in range(3):
        for agent in agents:
            agent.reset(np.zeros(3, np.float32), tick=100 * episode)
        for tick in range(1, 11):
            for index, agent in enumerate(agents):
                position = np.array([tick, index, episode], np.float32)
                agent.step(index, float(tick == 10) * index, tick == 10, False, position, tick=100 * episode + tick)
    for agent in agents:
        agent.close()


def _learner() -> None:
    """An agent, a learner and an evaluation in one run: metrics on two axes, one said again, and late judgements."""
    with Recorder(run="learner", agent="actor") as actor:
        for episode in range(6):
            actor.reset(0.0)
            actor.step(1, float(episode), True, False, 1.0)
        actor.score(0.5, episode=2, label="good", text="it <b>waits</b> too long", judge="a person")
        actor.score(-1.0, name="style", episode=2, step=1, judge="a model")
    with Metrics("learner", source="learner-0") as learner:
        for step in range(3000):
            learner.log({"train/loss": 1 / (1 + step), "train/lr": 3e-4}, step=step)
        learner.log({"train/loss": 7.0}, step=5)
    with Metrics("learner", source="eval-0") as evaluation:
        evaluation.artifact("s3://models/final.pt", type="checkpoint", size=7_000_000, sha256="5f", step=3000)
        for epoch in range(4):
            evaluation.log({"eval/return": 10.0 * epoch}, step=epoch, axis="epoch")
            evaluation.log({"train/lr": 1e-5}, step=epoch * 100)
    note(Place("learner", agent="actor", episode=2), "why does it <i>wait</i>?", author="ann")
    tag("learner", "look-at-this", author="ann")


def _talk() -> None:
    """Agents of text: turns, tools that answer, one that fails, numbers of tokens, one rollout of each task scored."""
    with Recorder(run="talk", agent="planner", config={"model": "a-model"}) as recorder:
        for sample in range(6):
            recorder.reset(
                [
                    {"role": "system", "content": "You plan trips."},
                    {"role": "user", "content": "The cheapest to Oslo?"},
                ],
                labels={"task": f"trip-{sample // 3}", "sample": str(sample % 3)},
            )
            _turn(recorder, {"role": "assistant", "tool": "search", "query": "flights Oslo"}, 400, "model")
            call = recorder.step({"tool": "search"}, 0.0, False, False, "3 results: <b>89</b> EUR", kind="tool")
            _turn(recorder, {"role": "assistant", "content": "Let me book it."}, 512, "model")
            recorder.step({"tool": "book"}, 0.0, False, False, "HTTP 500", kind="tool", status="error", parent=call)
            reward = float(sample % 3 == 0)
            recorder.log({"llm.input_tokens": 600, "llm.output_tokens": 40, "llm.cost_usd": 0.002, "duration_ms": 900})
            recorder.step(
                {"role": "assistant", "content": "The 9:40."}, reward, True, False, "", kind="model", stop="done"
            )


def _turn(recorder: Recorder, action: object, tokens: int, kind: Any) -> None:
    recorder.log({"llm.input_tokens": tokens, "llm.output_tokens": 20, "llm.cost_usd": 0.001, "duration_ms": 450})
    recorder.step(action, 0.0, False, False, "", kind=kind)


def _walk(recorder: Recorder, episodes: int, *, last_ends: bool = True) -> None:
    for episode in range(episodes):
        recorder.reset(np.zeros(2, np.float32))
        for step in range(4):
            over = step == 3 and (last_ends or episode < episodes - 1)
            recorder.step(step % 2, 1.0, over, False, np.array([step, episode], np.float32))


if __name__ == "__main__":
    main()

"""Vector environments, through Kafka and the sink: what SQL says equals the ledgers inside the environments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from runbus.recorder import Recorder
from tests.integration.sink.sink_processes import Feed, Sinks, Tables
from tests.support import autoreset_matrix as matrix
from tests.support.waiting import until

pytestmark = pytest.mark.integration

ROWS = """
SELECT env, episode, step, seed, reward, terminated, truncated, action_raw, observation_raw
FROM steps WHERE run_id = {run:String} AND agent_id = {agent:String} ORDER BY seq
"""
EPISODES = """
SELECT env, episode, `return`, length, rows_stored
FROM episode_returns WHERE run_id = {run:String} AND agent_id = {agent:String} ORDER BY env, episode
"""


def rows_of(ledgers: list[list[dict[str, Any]]]) -> set[tuple[Any, ...]]:
    """Return what the environments lived as rows of the table, in any order."""
    found: set[tuple[Any, ...]] = set()
    for env, ledger in enumerate(ledgers):
        for episode, lived in enumerate(ledger):
            found.add((env, episode, 0, lived["seed"], 0.0, False, False, b"", lived["first"].tobytes()))
            for step, (action, reward, over, cut, seen) in enumerate(lived["steps"], 1):
                found.add((env, episode, step, None, reward, over, cut, action.tobytes(), seen.tobytes()))
    return found


def test_each_row_and_each_episode_is_what_the_environment_kept(feed: Feed, sinks: Sinks, tables: Tables) -> None:
    """Every autoreset mode over both vectorisations: rows bit for bit, returns and lengths by episode."""
    plays = {
        f"{play.mode.name}-{play.vectorise}": play
        for play in matrix.combinations("box")
        if play.copy or play.mode is AutoresetMode.SAME_STEP
    }
    ledgers, produced = {}, 0
    for number, (agent, play) in enumerate(plays.items()):
        recorder = Recorder(feed.run, agent, settings=feed.settings, observations="all")
        ledgers[agent] = matrix.played(play, recorder, seed=number)
        recorder.close()
        assert recorder.flush(60)
        produced += int(str(recorder.stats()["produced"]))
    process = sinks.start()
    until(f"{produced} rows are stored", lambda: tables.steps(feed) == produced)
    assert sinks.stop(process) == 0
    for agent, lived in ledgers.items():
        parameters = {"run": feed.run, "agent": agent}
        formats: dict[str, str | dict[str, str]] = {"action_raw": "bytes", "observation_raw": "bytes"}
        stored = tables.client.query(ROWS, parameters=parameters, column_formats=formats).result_rows
        assert len(stored) == len(set(stored))
        assert set(stored) == rows_of(lived)
        assert len(stored) > 100
        sums = [
            (env, episode, pytest.approx(float(np.sum([step[1] for step in each["steps"]]))), len(each["steps"]))
            for env, ledger in enumerate(lived)
            for episode, each in enumerate(ledger)
        ]
        assert [row[:4] for row in tables.client.query(EPISODES, parameters=parameters).result_rows] == sums

"""Records the episodes that the tests of the pages Episode, World and Transcript look at, on the stack of a session."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from runbus.config.catalogue import CONFIG_FILE_ENV
from runbus.local.env import stack_environment
from runbus.local.stack import Endpoints
from tests.browser.asked import address, rows
from tests.support.recorded_episodes import name_of
from tests.support.waiting import until


def record(endpoints: Endpoints, *kinds: str) -> None:
    """Record kinds of recorded_episodes.py once; return when they are stored and their episodes are final."""
    known = {run for (run,) in rows(endpoints, "SELECT DISTINCT run_id FROM runs")}
    wanted = [kind for kind in kinds if name_of(kind) not in known]
    if wanted:
        with recording(endpoints, *wanted) as process:
            assert process.wait(240) == 0
    for run in map(name_of, kinds):
        until(f"{run} is stored", partial(_stored, endpoints, run))


@contextmanager
def recording(endpoints: Endpoints, *kinds: str) -> Iterator[subprocess.Popen[bytes]]:
    """Record in a process of its own, which is stopped when the block ends."""
    environment = {**stack_environment(os.environ), CONFIG_FILE_ENV: str(endpoints.config_file)}
    argv = [sys.executable, "-m", "tests.support.recorded_episodes", *kinds]
    process = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


def _stored(endpoints: Endpoints, run: str) -> bool:
    sql = """
        SELECT
            (SELECT countIf(finished) = count() AND count() > 0 FROM stream_summary WHERE run_id = {run:String}),
            (SELECT countIf(terminated OR truncated) FROM episode_returns WHERE run_id = {run:String}),
            (SELECT count() FROM episodes_latest WHERE run_id = {run:String} AND reason IN ('terminated', 'truncated'))
    """
    ended, over, final = rows(endpoints, sql, run=run)[0]
    return bool(ended) and over == final > 0


def episode(endpoints: Endpoints, kind: str, agent: str, **more: object) -> str:
    """Return the address of an agent's first episode in the run of a kind."""
    run = name_of(kind)
    return address(
        "/episode", {"run": run, "agent": agent, "attempt": attempt(endpoints, kind, agent), "episode": 0, **more}
    )


def attempt(endpoints: Endpoints, kind: str, agent: str) -> int:
    """Return the newest attempt of an agent in the run of a kind, once its beginning is stored."""
    sql = "SELECT max(attempt) FROM runs WHERE run_id = {run:String} AND agent_id = {agent:String}"

    def stored() -> int:
        return int(rows(endpoints, sql, run=name_of(kind), agent=agent)[0][0])

    until(f"the beginning of {name_of(kind)} is stored", lambda: stored() > 0)
    return stored()

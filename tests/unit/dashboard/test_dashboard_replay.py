"""A replay: whatever its speed, and wherever it is cut off, it ends with all episodes of the run, in their order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from runbus.dashboard.history.api import Question
from runbus.dashboard.history.native import Table
from runbus.dashboard.history.values import Column, Made, Numbers
from runbus.dashboard.replay import MAX_SPEED, Replay

START = 1_700_000_000_000_000
ORDER = ("last_ts", "agent", "attempt", "env", "episode")


def episode(number: int, last_ts: int) -> dict[str, Any]:
    """Return a stored episode."""
    about = {"agent": "a", "attempt": START, "env": 0, "episode": number, "revision": 0, "return": float(number)}
    ends = {"length": 4, "reason": "terminated", "complete": True, "first_seq": 5 * number, "last_seq": 5 * number + 4}
    return {**about, **ends, "first_ts": last_ts - 1, "last_ts": last_ts, "labels": {}, "stop": "", "missing": 0}


@dataclass
class Stored:
    """A history that has some episodes."""

    episodes: list[dict[str, Any]]

    async def table(self, question: Question, _asker: str) -> Table:
        """Answer the two questions of a replay as ClickHouse does."""
        if question.name == "replay_extent":
            ends = [e["last_ts"] for e in self.episodes] or [0]
            values = {"first": min(ends), "last": max(ends), "episodes": len(self.episodes)}
            return Table({name: Numbers(np.array([value])) for name, value in values.items()}, 1)
        after, most = tuple(question.parameters[f"after_{name}"] for name in ORDER), question.parameters["most"]
        assert isinstance(most, int)
        rows = sorted((e for e in self.episodes if key(e) > after), key=key)[:most]
        columns: dict[str, Column] = {name: Made(len(rows), [row[name] for row in rows].copy) for name in episode(0, 0)}
        return Table(columns, len(rows))


def key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what the rows are sorted by."""
    return tuple(row[name] for name in ORDER)


class Clock:
    """Goes on by itself with each look."""

    def __init__(self, step: float) -> None:
        self._now, self._step = 0.0, step

    def __call__(self) -> float:
        """Return the time, in seconds."""
        self._now += self._step
        return self._now


def played(stored: Stored, speed: float, step: float, since: str = "", frames: int = 10_000) -> list[dict[str, Any]]:
    """Return the frames of a replay, cut off after so many."""

    async def play() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        run = Replay(stored, "me", "run", speed, {}, tick_seconds=0.0)  # type: ignore[arg-type]  # it asks for tables only
        async for frame in run.follow(since, Clock(step)):
            lines = dict(line.split(": ", 1) for line in frame.decode().strip().split("\r\n"))
            if "data" in lines:
                found.append({"id": lines["id"], **json.loads(lines["data"])})
            if len(found) == frames:
                break
        return found

    return asyncio.run(play())


def told(frames: list[dict[str, Any]]) -> list[int]:
    """Return the numbers of the episodes in the order in which they came."""
    return [row["episode"] for frame in frames for row in frame["up"]["episodes"].values()]


ENDS = st.lists(st.integers(0, 30_000_000), max_size=40)


@given(ENDS, st.sampled_from([1.0, 7.5, MAX_SPEED]), st.integers(1, 10))
def test_it_ends_with_all_episodes_in_their_order_also_after_a_cut(ends: list[int], speed: float, cut: int) -> None:
    """Each once. A page that comes back with its last id is given everything up to there, and then the rest."""
    stored = Stored([episode(n, START + at) for n, at in enumerate(ends)])
    wanted = [e["episode"] for e in sorted(stored.episodes, key=key)]
    frames = played(stored, speed, 0.5)
    assert told(frames) == wanted
    assert frames[-1]["replay"]["over"]
    before = played(stored, speed, 0.5, frames=cut)
    after = played(stored, speed, 0.5, since=before[-1]["id"])
    assert after[0].get("whole") is True
    assert told(after) == wanted
    assert set(told(before)) <= set(told(after[:1]))


def test_it_keeps_the_pace_and_cuts_a_long_silence_short() -> None:
    """An hour in which nothing ended is two seconds of the page."""
    stored = Stored([episode(0, START), episode(1, START + 1_000_000), episode(2, START + 3_600_000_000)])
    frames = played(stored, 1.0, 0.25)
    at = [frame["replay"]["at"] for frame in frames if frame["up"]["episodes"]]
    assert at[0] == START + 250_000
    assert START + 1_000_000 <= at[1] <= START + 1_250_000
    assert START + 3_600_000_000 <= at[2] <= START + 3_600_250_000


def test_a_stream_grows_with_its_episodes() -> None:
    """Its figures are those that it had then."""
    stored = Stored([episode(n, START + n * 1_000_000) for n in range(3)])
    frames = played(stored, MAX_SPEED, 0.1)
    row = frames[-1]["up"]["streams"] or frames[-2]["up"]["streams"]
    assert row[f"a/{START}"]["steps"] == 15
    assert row[f"a/{START}"]["reasons"] == {"terminated": 3}
    assert row[f"a/{START}"]["sps"] == 4.0


def test_a_run_without_an_episode_is_over_at_once() -> None:
    """And says so."""
    (frame,) = played(Stored([]), 1.0, 0.1)
    assert (frame["replay"]["over"], frame["replay"]["episodes"]) == (True, 0)

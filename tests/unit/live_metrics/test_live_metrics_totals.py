"""Totals against a reference that looks at one row at a time, with a restart between any two calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.kafka.model import StreamId
from runbus.live_metrics import LiveMetricsCore
from runbus.schemas.events import LiveMetrics
from runbus.streams.driver import Driver
from tests.unit.live_metrics.rows import START_US, Caller, Row, batch, finished

STREAMS = (StreamId("run", "a", 1), StreamId("run", "a", 2), StreamId("run", "b", 1))


@dataclass
class Reference:
    """The rules of docs/live-metrics.md, as plain as they can be said."""

    seen: set[int] = field(default_factory=set)
    steps: int = 0
    newest_ts: int = 0
    dropped: int = 0
    reasons: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("terminated", "truncated", "abandoned", "interrupted"), 0)
    )
    last: tuple[float, int] = (0.0, 0)
    envs: dict[int, list[Any]] = field(default_factory=dict)  # env -> [episode, return, length, open]
    newest_env: int = -1

    def take(self, rows: Sequence[Row], first_seq: int, dropped: int) -> None:
        """Take a batch."""
        fresh = [(seq, row) for seq, row in enumerate(rows, first_seq) if seq not in self.seen]
        if not fresh:
            return
        self.seen.update(seq for seq, _ in fresh)
        self.dropped = max(self.dropped, dropped)
        self.newest_ts = max(self.newest_ts, *(START_US + row.ts for _, row in fresh))
        self.steps += sum(row.step > 0 for _, row in fresh)
        last_row = {(row.env, row.episode): seq for seq, row in fresh}
        for env, episode in sorted(last_row, key=lambda of: last_row[of]):
            self._episode([row for _, row in fresh if (row.env, row.episode) == (env, episode)])

    def _episode(self, rows: Sequence[Row]) -> None:
        env, episode = rows[0].env, rows[0].episode
        self.newest_env = env
        now = self.envs[env] = self.envs.pop(env, [episode, 0.0, 0, True])
        if episode > now[0]:
            if now[3]:
                self._end(now, "abandoned")
            now = self.envs[env] = [episode, 0.0, 0, True]
        if episode < now[0] or not now[3]:
            return
        now[1] += sum(row.reward for row in rows if row.step)
        now[2] += sum(row.step > 0 for row in rows)
        if any(row.terminated for row in rows):
            self._end(now, "terminated")
        elif any(row.truncated for row in rows):
            self._end(now, "truncated")

    def finish(self) -> None:
        """Take the end of the stream."""
        for now in self.envs.values():
            if now[3] and now[2]:
                self._end(now, "interrupted")

    def _end(self, now: list[Any], reason: str) -> None:
        now[3] = False
        self.reasons[reason] += 1
        self.last = (now[1], now[2])

    def totals(self) -> dict[str, Any]:
        """Return what LiveMetrics says of it."""
        _, return_, length, is_open = self.envs[self.newest_env]
        return {
            "steps": self.steps,
            "newest_ts": self.newest_ts,
            "dropped": self.dropped,
            "reasons": self.reasons,
            "episodes": sum(self.reasons.values()),
            "last": self.last,
            "running": (return_, length) if is_open else (0.0, 0),
        }


def _totals(metrics: LiveMetrics) -> dict[str, Any]:
    return {
        "steps": metrics.steps,
        "newest_ts": metrics.newest_ts,
        "dropped": metrics.dropped,
        "reasons": metrics.reasons,
        "episodes": metrics.episodes,
        "last": (metrics.last_return, metrics.last_length),
        "running": (metrics.running_return, metrics.running_length),
    }


def _new_core(source: str) -> LiveMetricsCore:
    return LiveMetricsCore(source)


@st.composite
def _rows(draw: st.DrawFn) -> list[Row]:
    """Rows as one agent makes them: envs in turns, each with its episodes one after the other."""
    envs = draw(st.integers(1, 3))
    episode, step = [0] * envs, [0] * envs
    rows = []
    for i in range(draw(st.integers(1, 24))):
        env = i % envs
        how = draw(st.sampled_from(["go on"] * 6 + ["terminated", "truncated", "both", "abandon"]))
        ends = step[env] > 0 and how in ("terminated", "truncated", "both")
        terminated, truncated = ends and how != "truncated", ends and how != "terminated"
        reward = float(draw(st.integers(-3, 3))) if step[env] else 0.0
        rows.append(Row(step[env], reward, i * 100_000, episode[env], env, terminated, truncated))
        step[env] += 1
        if ends or how == "abandon":
            episode[env], step[env] = episode[env] + 1, 0
    return rows


@st.composite
def _sends(draw: st.DrawFn) -> list[tuple[int, int, list[Row], bool]]:
    """Batches of several streams, some twice, some overlapping, some late: (stream, first_seq, rows, restart after)."""
    sends = []
    for stream in range(draw(st.integers(1, 3))):
        rows = draw(_rows())
        cuts = sorted({0, len(rows), *draw(st.lists(st.integers(0, len(rows)), max_size=5))})
        whole = list(pairwise(cuts))
        again = draw(st.lists(st.tuples(st.integers(0, len(rows) - 1), st.integers(1, 15)), max_size=3))
        ranges = [*whole, *((a, min(a + n, len(rows))) for a, n in again)]
        if draw(st.booleans()):
            ranges = draw(st.permutations(ranges))
        sends += [(stream, a, rows[a:b], draw(st.booleans())) for a, b in ranges]
    return sends


@given(_sends(), st.booleans())
@settings(max_examples=25, deadline=None)
def test_totals_are_those_of_the_reference_however_often_the_core_restarts(
    sends: list[tuple[int, int, list[Row], bool]], finish: bool
) -> None:
    """Duplicates, gaps, late batches and restarts at any cut: totals and state equal those of one unbroken core."""
    broken, unbroken = Caller(), Caller()
    references: dict[int, Reference] = {}
    shown: dict[StreamId, LiveMetrics] = {}
    for dropped, (stream, first_seq, rows, restart) in enumerate(sends):
        references.setdefault(stream, Reference()).take(rows, first_seq, dropped)
        for caller in (broken, unbroken):
            caller.send(batch(rows, first_seq, stream=STREAMS[stream], dropped=dropped))
        if restart:
            broken.restart()
    for number, reference in references.items():
        if finish:
            reference.finish()
            for caller in (broken, unbroken):
                caller.end(STREAMS[number])
            broken.restart()
    for caller in (broken, unbroken):
        shown.clear()
        for _ in range(3):  # the end of the stream, its silence, and what the pace held back
            shown |= {StreamId(m.run_id, m.agent_id, m.attempt): m for m in caller.wait(1500)}
        assert {id_: _totals(m) for id_, m in shown.items()} == {STREAMS[n]: r.totals() for n, r in references.items()}
        caller.commit()
    assert broken.state == unbroken.state


@given(_sends(), st.sets(st.integers(0, 20)), st.sets(st.integers(0, 20)))
@settings(max_examples=15, deadline=None)
def test_a_crash_loses_and_doubles_nothing(
    sends: list[tuple[int, int, list[Row], bool]], commits: set[int], crashes: set[int]
) -> None:
    """What was not committed is read again: the last events of all streams are those of the reference."""
    driver = Driver(_new_core)
    references: dict[int, Reference] = {}
    for number, (stream, first_seq, rows, _) in enumerate(sends):
        references.setdefault(stream, Reference()).take(rows, first_seq, 0)
        driver.send(batch(rows, first_seq, stream=STREAMS[stream]))
        if number in commits:
            driver.commit()
        if number in crashes:
            driver.crash()
    for stream, reference in references.items():
        driver.end(finished(STREAMS[stream]))
        reference.finish()
    for _ in range(3):
        driver.advance(1500)
        driver.crash()  # also between the end of a stream and its event
    for _ in range(3):
        driver.advance(1500)
    driver.commit()
    shown = {(m.agent_id, m.attempt): m for e in driver.emitted if isinstance(m := e.event, LiveMetrics)}
    assert {id_: _totals(m) for id_, m in shown.items()} == {
        STREAMS[n][1:]: reference.totals() for n, reference in references.items()
    }

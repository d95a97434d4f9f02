"""What must come out of a log, computed the slow way: every row of every record, sorted, and looked at one by one.

Nothing here is shared with the apps but the codec. It knows what the suites' load can contain, not all that a log can:
no row comes after the one that ended its episode, and every stream has ended, or been silent for long.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise
from typing import Any

from confluent_kafka import Message

from runbus.config.errors import RunBusError
from runbus.schemas.batch import StepBatch, decode
from runbus.schemas.codec import Codec
from runbus.schemas.events import RunEvent
from tests.faults.rows import Row, rows_of

StreamKey = tuple[str, str, int]
Values = dict[str, Any]


@dataclass
class Stream:
    """All that the log says of one stream: each row once, in the order in which the log has them."""

    arrived: dict[int, Row] = field(default_factory=dict)
    dropped: int = 0
    finished: RunEvent | None = None

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """Ranges of seq that are missing, both ends included; a stream that ended says how many there should be."""
        seqs = sorted(self.arrived)
        after = max(seqs[-1] + 1, self.finished.produced if self.finished else 0)
        edges = [-1, *seqs, after]
        return [(low + 1, high - 1) for low, high in pairwise(edges) if high > low + 1]


def streams(steps: Sequence[Message], runs: Sequence[Message]) -> dict[StreamKey, Stream]:
    """Return the streams of a log."""
    found: dict[StreamKey, Stream] = {}
    for batch in filter(None, map(batch_of, steps)):
        h = batch.header
        stream = found.setdefault((h.run_id, h.agent_id, h.attempt), Stream())
        stream.dropped = max(stream.dropped, h.dropped)
        for row in rows_of(batch):
            stream.arrived.setdefault(row.seq, row)
    for message in runs:
        event = RunEvent.decode(Codec().open(message.value(), "RunEvent")[1])
        if event.kind == "FINISHED":
            found[event.run_id, event.agent_id, event.attempt].finished = event
    return found


def batch_of(message: Message) -> StepBatch | None:
    """Return the batch of a record, None where it is not one."""
    try:
        writer, body = Codec().open(message.value(), "StepBatch")
        return decode(body, writer)
    except RunBusError:
        return None


# --- episodes ---------------------------------------------------------------------------------------------------------


def episodes(found: dict[StreamKey, Stream]) -> dict[str, Values]:
    """Return the newest revision of each episode by id, without the revision."""
    results: dict[str, Values] = {}
    for key, stream in found.items():
        rows = sorted(stream.arrived.values())
        by_env: dict[int, list[Row]] = {}
        for row in rows:
            by_env.setdefault(row.env, []).append(row)
        gaps = stream.gaps
        for env, mine in by_env.items():
            by_episode: dict[int, list[Row]] = {}
            for row in mine:
                by_episode.setdefault(row.episode, []).append(row)
            for number, own in by_episode.items():
                values = _episode(own, number == max(by_episode), stream, _gaps_of(own, mine, gaps))
                if values is not None:
                    name = "/".join(map(str, (*key, env, number)))
                    results[sha256(name.encode()).hexdigest()[:32]] = {
                        **dict(zip(("run_id", "agent_id", "attempt"), key, strict=True)),
                        **values,
                    }
    return results


def _gaps_of(own: list[Row], env: list[Row], gaps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the gaps that can hold rows of an episode, from what the rows of its env say."""
    seqs = [row.seq for row in env]
    over = any(row.terminated or row.truncated for row in own)
    holed = len(own) != own[-1].step - own[0].step + 1
    found = []
    for gap in gaps:
        if gap[1] < own[0].seq:
            possible = own[0].step > 0
        elif gap[0] > own[-1].seq:
            possible = not over
        else:
            possible = holed
        after = bisect_left(seqs, gap[0])
        before_fits = after == 0 or env[after - 1].episode <= own[0].episode
        after_fits = after == len(env) or env[after].episode >= own[0].episode
        if possible and before_fits and after_fits:
            found.append(gap)
    return found


def _episode(own: list[Row], newest: bool, stream: Stream, gaps: list[tuple[int, int]]) -> Values | None:
    steps = [row for row in own if row.step > 0]
    if any(row.terminated for row in own):
        reason = "terminated"
    elif any(row.truncated for row in own):
        reason = "truncated"
    else:
        reason = "interrupted" if newest and stream.finished else "abandoned"
    if reason == "interrupted" and not steps and not gaps:
        return None  # the reset after the last episode
    rewards, sums = [row.reward for row in steps], dict[str, float]()
    for row in own:
        for name, value in row.extras.items():
            sums[name] = sums.get(name, 0.0) + value
    numbers = [row.step for row in own]
    return {
        "env": own[0].env,
        "episode": own[0].episode,
        "reason": reason,
        "complete": not gaps and numbers == list(range(numbers[0], numbers[-1] + 1)) and numbers[0] <= 1,
        "missing_from": [first for first, _ in gaps],
        "missing_to": [last for _, last in gaps],
        "return_": sum(rewards),
        "length": len(steps),
        "first_seq": own[0].seq,
        "last_seq": own[-1].seq,
        "first_ts": own[0].ts,
        "last_ts": own[-1].ts,
        "min_reward": min(rewards, default=0.0),
        "max_reward": max(rewards, default=0.0),
        "extras_sum": sums,
        "labels": {name: text for row in own for name, text in row.labels.items()},
        "stop": next((row.stop for row in reversed(own) if row.stop), ""),
        "has_reset": numbers[0] == 0,
    }


# --- live metrics -----------------------------------------------------------------------------------------------------


def live(found: dict[StreamKey, Stream]) -> dict[StreamKey, Values]:
    """Return the totals of each stream once all of it was taken."""
    return {key: _totals(stream) for key, stream in found.items()}


def _totals(stream: Stream) -> Values:
    """Return what a reader along the log sees: an episode that ended stays as it was."""
    reasons = dict.fromkeys(("terminated", "truncated", "abandoned", "interrupted"), 0)
    running: dict[int, tuple[int, float, int, bool]] = {}  # env -> episode, return, length, open
    last = (0.0, 0)
    for row in stream.arrived.values():
        episode, return_, length, is_open = running.get(row.env, (row.episode, 0.0, 0, True))
        if row.episode > episode:
            if is_open:
                reasons["abandoned"] += 1
                last = (return_, length)
            episode, return_, length, is_open = row.episode, 0.0, 0, True
        if is_open and row.episode == episode and row.step > 0:
            return_, length = return_ + row.reward, length + 1
        if is_open and row.episode == episode and (row.terminated or row.truncated):
            reasons["terminated" if row.terminated else "truncated"] += 1
            last, is_open = (return_, length), False
        running[row.env] = (episode, return_, length, is_open)
    if stream.finished:
        for env, (episode, return_, length, is_open) in running.items():
            if is_open and length:
                reasons["interrupted"] += 1
                last = (return_, length)
                running[env] = (episode, return_, length, False)
    totals = {
        "steps": sum(row.step > 0 for row in stream.arrived.values()),
        "episodes": sum(reasons.values()),
        "reasons": reasons,
        "dropped": stream.dropped,
        "newest_ts": max(row.ts for row in stream.arrived.values()),
    }
    if len(running) > 1:  # which of several environments was the last is a matter of the order within a batch
        return totals
    ((_, return_, length, is_open),) = running.values()
    now = (return_, length) if is_open else (0.0, 0)
    names = ("last_return", "last_length", "running_return", "running_length")
    return totals | dict(zip(names, (*last, *now), strict=True))


# --- the example of a user ------------------------------------------------------------------------------------------


def success_rates(found: dict[StreamKey, Stream]) -> dict[StreamKey, Values]:
    """Return everything that the example says of each stream: one entry an end of an episode, in their order."""
    results: dict[StreamKey, Values] = {}
    for key, stream in found.items():
        ends = [row.reward > 0 for row in stream.arrived.values() if row.terminated or row.truncated]
        said = [{"episodes": n, "successes": sum(ends[max(0, n - 100) : n])} for n in range(1, len(ends) + 1)]
        if said:
            results[key] = {"said": said}
    return results

"""What the episodes of a log are, by plain loops over its rows: slow, and written apart from the finaliser.

Every row that arrived is kept, per stream, env and episode, and everything that is said of an episode is computed from
its rows. The rules are those of `runbus.episodes.finaliser`; an episode that has no step and misses nothing when its
stream ends with FINISHED is not emitted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

from runbus.schemas.batch import StepBatch
from runbus.schemas.events import EndReason, EpisodeFinalized, RunEvent
from tests.faults.rows import Row, rows_of

StreamKey = tuple[str, str, int]
CLOCK_SLACK_MS = 1000


@dataclass
class Known:
    """An episode; `closed_ms` is None while it is open."""

    row_ms: int
    rows: dict[int, Row] = field(default_factory=dict)
    closed_ms: int | None = None
    reason: EndReason = "abandoned"
    revision: int = 0
    said: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class KnownStream:
    """Everything of one stream."""

    last_ms: int = 0
    arrived: set[int] = field(default_factory=set)
    next_seq: int = 0
    episodes: dict[tuple[int, int], Known] = field(default_factory=dict)
    newest: dict[int, int] = field(default_factory=dict)
    #: seq -> episode of the rows that were used, by env
    used: dict[int, dict[int, int]] = field(default_factory=dict)
    finished: tuple[int, int] | None = None  # produced, appended_ms
    ended: bool = False
    superseded: bool = False

    def open_envs(self) -> list[int]:
        """Return the envs whose newest episode is open."""
        return [env for env, newest in self.newest.items() if self.episodes[env, newest].closed_ms is None]

    def gaps(self) -> list[tuple[int, int]]:
        """Return what is missing, as ranges."""
        top = self.next_seq
        if self.ended and self.finished is not None:
            top = max(top, self.finished[0])
        if len(self.arrived) == top:
            return []
        found: list[tuple[int, int]] = []
        for seq in sorted(set(range(top)) - self.arrived):
            if found and found[-1][1] == seq - 1:
                found[-1] = (found[-1][0], seq)
            else:
                found.append((seq, seq))
        return found

    def missing(self, env: int, episode: int) -> list[tuple[int, int]]:
        """Return the gaps that can hold rows of an episode."""
        gaps = self.gaps()
        if not gaps:
            return []
        known = self.episodes[env, episode]
        first, last = known.rows[min(known.rows)], known.rows[max(known.rows)]
        hole = len(known.rows) != last.step - first.step + 1
        found, used = [], self.used[env]
        for low, high in gaps:
            before = next((seq for seq in range(low - 1, -1, -1) if seq in used), None)
            after = next((seq for seq in range(high + 1, self.next_seq) if seq in used), None)
            if before is not None and used[before] > episode:
                continue
            if after is not None and used[after] < episode:
                continue
            if (high < first.seq and first.step == 0) or (first.seq < low < last.seq and not hole):
                continue
            if low > last.seq and (last.terminated or last.truncated):
                continue
            found.append((low, high))
        return found

    def is_complete(self, env: int, episode: int) -> bool:
        """Return whether nothing of an episode is missing."""
        known = self.episodes[env, episode]
        steps = [known.rows[seq].step for seq in sorted(known.rows)]
        return (
            steps[0] <= 1 and steps == list(range(steps[0], steps[0] + len(steps))) and not self.missing(env, episode)
        )


class Reference:
    """The episodes of a partition: call it as a core is called.

    Args:
        idle_ms, grace_ms, remember_ms: as in `runbus.episodes.policy.Policy`.
    """

    def __init__(
        self, *, idle_ms: int = 3_600_000, grace_ms: int = 60_000, remember_ms: int = 7 * 24 * 3_600_000
    ) -> None:
        self.idle_ms, self.grace_ms, self.remember_ms = idle_ms, grace_ms, remember_ms
        self.streams: dict[StreamKey, KnownStream] = {}
        self.finished: dict[StreamKey, tuple[int, int]] = {}
        self.emitted: list[EpisodeFinalized] = []
        self.refused = 0
        self.duplicates = 0

    def apply(self, batch: StepBatch, now_ms: int) -> None:
        """Take a batch at stream time `now_ms`; call `tick` first."""
        h = batch.header
        key = (h.run_id, h.agent_id, h.attempt)
        stream = self._stream(key)
        stream.last_ms = now_ms
        touched: dict[tuple[int, int], None] = {}
        known = stream.next_seq
        fresh = [row for row in rows_of(batch) if row.seq not in stream.arrived]
        self.duplicates += h.count - len(fresh)
        stream.arrived.update(range(h.first_seq, h.next_seq))
        stream.next_seq = max(known, h.next_seq)
        for row in fresh:
            used = self._take(stream, row, known, now_ms, touched)
            if used:
                stream.used.setdefault(row.env, {})[row.seq] = row.episode
            else:
                self.refused += 1
        for env, episode in touched:
            self._emit(key, env, episode)
        self._revise(key, now_ms)
        if stream.finished is not None and (stream.ended or now_ms > stream.finished[1]):
            self._finish(key)

    def end(self, event: RunEvent, appended_ms: int, now_ms: int) -> None:
        """Take a FINISHED event at stream time `now_ms`."""
        key = (event.run_id, event.agent_id, event.attempt)
        if key in self.finished:
            return
        self.finished[key] = (event.produced, appended_ms)
        if key in self.streams:
            self.streams[key].finished = self.finished[key]
            self._finish(key)
        self.tick(now_ms)

    def tick(self, now_ms: int) -> None:
        """Do everything that is due until `now_ms`, in the order of when it was due."""
        while due := sorted((self._due(key), key) for key in self.streams):
            at, key = due[0]
            if at > now_ms:
                return
            self._fire(key, at)

    @property
    def newest(self) -> dict[str, EpisodeFinalized]:
        """The newest revision of each episode, by id."""
        return {event.id: event for event in self.emitted}

    def _stream(self, key: StreamKey) -> KnownStream:
        if key not in self.streams:
            others = [other for other in self.streams if other[:2] == key[:2]]
            superseded = any(other[2] > key[2] for other in others)
            for other in others:
                self.streams[other].superseded |= other[2] < key[2]
            self.streams[key] = KnownStream(finished=self.finished.get(key), superseded=superseded)
        return self.streams[key]

    def _take(
        self, stream: KnownStream, row: Row, known_seq: int, now_ms: int, touched: dict[tuple[int, int], None]
    ) -> bool:
        """Take one row; return whether it was used."""
        newest = stream.newest.get(row.env, -1)
        at = (row.env, row.episode)
        if row.episode < 0 or row.env < 0:
            return False
        if row.episode > newest:
            if newest >= 0 and stream.episodes[row.env, newest].closed_ms is None:
                stream.episodes[row.env, newest].closed_ms = now_ms
                touched[row.env, newest] = None
            stream.newest[row.env] = row.episode
            stream.episodes[at] = Known(now_ms)
        elif at not in stream.episodes:
            if row.seq >= known_seq:
                return False
            stream.episodes[at] = Known(now_ms, closed_ms=now_ms)
        one = stream.episodes[at]
        if one.closed_ms is not None:
            last = one.rows[max(one.rows)] if one.rows else None
            after_end = last is not None and row.seq > last.seq and (last.terminated or last.truncated)
            if after_end or now_ms - one.closed_ms > self.grace_ms:
                return False
            touched[at] = None
        one.rows[row.seq] = row
        one.row_ms = now_ms
        if row.terminated or row.truncated:
            one.reason = "terminated" if row.terminated else "truncated"
            one.closed_ms = now_ms if one.closed_ms is None else one.closed_ms
            touched[at] = None
        return True

    def _revise(self, key: StreamKey, now_ms: int) -> None:
        """Emit every finalised episode of which something else is missing than its newest revision says."""
        stream = self.streams[key]
        for (env, episode), one in stream.episodes.items():
            in_grace = one.closed_ms is not None and now_ms - one.closed_ms <= self.grace_ms
            if in_grace and one.revision and one.said != stream.missing(env, episode):
                self._emit(key, env, episode)

    def _finish(self, key: StreamKey) -> None:
        stream = self.streams[key]
        if stream.finished is not None and (stream.ended or stream.next_seq >= stream.finished[0]):
            stream.ended = True
            at = max(stream.last_ms, stream.finished[1])
            self._close(key, stream.open_envs(), "interrupted", at)
            self._revise(key, at)

    def _due(self, key: StreamKey) -> int:
        stream = self.streams[key]
        envs = stream.open_envs()
        due = [] if envs else [stream.last_ms + self.remember_ms]
        if envs:
            due.append(min(stream.episodes[env, stream.newest[env]].row_ms for env in envs) + self.idle_ms)
            if stream.superseded:
                due.append(stream.last_ms + self.grace_ms)
        if stream.finished is not None and not stream.ended:
            due.append(self._end_ms(stream))
        return min(due)

    @staticmethod
    def _end_ms(stream: KnownStream) -> int:
        """Return when a stream whose FINISHED event is known ends."""
        assert stream.finished is not None
        produced, appended_ms = stream.finished
        return appended_ms + 1 + (0 if stream.next_seq >= produced else CLOCK_SLACK_MS)

    def _fire(self, key: StreamKey, at: int) -> None:
        stream = self.streams[key]
        envs = stream.open_envs()
        if stream.finished is not None and not stream.ended and self._end_ms(stream) <= at:
            stream.ended = True
            self._close(key, envs, "interrupted", at)
            self._revise(key, at)
        elif not envs:
            del self.streams[key]
        elif stream.superseded and stream.last_ms + self.grace_ms <= at:
            self._close(key, envs, "interrupted", at)
        else:
            silent = [env for env in envs if stream.episodes[env, stream.newest[env]].row_ms + self.idle_ms <= at]
            self._close(key, silent, "abandoned", at)

    def _close(self, key: StreamKey, envs: list[int], reason: EndReason, closed_ms: int) -> None:
        stream = self.streams[key]
        for env in envs:
            one = stream.episodes[env, stream.newest[env]]
            one.closed_ms, one.reason = closed_ms, reason
        for env in envs:
            one = stream.episodes[env, stream.newest[env]]
            nothing = all(row.step == 0 for row in one.rows.values()) and not stream.missing(env, stream.newest[env])
            if nothing and reason == "interrupted" and stream.ended:
                one.closed_ms = -(10**15)  # over, and nothing can be added to it
            else:
                self._emit(key, env, stream.newest[env])

    def _emit(self, key: StreamKey, env: int, episode: int) -> None:
        stream = self.streams[key]
        one = stream.episodes[env, episode]
        rows = [one.rows[seq] for seq in sorted(one.rows)]
        rewards = [row.reward for row in rows if row.step > 0]
        sums: dict[str, float] = {}
        for row in rows:
            for name, value in row.extras.items():
                sums[name] = sums.get(name, 0.0) + value
        labels = {name: text for row in rows for name, text in row.labels.items()}
        missing = stream.missing(env, episode)
        one.revision += 1
        one.said = missing
        self.emitted.append(
            EpisodeFinalized(
                id=sha256("/".join(map(str, (*key, env, episode))).encode()).hexdigest()[:32],
                revision=one.revision,
                run_id=key[0],
                agent_id=key[1],
                attempt=key[2],
                env=env,
                episode=episode,
                reason=one.reason,
                complete=stream.is_complete(env, episode),
                missing_from=[low for low, _ in missing],
                missing_to=[high for _, high in missing],
                return_=sum(rewards),
                length=len(rewards),
                first_seq=rows[0].seq,
                last_seq=rows[-1].seq,
                first_ts=rows[0].ts,
                last_ts=rows[-1].ts,
                min_reward=min(rewards, default=0.0),
                max_reward=max(rewards, default=0.0),
                extras_sum=sums,
                labels=labels,
                stop=next((row.stop for row in reversed(rows) if row.stop), ""),
                has_reset=rows[0].step == 0,
            )
        )


def finalised(
    log: Iterable[tuple[int, StepBatch]], ends: Iterable[tuple[int, RunEvent]], until_ms: int, reference: Reference
) -> list[EpisodeFinalized]:
    """Return what one partition leads to if its log is read as it is written.

    Args:
        log: (broker time in milliseconds, batch), in order.
        ends: (broker time, FINISHED event), in order.
        until_ms: broker time up to which everything was read.
        reference: an empty one, with the policy.
    """
    ahead = list(ends)
    now_ms = 0
    for at, batch in log:
        while ahead and ahead[0][0] < max(now_ms, at):
            appended_ms, event = ahead.pop(0)
            now_ms = max(now_ms, appended_ms)
            reference.tick(now_ms)
            reference.end(event, appended_ms, now_ms)
        now_ms = max(now_ms, at)
        reference.tick(now_ms)
        reference.apply(batch, now_ms)
    for appended_ms, event in ahead:
        now_ms = max(now_ms, appended_ms)
        reference.tick(now_ms)
        reference.end(event, appended_ms, now_ms)
    reference.tick(max(now_ms, until_ms))
    return reference.emitted

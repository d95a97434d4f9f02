"""Finalises episodes: the core of `runbus episodes`.

An episode ends for one of these reasons, per env of a stream (run, agent, attempt):

- `terminated`, or else `truncated`: a row has that flag.
- `abandoned`: a row of a higher episode of its env, or no row for `idle_ms`.
- `interrupted`: the stream ended, by a FINISHED event (when stream time comes to it, if all steps that it counts
  arrived, else a second later), or because a newer attempt of its agent is there and the stream was silent for
  `grace_ms`.

An episode that has only its reset row is finalised with length 0, except at a FINISHED event: there it is the reset
that a loop or a vector environment made after its last episode, and nothing happened in it.

Late rows (they fill a gap of seq) raise the revision of an episode that was finalised at most `grace_ms` ago; so do
rows of other episodes that show that none of its rows is missing. After that they are refused. Rows of an episode that
is complete, or was passed by, are duplicates by their seq. Rows after the step that ended their episode are refused.

All times are stream time: what was due is closed as of when it was due, however late the call comes, so a backlog
leads to the same events as live reading.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from runbus.episodes.policy import FinaliserPolicy
from runbus.episodes.state import decode_stream, encode_stream, stream_of
from runbus.episodes.stream import EpisodeStream, StreamEnd
from runbus.episodes.timers import Timers
from runbus.kafka.model import StreamId
from runbus.kafka.topics import EPISODES
from runbus.schemas.batch import StepBatch
from runbus.schemas.events import EpisodeFinalized, RunEvent
from runbus.streams.api import NOTHING, At, Change, Effects, Emission


class EpisodesCore:
    """A `Core` that finalises the episodes of one partition.

    Args:
        policy: how long it waits.
    """

    def __init__(self, policy: FinaliserPolicy | None = None) -> None:
        self._policy = policy or FinaliserPolicy()
        self._streams: dict[StreamId, EpisodeStream] = {}
        self._attempts: dict[tuple[str, str], set[int]] = {}
        self._finished: OrderedDict[StreamId, StreamEnd] = OrderedDict()
        self._timers = Timers()
        self._dirty: dict[StreamId, None] = {}
        self._counts = {"duplicates": 0, "late_steps": 0, "revisions": 0}

    def restore(self, key: bytes, value: bytes) -> None:
        """Take one stream's state back. Raises ValueError if it is not one."""
        stream = EpisodeStream(stream_of(key), self._policy)
        decode_stream(stream, value)
        self._add(stream)
        self._timers.set(stream)

    def apply(self, batch: StepBatch, at: At) -> Effects:
        """Take one record."""
        header = batch.header
        identity = StreamId(header.run_id, header.agent_id, header.attempt)
        known = self._streams.get(identity)
        stream = known or self._begin(identity, at.watermark_ms)
        had_open = stream.open.count
        with np.errstate(all="ignore"):  # rewards may be anything, sums of them as well
            outcome = stream.take(batch, at.watermark_ms)
        if stream.finished is not None:
            if stream.ended or at.watermark_ms > stream.finished.appended_ms:
                outcome.events.extend(self._finish(stream, at))
            self._timers.set(stream)
        if stream.scheduled is None or not had_open or not stream.open.count:
            self._timers.set(stream)
        self._dirty[identity] = None
        self._counts["duplicates"] += outcome.duplicates
        self._counts["late_steps"] += outcome.late
        # a new attempt may replace one that is silent for long: at once, not whenever the next tick comes
        due = self.tick(at).emissions if known is None else ()
        if not outcome.events and not outcome.refused and not due:
            return NOTHING
        return Effects(self._emissions(stream, outcome.events) + due, outcome.text, sum(outcome.refused.values()))

    def end(self, event: RunEvent, appended_ms: int, at: At) -> Effects:
        """Take a FINISHED event; anything else, and a repetition, changes nothing."""
        identity = StreamId(event.run_id, event.agent_id, event.attempt)
        if event.kind != "FINISHED" or identity in self._finished:
            return NOTHING
        finished = self._finished[identity] = StreamEnd(event.produced, appended_ms)
        if len(self._finished) > self._policy.max_finished:
            self._finished.popitem(last=False)
        stream = self._streams.get(identity)
        if stream is None or stream.finished is not None:
            return NOTHING
        stream.finished = finished
        self._dirty[identity] = None
        events = self._finish(stream, at)
        self._timers.set(stream)
        return Effects(self._emissions(stream, events) + self.tick(at).emissions)

    def tick(self, at: At) -> Effects:
        """Let time pass."""
        emissions: list[Emission] = []
        while (found := self._timers.next(self._streams, at.watermark_ms)) is not None:
            stream, due_ms = found
            emissions.extend(self._emissions(stream, self._fire(stream, due_ms)))
        return Effects(tuple(emissions)) if emissions else NOTHING

    def changes(self) -> list[Change]:
        """Return the streams that changed since the last call, a value each; None for those that were forgotten."""
        changes = []
        for identity in self._dirty:
            stream = self._streams.get(identity)
            changes.append(Change(str(identity).encode(), None if stream is None else encode_stream(stream)))
        self._dirty = {}
        return changes

    def size(self) -> dict[str, int]:
        """Return counts of what is held; duplicates, late steps and revisions (above 1) are counted since the start."""
        streams = self._streams.values()
        return {
            "streams": len(self._streams),
            "open_episodes": sum(stream.open.count for stream in streams),
            "late_aggregates": sum(len(stream.late) for stream in streams),
            "given_up": sum(stream.received.given_up for stream in streams),
            "finished_known": len(self._finished),
            **self._counts,
        }

    def _begin(self, identity: StreamId, now_ms: int) -> EpisodeStream:
        stream = EpisodeStream(identity, self._policy)
        stream.finished = self._finished.get(identity)
        stream.last_ms = now_ms
        self._add(stream)
        attempts = self._attempts[identity[:2]]
        stream.superseded = max(attempts) > identity.attempt
        for attempt in attempts:
            older = self._streams[identity._replace(attempt=attempt)]
            if attempt < identity.attempt and not older.superseded:
                older.superseded = True
                self._dirty[older.identity] = None
                self._timers.set(older)
        return stream

    def _add(self, stream: EpisodeStream) -> None:
        identity = stream.identity
        self._streams[identity] = stream
        self._attempts.setdefault(identity[:2], set()).add(identity.attempt)

    def _finish(self, stream: EpisodeStream, at: At) -> list[EpisodeFinalized]:
        """End a stream whose FINISHED event is known, if all of it arrived; close what opened after its end.

        Not before stream time comes to the event, nor between records of its millisecond: in a backlog it is known long
        before, and what happens until then (a silence, late rows) would come out differently than live.
        """
        finished = stream.finished
        if finished is None or not (stream.ended or stream.whole):
            return []
        if not stream.ended and at.watermark_ms < finished.appended_ms:
            return []
        if stream.ended and not stream.open.count:
            return []
        return stream.end(max(stream.last_ms, finished.appended_ms))

    def _fire(self, stream: EpisodeStream, due_ms: int) -> list[EpisodeFinalized]:
        """Do what is due for a stream at `due_ms`, and set its next timer."""
        policy, identity = self._policy, stream.identity
        self._dirty[identity] = None
        events: list[EpisodeFinalized] = []
        if stream.ends_ms is not None and stream.ends_ms <= due_ms:
            events = stream.end(due_ms)
        elif not stream.open.count:
            self._forget(identity)
            return []
        elif stream.superseded and stream.last_ms + policy.grace_ms <= due_ms:
            events = stream.close_all(stream.open.envs(), "interrupted", due_ms)
        else:
            events = stream.close_all(stream.open.silent(due_ms - policy.idle_ms), "abandoned", due_ms)
        self._timers.set(stream)
        return events

    def _forget(self, identity: StreamId) -> None:
        del self._streams[identity]
        attempts = self._attempts[identity[:2]]
        attempts.discard(identity.attempt)
        if not attempts:
            del self._attempts[identity[:2]]

    def _emissions(self, stream: EpisodeStream, events: list[EpisodeFinalized]) -> tuple[Emission, ...]:
        self._counts["revisions"] += sum(event.revision > 1 for event in events)
        key = f"{stream.identity.run_id}/{stream.identity.agent_id}".encode()
        return tuple(Emission(EPISODES, key, event) for event in events)

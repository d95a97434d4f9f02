"""Keeps the state of one stream for the finaliser, and applies batches to it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from runbus.episodes.closed_episode import ClosedEpisode
from runbus.episodes.episode import EpisodePart, episode_parts, extra_sums
from runbus.episodes.gaps import Gap, GapNeighbours, RowsBetweenGaps
from runbus.episodes.open_episodes import LAST_SEQ, NEWEST, OpenEpisodes
from runbus.episodes.policy import CLOCK_SLACK_MS, MAX_ENVS, FinaliserPolicy
from runbus.episodes.words import words_by_segment
from runbus.kafka.model import StreamId
from runbus.schemas.batch import StepBatch
from runbus.schemas.events import EndReason, EpisodeFinalized
from runbus.schemas.sequence import Arrival, SequenceTracker
from runbus.streams.segments import Segments, segments

#: Up to so many segments a loop is faster than arrays.
_FEW = 6
_REASONS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """The content of a FINISHED event: the number of steps in the stream, and when the broker took the event."""

    produced: int
    appended_ms: int


@dataclass(slots=True)
class BatchOutcome:
    """The outcome of a batch.

    Attributes:
        closed: episodes that it closed or revised.
        events: to be emitted, in order.
        refused: rows that could not be used, by reason.
        duplicates: rows that had arrived before.
        late: rows that filled a gap.
    """

    closed: list[ClosedEpisode] = field(default_factory=list)
    events: list[EpisodeFinalized] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    late: int = 0

    def refuse(self, rows: int, why: str) -> None:
        """Count rows that could not be used."""
        self.refused[why] = self.refused.get(why, 0) + rows

    @property
    def text(self) -> str:
        """The refused rows in words."""
        shown = [f"{rows} steps of {why}" for why, rows in self.refused.items()][:_REASONS_SHOWN]
        hidden = len(self.refused) - len(shown)
        return "; ".join(shown) + (f"; and {hidden} more reasons" if hidden else "")


class EpisodeStream:
    """One stream.

    Attributes:
        last_ms: watermark at its last record.
        finished: the content of its FINISHED event, or None.
        ended: it ended with FINISHED: an episode that opens now is closed at once.
        superseded: a newer attempt of its agent was seen.
        late: finalised episodes that can still gain rows, oldest first.
        scheduled: when its timer fires, or None.
    """

    def __init__(self, identity: StreamId, policy: FinaliserPolicy) -> None:
        self.identity = identity
        self.policy = policy
        self.received = SequenceTracker()
        self.open = OpenEpisodes()
        self.neighbours = GapNeighbours()
        self.late: dict[tuple[int, int], ClosedEpisode] = {}
        self.last_ms = 0
        self.finished: StreamEnd | None = None
        self.ended = False
        self.superseded = False
        self.scheduled: int | None = None

    @property
    def ends_ms(self) -> int | None:
        """When no more rows are to be expected because of a FINISHED event; None = not known, or it ended."""
        if self.finished is None or self.ended:
            return None
        return self.finished.appended_ms + 1 + (0 if self.whole else CLOCK_SLACK_MS)

    @property
    def whole(self) -> bool:
        """Whether the last of the steps that a known FINISHED event counts has arrived."""
        return self.finished is not None and self.received.next_seq >= self.finished.produced

    def take(self, batch: StepBatch, now_ms: int) -> BatchOutcome:
        """Take a batch at stream time `now_ms`."""
        outcome = BatchOutcome()
        self.last_ms = now_ms
        first_seq, known = batch.header.first_seq, self.received.next_seq
        gaps_before = tuple(self.received.gaps)
        arrival = self.received.take(first_seq, batch.header.count)
        outcome.duplicates, outcome.late = arrival.duplicates, arrival.late
        if self.received.gaps and not gaps_before:
            self._begin_neighbours()
        segs = segments(first_seq, batch.columns, arrival.fresh)
        if segs is not None:
            segs = self._usable(segs, batch, arrival, outcome)
        if segs is None:
            return outcome
        self.open.reach(max(segs.env.tolist()))
        chosen = None
        if len(segs) > _FEW and arrival.late == 0:
            plain, chosen = self.open.split(segs)
            self._advance(segs, plain, batch, now_ms)
        for part in () if chosen == [] else episode_parts(segs, batch, chosen, arrival.fresh is not None):
            self._take_part(part, known, now_ms, outcome)
        if arrival.late:
            self.neighbours.settle(self.received.gaps)
        self._emit(outcome, now_ms)
        tail = self.ended and known != self.received.next_seq
        if self.late and (tail or gaps_before != tuple(self.received.gaps)):
            self._revise_others(outcome, now_ms)
        return outcome

    def _begin_neighbours(self) -> None:
        """Note the last row of each env before the first gap."""
        for env, (newest, last) in enumerate(self.open.ints[:, (NEWEST, LAST_SEQ)].tolist()):
            if newest >= 0:
                self.neighbours.by_env[env] = [RowsBetweenGaps(last, last, newest, newest)]

    def _usable(self, segs: Segments, batch: StepBatch, arrival: Arrival, outcome: BatchOutcome) -> Segments | None:
        """Refuse rows that no recorder writes; return the segments of the others."""
        envs = segs.env.tolist()  # lists are faster than arrays of a few values
        if (
            min(envs) >= 0
            and max(envs) < MAX_ENVS
            and min(segs.episode.tolist()) >= 0
            and b"\x01" not in segs.early_end.tobytes()
        ):
            return segs
        bad = (segs.env < 0) | (segs.env >= MAX_ENVS) | (segs.episode < 0)
        columns = batch.columns
        fresh = np.ones(segs.count, np.bool_) if arrival.fresh is None else arrival.fresh.copy()
        bounds = [*segs.starts.tolist(), len(segs.order)]
        over = (columns.terminated | columns.truncated) != 0
        for index in np.flatnonzero(bad | segs.early_end).tolist():
            rows = segs.order[bounds[index] : bounds[index + 1]]
            name = f"env {segs.env[index]} episode {segs.episode[index]}"
            why = f"{name} cannot be: env must be 0 to {MAX_ENVS - 1}, episode at least 0"
            if not bad[index]:
                rows = rows[int(np.argmax(over[rows])) + 1 :]
                why = f"{name} came after the step that ended it"
            fresh[rows] = False
            outcome.refuse(len(rows), why)
        return segments(batch.header.first_seq, columns, fresh)

    def _advance(self, segs: Segments, plain: NDArray[np.int64], batch: StepBatch, now_ms: int) -> None:
        """Append the segments that only go on with an open episode."""
        if not len(plain):
            return
        self.open.advance(segs, plain, now_ms)
        if batch.extras:
            sums = extra_sums(segs, batch.extras)
            for index in plain.tolist():
                if index in sums:
                    self.open.add_extras(int(segs.env[index]), sums[index])
        if batch.labels or batch.stop:
            words = words_by_segment(segs, batch)
            for index in plain.tolist():
                if index in words:
                    self.open.add_words(int(segs.env[index]), words[index])
        if self.received.gaps:
            columns = (segs.env, segs.first_seq, segs.last_seq, segs.episode)
            for env, first, last, episode in zip(*(column[plain].tolist() for column in columns), strict=True):
                self.neighbours.add(env, RowsBetweenGaps(first, last, episode, episode), self.received.gaps)

    def _take_part(self, part: EpisodePart, known: int, now_ms: int, outcome: BatchOutcome) -> None:
        """Take the rows of one episode. `known` is one past the highest seq that had arrived before the batch."""
        env, episode, reason, rows = part
        newest, is_open = self.open.newest(env)
        if episode > newest:
            if is_open:
                outcome.closed.append(self._close(env, newest, "abandoned", now_ms))
            self._open_or_close(part, now_ms, outcome)
        elif episode == newest and is_open:
            whole = self.open.load(env)
            whole.merge(rows)
            self._open_or_close(EpisodePart(env, episode, reason, whole), now_ms, outcome)
        else:
            if not self._take_late_part(part, known, now_ms, outcome):
                return
            if episode == newest:
                self.open.over(env, episode, max(rows.last_seq, int(self.open.ints[env, LAST_SEQ])))
        if self.received.gaps:
            between = RowsBetweenGaps(rows.first_seq, rows.last_seq, episode, episode)
            self.neighbours.add(env, between, self.received.gaps)

    def _open_or_close(self, part: EpisodePart, now_ms: int, outcome: BatchOutcome) -> None:
        env, episode, reason, rows = part
        if reason is None:
            self.open.store(env, episode, rows, now_ms)
        else:
            self.open.over(env, episode, rows.last_seq)
            outcome.closed.append(ClosedEpisode(env, episode, rows, reason, now_ms))

    def _take_late_part(self, part: EpisodePart, known: int, now_ms: int, outcome: BatchOutcome) -> bool:
        """Take rows of an episode that is over or was passed by; return whether they were taken."""
        env, episode, reason, rows = part
        name = f"env {env} episode {episode}"
        found = self.late.get((env, episode))
        if found is None:
            passed = rows.first_seq >= known or episode == self.open.newest(env)[0]
            if passed or self.neighbours.knows(env, episode, rows.first_seq):
                outcome.refuse(rows.rows, f"{name} came after it was over")
                return False
            outcome.closed.append(ClosedEpisode(env, episode, rows, reason or "abandoned", now_ms))
            return True
        if found.ended_by_row and rows.first_seq > found.rows.last_seq:
            outcome.refuse(rows.rows, f"{name} came after the step that ended it")
            return False
        waited = now_ms - found.closed_ms
        if waited > self.policy.grace_ms:
            outcome.refuse(rows.rows, f"{name} came {waited} ms after it was finalised")
            return False
        found.rows.merge(rows)
        found.reason = reason or found.reason
        outcome.closed.append(found)
        return True

    def _close(self, env: int, episode: int, reason: EndReason, closed_ms: int) -> ClosedEpisode:
        rows = self.open.load(env)
        self.open.over(env, episode, rows.last_seq)
        return ClosedEpisode(env, episode, rows, reason, closed_ms)

    def close_all(self, envs: list[int], reason: EndReason, closed_ms: int) -> list[EpisodeFinalized]:
        """Close the open episodes of some envs; return what is to be emitted."""
        outcome = BatchOutcome([self._close(env, self.open.newest(env)[0], reason, closed_ms) for env in envs])
        self._emit(outcome, closed_ms)
        return outcome.events

    def end(self, closed_ms: int) -> list[EpisodeFinalized]:
        """Let the stream end with its FINISHED event."""
        self.ended = True
        outcome = BatchOutcome(events=self.close_all(self.open.envs(), "interrupted", closed_ms))
        self._revise_others(outcome, closed_ms)
        return outcome.events

    def _missing(self, one: ClosedEpisode) -> list[Gap]:
        """Return what is missing of the stream that can hold rows of an episode, its end included once it ended."""
        gaps, next_seq = self.received.gaps, self.received.next_seq
        missing = one.missing(gaps, self.neighbours) if gaps else []
        produced = self.finished.produced if self.ended and self.finished is not None else 0
        if next_seq < produced and not one.ended_by_row and self.open.newest(one.env)[0] == one.episode:
            missing.append((next_seq, produced - 1))
        return missing

    def _emit(self, outcome: BatchOutcome, now_ms: int) -> None:
        """Emit a revision of each closed episode."""
        for one in outcome.closed:
            missing = self._missing(one)
            empty = one.rows.steps == 0 and not missing and one.revision == 0
            if empty and one.reason == "interrupted" and self.ended:
                continue  # the reset after the last episode: nothing happened in it
            outcome.events.append(one.event(self.identity, missing))
            if missing or self._may_go_on(one):
                self.late[one.env, one.episode] = one
            else:
                self.late.pop((one.env, one.episode), None)
        if len(self.late) > self.policy.max_late:
            self.prune(now_ms)

    def _revise_others(self, outcome: BatchOutcome, now_ms: int) -> None:
        """Emit a revision of each finalised episode whose missing gaps are others now."""
        for one in self.late.values():
            if one.revision and now_ms - one.closed_ms <= self.policy.grace_ms:
                missing = self._missing(one)
                if one.reported != tuple(missing):
                    outcome.events.append(one.event(self.identity, missing))

    def prune(self, now_ms: int) -> None:
        """Forget finalised episodes that can gain no rows; give up the oldest gaps to stay within the bound."""
        while self.late:
            self.late = {key: one for key, one in self.late.items() if self._can_gain(one, now_ms)}
            if len(self.late) <= self.policy.max_late or not self.received.gaps:
                break
            self.received.give_up_oldest()
            self.neighbours.settle(self.received.gaps)

    def _can_gain(self, one: ClosedEpisode, now_ms: int) -> bool:
        in_grace = now_ms - one.closed_ms <= self.policy.grace_ms
        return (in_grace and self._may_go_on(one)) or bool(self._missing(one))

    def _may_go_on(self, one: ClosedEpisode) -> bool:
        """Return whether an episode was closed by silence, so that its next row may be the next of its env."""
        return not one.ended_by_row and self.open.newest(one.env) == (one.episode, False)

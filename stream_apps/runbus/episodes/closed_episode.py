"""Keeps an episode that was finalised, and makes its events."""

from __future__ import annotations

from dataclasses import dataclass

from runbus.episodes.episode import Episode
from runbus.episodes.gaps import Gap, GapNeighbours
from runbus.episodes.identity import episode_id
from runbus.kafka.model import StreamId
from runbus.schemas.events import EndReason, EpisodeFinalized


@dataclass(slots=True)
class ClosedEpisode:
    """A finalised episode.

    Attributes:
        rows: its rows.
        closed_ms: stream time at which it was closed; late rows are taken for a while after it.
        revision: the newest that was emitted; 0 = none yet.
        complete, reported: in that revision: whether nothing is missing, and which gaps are.
    """

    env: int
    episode: int
    rows: Episode
    reason: EndReason
    closed_ms: int
    revision: int = 0
    complete: bool = False
    reported: tuple[Gap, ...] = ()

    @property
    def ended_by_row(self) -> bool:
        """Whether a row ended it: nothing comes after that row."""
        return self.reason in ("terminated", "truncated")

    def missing(self, gaps: list[Gap], neighbours: GapNeighbours) -> list[Gap]:
        """Return the gaps of the stream that can hold rows of this episode."""
        rows, found = self.rows, []
        for gap in gaps:
            if gap[1] < rows.first_seq:
                possible = rows.first_step > 0
            elif gap[0] > rows.last_seq:
                possible = not self.ended_by_row
            else:
                possible = rows.has_hole
            if possible and neighbours.can_hold(gap, self.env, self.episode):
                found.append(gap)
        return found

    def event(self, stream: StreamId, missing: list[Gap]) -> EpisodeFinalized:
        """Return the next revision."""
        rows = self.rows
        labels, stop = ({}, "") if rows.words is None else rows.words.texts()
        self.revision += 1
        self.complete = rows.unbroken and not missing
        self.reported = tuple(missing)
        return EpisodeFinalized(
            id=episode_id(stream, self.env, self.episode),
            revision=self.revision,
            run_id=stream.run_id,
            agent_id=stream.agent_id,
            attempt=stream.attempt,
            env=self.env,
            episode=self.episode,
            reason=self.reason,
            complete=self.complete,
            missing_from=[first for first, _ in missing],
            missing_to=[last for _, last in missing],
            return_=rows.return_,
            length=rows.steps,
            first_seq=rows.first_seq,
            last_seq=rows.last_seq,
            first_ts=rows.first_ts,
            last_ts=rows.last_ts,
            min_reward=rows.min_reward if rows.steps else 0.0,
            max_reward=rows.max_reward if rows.steps else 0.0,
            extras_sum=dict(rows.extras),
            labels=labels,
            stop=stop,
            has_reset=rows.first_step == 0,
        )

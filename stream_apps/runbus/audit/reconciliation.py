"""Checks each stream of steps or metrics: produced = stored + dropped + in flight + dead letters, none twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from runbus.kafka.model import StreamId


@dataclass(frozen=True, slots=True)
class Logged:
    """The log's sums of one stream.

    Attributes:
        produced: steps the recorder accepted (the next seq), from batch headers and the FINISHED event.
        dropped: steps that it dropped, cumulative.
        pending: steps in records at or above the sink's committed offset.
        finished: whether its FINISHED event is there; without it, what never reached the log is unknown.
        dead_letters: steps in records that the sink could not store, and that were not sent again.
        resent: steps that a journal sent without knowing that the log had them: they are there twice, and known to be.
    """

    produced: int = 0
    dropped: int = 0
    pending: int = 0
    finished: bool = False
    dead_letters: int = 0
    resent: int = 0


@dataclass(frozen=True, slots=True)
class Stored:
    """ClickHouse's sums of one stream: rows, different seqs, the next seq, drops."""

    rows: int = 0
    distinct: int = 0
    next_seq: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class StreamSums:
    """Steps by outcome: produced = stored - duplicates - resent + dropped + in_flight + dead_letters + missing."""

    produced: int = 0
    stored: int = 0
    dropped: int = 0
    in_flight: int = 0
    dead_letters: int = 0
    missing: int = 0
    duplicates: int = 0
    resent: int = 0

    def __add__(self, other: StreamSums) -> StreamSums:
        return StreamSums(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(StreamSums)))

    def as_dict(self) -> dict[str, int]:
        """Return the sums by name."""
        return {f.name: getattr(self, f.name) for f in fields(StreamSums)}


@dataclass(frozen=True, slots=True)
class Audit:
    """The sums of every stream, and what is in no sum.

    Attributes:
        streams: by stream.
        unreadable: records of the log that could not be read and are no dead letters: they may hide anything.
        unfinished: streams without a FINISHED event.
        unreadable_letters: records of the log that could not be read and are dead letters: their steps count as
            missing if a later record of the stream shows that there were some.
        metrics: the same of the streams of metrics; None = nobody asked.
    """

    streams: Mapping[StreamId, StreamSums]
    unreadable: int = 0
    unfinished: frozenset[StreamId] = frozenset()
    unreadable_letters: int = 0
    metrics: Audit | None = None

    @property
    def total(self) -> StreamSums:
        """The sums of all streams."""
        return sum(self.streams.values(), StreamSums())

    @property
    def settled(self) -> bool:
        """Whether nothing is in flight any more."""
        return self.total.in_flight == 0 and (self.metrics is None or self.metrics.settled)

    @property
    def sound(self) -> bool:
        """Whether nothing is missing and nothing is stored twice."""
        own = self.total.missing == 0 and self.total.duplicates == 0 and self.unreadable == 0
        return own and (self.metrics is None or self.metrics.sound)

    def as_json(self) -> dict[str, object]:
        """Return what `runbus audit --json` prints."""
        streams = [
            {"run_id": run, "agent_id": agent, "attempt": attempt, **sums.as_dict()}
            for (run, agent, attempt), sums in sorted(self.streams.items())
        ]
        document: dict[str, object] = {"streams": streams, "total": self.total.as_dict()}
        return document if self.metrics is None else {**document, "metrics": self.metrics.as_json()}


def reconcile(
    logged: Mapping[StreamId, Logged],
    stored: Mapping[StreamId, Stored],
    unreadable: int = 0,
    unreadable_letters: int = 0,
) -> Audit:
    """Compare the log's streams with ClickHouse's.

    The sink's committed offsets must have been read first, then its dead letters, then `stored`, the log last: then a
    step below the committed offset that is not stored is a dead letter or missing, and what is above it is in flight at
    most.
    """
    ids: Iterable[StreamId] = logged.keys() | stored.keys()
    unfinished = frozenset(i for i, log in logged.items() if not log.finished)
    streams = {i: _sums(logged.get(i, Logged()), stored.get(i, Stored())) for i in ids}
    return Audit(streams, unreadable, unfinished, unreadable_letters)


def _sums(log: Logged, store: Stored) -> StreamSums:
    # Retention may have removed records of a stored stream: the rows have its seq and its drops too.
    produced, dropped = max(log.produced, store.next_seq), max(log.dropped, store.dropped)
    gap = produced - dropped - store.distinct
    dead_letters = min(max(gap, 0), log.dead_letters)  # a retry may have stored some since
    in_flight = min(max(gap, 0) - dead_letters, log.pending)
    twice = store.rows - store.distinct
    resent = min(twice, log.resent)
    return StreamSums(
        produced=produced,
        stored=store.rows,
        dropped=dropped,
        in_flight=in_flight,
        dead_letters=dead_letters,
        missing=max(gap, 0) - dead_letters - in_flight,
        duplicates=twice - resent,
        resent=resent,
    )

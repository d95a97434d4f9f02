"""Tells what is missing, dropped or repeated in the streams of one partition, and what a commit says of them."""

from __future__ import annotations

import base64
from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from runbus.kafka.model import StreamId
from runbus.schemas.batches import Header
from runbus.schemas.sequence import SequenceTracker, runs_of
from runbus.schemas.walk import number, zigzag

#: Streams of a partition that are known at once: about 0.5 KB each. Past it the longest silent one is forgotten.
MAX_STREAMS = 10_000
# A broker takes 4,096 bytes beside a committed offset (offset.metadata.max.bytes); base85 makes five of four.
_CARRIED_BYTES = 3_200
_CARRIED_GAPS = 4  # of a stream
_MARK = "runbus.reader.1:"
_DIGEST = 8


@dataclass(frozen=True, slots=True)
class Stream:
    """How far one stream has come.

    Attributes:
        tracker: which seq arrived. Never changed: what follows is another one.
        dropped: steps that it gave up, as its newest batch says.
    """

    tracker: SequenceTracker
    dropped: int


class Arrived(NamedTuple):
    """What a batch is to its stream.

    Attributes:
        fresh: the rows [start, stop) that had not arrived before; None = all.
        gap: the seq that are missing in front of it, first and last; None = none.
        newly_dropped: steps that the recorder gave up since the batch before.
        late: its rows fill gaps.
        repeated: rows that arrived before.
        after: how far the stream has come with it.
    """

    fresh: tuple[tuple[int, int], ...] | None
    gap: tuple[int, int] | None
    newly_dropped: int
    late: bool
    repeated: int
    after: Stream


@dataclass(slots=True)
class Sequences:
    """The streams of one partition.

    Attributes:
        whole: everything since the partition's first record was read, so a stream that is not known begins with seq 0.
            Otherwise its first batch is where it begins here, and nothing is known of what was before.
    """

    whole: bool = False
    _streams: OrderedDict[StreamId, Stream] = field(default_factory=OrderedDict)
    _carried: dict[bytes, Stream] = field(default_factory=dict)

    @property
    def begun(self) -> bool:
        """Whether a stream is known."""
        return bool(self._streams or self._carried)

    def arrive(self, stream: StreamId, header: Header) -> Arrived:
        """Return what a batch is to its stream. Changes nothing: `keep` does."""
        known = self._streams.get(stream) or self._carried.get(digest_of(stream)) or self._begun(header)
        before = known.tracker
        tracker = SequenceTracker(before.next_seq, before.gaps, before.given_up)  # its lists are never changed in place
        arrival = tracker.take(header.first_seq, header.count)
        gap = (before.next_seq, header.first_seq - 1) if header.first_seq > before.next_seq else None
        return Arrived(
            fresh=None if arrival.fresh is None else runs_of(arrival.fresh),
            gap=gap,
            newly_dropped=max(0, header.dropped - known.dropped),
            late=arrival.late > 0,
            repeated=arrival.duplicates,
            after=Stream(tracker, max(header.dropped, known.dropped)),
        )

    def keep(self, stream: StreamId, after: Stream) -> None:
        """Take over how far a stream has come; the same again changes nothing."""
        self._streams[stream] = after
        self._streams.move_to_end(stream)
        if len(self._streams) > MAX_STREAMS:
            self._streams.popitem(last=False)
            self.whole = False

    def forget(self) -> None:
        """Know nothing any more: records were deleted, and what is missing now is no gap of a stream."""
        self.whole = False
        self._streams.clear()
        self._carried.clear()

    def _begun(self, header: Header) -> Stream:
        """Return how far a stream has come that is not known."""
        if self.whole or header.first_seq == 0:
            return Stream(SequenceTracker(), 0)
        before = SequenceTracker(header.first_seq, [(0, header.first_seq - 1)])  # if it comes late, it is not repeated
        return Stream(before, header.dropped)

    # --- beside a committed offset ------------------------------------------------------------------------------

    def encode(self) -> str:
        """Return the text that a commit carries: the streams that were active last, as many as there is room for."""
        newest = {digest_of(stream): known for stream, known in reversed(self._streams.items())}
        parts, room = [b""], _CARRIED_BYTES
        everything = True
        for mark, known in (newest | {m: k for m, k in self._carried.items() if m not in newest}).items():
            entry = _entry(mark, known)
            room -= len(entry)
            if room < 0:
                everything = False
                break
            parts.append(entry)
        whole = self.whole and everything
        return _MARK + base64.b85encode(bytes([whole]) + b"".join(parts)).decode()

    @classmethod
    def decode(cls, metadata: str | None) -> Sequences | None:
        """Return what `encode` wrote; None if another program committed."""
        if not metadata or not metadata.startswith(_MARK):
            return None
        try:
            raw = base64.b85decode(metadata[len(_MARK) :])
            found = cls(whole=bool(raw[0]))
            at = 1
            while at < len(raw):
                mark = raw[at : at + _DIGEST]
                found._carried[mark], at = _stream(raw, at + _DIGEST)
        except (ValueError, IndexError):
            return None
        return found


def digest_of(stream: StreamId) -> bytes:
    """Return a short name of a stream: of a million streams two share one once in forty million cases."""
    return blake2b(str(stream).encode(), digest_size=_DIGEST).digest()


def _entry(mark: bytes, known: Stream) -> bytes:
    """Return how far a stream has come, as bytes.

    Of many gaps the oldest are one that spans them: steps that come late are rather handed out again than not at all.
    """
    gaps = known.tracker.gaps
    if len(gaps) > _CARRIED_GAPS:
        kept = _CARRIED_GAPS - 1
        gaps = [(gaps[0][0], gaps[-kept - 1][1]), *gaps[-kept:]]
    numbers = [known.tracker.next_seq, known.dropped, len(gaps), *(seq for gap in gaps for seq in gap)]
    return mark + b"".join(map(zigzag, numbers))


def _stream(raw: bytes, at: int) -> tuple[Stream, int]:
    next_seq, at = number(raw, at)
    dropped, at = number(raw, at)
    count, at = number(raw, at)
    gaps = []
    for _ in range(count):
        low, at = number(raw, at)
        high, at = number(raw, at)
        gaps.append((low, high))
    return Stream(SequenceTracker(next_seq, gaps), dropped), at

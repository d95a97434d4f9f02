"""Knows which steps are in dead letters: the headers of records that could not be stored still say it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from runbus.audit.interval_set import IntervalSet
from runbus.config.errors import RunBusError
from runbus.kafka.model import StreamId
from runbus.schemas.batch import decode_header
from runbus.schemas.codec import Codec


class Letters:
    """The dead letters of the sink about steps.

    Args:
        codec: of the installation.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._steps: dict[StreamId, IntervalSet] = {}
        #: Names of the letters that were read.
        self.known: set[str] = set()

    def add(self, heads: Mapping[str, bytes]) -> None:
        """Take the beginnings of records, by the names of their letters. One that says nothing counts no step."""
        for key, head in heads.items():
            self.known.add(key)
            try:
                writer, body = self._codec.open(head, "StepBatch")
                header = decode_header(body, writer)
            except RunBusError:
                continue
            stream = StreamId(header.run_id, header.agent_id, header.attempt)
            self._steps.setdefault(stream, IntervalSet()).add(header.first_seq, header.next_seq - 1)

    def count(self, stream: StreamId, first: int, produced: int) -> int:
        """Return how many steps of a stream with `seq` in [first, produced) are in letters."""
        spans = self._steps.get(stream, ())
        return sum(max(0, min(end + 1, produced) - max(begin, first)) for begin, end in spans)

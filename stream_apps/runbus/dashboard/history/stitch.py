"""Says where the past ends and the live part begins: at the offsets that the sink has committed.

Of a partition, everything below its committed offset is stored, or a dead letter (docs/sink.md;
`tests/simulation` checks it at each commit). So a question reads the rows below it, and the live part
says what is at or above it: nothing twice, nothing missing. A partition that the sink has said nothing of yet is read
to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping


class Seam:
    """Where the past ends, for one answer: it keeps what it has said, so all questions of an answer end alike.

    Args:
        below: returns partition -> committed offset of a topic, which is named without prefix.
        prefix: of all topics.
    """

    def __init__(self, below: Callable[[str], Mapping[int, int]], prefix: str) -> None:
        self._below = below
        self._prefix = prefix
        self._said: dict[str, dict[int, int]] = {}

    def of(self, topic: str) -> dict[int, int]:
        """Return the first offset of each partition of a topic that may not be stored yet."""
        if topic not in self._said:
            self._said[topic] = dict(self._below(topic))
        return self._said[topic]

    @property
    def said(self) -> dict[str, int]:
        """By `topic:partition`, what was asked about so far."""
        return {
            f"{self._prefix}{topic}:{partition}": offset
            for topic, below in self._said.items()
            for partition, offset in below.items()
        }

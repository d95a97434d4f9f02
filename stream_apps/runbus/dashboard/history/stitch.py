"""Says where the past ends and the live part begins: at the offsets that the sink has committed.

Of a partition, everything below its committed offset is stored, or a dead letter (docs/sink.md; `tests/simulation`
checks it at each commit). So a question reads the rows below it, and the live part says what is at or above it:
nothing twice, nothing missing. A partition that the sink has said nothing of yet is read to its end, and so are the
rows of a topic that was deleted and created again: their offsets are of another log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping


class Below(dict[int, int]):
    """Partition -> the first offset of a topic that may not be stored yet.

    Attributes:
        topic_id: of the topic as it is now, "" = not known. Rows of another one are all in the past.
    """

    def __init__(self, offsets: Mapping[int, int], topic_id: str = "") -> None:
        super().__init__(offsets)
        self.topic_id = topic_id


class Seam:
    """Where the past ends, for one answer: it keeps what it has said, so all questions of an answer end alike.

    Args:
        below: returns partition -> committed offset of a topic, which is named without prefix.
        prefix: of all topics.
        topic_ids: Kafka's own id of each topic, by full name.
    """

    def __init__(
        self, below: Callable[[str], Mapping[int, int]], prefix: str, topic_ids: Mapping[str, str] | None = None
    ) -> None:
        self._below = below
        self._prefix = prefix
        self._topic_ids = topic_ids or {}
        self._said: dict[str, Below] = {}

    def of(self, topic: str) -> Below:
        """Return where the past of a topic ends."""
        if topic not in self._said:
            topic_id = self._topic_ids.get(self._prefix + topic, "")
            self._said[topic] = Below(self._below(topic), topic_id)
        return self._said[topic]

    @property
    def said(self) -> dict[str, int]:
        """By `topic:partition`, what was asked about so far."""
        return {
            f"{self._prefix}{topic}:{partition}": offset
            for topic, below in self._said.items()
            for partition, offset in below.items()
        }

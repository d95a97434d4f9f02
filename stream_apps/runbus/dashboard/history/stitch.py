"""Says where the past ends and the live part begins: at the offsets that the sink has committed.

Of a partition, everything below its committed offset is stored, or a dead letter (docs/sink.md). So a question reads
the rows below it, and the live part says what is at or above it: nothing twice, nothing missing. A partition that the
sink has said nothing of yet is read to its end.
"""

from __future__ import annotations

from collections.abc import Mapping

Below = Mapping[str, int]


def below_of(below: Below, topic: str, prefix: str = "") -> dict[int, int]:
    """Return the first offset of each partition of a topic that may not be stored yet.

    Args:
        below: `topic:partition` -> offset, as the sink's heartbeat names them.
        topic: its name without prefix.
        prefix: of all topics.
    """
    found = {}
    for position, offset in below.items():
        name, _, partition = position.rpartition(":")
        if name == prefix + topic and partition.isdecimal() and offset >= 0:
            found[int(partition)] = offset
    return found

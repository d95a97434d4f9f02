"""Decides where a new owner of a partition starts, from what the group committed and what the log still has."""

from __future__ import annotations

from dataclasses import dataclass

from runbus.kafka.commit_metadata import Committed, Intent
from runbus.kafka.dead_letter_rate import NONE_YET, DeadLetterRate
from runbus.kafka.model import LogShrank


@dataclass(frozen=True, slots=True)
class Opening:
    """The start of a new owner in a partition.

    Attributes:
        lo: first offset that is not known to be stored; names the pending range.
        read_from: first offset to read.
        intent: the pending range to replay, or None.
        deleted: offsets (first, last) that are not in the log any more, or None.
        rate: of dead letters among the records before `lo`.
        known: whether `lo` is what the group committed for this topic.
    """

    lo: int
    read_from: int
    intent: Intent | None = None
    deleted: tuple[int, int] | None = None
    rate: DeadLetterRate = NONE_YET
    known: bool = True


def opening(committed: Committed | None, topic_id: str, low: int, high: int) -> Opening:
    """Return the start of a new owner.

    Args:
        committed: of the group, or None if it never committed.
        topic_id: of the topic now.
        low, high: first offset of the log, and the one after its last.

    Raises:
        LogShrank: the log ends before the committed offset; a person has to decide.
    """
    if committed is None or (committed.intent is not None and committed.intent.topic_id != topic_id):
        return Opening(low, low, known=False)  # a new group, or a new topic under an old name: read everything
    offset, intent = committed
    if offset > high:
        raise LogShrank(
            f"offset {offset} is committed, but the log ends at {high}: the broker lost records, or the topic was "
            "re-created while another tool committed; `runbus cursors reset` moves the group once you know which"
        )
    pending = intent if intent is not None and intent.pending else None
    rate = intent.rate if intent is not None else NONE_YET
    if low <= offset:
        return Opening(offset, offset, pending, None, rate)
    if pending is not None and low <= pending.hi:
        return Opening(offset, low, pending, (offset, low - 1), rate)
    return Opening(low, low, None, (offset, low - 1), rate, known=False)

"""Where a new owner of a partition starts: pure, from what the group committed and what the log still has."""

from __future__ import annotations

from dataclasses import dataclass

from runbus.kafka.commit_metadata import Committed, Intent
from runbus.kafka.dead_letter_rate import NONE_YET, DeadLetterRate
from runbus.kafka.model import LogShrank


@dataclass(frozen=True, slots=True)
class Opening:
    """How a partition is taken over.

    Attributes:
        lo: first offset that is not known to be stored; names the pending range.
        read_from: where reading starts.
        intent: the pending range to replay, or None.
        gone: offsets (first, last) that are not in the log any more, or None.
        poison: what the records before `lo` were like.
        known: whether `lo` is what the group committed for this topic.
    """

    lo: int
    read_from: int
    intent: Intent | None = None
    gone: tuple[int, int] | None = None
    poison: DeadLetterRate = NONE_YET
    known: bool = True


def opening(committed: Committed | None, topic_id: str, low: int, high: int) -> Opening:
    """Return where to start.

    Args:
        committed: of the group, or None where it never committed.
        topic_id: of the topic now.
        low, high: first offset of the log, and the one after its last.

    Raises:
        LogShrank: nothing here can be right; a person has to decide.
    """
    if committed is None or (committed.intent is not None and committed.intent.topic_id != topic_id):
        return Opening(low, low, known=False)  # a new group, or a new topic under an old name: everything that is there
    offset, intent = committed
    if offset > high:
        raise LogShrank(
            f"offset {offset} is committed, but the log ends at {high}: the broker lost records, or the topic was "
            "re-created while another tool committed; reset the group's offset once you know which"
        )
    pending = intent if intent is not None and intent.pending else None
    poison = intent.poison if intent is not None else NONE_YET
    if low <= offset:
        return Opening(offset, offset, pending, None, poison)
    if pending is not None and low <= pending.hi:
        return Opening(offset, low, pending, (offset, low - 1), poison)
    return Opening(low, low, None, (offset, low - 1), poison, known=False)

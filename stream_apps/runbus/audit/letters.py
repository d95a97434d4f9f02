"""Dead letters that are on the log and not in ClickHouse yet."""

from __future__ import annotations

from typing import cast

from confluent_kafka import Message

from runbus.audit.topic import TopicLog
from runbus.config.progress import OnProgress, unseen

#: topic id -> partition -> offsets
Letters = dict[str, dict[int, set[int]]]


def letters_under_way(log: TopicLog, on_progress: OnProgress = unseen) -> Letters:
    """Return the sources of the sink's dead letters that are behind its committed offset on `dead-letters`.

    The sink puts a dead letter on the log before it commits past the record, and stores the topic `dead-letters` like
    any other. So ask this after the committed offsets of the source, and before its tables: then a record below its
    committed offset is in one of the two.
    """
    found: Letters = {}
    for message in log.records(log.committed(), on_progress):
        position = source(message)
        if position is not None:
            topic_id, partition, offset = position
            found.setdefault(topic_id, {}).setdefault(partition, set()).add(offset)
    return found


def source(message: Message) -> tuple[str, int, int] | None:
    """Return topic id, partition and offset of what the sink made a dead letter of; None = another program's letter."""
    headers = cast("list[tuple[str, str | bytes | None]]", message.headers() or [])
    found = {name: _text(value) for name, value in headers}
    try:
        position = found["topic_id"], int(found["partition"]), int(found["offset"])
    except (KeyError, ValueError):
        return None
    return position if found.get("component") == "sink" else None


def _text(value: str | bytes | None) -> str:
    return value if isinstance(value, str) else (value or b"").decode("utf-8", "replace")

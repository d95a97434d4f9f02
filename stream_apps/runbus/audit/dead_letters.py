"""Reads the dead letters that are in the log and not in ClickHouse yet."""

from __future__ import annotations

from confluent_kafka import Message

from runbus.config.progress import OnProgress, unseen
from runbus.kafka.headers import position_of, text_of
from runbus.kafka.topic_log import TopicLog, headers_of

#: topic id -> partition -> offsets
Letters = dict[str, dict[int, set[int]]]


def letters_in_flight(log: TopicLog, on_progress: OnProgress = unseen) -> Letters:
    """Return the sources of the sink's dead letters behind its committed offset on `dead-letters`.

    The sink appends a dead letter before it commits past the record, and stores the topic `dead-letters` like any
    other. So ask this after the committed offsets of the source and before its tables: then a dead letter of a record
    below the committed offset is in one of the two.
    """
    found: Letters = {}
    for message in log.records(log.committed(), on_progress):
        position = source(message)
        if position is not None:
            topic_id, partition, offset = position
            found.setdefault(topic_id, {}).setdefault(partition, set()).add(offset)
    return found


def source(message: Message) -> tuple[str, int, int] | None:
    """Return topic id, partition and offset of a dead letter's record; None = the letter is not the sink's."""
    headers = headers_of(message)
    topic_id, (partition, offset) = text_of(headers, "topic_id"), position_of(headers)
    if text_of(headers, "component") != "sink" or not topic_id or offset < 0:
        return None
    return topic_id, partition, offset

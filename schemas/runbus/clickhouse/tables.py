"""Names the tables that programs use; the views for people are in docs/sql.md."""

from __future__ import annotations

from dataclasses import dataclass

#: The fields that the sink puts in front of a record's own, in this order, with their Avro types.
POSITION_FIELDS: tuple[tuple[str, str], ...] = (
    ("kafka_topic_id", "string"),
    ("kafka_partition", "int"),
    ("kafka_offset", "long"),
)

#: The field that it puts behind them. To ClickHouse a record ends with its last field, and bytes that follow are
#: skipped; so this field is found only if the record ends before it. It names the offset: no producer can write it.
END_FIELD: tuple[str, str] = ("record_end", "string")


def record_end(offset: int, *, bad_struct: bool = False) -> str:
    """Return the value of END_FIELD, as the views compare it.

    Args:
        offset: of the record.
        bad_struct: an action or observation has a malformed `struct:` layout, which is JSON that no view can check.
    """
    return f"{'struct' if bad_struct else 'end'} {offset}"


@dataclass(frozen=True, slots=True)
class StoredTopic:
    """A topic that is stored in ClickHouse.

    Attributes:
        topic: name without prefix.
        schema: Avro record name of its values, or of what they are wrapped into.
        table: holds the rows.
        landing: takes the inserts: the record's own fields between POSITION_FIELDS and END_FIELD; stores nothing
            itself, and feeds `table` only.
    """

    topic: str
    schema: str
    table: str
    landing: str


STEPS = StoredTopic("steps", "StepBatch", "steps", "steps_landing")
RUNS = StoredTopic("runs", "RunEvent", "runs", "runs_landing")
EPISODES = StoredTopic("episodes", "EpisodeFinalized", "episodes", "episodes_landing")
HEARTBEATS = StoredTopic("heartbeats", "Heartbeat", "heartbeats", "heartbeats_landing")
ANNOTATIONS = StoredTopic("annotations", "Annotation", "annotations", "annotations_landing")
DEAD_LETTERS = StoredTopic("dead-letters", "DeadLetter", "dead_letters", "dead_letters_landing")
METRICS = StoredTopic("metrics", "MetricBatch", "metrics", "metrics_landing")

STORED_TOPICS: tuple[StoredTopic, ...] = (STEPS, RUNS, EPISODES, HEARTBEATS, DEAD_LETTERS, METRICS, ANNOTATIONS)

LOST_RANGES = "lost_ranges"


def view_of(landing: str) -> str:
    """Return the name of the materialised view that empties a landing table."""
    return f"{landing}_view"

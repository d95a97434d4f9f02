"""Finds where a run begins in each partition that holds it.

The topic `runs` names the agents of a run and when each started, by its own clock. The agent's key says in which
partition its records are; there the log is read from a day before that start until its first record comes by.
"""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka.admin import AdminClient

from runbus.config.errors import RunBusError
from runbus.cursors.positions import Cursor
from runbus.cursors.targets import offsets_at
from runbus.kafka.model import TopicPartition
from runbus.kafka.run_log import CLOCK_MARGIN_MS, RunStarts, key_text, stream_events
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topic_log import TopicLog, open_topic, record_position
from runbus.kafka.topics import EPISODES, LIVE_METRICS, METRICS, RUNS, STEPS

_KEYED = (STEPS, METRICS, EPISODES, LIVE_METRICS)  # by run and agent, or source


class RunPosition:
    """Finds the first records of one run.

    Args:
        settings: of the broker.
        admin: a client of it.
        group: the name of one that this user may see.
    """

    def __init__(self, settings: KafkaSettings, admin: AdminClient, group: str) -> None:
        self._settings = settings
        self._admin = admin
        self._group = group

    def find(self, run_id: str, cursors: Sequence[Cursor]) -> dict[TopicPartition, int]:
        """Return the offset of the first record of a run in those partitions that have one. Raises RunBusError."""
        run = self._read(run_id)
        if not run.started_ms:
            raise RunBusError(f"the log has no run {run_id!r}: `runbus run ls` shows those that are stored")
        prefix, found = self._settings.topic_prefix, dict[TopicPartition, int]()
        for cursor in cursors:
            if cursor.at.topic == prefix + RUNS.name and cursor.at.partition in run.events:
                found[cursor.at] = run.events[cursor.at.partition]
        for topic in _KEYED:
            mine = [cursor for cursor in cursors if cursor.at.topic == prefix + topic.name]
            if mine:
                found |= self._in_topic(topic.name, run_id, run, mine)
        return found

    def _read(self, run_id: str) -> RunStarts:
        run = RunStarts()
        with open_topic(self._settings, RUNS, self._group) as log:
            for event in stream_events(log, run_id):
                run.take(event)
        return run

    def _in_topic(self, name: str, run_id: str, run: RunStarts, cursors: list[Cursor]) -> dict[TopicPartition, int]:
        found: dict[TopicPartition, int] = {}
        with open_topic(self._settings, name, self._group) as log:
            starts = run.by_partition(run_id, len(log.partitions))
            for cursor in cursors:
                started = starts.get(cursor.at.partition)
                if started is None:
                    continue
                since = offsets_at(self._admin, [cursor], started - CLOCK_MARGIN_MS)[cursor.at]
                offset = _first(log, cursor, since, run_id)
                if offset is None and since > cursor.beginning:
                    offset = _first(log, cursor, cursor.beginning, run_id)
                if offset is not None:
                    found[cursor.at] = offset
        return found


def _first(log: TopicLog, cursor: Cursor, since: int, run_id: str) -> int | None:
    start = f"{run_id}/".encode()
    for message in log.walk(cursor.at.partition, since).below(cursor.end):
        if key_text(message.key()).encode().startswith(start):
            return record_position(message)[1]
    return None

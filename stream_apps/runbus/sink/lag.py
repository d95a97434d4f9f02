"""Computes the lag of each partition of the sink."""

from __future__ import annotations

import time
from collections.abc import Mapping

from runbus.kafka.model import Lag, TopicPartition
from runbus.sink.flow import Flow


class LagTracker:
    """Computes lags and remembers since when each partition is behind."""

    def __init__(self) -> None:
        self._caught_up_ms: dict[TopicPartition, int] = {}

    def lags(
        self, flows: Mapping[TopicPartition, Flow], ends: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, Lag]:
        """Return the lag of each partition.

        Args:
            flows: the partitions that the process owns.
            ends: offset up to which each log can be read; absent = unknown.
        """
        now_ms = time.time_ns() // 1_000_000
        self._caught_up_ms = {at: since for at, since in self._caught_up_ms.items() if at in flows}
        return {at: self._lag(at, flow, ends.get(at, -1), now_ms) for at, flow in flows.items()}

    def _lag(self, position: TopicPartition, flow: Flow, end: int, now_ms: int) -> Lag:
        behind = max(0, end - flow.stored, len(flow.backlog))
        if not behind:
            self._caught_up_ms[position] = now_ms
            return Lag(0, 0)
        oldest = flow.oldest_ms
        since = self._caught_up_ms.setdefault(position, now_ms) if oldest is None else oldest
        return Lag(behind, max(0, now_ms - since))

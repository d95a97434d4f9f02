"""Declares every metric of RunBus once: its name, kind, labels, unit and meaning.

docs/metrics.md is made from this table. A name is a contract: dashboards and alarms use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from runbus.probes.durations import Durations

Kind = Literal["counter", "gauge", "histogram"]


class Sample(NamedTuple):
    """One value of a metric, now; `labels` are the values of its labels."""

    metric: Metric
    value: float | Durations
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: in full. A counter's ends in `_total`.
        kind: a counter only grows while its process lives; a histogram takes `Durations`.
        doc: its meaning, one sentence.
        unit: of its values; empty = a number of things.
        labels: names of its labels.
        of: the processes that have it.
    """

    name: str
    kind: Kind
    doc: str
    unit: str = ""
    labels: tuple[str, ...] = ()
    of: tuple[str, ...] = ("sink", "episodes", "live-metrics")

    def now(self, value: float | Durations, *labels: str) -> Sample:
        """Return its value at this moment, with the values of its labels. Raises ValueError if they do not fit."""
        if len(labels) != len(self.labels):
            raise ValueError(f"{self.name} has the labels {self.labels}, not {labels}")
        if isinstance(value, Durations) is not (self.kind == "histogram"):
            raise ValueError(f"{self.name} is a {self.kind}: {value!r} is none")
        return Sample(self, value, labels)


_SINK = ("sink",)
_APPS = ("episodes", "live-metrics")
_WATCHDOG = ("watchdog",)
_DASHBOARD = ("dashboard",)
_ALL = ("sink", *_APPS, *_WATCHDOG, *_DASHBOARD)

BUILD_INFO = Metric(
    "runbus_build_info", "gauge", "Which process of which version this is; always 1.", "", ("kind", "version"), _ALL
)
READY = Metric("runbus_ready", "gauge", "1 while /ready says yes, else 0.", of=_ALL)
RECORDS = Metric("runbus_records_total", "counter", "Records of the log that were processed; in the sink: stored.")
STEPS = Metric("runbus_steps_total", "counter", "Steps that were processed; in the sink: stored.")
EMITTED = Metric("runbus_emitted_total", "counter", "Events that the app wrote, by topic.", "", ("topic",), _APPS)
DEAD_LETTERS = Metric("runbus_dead_letters_total", "counter", "Records that went to the dead letters.")
REFUSED_STEPS = Metric(
    "runbus_refused_steps_total", "counter", "Steps of records that could not be used, whole or in part.", of=_APPS
)
SKIPPED_OFFSETS = Metric(
    "runbus_skipped_offsets_total", "counter", "Offsets that were deleted from the log before they were processed."
)
COMMITS = Metric("runbus_commits_total", "counter", "Commits that the broker answered.")
COMMIT_SECONDS = Metric("runbus_commit_seconds", "histogram", "How long a commit took.", "seconds")
INSERTS = Metric("runbus_inserts_total", "counter", "Inserts that ClickHouse acknowledged.", of=_SINK)
INSERTED_STEPS = Metric(
    "runbus_inserted_steps_total", "counter", "Steps of acknowledged inserts; those of a replay count again.", of=_SINK
)
INSERT_SECONDS = Metric("runbus_insert_seconds", "histogram", "How long an insert took.", "seconds", of=_SINK)
RETRIES = Metric(
    "runbus_retries_total", "counter", "Calls that had to be made again, by reason.", "", ("reason",), _SINK
)
REPLAYS = Metric(
    "runbus_replays_total", "counter", "Ranges that an earlier owner had announced and that were done again.", of=_SINK
)
VERIFIED = Metric("runbus_verified_total", "counter", "Times that the rows of a range were counted.", of=_SINK)
REPAIRS = Metric("runbus_repairs_total", "counter", "Times that counted rows were missing and inserted.", of=_SINK)
REPAIRED_ROWS = Metric(
    "runbus_repaired_rows_total", "counter", "Rows that were acknowledged, found missing, and inserted.", of=_SINK
)
PAUSED = Metric(
    "runbus_partitions_paused",
    "gauge",
    "Partitions that do not move, by reason: what waits for an answer (log, ambiguous, capacity, registry), and what "
    "waits for a person (configuration, poison, refused, unknown).",
    labels=("reason",),
    of=_SINK,
)
RANGE_SECONDS = Metric(
    "runbus_range_interval_seconds",
    "gauge",
    "How long a range grows at the most; more than RUNBUS_SINK_RANGE_SECONDS while ClickHouse has too many parts.",
    "seconds",
    of=_SINK,
)
PARTITIONS = Metric("runbus_partitions_owned", "gauge", "Partitions that the process owns now.")
RECOVERING = Metric(
    "runbus_partitions_recovering", "gauge", "Owned partitions whose state, or unfinished range, is still read back."
)
LAG_EVENTS = Metric(
    "runbus_lag_events", "gauge", "Offsets of a partition that are readable and not done.", "", ("topic", "partition")
)
LAG_SECONDS = Metric(
    "runbus_lag_seconds", "gauge", "Age of the oldest event that is not done; it grows while nothing moves.", "seconds"
)
STATE_ENTRIES = Metric(
    "runbus_state_entries", "gauge", "What the app holds in memory, or gave up, by name.", "", ("what",), _APPS
)
WATCH_FINDINGS = Metric(
    "runbus_watch_findings", "gauge", "What is wrong now, by state: docs/watch.md.", "", ("state",), _WATCHDOG
)
WATCH_ALARMS = Metric("runbus_watch_alarms", "gauge", "What is wrong and has lasted longer than it may.", of=_WATCHDOG)
WATCH_WEBHOOK_FAILED = Metric(
    "runbus_watch_webhook_failed_total", "counter", "Alarms that the webhook did not take.", of=_WATCHDOG
)
WATCH_GROUP_STATE = Metric(
    "runbus_watch_group_state",
    "gauge",
    "State of a consumer group: 0 OK, 1 WARN, 2 STALL, 3 STOP, 4 REWIND.",
    labels=("group",),
    of=_WATCHDOG,
)
WATCH_GROUP_LAG_SECONDS = Metric(
    "runbus_watch_group_lag_seconds",
    "gauge",
    "Age of the oldest record that a group has not read, whether or not it lives.",
    "seconds",
    ("group",),
    _WATCHDOG,
)
WATCH_GROUP_UNOWNED = Metric(
    "runbus_watch_group_unowned", "gauge", "Partitions of a group that no member has.", "", ("group",), _WATCHDOG
)
CANARY_SECONDS = Metric(
    "runbus_canary_seconds",
    "gauge",
    "How long the newest step of the canary that came back took, by the process whose way it went.",
    "seconds",
    ("way",),
    _WATCHDOG,
)
CANARY_WAITING_SECONDS = Metric(
    "runbus_canary_waiting_seconds",
    "gauge",
    "How long the oldest step of the canary that is not back is on its way.",
    "seconds",
    ("way",),
    _WATCHDOG,
)
PAGE_CONNECTIONS = Metric(
    "runbus_dashboard_connections", "gauge", "Connections of browsers and other clients that are open.", of=_DASHBOARD
)
PAGE_REFUSED = Metric(
    "runbus_dashboard_connections_refused_total",
    "counter",
    "Connections that were refused because there were too many.",
    of=_DASHBOARD,
)
PAGE_STREAMS = Metric("runbus_dashboard_streams", "gauge", "Clients that follow what happens now.", of=_DASHBOARD)
PAGE_FRAMES = Metric(
    "runbus_dashboard_frames_total",
    "counter",
    "Frames of live data that were sent; clients that are equally far share one.",
    of=_DASHBOARD,
)
PAGE_ENCODED = Metric("runbus_dashboard_frames_encoded_total", "counter", "Frames that were made.", of=_DASHBOARD)
PAGE_SKIPPED = Metric(
    "runbus_dashboard_ticks_skipped_total",
    "counter",
    "Ticks that a client missed because it had not taken the frame before: its next one had all of it.",
    of=_DASHBOARD,
)
PAGE_BEHIND_SECONDS = Metric(
    "runbus_dashboard_behind_seconds",
    "gauge",
    "For how long nothing was read although heartbeats come every second.",
    "seconds",
    of=_DASHBOARD,
)
PAGE_QUERIES = Metric("runbus_dashboard_queries", "gauge", "Questions to ClickHouse that are under way.", of=_DASHBOARD)
PAGE_QUERIES_ENDED = Metric(
    "runbus_dashboard_queries_total",
    "counter",
    "Questions to ClickHouse by their end: answered, failed, refused (too many at once), cancelled (the client left).",
    "",
    ("end",),
    _DASHBOARD,
)

#: All of them, in the order of this file.
METRICS: tuple[Metric, ...] = tuple(value for value in tuple(vars().values()) if isinstance(value, Metric))

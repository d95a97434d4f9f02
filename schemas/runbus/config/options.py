"""Declares each option of a single command once: option, variable, kind with bounds and unit, default, meaning.

`runbus.cli` makes its options from these declarations; they have no place in the configuration file.
"""

from __future__ import annotations

from typing import Literal, get_args

from runbus.config.kinds import choice, integer, mebibytes, optional, path, seconds, speed, switch, text
from runbus.config.setting import Setting

# --- of every command ---
LOG_LEVEL = Setting(
    "RUNBUS_LOG_LEVEL",
    "",
    choice("debug", "info", "warning", "error"),
    "warning",
    "Least level of what is logged; processes log from info on, unless a level is chosen.",
    "--log-level",
)
JSON = Setting("RUNBUS_JSON", "", switch(), "false", "Print JSON instead of a table.", "--json")

# --- topics, migrate ---
PARTITIONS = Setting(
    "RUNBUS_PARTITIONS", "", integer(1), "8", "Partitions of steps and what is keyed like it.", "--partitions"
)
REPLICATION = Setting(
    "RUNBUS_REPLICATION", "", integer(1), "1", "Copies of each partition; 3 in production.", "--replication"
)
ACLS = Setting("RUNBUS_ACLS", "", switch(), "false", "Give each user its rights too (docs/security.md).", "--acls")
PRINCIPALS = Setting(
    "RUNBUS_PRINCIPALS",
    "",
    text(),
    "",
    "What the broker calls the users, `role=User:name` with `;` in between; default: User:runbus-ROLE.",
    "--principals",
)
DRY_RUN = Setting(
    "RUNBUS_DRY_RUN", "", switch(), "false", "With --acls: say which rights, change nothing.", "--dry-run"
)
USERS = Setting(
    "RUNBUS_USERS", "", switch(), "false", "Then create roles, limits and users (docs/security.md).", "--users"
)
TEAMS = Setting(
    "RUNBUS_TEAMS",
    "",
    text(),
    "",
    "With --users: who sees only its own runs, `team=prefix of run ids` with `;` in between.",
    "--teams",
)

# --- run, audit, dlq ---
LIMIT = Setting("RUNBUS_LIMIT", "", integer(1), "20", "Newest runs, or dead letters, to show.", "--limit")
RUN_ALL = Setting("RUNBUS_RUN_ALL", "", switch(), "false", "Also the canary of the watchdog.", "--all")
RUN = Setting("RUNBUS_RUN", "", text(), "", "Only this run.", "--run")
AUDIT_RANGES = Setting(
    "RUNBUS_AUDIT_RANGES", "", switch(), "false", "Every offset of the stored topics, not streams.", "--ranges"
)
AUDIT_TOPIC = Setting("RUNBUS_AUDIT_TOPIC", "", text(), "", "With --ranges: only this topic.", "--topic")
DLQ_TOPIC = Setting(
    "RUNBUS_DLQ_TOPIC", "", text(), "", "Only letters about this topic, with or without the prefix.", "--topic"
)
DLQ_RAW = Setting("RUNBUS_DLQ_RAW", "", optional(path()), "", "Write the value's bytes to this file.", "--raw")
DLQ_ALL = Setting("RUNBUS_DLQ_ALL", "", switch(), "false", "All letters about the topics that are stored.", "--all")

# --- cursors ---
Word = Literal["beginning", "end", "offset", "time", "run"]
WORDS: tuple[Word, ...] = get_args(Word)
CURSORS_TO: Setting[Word | None] = Setting(
    "RUNBUS_CURSORS_TO",
    "",
    optional(choice(*WORDS)),
    "",
    "Where to; the value of offset, time and run stands behind it.",
    "--to",
)
CURSORS_TOPIC = Setting(
    "RUNBUS_CURSORS_TOPIC", "", text(), "", "Only this topic, with or without the prefix.", "--topic"
)
CURSORS_PARTITION = Setting(
    "RUNBUS_CURSORS_PARTITION", "", optional(integer(0)), "", "With --topic: only this partition.", "--partition"
)
CURSORS_DRY_RUN = Setting(
    "RUNBUS_CURSORS_DRY_RUN", "", switch(), "false", "Say what would change, change nothing.", "--dry-run"
)
CURSORS_YES = Setting("RUNBUS_CURSORS_YES", "", switch(), "false", "Do not ask.", "--yes")

# --- journal ---
JOURNAL_RESEND = Setting(
    "RUNBUS_JOURNAL_RESEND",
    "",
    switch(),
    "false",
    "If this user may not read the log: send also what it may have already.",
    "--resend",
)

# --- tail, replay ---
AGENT = Setting("RUNBUS_AGENT", "", text(), "", "Only this agent.", "--agent")
TAIL_TOPICS = Setting(
    "RUNBUS_TAIL_TOPICS",
    "",
    text(),
    "runs,steps,metrics,episodes",
    "What is shown: topics without the prefix, comma separated; live-metrics, heartbeats and annotations too.",
    "--topics",
)
TAIL_LAST = Setting("RUNBUS_TAIL_LAST", "", integer(0), "20", "So many of the newest lines.", "--last")
TAIL_FROM = Setting(
    "RUNBUS_TAIL_FROM", "", text(), "", "Instead of --last: from `beginning`, or from a time (ISO 8601) on.", "--from"
)
TAIL_FOLLOW = Setting("RUNBUS_TAIL_FOLLOW", "", switch(), "false", "Go on with what comes, until Ctrl-C.", "--follow")
Destination = Literal["bus", "topic", "stdout"]
REPLAY_TO: Setting[Destination] = Setting(
    "RUNBUS_REPLAY_TO",
    "",
    choice(*get_args(Destination)),
    "stdout",
    "Where to: recorded again as a new run; the records as they are to a topic; lines of JSON.",
    "--to",
)
REPLAY_SPEED = Setting(
    "RUNBUS_REPLAY_SPEED", "", speed(), "1", "1 = with the time between steps as it was; `max` = without.", "--speed"
)
REPLAY_FROM = Setting("RUNBUS_REPLAY_FROM", "", text(), "", "Only steps from this wall time (ISO 8601) on.", "--from")
REPLAY_UNTIL = Setting("RUNBUS_REPLAY_UNTIL", "", text(), "", "Only steps before this wall time.", "--until")
REPLAY_AS = Setting(
    "RUNBUS_REPLAY_AS", "", text(), "", "With --to bus: name of the new run; default: RUN-replay-TIME.", "--as"
)
REPLAY_TOPIC = Setting("RUNBUS_REPLAY_TOPIC", "", text(), "", "With --to topic: its full name.", "--topic")

# --- rebuild ---
REBUILD_TOPIC = Setting("RUNBUS_REBUILD_TOPIC", "", text(), "", "Only the table of this topic.", "--topic")
REBUILD_SWAP = Setting(
    "RUNBUS_REBUILD_SWAP_DIFFERENT",
    "",
    switch(),
    "false",
    "Use the new where it differs from the old; without this nothing is changed.",
    "--swap-different",
)

# --- watch ---
WATCH_FOLLOW = Setting(
    "RUNBUS_WATCH_FOLLOW",
    "",
    switch(),
    "false",
    "Go on, until Ctrl-C; with --json one document a line.",
    "--follow",
)

# --- control ---
CONTROL_AGENT = Setting("RUNBUS_CONTROL_AGENT", "", text(), "", "Only this agent of the run.", "--agent")
CONTROL_WAIT = Setting(
    "RUNBUS_CONTROL_WAIT",
    "",
    seconds(0.0),
    "0",
    "Wait so long for the answers of all agents; exit code 1 if one is missing.",
    "--wait",
)

# --- annotate ---
ANNOTATE_AGENT = Setting("RUNBUS_ANNOTATE_AGENT", "", text(), "", "On this agent of the run.", "--agent")
ANNOTATE_ATTEMPT = Setting(
    "RUNBUS_ANNOTATE_ATTEMPT", "", integer(0), "0", "With --agent: on this attempt of it; 0 = whichever.", "--attempt"
)
ANNOTATE_EPISODE = Setting("RUNBUS_ANNOTATE_EPISODE", "", optional(integer(0)), "", "On this episode.", "--episode")
ANNOTATE_ENV = Setting(
    "RUNBUS_ANNOTATE_ENV", "", optional(integer(0)), "", "With --episode: of this environment; default: 0.", "--env"
)
ANNOTATE_STEP = Setting(
    "RUNBUS_ANNOTATE_STEP", "", optional(integer(0)), "", "With --episode: on this step of it.", "--step"
)
ANNOTATE_NAME = Setting(
    "RUNBUS_ANNOTATE_NAME",
    "",
    text(),
    "",
    "Of the note; another text under the same name replaces it. Default: made from the text.",
    "--name",
)

# --- export ---
EXPORT_FORMAT = Setting(
    "RUNBUS_EXPORT_FORMAT", "", choice("parquet", "minari"), "parquet", "What is written: docs/export.md.", "--format"
)
EXPORT_OUTPUT = Setting(
    "RUNBUS_EXPORT_OUTPUT",
    "",
    optional(path()),
    "",
    "File or folder to make; it is there once it is whole. Default: RUN.parquet, RUN-v0.",
    "--output",
)
EXPORT_AGENT = Setting("RUNBUS_EXPORT_AGENT", "", text(), "", "Only this agent of the run.", "--agent")
EXPORT_FROM = Setting(
    "RUNBUS_EXPORT_FROM", "", text(), "", "Only episodes that began at this wall time (ISO 8601) or later.", "--from"
)
EXPORT_TO = Setting("RUNBUS_EXPORT_TO", "", text(), "", "Only episodes that began before this wall time.", "--to")
EXPORT_INCOMPLETE = Setting(
    "RUNBUS_EXPORT_INCOMPLETE",
    "",
    switch(),
    "false",
    "Also episodes without a reset or an end, and those whose steps are not all there.",
    "--incomplete",
)
EXPORT_VALUES = Setting(
    "RUNBUS_EXPORT_VALUES",
    "",
    choice("typed", "raw"),
    "typed",
    "Of actions and observations in Parquet: columns of their type, or bytes beside dtype and shape.",
    "--values",
)
ExportStore = Literal["clickhouse", "kafka"]
EXPORT_STORE: Setting[ExportStore] = Setting(
    "RUNBUS_EXPORT_STORE", "", choice(*get_args(ExportStore)), "clickhouse", "Where the steps are read.", "--store"
)

# --- ingest ---
INGEST_RUN = Setting(
    "RUNBUS_INGEST_RUN",
    "",
    text(),
    "",
    "Name of the run where the source names none. Default: the format and the time, or the name of the data set.",
    "--run",
)
INGEST_AGENT = Setting(
    "RUNBUS_INGEST_AGENT", "", text(), "agent-0", "Name of the agent where the source names none.", "--agent"
)
IngestFrames = Literal["drop", "ref", "keep"]
INGEST_FRAMES: Setting[IngestFrames] = Setting(
    "RUNBUS_INGEST_FRAMES",
    "",
    choice(*get_args(IngestFrames)),
    "drop",
    "Pictures inside of lines: not recorded, but counted; their size and hash; recorded with the step.",
    "--frames",
)
INGEST_MAX_LINE = Setting(
    "RUNBUS_INGEST_MAX_LINE_MB",
    "",
    mebibytes(1, 1024),
    "64",
    "Longest line that is read; of a longer one the start goes to the dead letters, with its length and hash.",
    "--max-line-mb",
)

# --- query ---
QUERY_OUTPUT = Setting(
    "RUNBUS_QUERY_OUTPUT", "", optional(path()), "", "File to write; it is there once it is whole.", "--output"
)
QUERY_FORMAT = Setting(
    "RUNBUS_QUERY_FORMAT",
    "",
    choice("table", "csv", "tsv", "json", "jsonl", "parquet"),
    "table",
    "Of the answer; a FORMAT clause of the statement comes first.",
    "--format",
)
QUERY_ROWS = Setting(
    "RUNBUS_QUERY_ROWS", "", integer(0), "1000", "Rows that a table on a terminal shows; 0 = all.", "--rows"
)

# --- the local stack ---
KAFKA_PORT = Setting(
    "RUNBUS_KAFKA_PORT", "", optional(integer(0, 65535)), "", "Port of Kafka; 0 = a free one.", "--kafka-port"
)
DASHBOARD_PORT = Setting(
    "RUNBUS_DASHBOARD_PORT",
    "",
    optional(integer(0, 65535)),
    "",
    "Port of the page; 0 = a free one.",
    "--dashboard-port",
)
OPEN = Setting(
    "RUNBUS_OPEN",
    "",
    switch(),
    "true",
    "Open the page in a browser, where there is a screen and a terminal.",
    "--open/--no-open",
)
CLICKHOUSE_PORT = Setting(
    "RUNBUS_CLICKHOUSE_PORT",
    "",
    optional(integer(0, 65535)),
    "",
    "Port of ClickHouse; 0 = a free one.",
    "--clickhouse-port",
)
REGISTRY = Setting(
    "RUNBUS_REGISTRY", "", optional(switch()), "", "Run a schema registry too.", "--registry/--no-registry"
)
REGISTRY_PORT = Setting(
    "RUNBUS_REGISTRY_PORT",
    "",
    optional(integer(0, 65535)),
    "",
    "Port of the registry; 0 = a free one.",
    "--registry-port",
)
DEMO_SECONDS = Setting(
    "RUNBUS_DEMO_SECONDS", "", optional(seconds(0)), "", "Stop after so long; default: Ctrl-C.", "--seconds"
)
DEMO_STEPS = Setting(
    "RUNBUS_DEMO_STEPS", "", optional(integer(1)), "", "Stop after so many steps of each agent.", "--steps"
)
DEMO_AGENTS = Setting("RUNBUS_DEMO_AGENTS", "", integer(1), "2", "Agents; a process each.", "--agents")

OPTIONS: tuple[Setting[object], ...] = tuple(found for found in globals().values() if isinstance(found, Setting))

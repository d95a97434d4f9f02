"""Declares every setting of RunBus once: variable, place in the file, kind with bounds and unit, default, meaning.

To add one, declare it here and read it: `sources.get(SETTING)`, or a field `of(SETTING)` of a dataclass of settings.
The check of the file, `runbus config show` and docs/configuration.md are made from these declarations; options of a
single command are in options.py. All settings are in one module, because every process refuses a file with an
unknown key, also the agent's, which has none of the other components.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from runbus.config.address import brokers, http_url, listener
from runbus.config.kinds import (
    choice,
    file,
    integer,
    mebibytes,
    milliseconds,
    number,
    optional,
    path,
    seconds,
    secret,
    switch,
    text,
)
from runbus.config.secret import Secret
from runbus.config.setting import Setting

DropPolicy = Literal["drop_oldest", "drop_newest", "block"]
GroupProtocol = Literal["auto", "consumer", "classic"]
JournalMode = Literal["batch", "step"]
JournalFsync = Literal["never", "1s", "each"]
JournalFull = Literal["stop", "block"]

# --- Kafka ---
BOOTSTRAP_SERVERS = Setting(
    "KAFKA_BOOTSTRAP_SERVERS",
    "kafka.bootstrap_servers",
    brokers(),
    "127.0.0.1:9092",
    "Addresses of the brokers, comma separated.",
    "--kafka-bootstrap-servers",
)
SECURITY_PROTOCOL = Setting(
    "KAFKA_SECURITY_PROTOCOL",
    "kafka.security_protocol",
    choice("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
    "PLAINTEXT",
    "How the connection to the brokers is secured.",
)
SASL_MECHANISM = Setting(
    "KAFKA_SASL_MECHANISM",
    "kafka.sasl_mechanism",
    choice("SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"),
    "SCRAM-SHA-512",
    "How the user is authenticated, with a SASL protocol.",
)
SASL_USERNAME = Setting("KAFKA_SASL_USERNAME", "kafka.sasl_username", text(), "", "User of the broker.")
SASL_PASSWORD = Setting("KAFKA_SASL_PASSWORD", "kafka.sasl_password", secret(), "", "Its password.")
SSL_CA = Setting("KAFKA_SSL_CA_LOCATION", "kafka.ssl_ca_location", file(), "", "PEM file with the CA of the brokers.")
SSL_CERTIFICATE = Setting(
    "KAFKA_SSL_CERTIFICATE_LOCATION",
    "kafka.ssl_certificate_location",
    file(),
    "",
    "PEM file of the client's certificate.",
)
SSL_KEY = Setting("KAFKA_SSL_KEY_LOCATION", "kafka.ssl_key_location", file(), "", "PEM file of the client's key.")
SSL_KEY_PASSWORD = Setting(
    "KAFKA_SSL_KEY_PASSWORD", "kafka.ssl_key_password", secret(), "", "Password of that key, if it has one."
)
TOPIC_PREFIX = Setting(
    "RUNBUS_TOPIC_PREFIX",
    "kafka.topic_prefix",
    text("[A-Za-z0-9._-]{0,100}", "letters, digits, '.', '_' and '-', 100 at most"),
    "runbus.",
    "Put before every topic's name.",
    "--topic-prefix",
)

# --- schema registry ---
REGISTRY_URL = Setting(
    "SCHEMA_REGISTRY_URL",
    "registry.url",
    optional(http_url("SCHEMA_REGISTRY_USER", "http://127.0.0.1:8081")),
    "",
    "Confluent-compatible schema registry; empty = schemas of the package.",
    "--schema-registry-url",
)
REGISTRY_USER = Setting("SCHEMA_REGISTRY_USER", "registry.user", text(), "", "User of the schema registry.")
REGISTRY_PASSWORD = Setting("SCHEMA_REGISTRY_PASSWORD", "registry.password", secret(), "", "Its password.")
REGISTRY_CA = Setting(
    "SCHEMA_REGISTRY_SSL_CA_LOCATION",
    "registry.ssl_ca_location",
    file(),
    "",
    "PEM file with the CA of the schema registry; empty = the usual authorities.",
)
REGISTRY_CERTIFICATE = Setting(
    "SCHEMA_REGISTRY_SSL_CERTIFICATE_LOCATION",
    "registry.ssl_certificate_location",
    file(),
    "",
    "PEM file of the client's certificate.",
)
REGISTRY_KEY = Setting(
    "SCHEMA_REGISTRY_SSL_KEY_LOCATION", "registry.ssl_key_location", file(), "", "PEM file of the client's key."
)

# --- ClickHouse ---
CLICKHOUSE_URL = Setting(
    "CLICKHOUSE_URL",
    "clickhouse.url",
    http_url("CLICKHOUSE_USER", "http://127.0.0.1:8123"),
    "http://127.0.0.1:8123",
    "HTTP interface of ClickHouse.",
    "--clickhouse-url",
)
CLICKHOUSE_USER = Setting(
    "CLICKHOUSE_USER", "clickhouse.user", text(), "default", "User of ClickHouse.", "--clickhouse-user"
)
CLICKHOUSE_PASSWORD = Setting("CLICKHOUSE_PASSWORD", "clickhouse.password", secret(), "", "Its password.")
CLICKHOUSE_DATABASE = Setting(
    "CLICKHOUSE_DATABASE",
    "clickhouse.database",
    text("[A-Za-z_][A-Za-z0-9_]{0,60}", "letters, digits and '_', not starting with a digit"),
    "runbus",
    "Database of the tables.",
    "--clickhouse-database",
)
CLICKHOUSE_CLUSTER = Setting(
    "CLICKHOUSE_CLUSTER",
    "clickhouse.cluster",
    text("[A-Za-z0-9_-]*", "letters, digits, '_' and '-'"),
    "",
    "Name of a cluster (of remote_servers): `runbus migrate` makes replicated tables on all its servers.",
)
CLICKHOUSE_CA = Setting(
    "CLICKHOUSE_SSL_CA_LOCATION",
    "clickhouse.ssl_ca_location",
    file(),
    "",
    "PEM file with the CA of ClickHouse, for https; empty = the usual authorities.",
)
CLICKHOUSE_CERTIFICATE = Setting(
    "CLICKHOUSE_SSL_CERTIFICATE_LOCATION",
    "clickhouse.ssl_certificate_location",
    file(),
    "",
    "PEM file of the client's certificate; without a password it is what authenticates the user.",
)
CLICKHOUSE_KEY = Setting(
    "CLICKHOUSE_SSL_KEY_LOCATION", "clickhouse.ssl_key_location", file(), "", "PEM file of the client's key."
)

# --- users of ClickHouse, for `runbus migrate --users` ---


def _user_password(role: str) -> Setting[Secret]:
    doc = f"`runbus migrate --users` gives it to the ClickHouse user `<database>-{role}`; empty = no such user is made."
    return Setting(f"RUNBUS_{role.upper()}_PASSWORD", f"users.{role}_password", secret(), "", doc)


MIGRATOR_PASSWORD = _user_password("migrator")
WRITER_PASSWORD = _user_password("writer")
READER_PASSWORD = _user_password("reader")
DASHBOARD_PASSWORD = _user_password("dashboard")

# --- recorder ---
RECORDER_QUEUE_MB = Setting(
    "RUNBUS_RECORDER_QUEUE_MB",
    "recorder.queue_mb",
    mebibytes(1, 1_000_000),
    "64",
    "Memory for steps that wait for Kafka.",
)
RECORDER_BUFFER_MB = Setting(
    "RUNBUS_RECORDER_BUFFER_MB", "recorder.buffer_mb", mebibytes(1, 1_000_000), "32", "Memory inside the Kafka client."
)
RECORDER_POLICY: Setting[DropPolicy] = Setting(
    "RUNBUS_RECORDER_POLICY",
    "recorder.policy",
    choice(*get_args(DropPolicy)),
    "drop_oldest",
    "What gives way when that memory is full: the oldest, the newest, or (block) the agent waits.",
)
RECORDER_COMPRESSION = Setting(
    "RUNBUS_RECORDER_COMPRESSION",
    "recorder.compression",
    choice("lz4", "zstd", "none"),
    "lz4",
    "Compression of the records.",
)
RECORDER_FLUSH_SECONDS = Setting(
    "RUNBUS_RECORDER_FLUSH_SECONDS",
    "recorder.flush_seconds",
    seconds(0, 3600),
    "5",
    "How long an agent that ends (exit, SIGTERM) waits until its steps are delivered.",
)
RECORDER_JOURNAL = Setting(
    "RUNBUS_RECORDER_JOURNAL",
    "recorder.journal",
    optional(path()),
    "",
    "Folder in which recorders keep what Kafka does not have yet, so that the death of an agent loses nothing; empty = "
    "no journal.",
)
RECORDER_JOURNAL_MODE: Setting[JournalMode] = Setting(
    "RUNBUS_RECORDER_JOURNAL_MODE",
    "recorder.journal_mode",
    choice(*get_args(JournalMode)),
    "batch",
    "What the journal keeps at once: every closed batch (SIGKILL loses the open one, at most 50 ms), or each step.",
)
RECORDER_JOURNAL_FSYNC: Setting[JournalFsync] = Setting(
    "RUNBUS_RECORDER_JOURNAL_FSYNC",
    "recorder.journal_fsync",
    choice(*get_args(JournalFsync)),
    "never",
    "When the disk has to have the journal, which only a loss of power needs: never, every second, or at each write.",
)
RECORDER_JOURNAL_MB = Setting(
    "RUNBUS_RECORDER_JOURNAL_MB",
    "recorder.journal_mb",
    mebibytes(1, 100_000_000),
    "4096",
    "Disk for the journals of one process.",
)
RECORDER_JOURNAL_FULL: Setting[JournalFull] = Setting(
    "RUNBUS_RECORDER_JOURNAL_FULL",
    "recorder.journal_full",
    choice(*get_args(JournalFull)),
    "stop",
    "What happens when that is full: steps are no longer kept in the journal and counted (stop), or the agent waits "
    "(block).",
)

# --- reader ---
READER_BUFFER_MB = Setting(
    "RUNBUS_READER_BUFFER_MB",
    "reader.buffer_mb",
    mebibytes(1, 1_000_000),
    "32",
    "Memory of a reader for records that were fetched and not handed out; past it nothing more is fetched.",
)
READER_SESSION_SECONDS = Setting(
    "RUNBUS_READER_SESSION_SECONDS",
    "reader.session_seconds",
    seconds(6, 1800),
    "10",
    "A reader with a name that is silent this long (killed, stopped) loses its partitions to others of that name.",
)

# --- sink ---
SINK_GROUP = Setting(
    "RUNBUS_SINK_GROUP", "sink.group", text(), "", "Consumer group; empty = the topics' prefix + `sink`."
)
SINK_GROUP_PROTOCOL: Setting[GroupProtocol] = Setting(
    "RUNBUS_SINK_GROUP_PROTOCOL",
    "sink.group_protocol",
    choice(*get_args(GroupProtocol)),
    "auto",
    "Consumer is KIP-848; auto: consumer if the broker has it and there is no instance id, else classic.",
)
SINK_INSTANCE_ID = Setting(
    "RUNBUS_SINK_INSTANCE_ID",
    "sink.instance_id",
    text(),
    "",
    "Stable name of this process in the group: after a crash its next start takes over at once.",
)
SINK_SESSION_SECONDS = Setting(
    "RUNBUS_SINK_SESSION_SECONDS",
    "sink.session_seconds",
    seconds(1, 1800),
    "20",
    "Silence after which the others take over (classic protocol; with consumer the broker decides).",
)
SINK_RANGE_STEPS = Setting(
    "RUNBUS_SINK_RANGE_STEPS", "sink.range_steps", integer(1, 1_000_000, "steps"), "250000", "Most steps of one insert."
)
SINK_RANGE_MB = Setting(
    "RUNBUS_SINK_RANGE_MB",
    "sink.range_mb",
    mebibytes(1, 256),
    "16",
    "Largest insert; a partition keeps up to twice that.",
)
SINK_RANGE_SECONDS = Setting(
    "RUNBUS_SINK_RANGE_SECONDS",
    "sink.range_seconds",
    seconds(0.01, 3600),
    "1",
    "A record waits no longer than this for its insert.",
)
SINK_RANGE_SECONDS_MAX = Setting(
    "RUNBUS_SINK_RANGE_SECONDS_MAX",
    "sink.range_seconds_max",
    seconds(0.01, 3600),
    "10",
    "The same, while ClickHouse has too many parts: ranges grow up to this.",
)
SINK_DEAD_LETTER_RUN = Setting(
    "RUNBUS_SINK_DEAD_LETTER_RUN",
    "sink.dead_letter_run",
    integer(0, 1_000_000),
    "100",
    "More values in a row that cannot be stored stop their partition; 0 = any number.",
)
SINK_DEAD_LETTER_SHARE = Setting(
    "RUNBUS_SINK_DEAD_LETTER_SHARE",
    "sink.dead_letter_share",
    number(0, 1),
    "0.1",
    "A larger share of values that cannot be stored, of the last 1,000 or more, stops their partition; 1 = any share.",
)
SINK_PARALLEL_INSERTS = Setting(
    "RUNBUS_SINK_PARALLEL_INSERTS",
    "sink.parallel_inserts",
    integer(1, 64),
    "4",
    "Inserts under way at once, of all partitions.",
)
SINK_INSERT_SECONDS = Setting(
    "RUNBUS_SINK_INSERT_SECONDS",
    "sink.insert_seconds",
    integer(1, 3600, "s"),
    "120",
    "An insert without an answer is then sent again.",
)
SINK_LOST_RANGE = Setting(
    "RUNBUS_SINK_LOST_RANGE",
    "sink.lost_range",
    choice("stop", "continue"),
    "stop",
    "What the sink does if retention deleted records before they were stored.",
)
SINK_GRACE_SECONDS = Setting(
    "RUNBUS_SINK_GRACE_SECONDS",
    "sink.grace_seconds",
    seconds(0, 600),
    "8",
    "At SIGTERM: how long inserts under way may take; what is left is replayed by the next owner.",
)

# --- stream apps ---
STREAMS_INSTANCE_ID = Setting(
    "RUNBUS_STREAMS_INSTANCE_ID",
    "streams.instance_id",
    text(),
    "",
    "Name of a worker of a stream app, unique in its group: after a restart it takes over at once. Empty = none.",
)
STREAMS_SESSION_SECONDS = Setting(
    "RUNBUS_STREAMS_SESSION_SECONDS",
    "streams.session_seconds",
    seconds(1, 1800),
    "20",
    "A worker that is silent this long loses its partitions.",
)
STREAMS_COMMIT_SECONDS = Setting(
    "RUNBUS_STREAMS_COMMIT_SECONDS",
    "streams.commit_seconds",
    optional(seconds(0.01, 60)),
    "",
    "Longest time between two commits of a partition; empty = the app's own: 0.2 for episodes, 1 for live-metrics.",
)
STREAMS_BATCH_RECORDS = Setting(
    "RUNBUS_STREAMS_BATCH_RECORDS",
    "streams.batch_records",
    integer(1, 100_000, "records"),
    "200",
    "Records that are processed before commits and heartbeats have their turn.",
)
STREAMS_GRACE_SECONDS = Setting(
    "RUNBUS_STREAMS_GRACE_SECONDS",
    "streams.grace_seconds",
    seconds(0, 600),
    "8",
    "At SIGTERM: how long the last commit may take; what is left is done again by the next owner.",
)
STREAM_APPS = Setting(
    "RUNBUS_STREAM_APPS",
    "streams.apps",
    text(),
    "",
    "Names of your own stream apps, with `;` in between: commands about topics, rights and cursors know them.",
)
EPISODES_IDLE_SECONDS = Setting(
    "RUNBUS_EPISODES_IDLE_SECONDS",
    "episodes.idle_seconds",
    milliseconds(seconds(0.1, 31_536_000), 1000),
    "3600",
    "An open episode that is silent this long (by the broker's clock) is closed as abandoned.",
)
EPISODES_GRACE_SECONDS = Setting(
    "RUNBUS_EPISODES_GRACE_SECONDS",
    "episodes.grace_seconds",
    milliseconds(seconds(0, 86_400), 1000),
    "60",
    "Steps that come this late still make a new revision of an incomplete episode; later ones are dead letters.",
)
EPISODES_REMEMBER_HOURS = Setting(
    "RUNBUS_EPISODES_REMEMBER_HOURS",
    "episodes.remember_hours",
    milliseconds(number(0.001, 8_760, "h"), 3_600_000),
    "168",
    "How long a silent stream is known, so that steps sent again open nothing anew; at least the retention of steps.",
)
LIVE_METRICS_INTERVAL_MS = Setting(
    "RUNBUS_LIVE_METRICS_INTERVAL_MS",
    "live_metrics.interval_ms",
    integer(10, 60_000, "ms"),
    "250",
    "Shortest time between two LiveMetrics of a stream.",
)
LIVE_METRICS_STREAMS = Setting(
    "RUNBUS_LIVE_METRICS_STREAMS",
    "live_metrics.streams",
    integer(1, 1_000_000, "streams"),
    "10000",
    "Most streams that a partition keeps; the longest silent one gives way.",
)

# --- watchdog ---
WATCHDOG_CANARY_SECONDS = Setting(
    "RUNBUS_WATCHDOG_CANARY_SECONDS",
    "watchdog.canary_seconds",
    seconds(0, 3600),
    "5",
    "Between two steps of the canary; 0 = none is sent.",
)
WATCHDOG_PATIENCE_SECONDS = Setting(
    "RUNBUS_WATCHDOG_PATIENCE_SECONDS",
    "watchdog.patience_seconds",
    seconds(0, 3600),
    "45",
    "For so long what a restart also causes is shown and is no alarm.",
)
WATCHDOG_WEBHOOK_URL = Setting(
    "RUNBUS_WATCHDOG_WEBHOOK_URL",
    "watchdog.webhook_url",
    secret(),
    "",
    "Takes a JSON POST at the beginning and the end of each alarm; empty = none.",
)

# --- dashboard ---
DASHBOARD_ADDRESS = Setting(
    "RUNBUS_DASHBOARD_ADDRESS",
    "dashboard.address",
    listener(),
    "127.0.0.1:8600",
    "Address of the page; port 0 = a free one. Any other than this machine's own needs a token.",
)
DASHBOARD_TOKEN = Setting(
    "RUNBUS_DASHBOARD_TOKEN",
    "dashboard.token",
    secret(),
    "",
    "Whoever opens the page has to know it, 16 characters or more; empty = everybody on this machine may look.",
)
DASHBOARD_HOSTS = Setting(
    "RUNBUS_DASHBOARD_HOSTS",
    "dashboard.hosts",
    text("([A-Za-z0-9._-]+(, *[A-Za-z0-9._-]+)*)?", "names of hosts with commas between them, without a port"),
    "",
    "Further names under which browsers reach the page; `localhost` and addresses in numbers always work.",
)
DASHBOARD_ANNOTATES = Setting(
    "RUNBUS_DASHBOARD_ANNOTATES",
    "dashboard.annotates",
    switch(),
    "true",
    "Whether whoever looks may put notes, tags and pins there and remove them; false = the page only shows.",
)
DASHBOARD_CLIENTS = Setting(
    "RUNBUS_DASHBOARD_CLIENTS",
    "dashboard.clients",
    integer(1, 100_000),
    "1000",
    "Most connections at once; an open page holds one, and a few more while it loads.",
)
DASHBOARD_CLIENTS_PER_ADDRESS = Setting(
    "RUNBUS_DASHBOARD_CLIENTS_PER_ADDRESS",
    "dashboard.clients_per_address",
    integer(1, 100_000),
    "600",
    "The same, of one address: all who come through one proxy have the same.",
)

# --- probes ---
PROBES_ADDRESS = Setting(
    "RUNBUS_PROBES_ADDRESS",
    "probes.address",
    listener(),
    "",
    "Address of /live, /ready and /metrics of a process; empty = off, port 0 = a free one.",
)
READY_LAG_SECONDS = Setting(
    "RUNBUS_READY_LAG_SECONDS",
    "probes.ready_lag_seconds",
    seconds(0.1, 86_400),
    "30",
    "A process that is further behind says on /ready that it is not.",
)

#: Every setting that has a place in the file.
SETTINGS: tuple[Setting[object], ...] = tuple(found for found in globals().values() if isinstance(found, Setting))

# --- places: where the file and the local stack are; variables only ---
CONFIG_FILE_ENV = "RUNBUS_CONFIG"
HOME_ENV = "RUNBUS_HOME"
CACHE_ENV = "RUNBUS_CACHE"


def _place(env: str, doc: str) -> Setting[Path | None]:
    return Setting(env, "", optional(path()), "", doc)


CONFIG_FILE = _place(
    CONFIG_FILE_ENV,
    "The configuration file to read; empty = `runbus.toml` in the current folder, else in `RUNBUS_HOME`.",
)
HOME = _place(
    HOME_ENV,
    "Data, logs and `runbus.toml` of the local stack; empty = `~/.local/share/runbus`; macOS: "
    "`~/Library/Application Support/runbus`.",
)
CACHE = _place(
    CACHE_ENV,
    "What was downloaded, or made from it, and can be had again; empty = `~/.cache/runbus`; macOS: "
    "`~/Library/Caches/runbus`.",
)
DATA_FOLDER = _place("XDG_DATA_HOME", "Of the platform: without `RUNBUS_HOME` the local stack is in `runbus` there.")
CACHE_FOLDER = _place("XDG_CACHE_HOME", "Of the platform: without `RUNBUS_CACHE` downloads are in `runbus` there.")
JAVA_HOME = _place("JAVA_HOME", "Java of the local stack, if it is version 17 or newer; else another is looked for.")

PLACES = (CONFIG_FILE, HOME, CACHE, DATA_FOLDER, CACHE_FOLDER, JAVA_HOME)

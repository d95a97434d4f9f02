"""Every setting of RunBus, once: its environment variable, its place in the file, its default, what it means.

`runbus config show`, the help of the commands and docs/configuration.md are made from this table.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. A secret can also be given as a file: `<env>_FILE` holds the file's path."""

    env: str
    section: str
    key: str
    default: str
    doc: str
    secret: bool = False

    @property
    def path(self) -> str:
        """Where it stands in the configuration file, for example `kafka.bootstrap_servers`."""
        return f"{self.section}.{self.key}"


BOOTSTRAP_SERVERS = Setting(
    "KAFKA_BOOTSTRAP_SERVERS", "kafka", "bootstrap_servers", "127.0.0.1:9092", "Brokers, host:port, comma separated."
)
SECURITY_PROTOCOL = Setting(
    "KAFKA_SECURITY_PROTOCOL", "kafka", "security_protocol", "PLAINTEXT", "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."
)
SASL_MECHANISM = Setting(
    "KAFKA_SASL_MECHANISM", "kafka", "sasl_mechanism", "SCRAM-SHA-512", "SCRAM-SHA-256, SCRAM-SHA-512 or PLAIN."
)
SASL_USERNAME = Setting("KAFKA_SASL_USERNAME", "kafka", "sasl_username", "", "User of the broker.")
SASL_PASSWORD = Setting("KAFKA_SASL_PASSWORD", "kafka", "sasl_password", "", "Its password.", secret=True)
SSL_CA = Setting("KAFKA_SSL_CA_LOCATION", "kafka", "ssl_ca_location", "", "PEM file with the CA of the brokers.")
SSL_CERTIFICATE = Setting(
    "KAFKA_SSL_CERTIFICATE_LOCATION", "kafka", "ssl_certificate_location", "", "PEM file of the client's certificate."
)
SSL_KEY = Setting("KAFKA_SSL_KEY_LOCATION", "kafka", "ssl_key_location", "", "PEM file of the client's key.")
SSL_KEY_PASSWORD = Setting(
    "KAFKA_SSL_KEY_PASSWORD", "kafka", "ssl_key_password", "", "Password of that key, if it has one.", secret=True
)
TOPIC_PREFIX = Setting("RUNBUS_TOPIC_PREFIX", "kafka", "topic_prefix", "runbus.", "Put before every topic's name.")
REGISTRY_URL = Setting(
    "SCHEMA_REGISTRY_URL",
    "registry",
    "url",
    "",
    "Confluent-compatible schema registry; empty = schemas of the package.",
)
REGISTRY_USER = Setting("SCHEMA_REGISTRY_USER", "registry", "user", "", "User of the schema registry.")
REGISTRY_PASSWORD = Setting("SCHEMA_REGISTRY_PASSWORD", "registry", "password", "", "Its password.", secret=True)
REGISTRY_CA = Setting(
    "SCHEMA_REGISTRY_SSL_CA_LOCATION",
    "registry",
    "ssl_ca_location",
    "",
    "PEM file with the CA of the schema registry; empty = the usual authorities.",
)
REGISTRY_CERTIFICATE = Setting(
    "SCHEMA_REGISTRY_SSL_CERTIFICATE_LOCATION",
    "registry",
    "ssl_certificate_location",
    "",
    "PEM file of the client's certificate.",
)
REGISTRY_KEY = Setting(
    "SCHEMA_REGISTRY_SSL_KEY_LOCATION", "registry", "ssl_key_location", "", "PEM file of the client's key."
)
CLICKHOUSE_URL = Setting(
    "CLICKHOUSE_URL", "clickhouse", "url", "http://127.0.0.1:8123", "HTTP interface of ClickHouse."
)
CLICKHOUSE_USER = Setting("CLICKHOUSE_USER", "clickhouse", "user", "default", "User of ClickHouse.")
CLICKHOUSE_PASSWORD = Setting("CLICKHOUSE_PASSWORD", "clickhouse", "password", "", "Its password.", secret=True)
CLICKHOUSE_DATABASE = Setting("CLICKHOUSE_DATABASE", "clickhouse", "database", "runbus", "Database of the tables.")
CLICKHOUSE_CLUSTER = Setting(
    "CLICKHOUSE_CLUSTER",
    "clickhouse",
    "cluster",
    "",
    "Name of a cluster (of remote_servers): `runbus migrate` makes replicated tables on all its servers.",
)
CLICKHOUSE_CA = Setting(
    "CLICKHOUSE_SSL_CA_LOCATION",
    "clickhouse",
    "ssl_ca_location",
    "",
    "PEM file with the CA of ClickHouse, for https; empty = the usual authorities.",
)
CLICKHOUSE_CERTIFICATE = Setting(
    "CLICKHOUSE_SSL_CERTIFICATE_LOCATION",
    "clickhouse",
    "ssl_certificate_location",
    "",
    "PEM file of the client's certificate; without a password it is what authenticates the user.",
)
CLICKHOUSE_KEY = Setting(
    "CLICKHOUSE_SSL_KEY_LOCATION", "clickhouse", "ssl_key_location", "", "PEM file of the client's key."
)

# --- users of ClickHouse, for `runbus migrate --users` ---
MIGRATOR_PASSWORD = Setting(
    "RUNBUS_MIGRATOR_PASSWORD",
    "users",
    "migrator_password",
    "",
    "`runbus migrate --users` gives it to the ClickHouse user `<database>-migrator`; empty = no such user is made.",
    secret=True,
)
WRITER_PASSWORD = Setting(
    "RUNBUS_WRITER_PASSWORD",
    "users",
    "writer_password",
    "",
    "`runbus migrate --users` gives it to the ClickHouse user `<database>-writer`; empty = no such user is made.",
    secret=True,
)
READER_PASSWORD = Setting(
    "RUNBUS_READER_PASSWORD",
    "users",
    "reader_password",
    "",
    "`runbus migrate --users` gives it to the ClickHouse user `<database>-reader`; empty = no such user is made.",
    secret=True,
)
DASHBOARD_PASSWORD = Setting(
    "RUNBUS_DASHBOARD_PASSWORD",
    "users",
    "dashboard_password",
    "",
    "`runbus migrate --users` gives it to the ClickHouse user `<database>-dashboard`; empty = no such user is made.",
    secret=True,
)

# --- recorder ---
RECORDER_QUEUE_MB = Setting(
    "RUNBUS_RECORDER_QUEUE_MB", "recorder", "queue_mb", "64", "Memory for steps that wait for Kafka, MiB."
)
RECORDER_BUFFER_MB = Setting(
    "RUNBUS_RECORDER_BUFFER_MB", "recorder", "buffer_mb", "32", "Memory inside the Kafka client, MiB."
)
RECORDER_POLICY = Setting(
    "RUNBUS_RECORDER_POLICY",
    "recorder",
    "policy",
    "drop_oldest",
    "What gives way when that memory is full: drop_oldest, drop_newest, or block (the agent waits).",
)
RECORDER_COMPRESSION = Setting(
    "RUNBUS_RECORDER_COMPRESSION", "recorder", "compression", "lz4", "Of the records: lz4, zstd or none."
)
RECORDER_FLUSH_SECONDS = Setting(
    "RUNBUS_RECORDER_FLUSH_SECONDS",
    "recorder",
    "flush_seconds",
    "5",
    "How long an agent that ends (exit, SIGTERM) waits until its steps are delivered.",
)

SINK_GROUP = Setting("RUNBUS_SINK_GROUP", "sink", "group", "", "Consumer group; empty = the topics' prefix + `sink`.")
SINK_GROUP_PROTOCOL = Setting(
    "RUNBUS_SINK_GROUP_PROTOCOL",
    "sink",
    "group_protocol",
    "auto",
    "consumer (KIP-848), classic, or auto: consumer where the broker has it and there is no instance id.",
)
SINK_INSTANCE_ID = Setting(
    "RUNBUS_SINK_INSTANCE_ID",
    "sink",
    "instance_id",
    "",
    "Stable name of this process in the group: after a crash its next start takes over at once.",
)
SINK_SESSION_SECONDS = Setting(
    "RUNBUS_SINK_SESSION_SECONDS",
    "sink",
    "session_seconds",
    "20",
    "Silence after which the others take over (classic protocol; with consumer the broker decides).",
)
SINK_RANGE_STEPS = Setting("RUNBUS_SINK_RANGE_STEPS", "sink", "range_steps", "250000", "Most steps of one insert.")
SINK_RANGE_MB = Setting(
    "RUNBUS_SINK_RANGE_MB", "sink", "range_mb", "16", "Most MiB of one insert; a partition keeps up to twice that."
)
SINK_RANGE_SECONDS = Setting(
    "RUNBUS_SINK_RANGE_SECONDS", "sink", "range_seconds", "1", "A record waits no longer than this for its insert."
)
SINK_RANGE_SECONDS_MAX = Setting(
    "RUNBUS_SINK_RANGE_SECONDS_MAX",
    "sink",
    "range_seconds_max",
    "10",
    "The same, while ClickHouse has too many parts: ranges grow up to this.",
)
SINK_DEAD_LETTER_RUN = Setting(
    "RUNBUS_SINK_DEAD_LETTER_RUN",
    "sink",
    "dead_letter_run",
    "100",
    "More values in a row that cannot be stored stop their partition; 0 = any number.",
)
SINK_DEAD_LETTER_SHARE = Setting(
    "RUNBUS_SINK_DEAD_LETTER_SHARE",
    "sink",
    "dead_letter_share",
    "0.1",
    "A larger share of values that cannot be stored, of the last 1,000 or more, stops their partition; 1 = any share.",
)
SINK_PARALLEL_INSERTS = Setting(
    "RUNBUS_SINK_PARALLEL_INSERTS", "sink", "parallel_inserts", "4", "Inserts under way at once, of all partitions."
)
SINK_INSERT_SECONDS = Setting(
    "RUNBUS_SINK_INSERT_SECONDS", "sink", "insert_seconds", "120", "An insert without an answer is then sent again."
)
SINK_LOST_RANGE = Setting(
    "RUNBUS_SINK_LOST_RANGE",
    "sink",
    "lost_range",
    "stop",
    "stop or continue, where retention deleted records before they were stored.",
)
SINK_GRACE_SECONDS = Setting(
    "RUNBUS_SINK_GRACE_SECONDS",
    "sink",
    "grace_seconds",
    "8",
    "At SIGTERM: how long inserts under way may take; what is left is replayed by the next owner.",
)

# --- stream apps and probes ---
STREAMS_INSTANCE_ID = Setting(
    "RUNBUS_STREAMS_INSTANCE_ID",
    "streams",
    "instance_id",
    "",
    "Name of a worker of a stream app, unique in its group: after a restart it takes over at once. Empty = none.",
)
STREAMS_SESSION_SECONDS = Setting(
    "RUNBUS_STREAMS_SESSION_SECONDS",
    "streams",
    "session_seconds",
    "20",
    "A worker that is silent this long loses its partitions.",
)
STREAMS_COMMIT_SECONDS = Setting(
    "RUNBUS_STREAMS_COMMIT_SECONDS",
    "streams",
    "commit_seconds",
    "",
    "Longest time between two commits of a partition; empty = the app's own: 0.2 for episodes, 1 for live-metrics.",
)
STREAMS_BATCH_RECORDS = Setting(
    "RUNBUS_STREAMS_BATCH_RECORDS",
    "streams",
    "batch_records",
    "200",
    "Records that are processed before commits and heartbeats have their turn.",
)
STREAMS_GRACE_SECONDS = Setting(
    "RUNBUS_STREAMS_GRACE_SECONDS",
    "streams",
    "grace_seconds",
    "8",
    "At SIGTERM: how long the last commit may take; what is left is done again by the next owner.",
)
EPISODES_IDLE_SECONDS = Setting(
    "RUNBUS_EPISODES_IDLE_SECONDS",
    "episodes",
    "idle_seconds",
    "3600",
    "An open episode that is silent this long (by the broker's clock) is closed as abandoned.",
)
EPISODES_GRACE_SECONDS = Setting(
    "RUNBUS_EPISODES_GRACE_SECONDS",
    "episodes",
    "grace_seconds",
    "60",
    "Steps that come this late still make a new revision of an incomplete episode; later ones are dead letters.",
)
EPISODES_REMEMBER_HOURS = Setting(
    "RUNBUS_EPISODES_REMEMBER_HOURS",
    "episodes",
    "remember_hours",
    "168",
    "How long a silent stream is known, so that steps sent again open nothing anew; at least the retention of steps.",
)
LIVE_METRICS_INTERVAL_MS = Setting(
    "RUNBUS_LIVE_METRICS_INTERVAL_MS",
    "live_metrics",
    "interval_ms",
    "250",
    "Shortest time between two LiveMetrics of a stream, milliseconds.",
)
LIVE_METRICS_STREAMS = Setting(
    "RUNBUS_LIVE_METRICS_STREAMS",
    "live_metrics",
    "streams",
    "10000",
    "Most streams that a partition keeps; the longest silent one gives way.",
)
PROBES_ADDRESS = Setting(
    "RUNBUS_PROBES_ADDRESS",
    "probes",
    "address",
    "",
    "host:port of /live, /ready and /metrics of a process; empty = off, port 0 = a free one.",
)
READY_LAG_SECONDS = Setting(
    "RUNBUS_READY_LAG_SECONDS",
    "probes",
    "ready_lag_seconds",
    "30",
    "A process that is further behind says on /ready that it is not.",
)

SETTINGS: tuple[Setting, ...] = (
    BOOTSTRAP_SERVERS,
    SECURITY_PROTOCOL,
    SASL_MECHANISM,
    SASL_USERNAME,
    SASL_PASSWORD,
    SSL_CA,
    SSL_CERTIFICATE,
    SSL_KEY,
    SSL_KEY_PASSWORD,
    TOPIC_PREFIX,
    REGISTRY_URL,
    REGISTRY_USER,
    REGISTRY_PASSWORD,
    REGISTRY_CA,
    REGISTRY_CERTIFICATE,
    REGISTRY_KEY,
    CLICKHOUSE_URL,
    CLICKHOUSE_USER,
    CLICKHOUSE_PASSWORD,
    CLICKHOUSE_DATABASE,
    CLICKHOUSE_CLUSTER,
    CLICKHOUSE_CA,
    CLICKHOUSE_CERTIFICATE,
    CLICKHOUSE_KEY,
    MIGRATOR_PASSWORD,
    WRITER_PASSWORD,
    READER_PASSWORD,
    DASHBOARD_PASSWORD,
    RECORDER_QUEUE_MB,
    RECORDER_BUFFER_MB,
    RECORDER_POLICY,
    RECORDER_COMPRESSION,
    RECORDER_FLUSH_SECONDS,
    SINK_GROUP,
    SINK_GROUP_PROTOCOL,
    SINK_INSTANCE_ID,
    SINK_SESSION_SECONDS,
    SINK_RANGE_STEPS,
    SINK_RANGE_MB,
    SINK_RANGE_SECONDS,
    SINK_RANGE_SECONDS_MAX,
    SINK_DEAD_LETTER_RUN,
    SINK_DEAD_LETTER_SHARE,
    SINK_PARALLEL_INSERTS,
    SINK_INSERT_SECONDS,
    SINK_LOST_RANGE,
    SINK_GRACE_SECONDS,
    STREAMS_INSTANCE_ID,
    STREAMS_SESSION_SECONDS,
    STREAMS_COMMIT_SECONDS,
    STREAMS_BATCH_RECORDS,
    STREAMS_GRACE_SECONDS,
    EPISODES_IDLE_SECONDS,
    EPISODES_GRACE_SECONDS,
    EPISODES_REMEMBER_HOURS,
    LIVE_METRICS_INTERVAL_MS,
    LIVE_METRICS_STREAMS,
    PROBES_ADDRESS,
    READY_LAG_SECONDS,
)

CONFIG_FILE_ENV = "RUNBUS_CONFIG"
HOME_ENV = "RUNBUS_HOME"
CACHE_ENV = "RUNBUS_CACHE"

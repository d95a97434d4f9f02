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
TOPIC_PREFIX = Setting("RUNBUS_TOPIC_PREFIX", "kafka", "topic_prefix", "runbus.", "Put before every topic's name.")
REGISTRY_URL = Setting(
    "SCHEMA_REGISTRY_URL",
    "registry",
    "url",
    "",
    "Confluent-compatible schema registry; empty = schemas of the package.",
)
CLICKHOUSE_URL = Setting(
    "CLICKHOUSE_URL", "clickhouse", "url", "http://127.0.0.1:8123", "HTTP interface of ClickHouse."
)
CLICKHOUSE_USER = Setting("CLICKHOUSE_USER", "clickhouse", "user", "default", "User of ClickHouse.")
CLICKHOUSE_PASSWORD = Setting("CLICKHOUSE_PASSWORD", "clickhouse", "password", "", "Its password.", secret=True)
CLICKHOUSE_DATABASE = Setting("CLICKHOUSE_DATABASE", "clickhouse", "database", "runbus", "Database of the tables.")

SETTINGS: tuple[Setting, ...] = (
    BOOTSTRAP_SERVERS,
    SECURITY_PROTOCOL,
    SASL_MECHANISM,
    SASL_USERNAME,
    SASL_PASSWORD,
    SSL_CA,
    SSL_CERTIFICATE,
    SSL_KEY,
    TOPIC_PREFIX,
    REGISTRY_URL,
    CLICKHOUSE_URL,
    CLICKHOUSE_USER,
    CLICKHOUSE_PASSWORD,
    CLICKHOUSE_DATABASE,
)

CONFIG_FILE_ENV = "RUNBUS_CONFIG"
HOME_ENV = "RUNBUS_HOME"
CACHE_ENV = "RUNBUS_CACHE"

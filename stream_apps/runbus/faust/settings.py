"""Says which settings an app of Faust needs to lose as little as it can, and why; others are its author's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from aiokafka.helpers import create_ssl_context

from runbus.config.errors import ConfigError
from runbus.faust.library import CrashingSupervisor, faust
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import MAX_MESSAGE_BYTES


class Fixed(NamedTuple):
    """A setting that an app may not change, and why, in the words of an error."""

    value: object
    why: str


_TOPICS = "topics exist before the start: runbus.faust makes those of the app, `runbus topics apply` the others"
#: Each of them was measured: docs/faust.md.
FIXED: Mapping[str, Fixed] = {
    "processing_guarantee": Fixed(
        "at_least_once",
        "what an agent sends bypasses Faust's transactions; for exactly once write a core (docs/streams.md)",
    ),
    "store": Fixed("memory://", "after a SIGKILL a store on disk is ahead of its changelog"),
    "topic_allow_declare": Fixed(False, _TOPICS),
    "topic_disable_leader": Fixed(True, _TOPICS),
    "autodiscover": Fixed(False, "it imports modules that it finds"),
    "table_standby_replicas": Fixed(0, "a table is read back from its changelog"),
    "agent_supervisor": Fixed(
        CrashingSupervisor, "an agent that fails has to end the process, so that its record comes again"
    ),
    "consumer_auto_offset_reset": Fixed("earliest", "an app without a position begins where the log does"),
}
#: What other values would be wrong for RunBus's records and transactions, or for a rebalance; an app may change them.
CHOSEN: Mapping[str, Any] = {
    "web_enabled": False,
    "broker_heartbeat_interval": 0.5,  # below the shortest session
    "broker_request_timeout": 60.0,
    "broker_commit_interval": 1.0,
    "broker_max_poll_records": 1000,
    "consumer_max_fetch_size": MAX_MESSAGE_BYTES,
    "producer_request_timeout": 60.0,
    "stream_buffer_maxsize": 1024,
    "stream_wait_empty": False,
    "stream_recovery_delay": 0.0,
}
_FROM_RUNBUS = ("id", "broker", "broker_consumer", "broker_producer", "broker_credentials", "ssl_context")


def settings_of(kafka: KafkaSettings, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of an app, without its id. Raises ConfigError: an option is unsafe, or not the app's."""
    for name in options:
        if name in _FROM_RUNBUS:
            raise ConfigError(f"{name}= is not for an app of runbus.faust: it follows from RunBus's own settings")
    for name, fixed in FIXED.items():
        if name in options and options[name] != fixed.value:
            raise ConfigError(_unsafe(name, options[name]))
    fixed_values = {name: fixed.value for name, fixed in FIXED.items()}
    credentials = _credentials(kafka)
    secured = {} if credentials is None else {"broker_credentials": credentials}
    return {**CHOSEN, **options, **fixed_values, "broker": ";".join(_servers(kafka)), **secured}


def check_settings(conf: Any, kafka: KafkaSettings) -> None:  # noqa: ANN401 - Faust's own
    """Refuse settings that became unsafe behind `settings_of`: by a variable of Faust's own, or an assignment.

    Raises ConfigError.
    """
    servers = [str(url) for url in conf.broker]
    if servers != _servers(kafka):
        raise ConfigError(
            f"the broker is {', '.join(servers)}, and RunBus's is {kafka.bootstrap_servers}: unset BROKER_URL, a "
            "variable of Faust's own"
        )
    for name, fixed in FIXED.items():
        found = getattr(conf, name)
        if _plain(found) != _plain(fixed.value):
            raise ConfigError(_unsafe(name, found))


def _servers(kafka: KafkaSettings) -> list[str]:
    return [f"kafka://{server.strip()}" for server in kafka.bootstrap_servers.split(",")]


def _plain(value: object) -> object:
    """Return a value of Faust's as it is given: its enumerations and addresses compare with nothing else."""
    value = getattr(value, "value", value)
    return value if isinstance(value, bool | int | type) else str(value).rstrip("/")


def _unsafe(name: str, value: object) -> str:
    fixed = FIXED[name]
    shown = value.__name__ if isinstance(value, type) else repr(_plain(value))
    return f"{name}={shown} is not safe: {fixed.why}"


def _credentials(kafka: KafkaSettings) -> Any:  # noqa: ANN401 - Faust's own
    """Return how the app shows who it is; None = it does not."""
    context = None
    if kafka.uses_tls:
        context = create_ssl_context(
            cafile=kafka.ssl_ca_location or None,
            certfile=kafka.ssl_certificate_location or None,
            keyfile=kafka.ssl_key_location or None,
            password=kafka.ssl_key_password.reveal,  # never None: OpenSSL would ask for it at the terminal
        )
    if kafka.uses_password:
        return faust.SASLCredentials(
            username=kafka.sasl_username,
            password=kafka.sasl_password.reveal(),
            mechanism=kafka.sasl_mechanism,
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context)

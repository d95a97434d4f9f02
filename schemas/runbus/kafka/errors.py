"""Says what to do about a broker that is away, lacks a topic or refuses this user."""

from __future__ import annotations

from collections.abc import Iterable

from runbus.config.errors import RunBusError
from runbus.config.terminal import printable
from runbus.kafka.settings import KafkaSettings


class BrokerUnavailable(RunBusError):
    """The broker did not answer."""


class TopicRefused(RunBusError):
    """The broker answered, and refuses to create or to change a topic."""


class TopicMissing(RunBusError):
    """A topic of the catalogue is not there."""


class TopicMismatch(RunBusError):
    """A topic exists with another number of partitions: keys would move between partitions."""


class RightMissing(RunBusError):
    """The broker knows this user, and does not allow it what it needs."""

    def __init__(self, settings: KafkaSettings, rights: Iterable[str]) -> None:
        super().__init__(refusal(settings, rights))


def refusal(settings: KafkaSettings, rights: Iterable[str]) -> str:
    """Return what to say; `rights` as Right.said gives them."""
    return (
        f"Kafka at {settings.bootstrap_servers} refuses {settings.who}: it lacks {', '.join(rights)}; an admin "
        "gives it with `runbus topics apply --acls` (docs/security.md has what each user needs)"
    )


def no_answer(settings: KafkaSettings, seen: str) -> str:
    """Return what to say and to do if no broker answers, from what the client library says about it."""
    if "authentication" in seen.lower():
        return (
            f"Kafka at {settings.bootstrap_servers} refuses {settings.who} ({seen}): check KAFKA_SASL_USERNAME, "
            "KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM"
        )
    if "SSL" in seen or "certificate" in seen:
        return (
            f"no TLS connection to Kafka at {settings.bootstrap_servers} ({seen}): check KAFKA_SECURITY_PROTOCOL and "
            "the KAFKA_SSL_* files"
        )
    return (
        f"no Kafka broker answers at {settings.bootstrap_servers} ({_why(seen)}): is it running? "
        "`runbus up` starts a local one; KAFKA_BOOTSTRAP_SERVERS names another"
    )


#: What the client library says of a connection, and what that is in plain words; the first that fits.
_WHY = (
    ("Connection refused", "connection refused"),
    ("Failed to resolve", "the host's name is not known"),
    ("Invalid response size", "what answers there is no Kafka"),
    ("Disconnected", "the other end closed the connection"),
)


def _why(seen: str) -> str:
    """Return the cause in plain words; the client's own if there are none."""
    return next((words for sign, words in _WHY if sign.lower() in seen.lower()), printable(seen))

"""Reads how to reach the broker: addresses, security, the topics' prefix."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from runbus.config import catalogue as c
from runbus.config.errors import ConfigError
from runbus.config.files import TlsFiles, credential_files
from runbus.config.loading import load
from runbus.config.secret import Secret
from runbus.config.setting import of
from runbus.config.sources import Sources


class Membership(NamedTuple):
    """A member of a consumer group.

    Attributes:
        group: its name.
        protocol: `consumer` (KIP-848), `classic`, or `auto`: what the broker can do.
        session_seconds: how long the group waits for a silent member.
        instance_id: of a static member; "" = none.
    """

    group: str
    protocol: c.GroupProtocol
    session_seconds: float
    instance_id: str = ""


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Broker addresses, security and the topics' prefix."""

    bootstrap_servers: str = of(c.BOOTSTRAP_SERVERS)
    security_protocol: str = of(c.SECURITY_PROTOCOL)
    sasl_mechanism: str = of(c.SASL_MECHANISM)
    sasl_username: str = of(c.SASL_USERNAME)
    sasl_password: Secret = of(c.SASL_PASSWORD)
    ssl_ca_location: str = ""
    ssl_certificate_location: str = ""
    ssl_key_location: str = ""
    topic_prefix: str = of(c.TOPIC_PREFIX)
    ssl_key_password: Secret = of(c.SSL_KEY_PASSWORD)

    @classmethod
    def load(cls, sources: Sources) -> KafkaSettings:
        """Read and check the settings. Raises ConfigError naming the variable and the bad value."""
        tls = TlsFiles.load(sources, c.SSL_CA, c.SSL_CERTIFICATE, c.SSL_KEY)
        files = {"ssl_ca_location": tls.ca, "ssl_certificate_location": tls.certificate, "ssl_key_location": tls.key}
        settings = load(cls, sources, **files)
        for setting, given in ((c.SASL_USERNAME, settings.sasl_username), (c.SASL_PASSWORD, settings.sasl_password)):
            if settings.security_protocol.startswith("SASL") and not given:
                raise ConfigError(f"{c.SECURITY_PROTOCOL.env} is {settings.security_protocol}: set {setting.env} too")
        return settings

    @property
    def uses_password(self) -> bool:
        """True if a user and a password are sent."""
        return self.security_protocol.startswith("SASL")

    @property
    def uses_tls(self) -> bool:
        """True if the connection is encrypted."""
        return self.security_protocol.endswith("SSL")

    @property
    def tls_files(self) -> tuple[Path, ...]:
        """The files of certificates and keys, with the password of the key."""
        names = (self.ssl_ca_location, self.ssl_certificate_location, self.ssl_key_location)
        return credential_files([self.ssl_key_password], names) if self.uses_tls else ()

    @property
    def credential_files(self) -> tuple[Path, ...]:
        """All files that the credentials come from: what changes there is rotated."""
        return (*self.tls_files, *credential_files([self.sasl_password] if self.uses_password else [], ()))

    @property
    def who(self) -> str:
        """Name of this client at the broker, for messages."""
        if self.uses_password:
            return f"user {self.sasl_username}"
        if self.uses_tls and self.ssl_certificate_location:
            return f"the certificate {self.ssl_certificate_location}"
        return "a client without a name"

    def client_config(self) -> dict[str, str]:
        """Return the librdkafka properties, secrets included: for a client, never for a log."""
        config = {"bootstrap.servers": self.bootstrap_servers, "security.protocol": self.security_protocol}
        if self.uses_password:
            config["sasl.mechanism"] = self.sasl_mechanism
            config["sasl.username"] = self.sasl_username
            config["sasl.password"] = self.sasl_password.reveal()
        files = {
            "ssl.ca.location": self.ssl_ca_location,
            "ssl.certificate.location": self.ssl_certificate_location,
            "ssl.key.location": self.ssl_key_location,
        }
        config |= {key: path for key, path in files.items() if path}
        if self.ssl_key_location and self.ssl_key_password:
            config["ssl.key.password"] = self.ssl_key_password.reveal()
        return config

    def producer_config(self) -> dict[str, str | int | bool]:
        """Return `client_config` and what it takes that a record which is acknowledged is in the log, once, in order.

        One request at a time: with more of them librdkafka calls records stored that are not (docs/decisions/0011).
        """
        return {
            **self.client_config(),
            "enable.idempotence": True,
            "acks": "all",
            "max.in.flight.requests.per.connection": 1,
            "partitioner": "murmur2",
        }

"""A Kafka broker that trusts nobody: TLS on every listener, SCRAM-SHA-512 or certificates, and an authorizer."""

import logging
import secrets
from dataclasses import dataclass, field
from functools import partial

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from runbus.config.secret import Secret
from runbus.kafka.clients import admin_client
from runbus.kafka.principals import ROLES
from runbus.kafka.settings import KafkaSettings
from runbus.local.kafka import KafkaOptions, format_storage, java_command, write_configuration
from runbus.local.ports import LOOPBACK
from runbus.local.process import ProgramSpec, RunningProcess, start
from tests.integration.security.authority import Authority

ROOT = "root"
_PROPERTIES = """
listeners=SASL_SSL://{host}:{port},SSL://{host}:{tls_port},CONTROLLER://{host}:{controller_port}
advertised.listeners=SASL_SSL://{host}:{port},SSL://{host}:{tls_port}
listener.security.protocol.map=SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER:SSL
inter.broker.listener.name=SSL
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={ca}
listener.name.sasl_ssl.ssl.client.auth=none
listener.name.ssl.ssl.client.auth=required
listener.name.controller.ssl.client.auth=required
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:CN=broker;User:{root}
"""


@dataclass(frozen=True)
class SecureBroker:
    """Where it is and who may come.

    Attributes:
        passwords: user -> password.
        running: the process, newest last.
    """

    options: KafkaOptions
    tls_port: int
    authority: Authority
    passwords: dict[str, str] = field(default_factory=lambda: {ROOT: secrets.token_urlsafe(16)}, repr=False)
    running: list[RunningProcess] = field(default_factory=list, repr=False)

    def service(self) -> ProgramSpec:
        """Prepare its directory and return how to run it."""
        home, command = self.options.home, java_command(self.options)
        home.mkdir(parents=True, exist_ok=True)
        keystore = home / "keystore.pem"
        certificate, key = self.authority.issue("broker")
        keystore.write_bytes(key.read_bytes() + certificate.read_bytes())
        values = {
            "host": LOOPBACK,
            "port": self.options.port,
            "tls_port": self.tls_port,
            "controller_port": self.options.controller_port,
            "keystore": keystore,
            "ca": self.authority.ca,
            "root": ROOT,
        }
        properties = write_configuration(self.options, _PROPERTIES.format(**values))
        scram = f"SCRAM-SHA-512=[name={ROOT},password={self.passwords[ROOT]}]"
        format_storage(command, properties, "--add-scram", scram)
        argv = (*command, "kafka.Kafka", str(properties))
        probe = partial(_answers, self.settings(ROOT))
        return ProgramSpec(
            "kafka", argv, probe, cwd=home, address=self.options.bootstrap_servers, start_seconds=120, stop_seconds=30
        )

    def start(self) -> None:
        """Start it for the first time; it answers on return."""
        self.running.append(start(self.service(), self.options.home / "kafka.log"))

    def restart(self) -> None:
        """End it with SIGKILL and start it again: every connection is gone, every acknowledged record is there."""
        self.running[-1].kill()
        self.running.append(start(self.running[-1].service, self.options.home / "kafka.log"))

    def settings(self, user: str, prefix: str = "runbus.") -> KafkaSettings:
        """Return how a user connects with SCRAM over TLS."""
        return KafkaSettings(
            self.options.bootstrap_servers,
            security_protocol="SASL_SSL",
            sasl_username=user,
            sasl_password=Secret(self.passwords[user]),
            ssl_ca_location=str(self.authority.ca),
            topic_prefix=prefix,
        )

    def certificate_settings(self, name: str, prefix: str = "runbus.") -> KafkaSettings:
        """Return how the owner of a certificate connects."""
        certificate, key = self.authority.issue(name)
        return KafkaSettings(
            f"{LOOPBACK}:{self.tls_port}",
            security_protocol="SSL",
            ssl_ca_location=str(self.authority.ca),
            ssl_certificate_location=str(certificate),
            ssl_key_location=str(key),
            topic_prefix=prefix,
        )

    def set_password(self, user: str, password: str) -> None:
        """Create a user, or give it another password, for the connections to come."""
        credential = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        change = UserScramCredentialUpsertion(user, credential, password.encode())
        admin = self.admin()
        admin.alter_user_scram_credentials([change])[user].result(30)
        self.passwords[user] = password

    def add_users(self, suffix: str = "") -> dict[str, str]:
        """Create a user for each role; return what the broker calls them."""
        for role in ROLES:
            self.set_password(f"runbus-{role}{suffix}", secrets.token_urlsafe(16))
        return {role: f"User:runbus-{role}{suffix}" for role in ROLES}

    def admin(self) -> AdminClient:
        """Return a client that may do everything."""
        return admin_client(self.settings(ROOT))


def _answers(settings: KafkaSettings) -> bool:
    quiet = logging.getLogger("tests.secure_kafka.probe")
    quiet.setLevel(logging.CRITICAL)
    admin = AdminClient({**settings.client_config(), "socket.timeout.ms": 2000}, logger=quiet)
    try:
        return bool(admin.list_topics(timeout=2).brokers)
    except KafkaException:
        return False

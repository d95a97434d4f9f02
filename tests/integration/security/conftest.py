"""One secure broker for all tests of this folder; each has users and topics of its own."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from runbus.clickhouse.migrate import migrate
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.sources import cache
from runbus.kafka.acls import apply_acls
from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.local.kafka import KafkaOptions
from runbus.local.ports import free_port
from tests.integration.security.authority import Authority
from tests.integration.security.broker import ROOT, SecureBroker
from tests.integration.security.secured_processes import Processes

PARTITIONS = 2


@dataclass(frozen=True)
class Installation:
    """Topics of one test, and a user for each role with exactly its rights."""

    broker: SecureBroker
    prefix: str
    suffix: str
    principals: dict[str, str]

    def user(self, role: str) -> str:
        """Return the user of a role."""
        return f"runbus-{role}{self.suffix}"

    def settings(self, role: str) -> KafkaSettings:
        """Return how a role connects."""
        return self.broker.settings(self.user(role), self.prefix)

    @property
    def root(self) -> KafkaSettings:
        """How the super user connects."""
        return self.broker.settings(ROOT, self.prefix)


@pytest.fixture(scope="session")
def secure_broker(backend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    """Yield a running broker with TLS, SCRAM and an authorizer."""
    if backend != "local":
        pytest.skip("the secure broker of these tests is the local one: its users and certificates are made here")
    home = tmp_path_factory.mktemp("secure-kafka")
    options = KafkaOptions(home, free_port(), free_port(), cache())
    broker = SecureBroker(options, free_port(), Authority(home / "certificates"))
    broker.start()
    yield broker
    broker.running[-1].stop()


@pytest.fixture
def installation(secure_broker: SecureBroker) -> Installation:
    """Return topics, users and rights of this test alone, applied as `runbus topics apply --acls` does."""
    suffix = f"-{uuid.uuid4().hex[:8]}"
    prefix = f"t{suffix}."
    principals = secure_broker.add_users(suffix)
    made = Installation(secure_broker, prefix, suffix, principals)
    apply_topics(made.root, PARTITIONS)
    apply_acls(made.root, principals)
    return made


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Yield a starter of processes."""
    starter = Processes(tmp_path)
    yield starter
    starter.kill_all()


@pytest.fixture
def migrated(clickhouse_settings: ClickHouseSettings) -> ClickHouseSettings:
    """Return a database of this test alone, with its tables."""
    migrate(clickhouse_settings)
    return clickhouse_settings

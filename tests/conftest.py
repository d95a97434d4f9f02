"""What all tests share: real engines for the integration tests, and how tests are spread over workers.

An engine is started once per run when a test first asks for it, on free ports of 127.0.0.1, and stopped at the end.
Tests stay apart by a random topic prefix and database. RUNBUS_TEST_REQUIRE=1 turns "not available" into a failure.
"""

import dataclasses
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import clickhouse_connect
import hypothesis
import pytest
from confluent_kafka.admin import AdminClient

from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.sources import cache
from runbus.kafka.settings import KafkaSettings
from runbus.local.kafka import KafkaOptions, kafka_service
from runbus.local.ports import free_port
from runbus.local.process import RunningProcess, start
from tests.support import engines, sharing
from tests.support.unavailable import Unavailable, skip_or_fail

pytest_plugins = ["tests.support.budget", "tests.support.spreading"]

# A shell that runs the tests in the background makes them ignore Ctrl-C, and every process that they start too. The
# tests send it to their own processes, so it must mean what it means in a terminal.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How fast an example is says what else runs on the machine. What the tests look for is a wrong result.
hypothesis.settings.register_profile("runbus", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("runbus")

Address = Callable[[str], engines.Address]


@pytest.fixture(scope="session")
def backend() -> str:
    """Return the back end's name."""
    name = engines.backend()
    if name not in engines.BACKENDS:
        pytest.exit(f"RUNBUS_TEST_BACKEND={name}: use {', '.join(engines.BACKENDS)}", returncode=2)
    return name


@pytest.fixture(scope="session")
def engine_address(
    backend: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Address]:
    """Yield what gives the address of an engine by its name: of this process, or of the run that it is a worker of."""
    own = engines.Engines(tmp_path_factory.mktemp)
    door = sharing.door_of(request.config)

    def address(name: str) -> engines.Address:
        try:
            return sharing.ask(door, name) if door else own.address(name)
        except Unavailable as reason:
            skip_or_fail(str(reason))

    yield address
    own.stop()


@pytest.fixture(scope="session")
def kafka(engine_address: Address) -> str:
    """Return the bootstrap servers of a real broker."""
    return str(engine_address("kafka"))


@pytest.fixture(scope="session")
def clickhouse(engine_address: Address) -> ClickHouseSettings:
    """Return address, user and password of a real ClickHouse engine; its database is ``default``."""
    found = engine_address("clickhouse")
    assert isinstance(found, ClickHouseSettings)
    return found


@pytest.fixture(scope="session")
def registry(engine_address: Address) -> str:
    """Return the base URL of a real schema registry (Confluent API)."""
    return str(engine_address("registry"))


@pytest.fixture
def topic_prefix(kafka: str) -> Iterator[str]:
    """Yield a topic prefix (ends with a dot) of this test alone; its topics are deleted afterwards."""
    prefix = f"t{uuid.uuid4().hex[:10]}."
    yield prefix
    admin = AdminClient({"bootstrap.servers": kafka})
    mine = [name for name in admin.list_topics(timeout=10).topics if name.startswith(prefix)]
    if mine:
        for done in admin.delete_topics(mine).values():
            done.result(30)


@pytest.fixture
def kafka_settings(kafka: str, topic_prefix: str) -> KafkaSettings:
    """Return the broker with this test's own topic prefix."""
    return KafkaSettings(bootstrap_servers=kafka, topic_prefix=topic_prefix)


@pytest.fixture
def database(clickhouse: ClickHouseSettings) -> Iterator[str]:
    """Yield the name of a database of this test alone, not created yet; it is dropped afterwards."""
    name = f"t{uuid.uuid4().hex[:10]}"
    yield name
    client = clickhouse_connect.get_client(
        dsn=clickhouse.url, username=clickhouse.user, password=clickhouse.password.reveal(), database="default"
    )
    try:
        client.command(f"DROP DATABASE IF EXISTS `{name}` SYNC")
    finally:
        client.close()


@pytest.fixture
def clickhouse_settings(clickhouse: ClickHouseSettings, database: str) -> ClickHouseSettings:
    """Return the engine with this test's own database."""
    return dataclasses.replace(clickhouse, database=database)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[tuple[KafkaOptions, list[RunningProcess]]]:
    """Yield a broker of this test alone; the test may kill it and append its successor."""
    options = KafkaOptions(tmp_path / "kafka", free_port(), free_port(), cache())
    started = [start(kafka_service(options), tmp_path / "kafka.log")]
    yield options, started
    started[-1].stop()

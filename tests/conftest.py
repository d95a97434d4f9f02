"""Real engines for the integration tests, chosen by RUNBUS_TEST_BACKEND = local (default) | containers | external.

Each is started once per session when a test first asks for it, on free ports of 127.0.0.1, and stopped at the end.
Tests stay apart by a random topic prefix and database. RUNBUS_TEST_REQUIRE=1 turns "not available" into a failure.
"""

import dataclasses
import gc
import os
import signal
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import clickhouse_connect
import pytest
from confluent_kafka.admin import AdminClient

from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.secret import Secret
from runbus.config.sources import cache
from runbus.kafka.settings import KafkaSettings
from runbus.local.clickhouse import OWNER, ClickHouseOptions, clickhouse_service, new_password
from runbus.local.kafka import KafkaOptions, kafka_service
from runbus.local.ports import free_port
from runbus.local.process import running
from runbus.local.registry import RegistryOptions, registry_service

# A shell that runs the tests in the background makes them ignore Ctrl-C, and every process that they start too. The
# tests send it to their own processes, so it must mean what it means in a terminal.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def backend() -> str:
    """Return the back end's name."""
    name = os.environ.get("RUNBUS_TEST_BACKEND", "local")
    if name not in {"local", "containers", "external"}:
        pytest.exit(f"RUNBUS_TEST_BACKEND={name}: use local, containers or external", returncode=2)
    return name


@pytest.fixture(scope="session")
def kafka(backend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the bootstrap servers of a real broker."""
    if backend == "external":
        yield _variable("KAFKA_BOOTSTRAP_SERVERS")
    elif backend == "containers":
        with _redpanda() as servers:
            yield servers
    else:
        home = tmp_path_factory.mktemp("kafka")
        options = KafkaOptions(home, free_port(), free_port(), cache())
        with running(kafka_service(options), home / "kafka.log"):
            yield options.bootstrap_servers


@pytest.fixture(scope="session")
def clickhouse(backend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseSettings]:
    """Yield address, user and password of a real ClickHouse engine; its database is ``default``."""
    if backend == "external":
        user, password = os.environ.get("CLICKHOUSE_USER", "default"), os.environ.get("CLICKHOUSE_PASSWORD", "")
        yield ClickHouseSettings(_variable("CLICKHOUSE_URL"), user, Secret(password), "default")
    elif backend == "containers":
        with _clickhouse_container() as settings:
            yield settings
    else:
        home = tmp_path_factory.mktemp("clickhouse")
        options = ClickHouseOptions(home, free_port(), new_password(), new_password())
        with running(clickhouse_service(options), home / "clickhouse.log"):
            yield ClickHouseSettings(options.url, OWNER, Secret(options.owner_password), "default")


@pytest.fixture(scope="session")
def registry(backend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the base URL of a real schema registry (Confluent API)."""
    if backend != "local":
        yield _variable("SCHEMA_REGISTRY_URL")
    else:
        home = tmp_path_factory.mktemp("registry")
        options = RegistryOptions(home, free_port(), cache())
        with running(registry_service(options), home / "registry.log"):
            yield options.url


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


def _variable(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        _unavailable(f"{name} is not set")
    return value


def _unavailable(reason: str) -> None:
    if os.environ.get("RUNBUS_TEST_REQUIRE") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def _need_docker() -> None:
    with warnings.catch_warnings():
        # docker leaves its socket to the garbage collector when no engine answers
        warnings.simplefilter("ignore", ResourceWarning)
        reason = _docker_error()
        gc.collect()
    if reason:
        _unavailable(f"RUNBUS_TEST_BACKEND=containers, but no container engine answers: {reason}")


def _docker_error() -> str:
    import docker  # type: ignore[import-untyped]
    from docker.errors import DockerException  # type: ignore[import-untyped]

    try:
        docker.from_env().ping()
    except DockerException as error:
        return str(error)
    return ""


@contextmanager
def _redpanda() -> Iterator[str]:
    _need_docker()
    from testcontainers.kafka import RedpandaContainer

    with RedpandaContainer() as container:
        yield container.get_bootstrap_server()


@contextmanager
def _clickhouse_container() -> Iterator[ClickHouseSettings]:
    _need_docker()
    from testcontainers.clickhouse import ClickHouseContainer

    with ClickHouseContainer(port=8123) as container:
        url = f"http://{container.get_container_host_ip()}:{container.get_exposed_port(8123)}"
        yield ClickHouseSettings(url, container.username, Secret(container.password), "default")

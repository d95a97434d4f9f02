"""Runs the engines as containers, for RUNBUS_TEST_BACKEND=containers."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.secret import Secret
from tests.support.unavailable import Unavailable


@contextmanager
def kafka_container() -> Iterator[str]:
    """Yield the bootstrap servers of a broker in a container."""
    _need_docker()
    from testcontainers.kafka import RedpandaContainer

    with RedpandaContainer() as container:
        yield container.get_bootstrap_server()


@contextmanager
def clickhouse_container() -> Iterator[ClickHouseSettings]:
    """Yield address, user and password of a ClickHouse server in a container."""
    _need_docker()
    from testcontainers.clickhouse import ClickHouseContainer

    with ClickHouseContainer(port=8123) as container:
        url = f"http://{container.get_container_host_ip()}:{container.get_exposed_port(8123)}"
        yield ClickHouseSettings(url, container.username, Secret(container.password), "default")


def _need_docker() -> None:
    with warnings.catch_warnings():
        # docker leaves its socket to the garbage collector when no engine answers
        warnings.simplefilter("ignore", ResourceWarning)
        reason = _docker_error()
        gc.collect()
    if reason:
        raise Unavailable(f"RUNBUS_TEST_BACKEND=containers, but no container engine answers: {reason}")


def _docker_error() -> str:
    import docker  # type: ignore[import-untyped]
    from docker.errors import DockerException  # type: ignore[import-untyped]

    try:
        docker.from_env().ping()
    except DockerException as error:
        return str(error)
    return ""

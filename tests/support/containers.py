"""Runs the engines as containers, by testcontainers: RUNBUS_TEST_BACKEND=containers.

``RUNBUS_TEST_KAFKA_IMAGE`` and ``RUNBUS_TEST_CLICKHOUSE_IMAGE`` name other images than the public ones, for a place
that can pull none (tests/deploy/containers/engine_images.py makes such) or another version.
"""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.secret import Secret
from tests.support.unavailable import Unavailable

#: Those of deploy/compose.
KAFKA_IMAGE = "redpandadata/redpanda:v25.3.6"
CLICKHOUSE_IMAGE = "clickhouse/clickhouse-server:25.8"
#: From the start of a container to an engine that answers, on a busy machine.
START_S = 90


@contextmanager
def kafka_container() -> Iterator[str]:
    """Yield the bootstrap servers of a broker in a container."""
    _need_docker()
    from testcontainers.community.kafka import RedpandaContainer

    container = RedpandaContainer(os.environ.get("RUNBUS_TEST_KAFKA_IMAGE", KAFKA_IMAGE))
    try:
        container.start(timeout=START_S)
        yield container.get_bootstrap_server()
    finally:
        container.stop()


@contextmanager
def clickhouse_container() -> Iterator[ClickHouseSettings]:
    """Yield address, user and password of a ClickHouse server in a container."""
    _need_docker()
    from testcontainers.community.clickhouse import ClickHouseContainer

    image = os.environ.get("RUNBUS_TEST_CLICKHOUSE_IMAGE", CLICKHOUSE_IMAGE)
    with ClickHouseContainer(image, port=8123, username="runbus", password="runbus-test") as container:
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
        client = docker.from_env()
        try:
            client.ping()
        finally:
            client.close()
    except DockerException as error:
        return str(error)
    return ""

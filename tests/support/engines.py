"""Starts the engines that all tests of a session share: each once, when a test first asks for it.

``RUNBUS_TEST_BACKEND`` chooses them: local (default) | containers | external.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.secret import Secret
from runbus.config.sources import cache
from runbus.local.clickhouse import OWNER, ClickHouseOptions, clickhouse_service, new_password
from runbus.local.kafka import KafkaOptions, kafka_service
from runbus.local.ports import free_port
from runbus.local.process import running
from runbus.local.registry import RegistryOptions, registry_service
from tests.support.containers import clickhouse_container, kafka_container
from tests.support.unavailable import Unavailable

BACKENDS = ("local", "containers", "external")
#: What a test gets: Kafka's bootstrap servers, ClickHouse as its owner, the registry's base URL.
Address = str | ClickHouseSettings


def backend() -> str:
    """Return the chosen back end's name."""
    return os.environ.get("RUNBUS_TEST_BACKEND", "local")


class Engines:
    """Starts engines as children of this process and stops them together. Not for use by two threads at once."""

    def __init__(self, home: Callable[[str], Path]) -> None:
        """Take what makes an empty folder for an engine of that name."""
        self._home = home
        self._running = ExitStack()
        self._addresses: dict[str, Address] = {}

    def address(self, name: str) -> Address:
        """Return where `kafka`, `clickhouse` or `registry` is; it answers on return.

        Raises:
            Unavailable: the back end does not have it here.
        """
        if name not in self._addresses:
            starters: dict[str, Callable[[], Address]] = {
                "kafka": self._kafka,
                "clickhouse": self._clickhouse,
                "registry": self._registry,
            }
            self._addresses[name] = starters[name]()
        return self._addresses[name]

    def stop(self) -> None:
        """Stop them, the newest first."""
        self._addresses.clear()
        self._running.close()

    def _kafka(self) -> str:
        if backend() == "external":
            return _variable("KAFKA_BOOTSTRAP_SERVERS")
        if backend() == "containers":
            return self._running.enter_context(kafka_container())
        home = self._home("kafka")
        options = KafkaOptions(home, free_port(), free_port(), cache())
        self._running.enter_context(running(kafka_service(options), home / "kafka.log"))
        return options.bootstrap_servers

    def _clickhouse(self) -> ClickHouseSettings:
        if backend() == "external":
            user, password = os.environ.get("CLICKHOUSE_USER", "default"), os.environ.get("CLICKHOUSE_PASSWORD", "")
            return ClickHouseSettings(_variable("CLICKHOUSE_URL"), user, Secret(password), "default")
        if backend() == "containers":
            return self._running.enter_context(clickhouse_container())
        home = self._home("clickhouse")
        options = ClickHouseOptions(home, free_port(), new_password(), new_password())
        self._running.enter_context(running(clickhouse_service(options), home / "clickhouse.log"))
        return ClickHouseSettings(options.url, OWNER, Secret(options.owner_password), "default")

    def _registry(self) -> str:
        if backend() == "external":  # beside containers it is the local one: there is no image of it in testcontainers
            return _variable("SCHEMA_REGISTRY_URL")
        home = self._home("registry")
        options = RegistryOptions(home, free_port(), cache())
        self._running.enter_context(running(registry_service(options), home / "registry.log"))
        return options.url


def _variable(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise Unavailable(f"{name} is not set")
    return value

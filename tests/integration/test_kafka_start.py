"""What a consumer waits for at its start: a broker that answers and has its topics."""

from __future__ import annotations

import asyncio
import logging

import pytest

from runbus.kafka import start
from runbus.kafka.admin import apply_topics
from runbus.kafka.clients import admin_client
from runbus.kafka.errors import BrokerUnavailable, TopicMissing
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.start import Needs, needed_topics
from runbus.kafka.topics import DEAD_LETTERS, STEPS
from runbus.local.ports import free_port

pytestmark = pytest.mark.integration


def ask(settings: KafkaSettings, *topics: str, stop_after: str = "") -> dict[str, int] | None:
    """Wait for topics; with `stop_after` the wait is stopped once a log line says so."""

    async def asked() -> dict[str, int] | None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()

        class Stopping(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                if stop_after in record.getMessage():
                    loop.call_soon_threadsafe(stop.set)

        handler = Stopping()
        start.log.addHandler(handler)
        try:
            names = [settings.topic_prefix + topic for topic in topics]
            return await needed_topics(settings, admin_client(settings), names, stop, Needs("sink"))
        finally:
            start.log.removeHandler(handler)

    return asyncio.run(asked())


def test_partitions_of_the_topics_are_told(kafka_settings: KafkaSettings) -> None:
    """Everything that the broker has, with its number of partitions."""
    apply_topics(kafka_settings, partitions=3)
    found = ask(kafka_settings, STEPS.name, DEAD_LETTERS.name)
    assert found is not None
    assert found[kafka_settings.topic_prefix + STEPS.name] == 3
    assert found[kafka_settings.topic_prefix + DEAD_LETTERS.name] == 1


def test_missing_topics_are_named(kafka_settings: KafkaSettings) -> None:
    """Those that are missing, and the command that makes them."""
    apply_topics(kafka_settings, partitions=1)
    with pytest.raises(TopicMissing, match=rf": {kafka_settings.topic_prefix}nothing; run `runbus topics apply`"):
        ask(kafka_settings, STEPS.name, "nothing")


def test_nobody_at_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its patience it says the address and what to do."""
    monkeypatch.setattr(start, "BROKER_S", 0.0)
    settings = KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}")
    with pytest.raises(BrokerUnavailable, match=rf"answers at {settings.bootstrap_servers} .*`runbus up`"):
        ask(settings)


def test_a_wait_can_be_stopped() -> None:
    """SIGTERM while nobody answers: no error, nothing found."""
    settings = KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}")
    assert ask(settings, stop_after="start.waiting") is None

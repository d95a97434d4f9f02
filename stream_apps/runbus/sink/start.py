"""What must be true before the sink reads a record, each with one clear sentence where it is not."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Sequence

from clickhouse_connect.driver.client import Client
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from runbus.clickhouse.client import Timeouts, connect
from runbus.clickhouse.deduplication import check_deduplication
from runbus.clickhouse.errors import Ambiguous, Capacity, Configuration, Unknown, translated
from runbus.clickhouse.tables import DEAD_LETTERS, LOST_RANGES
from runbus.config.errors import RunBusError
from runbus.schemas.admin import BrokerUnavailable
from runbus.sink.settings import SinkSettings
from runbus.sink.threads import in_thread

log = logging.getLogger(__name__)
# A broker that starts beside us is given this long; a wrong address should not look like patience.
BROKER_S = 30.0
_ASK_S = 5.0
# Between two questions, and between two log lines that say the same.
_AGAIN_S = 1.0
_SAY_S = 10.0


class TopicsMissing(RunBusError):
    """A topic that the sink reads or writes does not exist."""


class NotExactlyOnce(RunBusError):
    """The tables are not there, or would keep a repeated insert."""


class _Said:
    """Says the same at once, and then every ten seconds."""

    def __init__(self) -> None:
        self._at = -math.inf

    def warn(self, text: str, *values: object) -> None:
        now = time.monotonic()
        if now - self._at >= _SAY_S:
            self._at = now
            log.warning(text, *values)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


async def check_topics(settings: SinkSettings, admin: AdminClient, names: Sequence[str], stop: asyncio.Event) -> None:
    """Return when the broker answers and has the topics, or where stopped. Raises BrokerUnavailable, TopicsMissing."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + BROKER_S
    said_so = _Said()
    while True:
        try:
            listed = await in_thread(lambda: admin.list_topics(timeout=_ASK_S), "runbus-sink-start")
            break
        except KafkaException as error:
            said = error.args[0].str()
            if loop.time() > deadline:
                raise BrokerUnavailable(
                    f"no Kafka broker answers at {settings.kafka.bootstrap_servers} ({said}): is it running? "
                    "`runbus up` starts a local one; KAFKA_BOOTSTRAP_SERVERS names another"
                ) from error
            said_so.warn("sink.waiting for Kafka at %s: %s", settings.kafka.bootstrap_servers, said)
            await _wait(stop, _AGAIN_S)
            if stop.is_set():
                return
    missing = [name for name in names if name not in listed.topics]
    if missing:
        raise TopicsMissing(
            f"topics missing at {settings.kafka.bootstrap_servers}: {', '.join(missing)}; run `runbus topics apply` "
            "(RUNBUS_TOPIC_PREFIX is their prefix)"
        )


async def open_store(settings: SinkSettings, stop: asyncio.Event) -> Client | None:
    """Return a client once ClickHouse answers and its tables drop repeated inserts; None where stopped meanwhile.

    Raises:
        NotExactlyOnce: wrong user, no database, no tables, or tables without deduplication.
    """
    said_so = _Said()
    while not stop.is_set():
        try:
            return await in_thread(lambda: _open(settings), "runbus-sink-start")
        except (Ambiguous, Capacity, Unknown) as error:
            said_so.warn("sink.waiting for ClickHouse at %s: %s", settings.clickhouse.url, error.text)
            await _wait(stop, _AGAIN_S)
        except Configuration as error:
            where = f"{settings.clickhouse.url}, database {settings.clickhouse.database}"
            raise NotExactlyOnce(f"ClickHouse at {where}: {error}") from error
    return None


def _open(settings: SinkSettings) -> Client:
    client = connect(settings.clickhouse, timeouts=Timeouts(answer=settings.insert_seconds))
    check_deduplication(client)
    for table in (DEAD_LETTERS, LOST_RANGES):
        with translated():
            exists = client.command(f"EXISTS TABLE {table}")
        if exists != 1:
            raise Configuration(f"table {table} does not exist")
    return client

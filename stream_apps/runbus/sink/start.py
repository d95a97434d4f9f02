"""What must be true before the sink reads a record, each with one clear sentence where it is not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from clickhouse_connect.driver.client import Client
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from runbus.clickhouse.client import Timeouts, connect
from runbus.clickhouse.deduplication import check_deduplication
from runbus.clickhouse.errors import Ambiguous, Capacity, Configuration
from runbus.clickhouse.tables import DEAD_LETTERS, LOST_RANGES
from runbus.config.errors import RunBusError
from runbus.schemas.admin import BrokerUnavailable
from runbus.sink.settings import SinkSettings
from runbus.sink.threads import in_thread

log = logging.getLogger(__name__)
# A broker that starts beside us is given this long; a wrong address should not look like patience.
BROKER_S = 30.0
_ASK_S = 5.0


class TopicsMissing(RunBusError):
    """A topic that the sink reads or writes does not exist."""


class NotExactlyOnce(RunBusError):
    """The tables are not there, or would keep a repeated insert."""


async def check_topics(settings: SinkSettings, admin: AdminClient, names: Sequence[str]) -> None:
    """Return when the broker answers and has the topics. Raises BrokerUnavailable, TopicsMissing."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + BROKER_S
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
            log.warning("sink.waiting for Kafka at %s: %s", settings.kafka.bootstrap_servers, said)
            await asyncio.sleep(1.0)
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
    waited = 0
    while not stop.is_set():
        try:
            return await in_thread(lambda: _open(settings), "runbus-sink-start")
        except (Ambiguous, Capacity) as error:
            if waited % 10 == 0:
                log.warning("sink.waiting for ClickHouse at %s: %s", settings.clickhouse.url, error.text)
            waited += 1
            await asyncio.sleep(1.0)
        except Configuration as error:
            where = f"{settings.clickhouse.url}, database {settings.clickhouse.database}"
            raise NotExactlyOnce(f"ClickHouse at {where}: {error}") from error
    return None


def _open(settings: SinkSettings) -> Client:
    client = connect(settings.clickhouse, timeouts=Timeouts(answer=settings.insert_seconds))
    check_deduplication(client)
    for table in (DEAD_LETTERS, LOST_RANGES):
        if not int(str(client.command(f"EXISTS TABLE {table}"))):
            raise Configuration(f"table {table} does not exist")
    return client

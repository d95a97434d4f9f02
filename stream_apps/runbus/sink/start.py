"""Opens the store: waits for ClickHouse and checks its tables before the sink reads a record."""

from __future__ import annotations

import asyncio
import logging

from clickhouse_connect.driver.client import Client

from runbus.clickhouse.client import Timeouts, connect
from runbus.clickhouse.deduplication import check_deduplication
from runbus.clickhouse.errors import Ambiguous, Capacity, Configuration, StoreError, Unknown, translated
from runbus.clickhouse.landings import check_landings
from runbus.clickhouse.tables import LOST_RANGES
from runbus.config.errors import RunBusError
from runbus.config.waiting import Patience, ask_until_answered
from runbus.kafka.threads import in_thread
from runbus.sink.settings import SinkSettings

log = logging.getLogger(__name__)


class NotExactlyOnce(RunBusError):
    """The tables are not there, or would keep a repeated insert."""


async def open_store(settings: SinkSettings, stop: asyncio.Event) -> Client | None:
    """Return a client once ClickHouse answers and its tables drop repeated inserts; None if stopped meanwhile.

    Raises:
        NotExactlyOnce: wrong user, no database, no tables, or tables without deduplication.
    """
    server = settings.clickhouse

    def say(error: StoreError) -> None:
        log.warning("sink.waiting for ClickHouse at %s: %s", server.url, error.text)

    try:
        return await ask_until_answered(
            lambda: in_thread(lambda: _open(settings), "runbus-sink-start"),
            stop,
            Patience[StoreError]((Ambiguous, Capacity, Unknown), say),
        )
    except Configuration as error:
        raise NotExactlyOnce(f"ClickHouse at {server.url}, database {server.database}: {error}") from error


def _open(settings: SinkSettings) -> Client:
    client = connect(settings.clickhouse, timeouts=Timeouts(answer=settings.insert_seconds))
    check_deduplication(client)
    check_landings(client)
    with translated():
        exists = client.command(f"EXISTS TABLE {LOST_RANGES}")
    if exists != 1:
        raise Configuration(f"table {LOST_RANGES} does not exist")
    return client

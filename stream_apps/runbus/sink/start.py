"""What must be true of ClickHouse before the sink reads a record, one clear sentence where it is not."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from clickhouse_connect.driver.client import Client

from runbus.clickhouse.client import Timeouts, connect
from runbus.clickhouse.deduplication import check_deduplication
from runbus.clickhouse.errors import Ambiguous, Capacity, Configuration, Unknown, translated
from runbus.clickhouse.landings import check_landings
from runbus.clickhouse.tables import LOST_RANGES
from runbus.config.errors import RunBusError
from runbus.kafka.threads import in_thread
from runbus.sink.settings import SinkSettings

log = logging.getLogger(__name__)
# Between two questions, and between two log lines that say the same.
_AGAIN_S = 1.0
_SAY_S = 10.0


class NotExactlyOnce(RunBusError):
    """The tables are not there, or would keep a repeated insert."""


async def open_store(settings: SinkSettings, stop: asyncio.Event) -> Client | None:
    """Return a client once ClickHouse answers and its tables drop repeated inserts; None where stopped meanwhile.

    Raises:
        NotExactlyOnce: wrong user, no database, no tables, or tables without deduplication.
    """
    say_at = 0.0
    while not stop.is_set():
        try:
            return await in_thread(lambda: _open(settings), "runbus-sink-start")
        except (Ambiguous, Capacity, Unknown) as error:
            if time.monotonic() >= say_at:
                say_at = time.monotonic() + _SAY_S
                log.warning("sink.waiting for ClickHouse at %s: %s", settings.clickhouse.url, error.text)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _AGAIN_S)
        except Configuration as error:
            where = f"{settings.clickhouse.url}, database {settings.clickhouse.database}"
            raise NotExactlyOnce(f"ClickHouse at {where}: {error}") from error
    return None


def _open(settings: SinkSettings) -> Client:
    client = connect(settings.clickhouse, timeouts=Timeouts(answer=settings.insert_seconds))
    check_deduplication(client)
    check_landings(client)
    with translated():
        exists = client.command(f"EXISTS TABLE {LOST_RANGES}")
    if exists != 1:
        raise Configuration(f"table {LOST_RANGES} does not exist")
    return client

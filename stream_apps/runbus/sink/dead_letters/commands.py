"""Opens the dead letters for the commands and runs their retries: all wiring is here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Literal

from clickhouse_connect.driver.client import Client

from runbus.clickhouse.client import Timeouts, connect
from runbus.clickhouse.errors import DataError
from runbus.clickhouse.installation import Installation
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.errors import InvalidValue
from runbus.kafka.clients import admin_client, new_offsets_reader
from runbus.kafka.commit_metadata import Committed
from runbus.kafka.errors import BrokerUnavailable
from runbus.kafka.model import LogUnavailable, TopicPartition
from runbus.kafka.offsets import KafkaOffsets
from runbus.kafka.topic_ids import kafka_ids
from runbus.schemas.errors import RegistryMissing, UnknownSchema
from runbus.sink.api import Route
from runbus.sink.dead_letters.eligibility import LetterOrigin, RetryEligibility
from runbus.sink.dead_letters.retry import RetryContext, store_again
from runbus.sink.dead_letters.stored_letters import StoredLetters
from runbus.sink.process import CodecSchemas, WallClock
from runbus.sink.records import read
from runbus.sink.routes import ROUTES
from runbus.sink.store import ClickHouseStore

#: stored now | stored before | still cannot be stored | not now: the reason says what to wait for, or do
Result = Literal["stored", "already", "dead", "refused"]
_CLOSE_S = 5.0  # its consumer never joined a group, so it closes at once


@dataclass(frozen=True, slots=True)
class RetryOutcome:
    """The outcome of one retry, and its reason."""

    key: str
    origin: LetterOrigin
    result: Result
    reason: str = ""


def routes_of(prefix: str) -> dict[str, Route]:
    """Return full topic name -> tables, for the stored topics."""
    return {prefix + route.topic: route for route in ROUTES}


@contextmanager
def letters(settings: ClickHouseSettings, prefix: str) -> Iterator[StoredLetters]:
    """Yield the dead letters of a database. Raises StoreError."""
    with closing(connect(settings)) as client:
        yield StoredLetters(client, routes_of(prefix))


def retry(
    installation: Installation, keys: Sequence[str], topics: Sequence[str], report: Callable[[RetryOutcome], None]
) -> None:
    """Store the records of letters, one after the other; report each outcome as soon as it is known.

    Args:
        installation: the log and ClickHouse; `group` is the sink's.
        keys: of letters.
        topics: full names; all their letters too.
        report: called for each letter.

    Raises:
        BrokerUnavailable: the sink's committed offsets cannot be read.
        StoreError: ClickHouse does not answer, refuses, or is not set up; what was reported before is stored.
        RegistryUnavailable: the registry does not answer.
    """
    with closing(connect(installation.clickhouse, timeouts=Timeouts(answer=30))) as client:
        asyncio.run(_retry(installation, client, keys, topics, report))


async def _retry(
    installation: Installation,
    client: Client,
    keys: Sequence[str],
    topics: Sequence[str],
    report: Callable[[RetryOutcome], None],
) -> None:
    routes = routes_of(installation.kafka.topic_prefix)
    found = StoredLetters(client, routes)
    origins = found.origins(keys, topics)
    for key in sorted(set(keys) - {key for key, _ in origins}):
        unknown = LetterOrigin("", "", -1, -1)
        report(RetryOutcome(key, unknown, "refused", "no dead letter has this key: `runbus dlq list` shows them"))
    eligibility = await _eligibility(installation, routes, [origin for _, origin in origins])
    context = RetryContext(ClickHouseStore(client, installation.group), CodecSchemas(installation.codec), WallClock())
    stored = found.stored(origin for _, origin in origins)
    for key, origin in origins:
        obstacle = eligibility.obstacle(origin)
        if origin in stored:
            report(RetryOutcome(key, origin, "already"))
        elif obstacle:
            report(RetryOutcome(key, origin, "refused", obstacle))
        else:
            report(await _one(context, routes[origin.topic], found, key, origin))


async def _one(
    context: RetryContext, route: Route, found: StoredLetters, key: str, origin: LetterOrigin
) -> RetryOutcome:
    value, record_key, whole = found.value(origin)
    if whole is not None:
        kept = f"the letter holds the first {len(value or b''):,} of {whole:,} bytes"
        where = f"the record is at offset {origin.offset} of {origin.position} until retention deletes it"
        return RetryOutcome(key, origin, "refused", f"{kept}; {where}")
    record = read(origin.offset, record_key, value, 0, batched=route.batched)
    try:
        new = await store_again(context, route, origin.source, record)
    except (InvalidValue, UnknownSchema, DataError) as error:
        return RetryOutcome(key, origin, "dead", str(error))
    except RegistryMissing as error:
        return RetryOutcome(key, origin, "refused", str(error))
    return RetryOutcome(key, origin, "stored" if new else "already")


async def _eligibility(
    installation: Installation, routes: dict[str, Route], origins: Sequence[LetterOrigin]
) -> RetryEligibility:
    """Ask for the sink's committed offsets in the partitions of the letters."""
    admin = admin_client(installation.kafka)
    offsets = KafkaOffsets(new_offsets_reader(installation.kafka, installation.group))
    try:
        ids = await kafka_ids(admin, list(routes))
        positions = sorted({o.position for o in origins if o.offset >= 0 and ids.get(o.topic) == o.topic_id})
        committed: dict[TopicPartition, Committed | None] = await offsets.committed(positions) if positions else {}
    except LogUnavailable as error:
        raise BrokerUnavailable(
            f"Kafka at {installation.kafka.bootstrap_servers} does not say where the sink stands: {error}"
        ) from error
    finally:
        await offsets.close(_CLOSE_S)
    return RetryEligibility(routes, ids, committed)

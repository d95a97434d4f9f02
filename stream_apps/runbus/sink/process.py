"""The sink as a process: all wiring is here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

from clickhouse_connect.driver.client import Client
from confluent_kafka.admin import AdminClient

from runbus.config.rotation import CredentialFiles
from runbus.config.sources import Sources
from runbus.probes import serving
from runbus.schemas.admin import admin_client
from runbus.schemas.avsc import AvroSchema
from runbus.schemas.codec import Codec, Fingerprint, SchemaRef
from runbus.schemas.registry import codec as codec_of
from runbus.schemas.start import Needs, needed_topics
from runbus.schemas.topics import DEAD_LETTERS
from runbus.service.identity import component_id
from runbus.sink.api import KIND
from runbus.sink.clients import choose_protocol, new_consumer, new_producer, new_reader
from runbus.sink.group import Offsets
from runbus.sink.log import KafkaLog, KafkaMember
from runbus.sink.offsets import KafkaOffsets
from runbus.sink.pace import Pace
from runbus.sink.report import Report
from runbus.sink.routes import ROUTES
from runbus.sink.session import Session, serve
from runbus.sink.settings import SinkSettings
from runbus.sink.start import open_store
from runbus.sink.store import ClickHouseStore
from runbus.sink.tally import Tally
from runbus.sink.threads import in_thread
from runbus.sink.topics import TopicIds, kafka_ids
from runbus.sink.world import World

log = logging.getLogger(__name__)


class WallClock:
    """Real time."""

    def now(self) -> float:
        """Return monotonic seconds; they run on while the process is stopped."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class CodecSchemas:
    """Schemas of the package at once, those of a registry from a thread."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec

    async def resolve(self, ref: SchemaRef) -> AvroSchema:
        """Return the writer schema; see api.Schemas."""
        if isinstance(ref, Fingerprint):
            return self._codec.resolve(ref)
        return await in_thread(lambda: self._codec.resolve(ref), "runbus-sink-registry")


@dataclass(frozen=True, slots=True)
class _Process:
    """What lives as long as the process."""

    settings: SinkSettings
    codec: Codec
    admin: AdminClient
    stop: asyncio.Event
    tally: Tally
    component_id: str
    pace: Pace
    report: Report


def run(sources: Sources) -> None:
    """Run the sink until SIGTERM or SIGINT.

    Raises:
        RunBusError: one sentence for the person who has to act (settings, topics, tables, a lost range).
    """
    settings = SinkSettings.load(sources)
    while asyncio.run(_run(settings, codec_of(sources))):
        log.warning("sink.restart with the new credentials")


async def _run(settings: SinkSettings, codec: Codec) -> bool:
    """Work until stopped; return True where it stopped because credentials changed in their files.

    Clients read certificates when they are made, and the one to ClickHouse its password too. So all of them are given
    up in order, as at SIGTERM, and made again: whatever happens in between loses nothing, like any restart.
    """
    # looked at first: what changes while the clients are made is a change
    files = CredentialFiles((*settings.kafka.credential_files, *settings.clickhouse.credential_files))
    name = component_id(KIND, settings.instance_id)
    stop, asked, tally = asyncio.Event(), asyncio.Event(), Tally()
    pace = Pace(settings.limits.seconds, settings.limits.most_seconds)
    report = Report(settings, tally, name, pace, stop)
    process = _Process(settings, codec, admin_client(settings.kafka), stop, tally, name, pace, report)
    names = [settings.kafka.topic_prefix + route.topic for route in ROUTES]
    renewal = asyncio.create_task(_watch(files, stop))
    try:
        with _signals(asked, stop):
            async with serving(settings.probes_address, report.probe()):
                report.waits_for = "Kafka"
                await needed_topics(settings.kafka, process.admin, names, stop, Needs("sink", settings.group))
                if not stop.is_set():
                    await _report(process)
    finally:
        renewal.cancel()
    return renewal.done() and not asked.is_set()


async def _watch(files: CredentialFiles, stop: asyncio.Event) -> None:
    """Ask for a stop once the content of a file is another one."""
    log.warning("sink.credentials changed: %s", ", ".join(map(str, await files.wait())))
    stop.set()


async def _report(process: _Process) -> None:
    """Send heartbeats from here on, also while ClickHouse is waited for."""
    settings, report = process.settings, process.report
    offsets = KafkaOffsets(process.admin, new_reader(settings.kafka, settings.group))
    kafka_log = KafkaLog(lambda: new_producer(settings), settings.kafka.topic_prefix + DEAD_LETTERS.name)
    beats = asyncio.create_task(report.beat(kafka_log, offsets, process.codec))
    try:
        report.waits_for = "ClickHouse"
        client = await open_store(settings, process.stop)
        if client is not None:
            report.waits_for = ""
            try:
                await _serve(process, client, kafka_log, offsets)
            finally:
                client.close()
    finally:
        beats.cancel()
        await kafka_log.close(3.0)
        await offsets.close(3.0)


async def _serve(process: _Process, client: Client, kafka_log: KafkaLog, offsets: Offsets) -> None:
    settings = process.settings
    protocol = await in_thread(lambda: choose_protocol(settings, process.admin), "runbus-sink-start")
    store = ClickHouseStore(client, settings.group, settings.parallel_inserts)
    routes = {settings.kafka.topic_prefix + route.topic: route for route in ROUTES}
    clock = WallClock()
    schemas = CodecSchemas(process.codec)
    world = World(kafka_log, store, schemas, clock, process.tally, settings.poison, process.pace)
    log.info("sink.started group=%s protocol=%s as %s", settings.group, protocol, process.component_id)

    def new_session() -> Session:
        topics = TopicIds(lambda: kafka_ids(process.admin, list(routes)), clock)
        member = KafkaMember(new_consumer(settings, protocol), routes)
        process.report.session = Session(settings, world, member, topics, offsets, routes, process.stop)
        process.tally.sessions += 1
        return process.report.session

    await serve(new_session, process.stop, clock)
    log.info("sink.stopped")


@contextlib.contextmanager
def _signals(*events: asyncio.Event) -> Iterator[None]:
    """Let SIGTERM and SIGINT set events, where this is the main thread; else the caller's cancellation ends it."""

    def end() -> None:
        for event in events:
            event.set()

    loop = asyncio.get_running_loop()
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end)
    except (ValueError, RuntimeError, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

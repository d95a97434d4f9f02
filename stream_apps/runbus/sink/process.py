"""The sink as a process: all wiring is here."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from clickhouse_connect.driver.client import Client
from confluent_kafka.admin import AdminClient

from runbus.config.errors import RunBusError
from runbus.config.sources import Sources
from runbus.schemas.admin import admin_client
from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.codec import Codec, Fingerprint, SchemaRef
from runbus.schemas.registry import codec as codec_of
from runbus.schemas.topics import DEAD_LETTERS, HEARTBEATS
from runbus.sink.clients import choose_protocol, new_consumer, new_producer
from runbus.sink.heartbeat import Pulse
from runbus.sink.log import KafkaLog, Member
from runbus.sink.offsets import Offsets
from runbus.sink.protocol import World
from runbus.sink.routes import ROUTES
from runbus.sink.session import Restart, Session
from runbus.sink.settings import SinkSettings
from runbus.sink.start import check_topics, open_store
from runbus.sink.store import ClickHouseStore
from runbus.sink.tally import Tally
from runbus.sink.threads import in_thread
from runbus.sink.topics import TopicIds

log = logging.getLogger(__name__)
_BEAT_S = 1.0
_RESTART_S = 1.0


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


@dataclass(slots=True)
class _Process:
    """What lives as long as the process."""

    settings: SinkSettings
    codec: Codec
    admin: AdminClient
    stop: asyncio.Event
    tally: Tally
    component_id: str
    session: Session | None = None
    member: Member | None = None


def run(sources: Sources) -> None:
    """Run the sink until SIGTERM or SIGINT.

    Raises:
        RunBusError: one sentence for the person who has to act (settings, topics, tables, a lost range).
    """
    settings = SinkSettings.load(sources)
    asyncio.run(_run(settings, codec_of(sources)))


async def _run(settings: SinkSettings, codec: Codec) -> None:
    component_id = settings.instance_id or f"sink-{socket.gethostname()}-{os.getpid()}"
    process = _Process(settings, codec, admin_client(settings.kafka), asyncio.Event(), Tally(), component_id)
    with _signals(process.stop):
        names = [settings.kafka.topic_prefix + route.topic for route in ROUTES]
        await check_topics(settings, process.admin, [*names, settings.kafka.topic_prefix + DEAD_LETTERS.name])
        client = await open_store(settings, process.stop)
        if client is None:
            return
        try:
            await _serve(process, client)
        finally:
            client.close()


async def _serve(process: _Process, client: Client) -> None:
    settings = process.settings
    protocol = await in_thread(lambda: choose_protocol(settings, process.admin), "runbus-sink-start")
    store = ClickHouseStore(client, settings.group, process.component_id, settings.parallel_inserts)
    routes = {settings.kafka.topic_prefix + route.topic: route for route in ROUTES}
    clock = WallClock()
    offsets = Offsets(process.admin, settings.group)
    kafka_log = KafkaLog(new_producer(settings), settings.kafka.topic_prefix + DEAD_LETTERS.name)
    world = World(kafka_log, store, CodecSchemas(process.codec), clock, process.tally)
    beats = asyncio.create_task(_beat(process, kafka_log))
    log.info("sink.started group=%s protocol=%s as %s", settings.group, protocol, process.component_id)
    try:
        while not process.stop.is_set():
            topics = TopicIds(process.admin, list(routes), clock)
            process.member = Member(new_consumer(settings, protocol))
            process.session = Session(settings, world, process.member, topics, offsets, routes, process.stop)
            process.tally.sessions += 1
            try:
                await process.session.run()
            except Restart as restart:
                log.warning("sink.restart %s", restart)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.stop.wait(), _RESTART_S)
    finally:
        beats.cancel()
        await kafka_log.close(3.0)
    log.info("sink.stopped")


async def _beat(process: _Process, kafka_log: KafkaLog) -> None:
    """Send a heartbeat every second. Nothing that goes wrong here may stop the sink."""
    pulse = Pulse(process.component_id, time.time_ns() // 1000)
    topic = process.settings.kafka.topic_prefix + HEARTBEATS.name
    while True:
        await asyncio.sleep(_BEAT_S)
        session, member = process.session, process.member
        if session is None or member is None:
            continue
        try:
            beat = pulse.beat(session.flows, await asyncio.wait_for(member.ends(session.flows), _BEAT_S), process.tally)
            frame = functools.partial(process.codec.frame, topic, schema("Heartbeat"), beat.encode())
            value = await in_thread(frame, "runbus-sink-beat")
            kafka_log.send(topic, process.component_id, value)
        except (RunBusError, RuntimeError, TimeoutError) as error:  # RuntimeError: the consumer was closed meanwhile
            log.debug("sink.heartbeat was not sent: %s", error)


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """Let SIGTERM and SIGINT set `stop`, where this is the main thread; else the caller's cancellation ends it."""
    loop = asyncio.get_running_loop()
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
    except (ValueError, RuntimeError, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

"""A component, a broker and settings for tests of the host: nothing outside of the process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from confluent_kafka.admin import AdminClient

from runbus.kafka.settings import KafkaSettings
from runbus.kafka.start import Needs
from runbus.probes import Health, Sample, catalogue
from runbus.schemas.codec import Codec
from runbus.schemas.events import Heartbeat
from runbus.service.component import ProcessSpec, Start
from runbus.service.settings import ProcessSettings


async def first_of(*events: asyncio.Event) -> None:
    """Return once one of the events is set."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


@dataclass
class ToyBroker:
    """A broker that is ready when a test says so, and has a topic that changes when a test says so."""

    is_there: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    beats: list[Heartbeat] = field(default_factory=list)
    closed: int = 0
    refuses: Exception | None = None

    async def ready(self, stop: asyncio.Event) -> Start | None:
        """Wait until it is there, or stopped."""
        await first_of(self.is_there, stop)
        return None if stop.is_set() else Start(stop, cast("AdminClient", None), {"steps": 1}, {"steps": "id"})

    async def watch(self, start: Start) -> None:  # noqa: ARG002 - of the interface
        """Raise what the test put there."""
        await asyncio.shield(self.changed)

    def heartbeats(self) -> ToyBroker:
        """Return itself."""
        return self

    def send(self, beat: Heartbeat) -> None:
        """Keep a heartbeat, or refuse it."""
        if self.refuses is not None:
            raise self.refuses
        self.beats.append(beat)

    def close(self) -> None:
        """Count."""
        self.closed += 1


class ToyComponent:
    """A component that records what happens to it."""

    def __init__(self, component_id: str) -> None:
        self.component_id = component_id
        self.shown = Health(joined=True, total_events=7, committed={"steps:0": 3}, lag_ms=5, silent_seconds=1.0)
        self.happened: list[str] = []
        self.running = asyncio.Event()
        self.fails: BaseException | None = None
        self.start: Start | None = None
        self.done = asyncio.Event()  # it has nothing left to do
        self.free = asyncio.Event()  # it may end
        self.free.set()

    async def run(self, start: Start) -> None:
        """Work until stopped, or fail."""
        self.happened.append("run")
        self.start = start
        self.running.set()
        try:
            if self.fails is not None:
                raise self.fails
            await first_of(start.stop, self.done)
            self.happened.append("stopped" if start.stop.is_set() else "done")
            await self.free.wait()
        except asyncio.CancelledError:
            self.happened.append("cancelled")
            raise
        finally:
            await asyncio.sleep(0)
            self.happened.append("closed")

    def health(self) -> Health:
        """Return what the test says."""
        return self.shown

    def metrics(self) -> Iterator[Sample]:
        """Yield one."""
        yield catalogue.RECORDS.now(1)


@dataclass
class Made:
    """Everything of one process; the lists have one item a round."""

    components: list[ToyComponent] = field(default_factory=list)
    brokers: list[ToyBroker] = field(default_factory=list)
    credential_files: tuple[Path, ...] = ()
    instance_id: str = ""
    there_at_once: bool = True

    def spec(self) -> ProcessSpec:
        """Return the process."""
        return ProcessSpec(
            kind="toy",
            settings=ProcessSettings(KafkaSettings("nowhere:1"), self.instance_id, "127.0.0.1:0"),
            codec=Codec(),
            needs=Needs("reader"),
            topics=(),
            new_component=self.new_component,
            credential_files=self.credential_files,
        )

    def new_component(self, component_id: str) -> ToyComponent:
        """Make the component of a round."""
        self.components.append(ToyComponent(component_id))
        return self.components[-1]

    def new_broker(self, _: Any) -> ToyBroker:
        """Make the broker of a round."""
        broker = ToyBroker()
        if self.there_at_once:
            broker.is_there.set()
        self.brokers.append(broker)
        return broker

"""Plays a recorded run into a bus, at the speed that it had or another one."""

from __future__ import annotations

from typing import Protocol

from runbus.config.errors import RunBusError
from runbus.config.sources import read_sources
from runbus.kafka.settings import KafkaSettings
from runbus.mosaic.events import TelemetryEvent
from runbus.mosaic.payloads import telemetry_of
from runbus.replay.pace import Pace
from runbus.replay.run_index import Indexer
from runbus.replay.timeline import Span, Timeline, event_of
from runbus.schemas.registry import codec


class _Bus(Protocol):
    def publish(self, evt: TelemetryEvent, /) -> None:
        """Take an event."""


def replay(
    bus: _Bus, run: str, speed: float = 1.0, *, agent: str | None = None, settings: KafkaSettings | None = None
) -> int:
    """Publish the events of a recorded run, and wait while it is not their turn; return how many.

    Steps that were recorded in one batch (up to 50 ms) come together.

    Args:
        bus: gets them.
        run: its name.
        speed: 1 = as it was; `math.inf` = as fast as it can be read.
        agent: only this one.
        settings: of Kafka; default: environment and configuration file.

    Raises:
        RunBusError: the log has no such run.
    """
    sources = read_sources()
    kafka = settings or KafkaSettings.load(sources)
    indexer = Indexer(kafka, codec(sources))
    pace, published = Pace(speed), 0
    timeline = Timeline(kafka, codec(sources), indexer.index(run, agent), Span())
    for moment in timeline.moments(indexer.group):
        pace.wait(moment.at_us)
        for event in telemetry_of(event_of(moment)):
            bus.publish(event)
            published += 1
    if not published:
        raise RunBusError(f"the log has no steps of the run {run!r}: `runbus run ls` lists what there is")
    return published

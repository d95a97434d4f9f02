"""Defines the contract between a process and its host.

A **component** does the work of one process. The host calls it on one event loop:

- `run` works until `start.stop` is set, and returns once everything is given back: clients closed, groups left. It is
  called once; for new credentials the host makes another component, as at a new start. It may block the loop no
  longer than its health allows (`silent_seconds`), and must end within its grace: SIGKILL follows SIGTERM after 30 s in
  compose and 22 s after the grace in the chart. If the topic behind it changes, it is cancelled.
- `run` raises RunBusError if a person has to act (exit code 1). For no other reason does it end before `stop` is set.
- It is made before Kafka is there, and if the process is stopped first, `run` is never called: so `run` makes what it
  gives back.
- `health` and `metrics` are called at any time between the component's making and its end, also before and after `run`.
  They may not block, and return what is so now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from confluent_kafka.admin import AdminClient

from runbus.kafka.settings import KafkaSettings
from runbus.kafka.start import Needs
from runbus.probes import Health, Sample
from runbus.schemas.codec import Codec
from runbus.service.runner import Work, run_in_loop


class HostSettings(Protocol):
    """The settings of a process that the host reads."""

    @property
    def kafka(self) -> KafkaSettings:
        """The broker."""

    @property
    def instance_id(self) -> str:
        """The name of this process among its like; empty = none."""

    @property
    def probes_address(self) -> str:
        """RUNBUS_PROBES_ADDRESS; empty = no pages."""

    @property
    def ready_lag_seconds(self) -> float:
        """A process that is further behind is not ready."""


@dataclass(frozen=True, slots=True)
class Start:
    """The things that a component is given once everything that it declared is there.

    Attributes:
        stop: set once the process is asked to end, or has to make its clients anew.
        admin: a client of the broker; the component need not close it.
        partitions: how many each topic of the broker has, by full name.
        topic_ids: Kafka's own id of each topic that is watched, by full name.
        beat: the component sets it to have a heartbeat sent now, and not within a second.
    """

    stop: asyncio.Event
    admin: AdminClient
    partitions: Mapping[str, int]
    topic_ids: Mapping[str, str]
    beat: asyncio.Event = field(default_factory=asyncio.Event)


class Component(Protocol):
    """The work of one process; see the module."""

    async def run(self, start: Start) -> None:
        """Work until `start.stop` is set. Raises RunBusError if a person has to act."""

    def health(self) -> Health:
        """Return its health now: for /live, /ready and the heartbeat."""

    def metrics(self) -> Iterable[Sample]:
        """Return its metrics now, each of probes/catalogue.py."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process, as its host sees it.

    Attributes:
        kind: its name in heartbeats, metrics and logs, which is its command too.
        settings: what the host reads of its settings.
        codec: of the heartbeats.
        needs: whose rights it needs on the broker.
        topics: full names of those that have to be there before it starts.
        new_component: makes the component; it is given the component id. Called on the event loop.
        watched: those of the topics that end the process once they are other topics under the same name; it is then
            started again. Empty for a component that notices that itself.
        credential_files: if the content of one changes, the component ends and a new one takes over.
        runner: what runs the event loop; see runner.py.
    """

    kind: str
    settings: HostSettings
    codec: Codec
    needs: Needs
    topics: tuple[str, ...]
    new_component: Callable[[str], Component]
    watched: tuple[str, ...] = ()
    credential_files: tuple[Path, ...] = ()
    runner: Callable[[Work], None] = run_in_loop

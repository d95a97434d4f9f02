"""Writes what people say in the page to the topic `annotations`: the only thing that the page changes."""

from __future__ import annotations

import asyncio
from typing import Protocol

from runbus.annotations.log import write
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.threads import in_thread
from runbus.schemas.codec import Codec
from runbus.schemas.events import Annotation

#: Clicks of people; each has a client of its own for as long as it takes.
_AT_ONCE = 4


class Annotator(Protocol):
    """Where annotations are written to."""

    async def write(self, annotation: Annotation) -> None:
        """Return once the log has it. Raises RunBusError if it cannot be had."""


class LogAnnotator:
    """Writes to Kafka.

    Args:
        settings: of the broker.
        codec: of the installation.
    """

    def __init__(self, settings: KafkaSettings, codec: Codec) -> None:
        self._settings = settings
        self._codec = codec
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def write(self, annotation: Annotation) -> None:
        """Write it, beside the loop; see Annotator."""
        async with self._room:
            await in_thread(lambda: write(self._settings, self._codec, [annotation]), "runbus-dashboard-annotator")

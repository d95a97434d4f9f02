"""Follows the log on a thread of its own and hands over what it is to MOSAIC."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from runbus.config.errors import RunBusError
from runbus.kafka.settings import KafkaSettings
from runbus.mosaic.events import TelemetryEvent
from runbus.mosaic.payloads import telemetry_of
from runbus.reader import Reader
from runbus.reader.start import Start

log = logging.getLogger(__name__)

_TOPICS = ("runs", "steps", "episodes")
_LOOK_S = 0.2


class Following:
    """Reads the log until it is closed.

    Args:
        publish: gets each event, on the thread.
        run: a name or a pattern; None = every run.
        start: where it begins: see `runbus.reader.Reader`.
        name: of a cursor: it goes on where the last one of this name was; None = it keeps nothing.
        settings: of Kafka; default: environment and configuration file.
    """

    def __init__(
        self,
        publish: Callable[[TelemetryEvent], object],
        *,
        run: str | None = None,
        start: Start | None = "latest",
        name: str | None = None,
        settings: KafkaSettings | None = None,
    ) -> None:
        self._publish = publish
        self._reader = Reader(name, topics=_TOPICS, run=run, start=start, settings=settings)
        self._named = name is not None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="runbus-mosaic", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, and wait until that is done."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with self._reader as reader:
                while not self._stop.is_set():
                    event = reader.poll(_LOOK_S)
                    for one in () if event is None else telemetry_of(event):
                        self._publish(one)
                    if self._named and event is not None:
                        reader.commit()
        except RunBusError as error:  # a person has to act: the GUI goes on without new events
            log.error("MOSAIC's bus follows the log no longer: %s", error)  # noqa: TRY400 - it is one sentence

"""Brings events of the bus into a Qt application: one signal for all steps of a tenth of a second.

PySide6 or PyQt6: the one that is imported already, else the one that is there.

    bridge = Bridge(get_bus(), "gui")
    bridge.steps.connect(tab.add_steps)          # a list of payloads
    bridge.episode.connect(tab.add_episode)      # a payload
    bridge.dropped.connect(show)                 # subscriber, how many so far
    bridge.run_finished.connect(close)           # the run's id
"""

from __future__ import annotations

import queue
import sys
from importlib import import_module
from typing import Any

from runbus.config.errors import RunBusError
from runbus.mosaic.bus import RunBus
from runbus.mosaic.events import TelemetryEvent, Topic

_BINDINGS = (("PySide6", "Signal"), ("PyQt6", "pyqtSignal"))
_MS = 100
#: Events that wait for the application; what is older is dropped, and said.
MAX_QUEUE = 10_000


def _qt() -> tuple[Any, Any]:
    """Return QtCore and its class of signals. Raises RunBusError."""
    for name, signal in sorted(_BINDINGS, key=lambda one: one[0] not in sys.modules):
        try:
            core = import_module(f"{name}.QtCore")
        except ImportError:
            continue
        return core, getattr(core, signal)
    raise RunBusError("the bridge needs Qt: pip install PySide6, or PyQt6")


QtCore, Signal = _qt()


class Bridge(QtCore.QObject):  # type: ignore[misc, name-defined] # whichever Qt there is
    """Emits signals in the thread that made it. It takes what is there ten times a second, and waits for nothing.

    Args:
        bus: whose events.
        subscriber_id: its name on the bus.
        parent: that owns it.
    """

    steps = Signal(list)
    episode = Signal(object)
    dropped = Signal(str, int)
    run_finished = Signal(str)

    def __init__(self, bus: RunBus, subscriber_id: str = "qt", parent: Any = None) -> None:  # noqa: ANN401 - a QObject
        super().__init__(parent)
        self._bus = bus
        self._name = subscriber_id
        self._queues = {
            topic: bus.subscribe_with_size(topic, subscriber_id, MAX_QUEUE)
            for topic in (Topic.STEP_APPENDED, Topic.EPISODE_FINALIZED, Topic.OVERFLOW, Topic.RUN_COMPLETED)
        }
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self.take)
        self._timer.start(_MS)

    def take(self) -> None:
        """Emit what has come since the last time; the timer calls it."""
        if steps := [event.payload for event in self._taken(Topic.STEP_APPENDED)]:
            self.steps.emit(steps)
        for event in self._taken(Topic.EPISODE_FINALIZED):
            self.episode.emit(event.payload)
        for event in self._taken(Topic.OVERFLOW):
            self.dropped.emit(event.payload["subscriber_id"], event.payload["dropped"])
        for event in self._taken(Topic.RUN_COMPLETED):
            self.run_finished.emit(event.run_id)

    def close(self) -> None:
        """Take no more."""
        self._timer.stop()
        for topic in self._queues:
            self._bus.unsubscribe(topic, self._name)

    def _taken(self, topic: Topic) -> list[TelemetryEvent]:
        waiting = self._queues[topic]
        found = []
        for _ in range(MAX_QUEUE):
            try:
                found.append(waiting.get_nowait())
            except queue.Empty:
                break
        return found

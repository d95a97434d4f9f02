"""Stands in for MOSAIC's telemetry, over RunBus's log: its bus by the names that its GUI calls, its store for replays.

from runbus.mosaic import Topic, get_bus      # was: gym_gui.telemetry.run_bus, gym_gui.telemetry.events
"""

from runbus.mosaic.bus import RunBus, get_bus, reset_bus
from runbus.mosaic.events import EpisodeRollup, StepRecord, TelemetryEvent, Topic
from runbus.mosaic.replaying import replay
from runbus.mosaic.store import ReplayStore

__all__ = [
    "EpisodeRollup",
    "ReplayStore",
    "RunBus",
    "StepRecord",
    "TelemetryEvent",
    "Topic",
    "get_bus",
    "replay",
    "reset_bus",
]

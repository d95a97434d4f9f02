"""Exports what people need who read RunBus's topics with agents and tables of Faust's own (docs/faust.md)."""

from runbus.faust.app import LogApp, new_app
from runbus.faust.serializer import EventSerializer
from runbus.faust.stream import LogStream
from runbus.faust.topics import LogTopic, annotation_events, episodes, heartbeats, live_metrics, metrics, runs, steps
from runbus.faust.worker import run

__all__ = [
    "EventSerializer",
    "LogApp",
    "LogStream",
    "LogTopic",
    "annotation_events",
    "episodes",
    "heartbeats",
    "live_metrics",
    "metrics",
    "new_app",
    "run",
    "runs",
    "steps",
]

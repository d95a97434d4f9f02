"""Exports `Reader`, which hands out the events of runs from the log, and the classes of these events."""

from runbus.reader import steps as _steps  # noqa: F401 - registers the event of `steps`
from runbus.reader.errors import CursorNotSaved, ReaderClosed, ReaderForked, TakenOver, UnreadableRecord
from runbus.reader.events import (
    Annotation,
    At,
    ControlCommand,
    EpisodeFinalized,
    Heartbeat,
    LiveMetrics,
    LogEvent,
    RecordsDeleted,
    RunFinished,
    RunStarted,
    Unreadable,
    register,
)
from runbus.reader.lag import ReaderLag
from runbus.reader.metrics import MetricValues
from runbus.reader.reader import Reader
from runbus.reader.start import Offset, Seq
from runbus.reader.steps import Steps
from runbus.reader.values import Values

__all__ = [
    "Annotation",
    "At",
    "ControlCommand",
    "CursorNotSaved",
    "EpisodeFinalized",
    "Heartbeat",
    "LiveMetrics",
    "LogEvent",
    "MetricValues",
    "Offset",
    "Reader",
    "ReaderClosed",
    "ReaderForked",
    "ReaderLag",
    "RecordsDeleted",
    "RunFinished",
    "RunStarted",
    "Seq",
    "Steps",
    "TakenOver",
    "Unreadable",
    "UnreadableRecord",
    "Values",
    "register",
]

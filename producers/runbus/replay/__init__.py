"""Plays recorded runs again: `Source` hands out steps and episodes for training."""

from runbus.replay.episodes import Episode
from runbus.replay.errors import NoSuchRun, RunChanged
from runbus.replay.rows import StepRows
from runbus.replay.source import Source

__all__ = ["Episode", "NoSuchRun", "RunChanged", "Source", "StepRows"]

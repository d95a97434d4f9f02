"""Records trainings of Stable-Baselines3: its vector environments by wrapping them, its learners by a callback.

The names are imported when they are first used, so that what needs no Stable-Baselines3 can be used without it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runbus.sb3.environment import RecordVecEnv
    from runbus.sb3.metrics import MetricsCallback, MetricsWriter

__all__ = ["MetricsCallback", "MetricsWriter", "RecordVecEnv"]

_HOMES = {"MetricsCallback": "metrics", "MetricsWriter": "metrics", "RecordVecEnv": "environment"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a class
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

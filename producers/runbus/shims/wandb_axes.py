"""Says on which axis, and where on it, each value of a `log` of W&B's kind lies. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

_AXIS = "global_step"


class Axes:
    """The counter of a run, and the axes that its metrics were given by `define_metric`.

    A call without a step is at the counter, which then goes on by one; calls with the same step belong together. A step
    that is behind the counter is as good as any other: nothing is dropped for its order.
    """

    def __init__(self) -> None:
        self.counter = 0
        self._defined: dict[str, str] = {}
        self._newest: dict[str, Any] = {}

    def define(self, name: str, axis: str | None) -> None:
        """Let metrics of that name, or pattern (`train/*`), lie on the axis that is the metric `axis`."""
        if axis:
            self._defined[name] = axis

    def place(
        self, values: Mapping[str, Any], step: int | None = None, commit: bool | None = None
    ) -> list[tuple[str, int, dict[str, Any]]]:
        """Return axis, position and values of each part of a call, and count it.

        Args:
            values: of the call.
            step: where it says that it is.
            commit: False = what follows is of the same step; default: True without a step.
        """
        self._newest |= {axis: values[axis] for axis in self._defined.values() if axis in values}
        at = self.counter if step is None else step
        self.counter = max(self.counter, at) + (step is None if commit is None else commit)
        parts: dict[tuple[str, int], dict[str, Any]] = {}
        for name, value in values.items():
            parts.setdefault(self._axis_of(name) or (_AXIS, at), {})[name] = value
        return [(axis, position, part) for (axis, position), part in parts.items()]

    def _axis_of(self, name: str) -> tuple[str, int] | None:
        """Return axis and position of a metric; None = it has none of its own, or the axis was not said yet."""
        axis = self._defined.get(name)
        if axis is None:
            axis = next((axis for pattern, axis in self._defined.items() if fnmatchcase(name, pattern)), None)
        if axis is None or axis == name:
            return None
        try:
            position = float(self._newest[axis])
        except (KeyError, TypeError, ValueError):
            return None
        return (axis, int(position)) if position.is_integer() else None

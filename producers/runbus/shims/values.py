"""Says what becomes of values that are no numbers: a summary of arrays, a count of what is not kept."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from runbus.recorder.complaints import Complaints
from runbus.recorder.reading import Reading

_QUANTILES = (5, 25, 50, 75, 95)


class NotKept:
    """Counts what a shim takes and does not keep, and says each kind once.

    Args:
        shim: what it stands in for.
    """

    def __init__(self, shim: str) -> None:
        self._shim = shim
        self._complaints = Complaints(logging.getLogger(__name__))

    def count(self, kind: str) -> None:
        """Count one, an `image` say."""
        self._complaints.say(
            kind,
            "%s: %s is not kept: RunBus keeps numbers, texts and references to files (docs/shims.md)",
            self._shim,
            kind,
            level=logging.WARNING,
        )

    def counts(self) -> dict[str, int]:
        """Return how often each kind came."""
        return self._complaints.counts()


def summary(values: Any) -> dict[str, float]:  # noqa: ANN401 - any array, tensor or list of numbers
    """Return what is kept of many numbers: their count, range, mean, spread and quantiles; NaN and infinities count.

    Raises whatever `values` raises if it is no array of numbers.
    """
    array = np.asarray(Reading().plain(values), np.float64).ravel()
    finite = array[np.isfinite(array)]
    if not finite.size:
        return {"count": float(array.size)}
    found = {"count": array.size, "min": finite.min(), "max": finite.max(), "mean": finite.mean(), "std": finite.std()}
    quantiles = np.percentile(finite, _QUANTILES)
    found |= {f"p{share}": quantile for share, quantile in zip(_QUANTILES, quantiles, strict=True)}
    return {name: float(number) for name, number in found.items()}

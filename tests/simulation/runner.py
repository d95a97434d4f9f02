"""Runs many seeds on all cores."""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from tests.simulation.scenario import Violation, simulate

_CHUNK = 25


@dataclass(slots=True)
class Result:
    """Counts of some seeds, and the errors of those that broke the promise."""

    counts: Counter[str] = field(default_factory=Counter)
    broken: dict[int, str] = field(default_factory=dict)


def run_seeds(first: int, seeds: int, say: Callable[[str], None] = lambda _: None) -> Result:
    """Run the seeds `first` to `first + seeds - 1`.

    Args:
        first: number of the first one.
        seeds: how many.
        say: told about every thousandth seed, and each broken one at once.
    """
    result, done = Result(), 0
    chunks = [range(at, min(at + _CHUNK, first + seeds)) for at in range(first, first + seeds, _CHUNK)]
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        for chunk, part in zip(chunks, pool.map(_run, chunks), strict=True):
            result.counts += part.counts
            result.broken |= part.broken
            for seed, error in part.broken.items():
                say(f"seed {seed} is broken: {error[:300]}")
            if (done + len(chunk)) // 1000 > done // 1000:
                say(f"{done + len(chunk):,} seeds, {len(result.broken)} broken")
            done += len(chunk)
    return result


def _run(seeds: range) -> Result:
    logging.disable(logging.CRITICAL)
    result = Result()
    for seed in seeds:
        try:
            result.counts += simulate(seed)
        except Violation as violation:
            result.broken[seed] = str(violation)
    return result

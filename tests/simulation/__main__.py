"""Runs seeds: `make test-sim SEEDS=10000`; one again, with all it said: `make test-sim FIRST=17 SEEDS=1 TRACE=1`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time

from tests.simulation.profile import draw
from tests.simulation.runner import run_seeds
from tests.simulation.scenario import Violation, simulate


def main() -> int:
    """Run the seeds that the command line names; exit code 1 if one breaks the promise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="How many.")
    parser.add_argument("--first", type=int, default=1, help="The first of them.")
    parser.add_argument("--trace", action="store_true", help="Print what each seed did, in virtual seconds.")
    options = parser.parse_args()
    if options.trace:
        return _trace(options.first, options.seeds)
    began = time.monotonic()
    result = run_seeds(options.first, options.seeds, say=lambda line: print(line, flush=True))
    print(f"{options.seeds:,} seeds from {options.first} in {time.monotonic() - began:.0f} s")
    for name, count in sorted(result.counts.items()):
        print(f"  {name:16} {count:,}")
    for seed, error in sorted(result.broken.items()):
        print(f"seed {seed}: {error}\n  again: make test-sim FIRST={seed} SEEDS=1 TRACE=1")
    print(f"{options.seeds - len(result.broken)} passed, {len(result.broken)} failed")
    return 1 if result.broken else 0


def _trace(first: int, seeds: int) -> int:
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(_at)
    handler.setFormatter(logging.Formatter("%(at)9.3f  %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    broken = 0
    for seed in range(first, first + seeds):
        print(draw(seed))
        try:
            print(f"seed {seed} holds: {dict(simulate(seed))}")
        except Violation as violation:
            broken += 1
            print(f"seed {seed} is broken: {violation}")
    return 1 if broken else 0


def _at(record: logging.LogRecord) -> bool:
    try:
        record.at = asyncio.get_running_loop().time()
    except RuntimeError:
        record.at = 0.0
    return True


if __name__ == "__main__":
    sys.exit(main())

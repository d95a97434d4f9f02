"""Measures what `RecordVecEnv` adds to one step of one environment of Stable-Baselines3, in microseconds.

Method: a process of the Python that has Stable-Baselines3 (`make .venv-frameworks/.installed`), a VecEnv that costs
next to nothing (eight float32 observations, new infos each step), a real broker that takes everything. The variants in
turn (A B C ... A B C ...), `--calls` steps at a time, `--rounds` times; after each, what is left to background threads
is waited for. Printed is what a variant adds to `bare`:

* loop: wall time, the least of the rounds. What the agent waits.
* cpu: processor time of the whole process, background work included; median of the differences within a round.

Variants: `recorded` (the full transition), `vecmonitor` (Stable-Baselines3's VecMonitor: returns and lengths only).
Targets: 64 environments <= 0.15 us, 1,024 <= 0.03 us.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from runbus.kafka.admin import apply_topics
from setup.engines import broker

ROOT = Path(__file__).parents[1]
PYTHON = ROOT / ".venv-frameworks" / "bin" / "python"


def main() -> None:
    """Run it and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=300, help="steps of a round")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    if not PYTHON.exists():
        print("left out: no Python with Stable-Baselines3; `make .venv-frameworks/.installed` makes one (5 GB)")
        return
    script = str(ROOT / "benchmarks" / "workers" / "vecenv.py")
    worker = [str(PYTHON), script, str(arguments.calls), str(arguments.rounds)]
    with tempfile.TemporaryDirectory() as folder, broker(Path(folder)) as settings:
        apply_topics(settings)
        sources = os.pathsep.join(str(ROOT / name) for name in ("producers", "schemas"))
        environ = {**os.environ, "PYTHONPATH": sources, "KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers}
        done = subprocess.run(worker, env=environ, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    print(f"us added to a step of one environment ({arguments.rounds} rounds of {arguments.calls} calls)")
    for name, value in json.loads(done.stdout).items():
        if not name.startswith("bare"):
            print(f"  {name:24s} {value:10.3f}")


if __name__ == "__main__":
    main()

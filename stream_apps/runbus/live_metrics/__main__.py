"""`python -m runbus.live_metrics`: the app with settings from the environment and the file."""

from __future__ import annotations

import sys

from runbus.live_metrics.process import run
from runbus.streams.command import main

if __name__ == "__main__":
    sys.exit(main(run))

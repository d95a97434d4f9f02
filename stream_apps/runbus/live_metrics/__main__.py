"""Runs `python -m runbus.live_metrics`: `runbus live-metrics` with settings from the environment and the file."""

from __future__ import annotations

import sys

from runbus.service.entry import main

if __name__ == "__main__":
    sys.exit(main("live-metrics"))

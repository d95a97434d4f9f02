"""`python -m runbus.live_metrics`: settings from the environment and the file, else as `runbus live-metrics`."""

from __future__ import annotations

import sys

from runbus.service.entry import main

if __name__ == "__main__":
    sys.exit(main("live-metrics"))

"""Runs the watchdog as a process: `python -m runbus.watchdog`."""

from __future__ import annotations

import sys

from runbus.service.entry import main

if __name__ == "__main__":
    sys.exit(main("watchdog"))

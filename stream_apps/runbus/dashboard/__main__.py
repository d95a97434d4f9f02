"""Runs the dashboard as a process: `python -m runbus.dashboard`."""

from __future__ import annotations

import sys

from runbus.service.entry import main

if __name__ == "__main__":
    sys.exit(main("dashboard"))

"""Runs the sink as `python -m runbus.sink`: settings from the environment and the file, else as `runbus sink`."""

from __future__ import annotations

import sys

from runbus.service.entry import main

if __name__ == "__main__":
    sys.exit(main("sink"))

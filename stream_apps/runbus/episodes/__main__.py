"""Runs `python -m runbus.episodes`: `runbus episodes` with settings from the environment and the file."""

from __future__ import annotations

import sys

from runbus.service.entry import main

if __name__ == "__main__":
    sys.exit(main("episodes"))

"""`python -m runbus.sink`: the sink with settings from the environment and the file."""

from __future__ import annotations

import sys

from runbus.config.command import main
from runbus.sink.process import run

if __name__ == "__main__":
    sys.exit(main(run))

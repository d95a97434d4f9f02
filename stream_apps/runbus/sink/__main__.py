"""`python -m runbus.sink`: the sink with settings from the environment and the file."""

from __future__ import annotations

import logging
import sys

from runbus.config.errors import RunBusError
from runbus.config.sources import read_sources
from runbus.sink.process import run


def main() -> int:
    """Run the sink; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        run(read_sources())
    except RunBusError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

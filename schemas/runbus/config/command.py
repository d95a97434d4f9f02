"""How a process of RunBus is started by its module's name: settings, logs, exit code, one sentence for a mistake."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from runbus.config.errors import RunBusError
from runbus.config.log import start_log
from runbus.config.sources import Sources, read_sources
from runbus.config.terminal import printable


def main(run: Callable[[Sources], None]) -> int:
    """Run a process with the settings of the environment and the file; return the exit code."""
    start_log("%(asctime)s %(levelname)s %(message)s", logging.INFO)
    logging.getLogger().setLevel(logging.INFO)
    try:
        run(read_sources())
    except RunBusError as error:
        sys.stderr.write(f"error: {printable(str(error))}\n")
        return 1
    return 0

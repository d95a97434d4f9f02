"""The one format of log lines, for processes and commands alike."""

from __future__ import annotations

import logging

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


def configure_logs(level: str) -> None:
    """Log to standard error; `level` (debug, info, warning, error) is of RunBus, other libraries keep to warnings."""
    logging.basicConfig(format=LOG_FORMAT)
    logging.getLogger("runbus").setLevel(level.upper())

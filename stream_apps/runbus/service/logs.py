"""The one format of log lines, for processes and commands alike."""

from __future__ import annotations

import logging

from runbus.config.errors import ConfigError

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure_logs(level: str) -> None:
    """Log to standard error; `level` is RunBus's own, other libraries keep to warnings. Raises ConfigError."""
    if level.lower() not in _LEVELS:
        raise ConfigError(f"RUNBUS_LOG_LEVEL={level!r} is not one of {', '.join(_LEVELS)}")
    logging.basicConfig(format=LOG_FORMAT)
    logging.getLogger("runbus").setLevel(_LEVELS[level.lower()])

"""Runs an app of Faust as a process of its own: `python my_app.py`."""

from __future__ import annotations

import logging
import sys

from runbus.config.log import start_log
from runbus.faust.app import LogApp
from runbus.faust.library import faust
from runbus.faust.own_topics import prepare
from runbus.faust.settings import check_settings
from runbus.service.entry import exit_code


def run(app: LogApp, log_level: str = "info") -> None:
    """Run an app until SIGTERM or SIGINT, and end the process.

    Exit codes: 0 it was stopped; 1 an agent has failed, or a person has to act, in one line on standard error; 2 a
    setting is unusable.

    Faust's own command (`faust -A my_app worker`) does the same checks, and says what is wrong with a traceback.
    """
    start_log(log_level)
    logging.getLogger().setLevel(logging.WARNING)

    def first() -> None:
        check_settings(app.conf, app.kafka)
        prepare(app)

    code = exit_code(first)
    if code:
        sys.exit(code)
    worker = faust.Worker(app, override_logging=False, redirect_stdouts=False, quiet=True, loglevel=None)
    worker.spinner = None  # it writes to the log's terminal, and to what is none
    worker.execute_from_commandline()

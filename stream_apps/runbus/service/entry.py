"""Starts a process by its kind, for `runbus KIND` and for `python -m` its module; turns errors into exit codes.

Exit codes: 0 it was stopped; 1 a person has to act, in one line on standard error; 2 wrong usage (an option, a variable
or a configuration file). Any other exception is a defect, and keeps its traceback.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from runbus.config.errors import ConfigError, RunBusError
from runbus.config.log import start_log
from runbus.config.options import LOG_LEVEL
from runbus.config.sources import Sources, read_sources
from runbus.config.terminal import printable
from runbus.service.catalogue import entry_of

if TYPE_CHECKING:  # other commands have exit codes too
    from runbus.service.component import ProcessSpec

#: A process logs what it does, unless the level was chosen.
PROCESS_LOG_LEVEL = "info"


def start(kind: str, sources: Sources, log_level: str = PROCESS_LOG_LEVEL) -> None:
    """Run the process of the catalogue that is called `kind`; see `run_process`."""
    run_process(entry_of(kind).load, sources, log_level)


def run_process(
    load: Callable[[], Callable[[Sources], ProcessSpec]], sources: Sources, log_level: str = PROCESS_LOG_LEVEL
) -> None:
    """Run a process until SIGTERM or SIGINT.

    Args:
        load: imports what makes it from the settings; called once the log is there.

    Raises:
        RunBusError: one sentence for the person who has to act.
    """
    from runbus.service.host import serve  # other commands have exit codes too

    start_log(log_level)
    logging.getLogger().setLevel(logging.WARNING)  # of the libraries: a process that stays logs what they meet
    process = load()(sources)
    process.runner(partial(serve, process))


def exit_code(command: Callable[[], None], name: str = "error") -> int:
    """Run something; return the exit code. A mistake that a person can mend is one line that starts with `name`."""
    try:
        command()
    except ConfigError as error:
        return _complain(name, str(error), 2)
    except RunBusError as error:
        return _complain(name, str(error), 1)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "runbus":
            raise
        return _complain(name, f"this command needs the package {error.name}: pip install 'runbus[all]'", 1)
    return 0


def main(kind: str) -> int:
    """Run a process with the settings of the environment and the file; return the exit code."""

    def run() -> None:
        sources = read_sources()
        chosen = sources.find(LOG_LEVEL).origin != "default"
        start(kind, sources, sources.get(LOG_LEVEL) if chosen else PROCESS_LOG_LEVEL)

    return exit_code(run)


def _complain(name: str, text: str, code: int) -> int:
    sys.stderr.write(f"{name}: {printable(text)}\n")
    return code

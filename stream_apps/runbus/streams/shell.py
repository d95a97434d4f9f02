"""Runs a process under Faust: its worker runs the host's work as a service. The only file that knows Faust.

Faust brings the worker (signals, ordered start and stop, supervision of services), its service framework, its client
library (aiokafka) and uvloop. Its consumer, streams and tables are switched off, because their results are not exact
under SIGKILL, SIGSTOP and rebalances (docs/decisions/0008).

Rules found by running it:

- An exception inside a `Service.task` makes the worker stop and exit with 1; SIGTERM and SIGINT let `on_stop` run and
  exit with 0. A task that returns, or ends as cancelled, stops nothing: the worker goes on without it.
- uvloop's policy must be set before `faust` is imported.
- Without `override_logging=False`, `redirect_stdouts=False` and `quiet=True` the worker takes over logging and stdout;
  without `autodiscover=False` it imports modules that it finds.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import signal
import warnings
from typing import Any

from runbus.config.errors import RunBusError
from runbus.service.runner import Work
from runbus.streams.client_errors import cancellation_asked
from runbus.streams.repeated_log import log_seldom

log = logging.getLogger(__name__)

# They log each start and stop, each request that is repeated, and a crash with its whole stack once more. The sender's
# repetitions are normal: a broker of Kafka 4 answers "not enough replicas" to a record that comes while it still ends
# the transaction before (KIP-890, for clients as old as aiokafka's requests).
_LEVELS = {
    "aiokafka": logging.WARNING,
    "aiokafka.producer.sender": logging.ERROR,
    "faust": logging.WARNING,
    "mode": logging.WARNING,
    "faust.worker": logging.CRITICAL + 1,
    "faust.services": logging.CRITICAL + 1,  # otherwise mode gives them this module's logger
}


def run_in_faust(work: Work) -> None:
    """Run `work(stop)` under Faust, whose worker sets `stop` at SIGTERM and SIGINT; see runbus.service.runner.

    Raises:
        RunBusError: one sentence for the person who has to act.
    """
    with contextlib.suppress(ImportError):  # not on every platform
        asyncio.set_event_loop_policy(importlib.import_module("uvloop").EventLoopPolicy())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its imports
        faust: Any = importlib.import_module("faust")
        strategy: Any = importlib.import_module("faust.app.base").BootStrategy
    for name, level in _LEVELS.items():
        logging.getLogger(name).setLevel(level)
    for name in ("aiokafka", "runbus.streams.best_effort", "runbus.streams.run_ends"):
        log_seldom(name)
    failures: list[BaseException] = []
    app = _app(faust, strategy, work, failures)
    worker = faust.Worker(app, override_logging=False, redirect_stdouts=False, quiet=True, loglevel=None)
    worker.spinner = None  # it writes to the log's terminal, and to what is none
    code: Any = 0
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        code = end.code
    for failure in failures:
        if isinstance(failure, RunBusError):
            raise failure
        raise RunBusError(f"{type(failure).__name__}: {failure}; start it again") from failure
    if code:
        raise RunBusError(f"Faust's worker ended with {code}; its log says why")


def _app(faust: Any, strategy: Any, work: Work, failures: list[BaseException]) -> Any:  # noqa: ANN401
    """Return a Faust app whose only service does the work; what ends it is put into `failures`."""

    class NoKafka(strategy):  # type: ignore[misc]  # Faust is not typed
        """Start services only: the engine has its own clients."""

        enable_kafka = False
        enable_web = False

    class Shell(faust.App):  # type: ignore[misc]
        """An app of services."""

        BootStrategy = NoKafka

    Shell.logger = logging.getLogger("faust.services")  # before it is made: mode gives it this module's
    app = Shell("runbus", autodiscover=False, store="memory://", web_enabled=False)

    @app.service
    class Runner(faust.Service):  # type: ignore[misc]
        """The work as a service."""

        async def on_start(self) -> None:
            self.asked = asyncio.Event()
            self.done = asyncio.Event()

        async def on_stop(self) -> None:
            self.asked.set()
            await self.done.wait()

        @faust.Service.task  # type: ignore[untyped-decorator]
        async def _work(self) -> None:
            try:
                await work(self.asked)
                if not self.asked.is_set():
                    signal.raise_signal(signal.SIGTERM)
            except (Exception, asyncio.CancelledError) as error:
                if cancellation_asked():
                    raise
                if not isinstance(error, RunBusError):  # of those the message says enough
                    log.exception("streams.crash")
                failures.append(error)
                raise RuntimeError("the work has failed") from error
            finally:
                self.done.set()

    Runner.logger = logging.getLogger("faust.services")
    return app

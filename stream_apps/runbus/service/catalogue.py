"""Lists every process: one entry each. The command line is made from it.

A test compares the rest with it: the local stack, compose, the chart, Prometheus' targets and the docs
(tests/docs/test_docs_processes.py).
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbus.config.sources import Sources

if TYPE_CHECKING:  # the command line reads this table, and needs no process for it
    from runbus.service.component import ProcessSpec


@dataclass(frozen=True, slots=True)
class ProcessEntry:
    """One kind of process.

    Attributes:
        kind: its command (`runbus KIND`), the kind of its heartbeats, the end of its names in compose and the chart.
        does: one sentence; the help of its command.
        factory: `module:function` that makes its ProcessSpec from the settings. Imported at the start of the process:
            the sink needs no stream library, the apps no driver of ClickHouse.
    """

    kind: str
    does: str
    factory: str

    def load(self) -> Callable[[Sources], ProcessSpec]:
        """Import the factory."""
        factory: Callable[[Sources], ProcessSpec] = pkgutil.resolve_name(self.factory)
        return factory


PROCESSES: tuple[ProcessEntry, ...] = (
    ProcessEntry(
        "sink",
        "Store steps, events, heartbeats and dead letters in ClickHouse, exactly once; runs until it is stopped.",
        "runbus.sink.process:sink_process",
    ),
    ProcessEntry(
        "episodes",
        "Finalise each episode of the log, once per revision; runs until it is stopped.",
        "runbus.episodes.process:episodes_process",
    ),
    ProcessEntry(
        "live-metrics",
        "Compute what each stream does now, for pages and alarms; runs until it is stopped.",
        "runbus.live_metrics.process:live_metrics_process",
    ),
    ProcessEntry(
        "watchdog",
        "Watch every consumer, process and recorder, and say what is wrong; runs until it is stopped.",
        "runbus.watchdog.process:watchdog_process",
    ),
    ProcessEntry(
        "dashboard",
        "Serve the page: agents live, every episode again, and what is missing; runs until it is stopped.",
        "runbus.dashboard.process:dashboard_process",
    ),
)


def entry_of(kind: str) -> ProcessEntry:
    """Return the entry of a kind. Raises LookupError."""
    for entry in PROCESSES:
        if entry.kind == kind:
            return entry
    raise LookupError(f"no process is called {kind}: runbus/service/catalogue.py has them all")

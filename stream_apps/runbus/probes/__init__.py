"""Serves `/live`, `/ready` and `/metrics` of every process over HTTP.

A process hands in one `Probe`. Its two functions are called for each request, on the event loop, so they must not
block. Counts are those that the process keeps anyway; only durations are collected as they happen:

    commits = Durations()
    ...
    commits.observe(seconds)                                     # once a commit was answered
    ...
    def health() -> Health:                                      # for /live and /ready
        return Health(joined=True, lag_ms=lag, silent_seconds=time.monotonic() - progress_at)

    def samples() -> Iterator[Sample]:                           # for /metrics
        yield catalogue.STEPS.now(metrics.steps)
        yield catalogue.LAG_EVENTS.now(12, "runbus.steps", "3")  # labels in the order of the catalogue
        yield catalogue.COMMIT_SECONDS.now(commits)

    async with serving(settings.probes_address, Probe("episodes", health, samples, Limits(30.0))) as address:
        ...

`catalogue.py` has every metric, `readiness.py` the rule of /ready, `server.py` the pages.
"""

from runbus.probes import catalogue
from runbus.probes.address import Address, probes_address
from runbus.probes.catalogue import Metric, Sample
from runbus.probes.durations import Durations
from runbus.probes.readiness import Health, Limits, reasons, stuck
from runbus.probes.server import Probe, serving

__all__ = [
    "Address",
    "Durations",
    "Health",
    "Limits",
    "Metric",
    "Probe",
    "Sample",
    "catalogue",
    "probes_address",
    "reasons",
    "serving",
    "stuck",
]

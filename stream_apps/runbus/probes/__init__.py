"""What every process of RunBus shows over HTTP: `/live`, `/ready` and `/metrics`.

A process hands in one `Probe`: three functions that are called when somebody asks, on the event loop, so they must not
block. Counts are those that the process keeps anyway; only durations are collected as they happen:

    commits = Durations()
    ...
    commits.observe(seconds)                                     # where a commit was answered
    ...
    def health() -> Health:                                  # asked by /live and /ready
        return Health(joined=True, lag_ms=lag, silent_seconds=time.monotonic() - progress_at)

    def samples() -> Iterator[Sample]:                           # asked by /metrics
        yield catalogue.STEPS.now(counters.steps)
        yield catalogue.LAG_EVENTS.now(12, "runbus.steps", "3")  # labels in the order of the catalogue
        yield catalogue.COMMIT_SECONDS.now(commits)

    async with serving(settings.probes_address, Probe("episodes", health, samples, Limits(30.0))) as address:
        ...

`catalogue.py` is every metric there is, `readiness.py` the rule of /ready, `server.py` the pages.
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

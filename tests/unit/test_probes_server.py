"""The pages of a process: over a socket of this machine, without any engine."""

import asyncio
import json
import socket
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from urllib.error import HTTPError

import pytest
from prometheus_client.parser import text_string_to_metric_families

from runbus.config.errors import RunBusError
from runbus.probes import Address, Durations, Health, Limits, Probe, Sample, catalogue, serving
from runbus.probes.durations import BOUNDS
from runbus.probes.exposition import exposition


class Process:
    """A process that stands where a test says."""

    def __init__(self) -> None:
        self.now = Health()
        self.commits = Durations()

    def health(self) -> Health:
        """Return where it stands."""
        return self.now

    def samples(self) -> Iterator[Sample]:
        """Yield some metrics."""
        yield catalogue.STEPS.now(7)
        yield catalogue.LAG_EVENTS.now(3, "runbus.steps", "0")
        yield catalogue.LAG_EVENTS.now(4, "runbus.steps", "1")
        yield catalogue.COMMIT_SECONDS.now(self.commits)


Ask = Callable[[str], tuple[int, bytes]]


def served(process: Process, work: Callable[[Ask], None], text: str = "127.0.0.1:0") -> None:
    """Run `work` in a thread while the pages of `process` are served."""

    async def scene() -> None:
        async with serving(text, Probe("sink", process.health, process.samples, Limits(30.0))) as address:
            assert address is not None
            await asyncio.to_thread(work, asking(address))

    asyncio.run(scene())


def asking(address: Address) -> Ask:
    """Return a function that asks for a page: status and body."""

    def ask(path: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            with error:
                return error.code, error.read()

    return ask


def test_ready_says_why_it_is_not() -> None:
    """503 with the reasons, 200 once there are none."""
    process = Process()

    def work(ask: Ask) -> None:
        status, body = ask("/ready")
        assert (status, json.loads(body)["ready"]) == (503, False)
        assert json.loads(body)["reasons"] == ["the group has given it no partitions yet"]
        process.now = Health(joined=True)
        assert ask("/ready") == (200, b'{"ready": true, "reasons": []}')

    served(process, work)


def test_live_follows_the_loop_of_the_process_only() -> None:
    """Not ready is alive; a loop that stands still is not."""
    process = Process()

    def work(ask: Ask) -> None:
        assert ask("/live")[0] == 200
        process.now = Health(joined=True, silent_seconds=1000)
        assert ask("/live")[0] == 503
        assert ask("/nowhere")[0] == 404

    served(process, work)


def test_metrics_are_what_prometheus_reads() -> None:
    """Counters, labels and histograms arrive in Prometheus' own parser as they were given."""
    process = Process()
    for seconds in (0.0005, 0.003, 0.003, 100.0):
        process.commits.observe(seconds)
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}

    def work(ask: Ask) -> None:
        status, body = ask("/metrics")
        assert status == 200
        for family in text_string_to_metric_families(body.decode()):
            for sample in family.samples:
                found[sample.name, tuple(sorted(sample.labels.items()))] = sample.value

    served(process, work)
    assert found["runbus_steps_total", ()] == 7
    assert found["runbus_lag_events", (("partition", "1"), ("topic", "runbus.steps"))] == 4
    assert found["runbus_ready", ()] == 0
    assert next(key for key in found if key[0] == "runbus_build_info")[1][0] == ("kind", "sink")
    assert found["runbus_commit_seconds_count", ()] == 4
    assert found["runbus_commit_seconds_bucket", (("le", "0.001"),)] == 1
    assert found["runbus_commit_seconds_bucket", (("le", "0.005"),)] == 3
    assert found["runbus_commit_seconds_bucket", (("le", "60.0"),)] == 3
    assert found["runbus_commit_seconds_bucket", (("le", "+Inf"),)] == 4


def test_every_metric_of_the_catalogue_can_be_shown() -> None:
    """Names are unique, valid, named by their kind, and each comes out with its labels."""
    samples = [
        m.now(Durations() if m.kind == "histogram" else 1, *(f"v{i}" for i in range(len(m.labels))))
        for m in catalogue.METRICS
    ]
    text = exposition(samples).decode()
    assert len({m.name for m in catalogue.METRICS}) == len(catalogue.METRICS)
    for m in catalogue.METRICS:
        assert f"# HELP {m.name} {m.doc}" in text
        assert m.name.endswith("_total") is (m.kind == "counter")
        assert (m.unit == "seconds") is m.name.endswith("_seconds")
    known = {name for name, value in vars(catalogue).items() if isinstance(value, catalogue.Metric)}
    assert len(known) == len(catalogue.METRICS)


def test_a_sample_that_does_not_fit_its_metric_is_refused() -> None:
    """A wrong number of labels, or a number where durations belong, is a mistake of the code."""
    with pytest.raises(ValueError, match="has the labels"):
        catalogue.LAG_EVENTS.now(1, "runbus.steps")
    with pytest.raises(ValueError, match="is a histogram"):
        catalogue.COMMIT_SECONDS.now(1)


def test_durations_fall_into_the_bucket_that_ends_with_them() -> None:
    """A bound itself belongs to its bucket, as Prometheus' `le` says."""
    durations = Durations()
    for bound in BOUNDS:
        durations.observe(bound)
    assert [count for _, count in durations.buckets()] == [*range(1, len(BOUNDS) + 1), len(BOUNDS)]
    assert durations.total == pytest.approx(sum(BOUNDS))


def test_off_listens_nowhere() -> None:
    """An empty setting serves nothing and works."""

    async def scene() -> None:
        process = Process()
        async with serving("", Probe("sink", process.health, process.samples)) as address:
            assert address is None

    asyncio.run(scene())


def test_a_port_that_is_taken_is_said_in_one_sentence() -> None:
    """The error names the variable."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(RunBusError, match="RUNBUS_PROBES_ADDRESS="):
            served(Process(), lambda _: None, f"127.0.0.1:{taken.getsockname()[1]}")

"""A client of librdkafka that hangs under a real sink: the process goes on with another one, and nothing is lost."""

from pathlib import Path

import pytest

from tests.integration.sink.sink_processes import Feed, Sinks, Tables

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.long]  # short: tests/unit/sink
ROOT = Path(__file__).parents[3]


def test_a_commit_that_never_returns(feed: Feed, sinks: Sinks, tables: Tables) -> None:
    """The group keeps the partitions for a client that hangs; then the same process stores each step once."""
    sinks.env["PYTHONPATH"] = str(ROOT)
    process = sinks.start("tests.integration.sink.hanging_client", "5")
    feed.steps(4, agents=4)
    feed.flush()
    sinks.says("the commit hangs")
    feed.steps(4, agents=4)
    feed.flush()
    sinks.says("has not returned", seconds=90)
    tables.wait(feed)
    tables.check(feed)
    assert process.poll() is None
    assert sinks.stop(process) == 0

"""One running sink that is put into trouble: what it must say meanwhile, and how it must stand afterwards."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runbus.clickhouse.client import connect
from runbus.config.clickhouse import ClickHouseSettings
from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.sink.metrics import ALARMS, REASONS
from tests.integration.sink.probing import Pages, start
from tests.integration.sink.sink_processes import PARTITIONS, Feed, Sinks, Tables, environment, make_batch
from tests.integration.sink.watching import Beats, Group, Watch, paused
from tests.support.waiting import until

SIZE = 256
# The sink gives up on an answer after this; its session is shorter, so that what hangs outlasts both.
ANSWER_S, SESSION_S = 3, 2
NO_ANSWER = "ambiguous: ClickHouse did not answer"


@dataclass(frozen=True)
class SinkFaultSetup:
    """A sink, and everything that looks at it; nothing here goes through what misbehaves."""

    feed: Feed
    sinks: Sinks
    pages: Pages
    tables: Tables
    group: Group
    watch: Watch
    beats: Beats
    assignments: int

    def feed_some(self, batches: int = 3) -> None:
        """Produce a few batches for each partition."""
        for partition in range(PARTITIONS):
            agent = f"agent-{partition}"
            for _ in range(batches):
                first = self.feed.produced.get(agent, 0)
                value = self.feed.value(make_batch(self.feed.run, agent, first, SIZE))
                self.feed.send("steps", b"key", value, partition=partition)
                self.feed.produced[agent] = first + SIZE
        self.feed.flush()

    def says_why(self, *pauses: str) -> None:
        """Wait until heartbeat, log and pages show the pause of each partition; `/ready` where a person has to act.

        Args:
            pauses: regular expression for each partition; empty = it does not pause.
        """
        topic = f"{self.feed.settings.topic_prefix}steps:"
        expected = {f"{topic}{number}": pause for number, pause in enumerate(pauses) if pause}

        def known(reasons: dict[str, str]) -> bool:
            return all(re.match(pause, reasons.get(at, "")) for at, pause in expected.items())

        self.beats.until(f"{expected}", lambda beat: known(paused(beat)))
        until(f"the pages say {expected}", lambda: self._pages_say(expected))
        for at, pause in expected.items():
            assert re.search(rf"sink\.paused partition={re.escape(at)} reason=({pause})", self.sinks.log())
        assert self.pages.ask("live")[0] == 200

    def _pages_say(self, expected: dict[str, str]) -> bool:
        count = sum(self.pages.value("runbus_partitions_paused", reason=reason) or 0 for reason in REASONS)
        reasons = self.pages.reasons() or []
        told = [
            any(re.match(f"{re.escape(at)} is paused: ({why})", it) for it in reasons) for at, why in expected.items()
        ]
        return count >= len(expected) and told == [why.startswith(ALARMS) for why in expected.values()]

    def is_well(self) -> None:
        """Wait until everything is stored, exactly once, and nothing is paused; the group never changed."""
        self.tables.wait(self.feed)
        self.tables.check(self.feed)
        self.beats.until("nothing is paused", lambda beat: not paused(beat))
        until("it is ready", self.pages.ready)
        said = self.sinks.log()
        assert said.count("sink.assigned") == self.assignments
        assert not re.search(r"sink\.(revoked|lost|restart|fenced|flow|dead_letter)", said)


@contextmanager
def playing(
    kafka: str, engine: ClickHouseSettings, folder: Path, behind: ClickHouseSettings
) -> Iterator[SinkFaultSetup]:
    """Run a sink on topics of its own.

    Args:
        kafka: bootstrap servers.
        engine: the tables, as everybody but the sink reaches them.
        folder: for its log.
        behind: the same, as the sink reaches them.
    """
    settings = KafkaSettings(bootstrap_servers=kafka, topic_prefix=f"t{uuid.uuid4().hex[:10]}.")
    apply_topics(settings, partitions=PARTITIONS)
    feed, client = Feed(settings), connect(engine)
    sinks, beats, group = Sinks(environment(settings, behind), folder), Beats(feed), Group(feed)
    try:
        process, pages = start(
            sinks,
            group_protocol="classic",
            session_seconds=str(SESSION_S),
            insert_seconds=str(ANSWER_S),
            range_seconds_max="0.2",  # ranges that grow after "too many parts" are another test's
        )
        until("it is ready", pages.ready)
        assignments = sinks.log().count("sink.assigned")
        watch = Watch(feed, group, client, SIZE)
        yield SinkFaultSetup(feed, sinks, pages, Tables(client), group, watch, beats, assignments)
        assert sinks.stop(process) == 0
    finally:
        sinks.kill_all()
        beats.close()
        group.close()
        client.close()

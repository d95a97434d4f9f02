"""A broker that is away for a while under a running sink that has work left."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from runbus.clickhouse.client import connect
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.sources import cache
from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.local.kafka import KafkaOptions, kafka_service
from runbus.local.ports import free_port
from runbus.local.process import start as start_engine
from tests.integration.sink.probing import start
from tests.integration.sink.proxy import Proxy, slow
from tests.integration.sink.sink_processes import PARTITIONS, Feed, Sinks, Tables, environment
from tests.integration.sink.watching import Group
from tests.support.waiting import until


def without_broker(engine: ClickHouseSettings, folder: Path, seconds: float, protocol: str) -> int:
    """Kill the broker while steps wait in the log and in the sink; it is away that long, and then nobody helps.

    Returns:
        How many steps were waiting when it went away.
    """
    options = KafkaOptions(folder / "kafka", free_port(), free_port(), cache())
    service, output = kafka_service(options), folder / "kafka.log"
    broker = start_engine(service, output)
    settings = KafkaSettings(bootstrap_servers=options.bootstrap_servers, topic_prefix="own.")
    client = connect(engine)
    with Proxy(engine.url) as between:
        sinks = Sinks(environment(settings, replace(engine, url=between.url)), folder)
        try:
            apply_topics(settings, partitions=PARTITIONS)
            feed, tables = Feed(settings), Tables(client)
            group = Group(feed)
            process, pages = start(sinks, group_protocol=protocol, range_steps="4096")
            until("it is ready", pages.ready)
            with between.misbehaving(inserts=slow(0.5)):  # so that there is work left
                feed.steps(100, agents=8)
                feed.flush()
                until("some of it is stored", lambda: tables.steps(feed) > 0)
                broker.kill()
                waiting = feed.total - tables.steps(feed)
            until("it says so", lambda: any("waits for Kafka" in why for why in pages.reasons() or []))
            time.sleep(seconds)  # the outage
            assert process.poll() is None
            assert pages.ask("live")[0] == 200
            broker = start_engine(service, output)
            feed.steps(10, agents=8)
            feed.flush()
            tables.wait(feed)
            until("everything is committed", group.is_past_all)
            until("it is ready again", pages.ready)
            group.close()
            assert sinks.stop(process) == 0
            tables.check(feed)
            return waiting
        finally:
            sinks.kill_all()
            broker.stop()
            client.close()
